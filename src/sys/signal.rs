//! Blocking signals while a process is started.
//!
//! A new process belongs to its parent's process group until it has its own. A signal for that
//! group (Ctrl-C in a terminal, the end of the terminal) also reaches the new process, but must
//! not end it: the process has copies of its parent's descriptors, including the locks, and has
//! to clean up after its parent.

use std::{marker::PhantomData, mem::MaybeUninit, ops::RangeInclusive, ptr};

use libc::{c_int, sigset_t, timespec};

/// The signals that fit into a mask of 64 bits.
const NUMBERS: RangeInclusive<c_int> = 1..=64;

/// Blocks all signals for this thread, and for processes that it starts, until it is dropped.
pub(crate) struct Blocked {
    before: sigset_t,
    /// The signal mask belongs to this thread.
    _thread: PhantomData<*const ()>,
}

impl Blocked {
    pub(crate) fn new() -> Self {
        let mut all = empty();
        // SAFETY: `all` is an initialized set.
        unsafe { libc::sigfillset(&raw mut all) };
        Self { before: exchange(&all), _thread: PhantomData }
    }

    /// Returns the signals that were blocked before, one bit each.
    pub(crate) fn before(&self) -> u64 {
        let waits = |number: &c_int| {
            // SAFETY: `before` is an initialized set. For an invalid number, the call returns
            // -1.
            unsafe { libc::sigismember(&raw const self.before, *number) == 1 }
        };
        NUMBERS.filter(waits).fold(0, |mask, number| mask | 1 << (number - 1))
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        exchange(&self.before);
    }
}

/// Discards the pending signals of a process that was started under a [`Blocked`], and then
/// blocks only the signals in `mask` for this thread.
pub(crate) fn discard_and_unblock(mask: u64) {
    let (mut all, mut wait) = (empty(), empty());
    for number in NUMBERS {
        // SAFETY: both sets are initialized. An invalid number is ignored.
        unsafe {
            libc::sigaddset(&raw mut all, number);
            if mask >> (number - 1) & 1 == 1 {
                libc::sigaddset(&raw mut wait, number);
            }
        }
    }
    let no_time = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time are initialized, and a null pointer means that no
    // information about the signal is returned.
    while unsafe { libc::sigtimedwait(&raw const all, ptr::null_mut(), &raw const no_time) } > 0 {}
    exchange(&wait);
}

fn empty() -> sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initializes the set, and cannot fail.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// Sets the signal mask of this thread, and returns the previous one.
fn exchange(set: &sigset_t) -> sigset_t {
    let mut before = empty();
    // SAFETY: both sets are initialized. Only the mask of the calling thread changes.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set, &raw mut before) };
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends this thread a signal that ends the process unless it is blocked.
    fn interrupt() {
        // SAFETY: `pthread_self` returns the calling thread, which exists.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGINT) };
    }

    fn bit(signal: c_int) -> u64 {
        1 << (signal - 1)
    }

    #[test]
    fn signal_discarded_when_blocked_is_never_delivered() {
        let outer = Blocked::new();
        interrupt();
        discard_and_unblock(bit(libc::SIGUSR1));
        let inner = Blocked::new();
        assert_eq!(inner.before(), bit(libc::SIGUSR1));
        drop(inner);
        assert_eq!(Blocked::new().before(), bit(libc::SIGUSR1));
        drop(outer);
    }
}
