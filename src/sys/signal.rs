//! Signals held back while a process is started.
//!
//! A new process belongs to its parent's group until it has one of its own. A signal for the group
//! (Ctrl-C in a terminal, the end of the terminal) reaches it there too. It must not die of that:
//! it still has copies of its parent's descriptors, with the locks, and will clean up after it.

use std::{marker::PhantomData, mem::MaybeUninit, ops::RangeInclusive, ptr};

use libc::{c_int, sigset_t, timespec};

/// Signals that a mask of 64 bits can name.
const NUMBERS: RangeInclusive<c_int> = 1..=64;

/// All signals wait for this thread, and for a process it starts, until this is dropped.
pub(crate) struct Blocked {
    before: sigset_t,
    /// The mask is this thread's.
    _thread: PhantomData<*const ()>,
}

impl Blocked {
    pub(crate) fn new() -> Self {
        let mut all = empty();
        // SAFETY: `all` is an initialised set.
        unsafe { libc::sigfillset(&raw mut all) };
        Self { before: exchange(&all), _thread: PhantomData }
    }

    /// The signals that waited before, one bit each.
    pub(crate) fn before(&self) -> u64 {
        let waits = |number: &c_int| {
            // SAFETY: `before` is an initialised set; a number that cannot be in it gives -1.
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

/// In a new process that was started under a [`Blocked`]: discards the signals that came meanwhile,
/// and from here on only those of `mask` wait for this thread.
pub(crate) fn discard_and_unblock(mask: u64) {
    let (mut all, mut wait) = (empty(), empty());
    for number in NUMBERS {
        // SAFETY: both are initialised sets; a number that cannot be in one is left out.
        unsafe {
            libc::sigaddset(&raw mut all, number);
            if mask >> (number - 1) & 1 == 1 {
                libc::sigaddset(&raw mut wait, number);
            }
        }
    }
    let no_time = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time are initialised, and no information about the signal is asked for.
    while unsafe { libc::sigtimedwait(&raw const all, ptr::null_mut(), &raw const no_time) } > 0 {}
    exchange(&wait);
}

fn empty() -> sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set it is given, and cannot fail.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// Sets which signals wait for this thread, and returns those that did before.
fn exchange(set: &sigset_t) -> sigset_t {
    let mut before = empty();
    // SAFETY: both are initialised sets. Only the calling thread's mask changes.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set, &raw mut before) };
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends this thread a signal that would end the process.
    fn interrupt() {
        // SAFETY: `pthread_self` is this thread, which runs.
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
