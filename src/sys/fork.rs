//! Forking this process.

use std::{
    fs, io, mem,
    os::unix::process::ExitStatusExt,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitStatus,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, WaitOptions, setpgid, waitpid},
};

use super::{
    process, signal,
    unshared::{FAILURE_EXIT_CODE, WATCHER_COUNT},
};

/// How long to wait for threads that are about to end. A joined thread may
/// still exist for a moment.
const THREAD_EXIT_TIMEOUT: Duration = Duration::from_millis(100);

/// The kernel's flag of a thread that no longer runs code of the program
/// (`PF_EXITING`, field 9 of `proc_pid_stat(5)`).
const PF_EXITING: u64 = 4;

/// The reason why this process cannot be forked.
pub(crate) enum ForkError {
    /// This many other threads are running.
    Threads(usize),
    System(io::Error),
}

/// A forked process. The parent must wait for it.
pub(crate) struct Child(Pid);

/// Starts a thread that ends this process when `watch` returns.
///
/// `watch` must only wait in a system call. Such a thread does not prevent a
/// [`fork`].
pub(crate) fn spawn_watcher(name: &str, watch: impl FnOnce() + Send + 'static) -> io::Result<()> {
    WATCHER_COUNT.fetch_add(1, Ordering::Relaxed);
    let started = thread::Builder::new().name(name.into()).spawn(move || {
        watch();
        process::exit_now()
    });
    if started.is_err() {
        WATCHER_COUNT.fetch_sub(1, Ordering::Relaxed);
    }
    started.map(drop)
}

/// Forks this process. The new process, which leads its own process group,
/// calls `work` and exits.
///
/// The new process never returns from this function. It runs neither
/// destructors nor exit handlers of its parent.
///
/// # Errors
///
/// Returns an error if other threads are running, because a lock of such a
/// thread would stay locked in the new process.
pub(crate) fn fork(work: impl FnOnce()) -> Result<Child, ForkError> {
    check_single_threaded()?;
    let signals = signal::Blocked::new();
    // SAFETY: `check_single_threaded` has checked that no other thread runs
    // code of the program, so none can be started. No lock is held by a thread
    // that the new process does not have. Watchers, which are not counted, wait
    // in a system call. A watcher that has just woken up ends this process. It
    // can hold only the list of unshared descriptors, which is locked around a
    // fork (`unshared`), and the state of its session, which the new process
    // does not use. The new process has a copy of all memory, including the
    // maps that this crate writes to, and never returns to the caller.
    match unsafe { libc::fork() } {
        0 => {
            let _ = setpgid(None, None);
            signal::discard_and_unblock(signals.before());
            let ran = catch_unwind(AssertUnwindSafe(work));
            process::exit_with(match ran {
                Ok(()) => 0,
                Err(payload) => {
                    // Dropping the payload could panic.
                    mem::forget(payload);
                    FAILURE_EXIT_CODE
                }
            })
        }
        id => {
            let Some(pid) = Pid::from_raw(id).filter(|_| id > 0) else {
                return Err(ForkError::System(io::Error::last_os_error()));
            };
            // Both processes set the group, because either may run first.
            let _ = setpgid(Some(pid), Some(pid));
            Ok(Child(pid))
        }
    }
}

/// Checks that no other thread runs code of the program. Waits for threads that
/// are about to end.
pub(crate) fn check_single_threaded() -> Result<(), ForkError> {
    let until = Instant::now() + THREAD_EXIT_TIMEOUT;
    loop {
        match count_other_threads().map_err(ForkError::System)? {
            0 => return Ok(()),
            others if Instant::now() >= until => return Err(ForkError::Threads(others)),
            _ => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Returns the number of threads apart from this one and the watchers.
fn count_other_threads() -> io::Result<usize> {
    let mut running: usize = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        // A thread that has ended meanwhile does not count.
        let Ok(stat) = fs::read(thread?.path().join("stat")) else { continue };
        running += usize::from(!is_exiting(&stat));
    }
    Ok(running.saturating_sub(1 + WATCHER_COUNT.load(Ordering::Relaxed)))
}

/// Returns whether a thread with this `stat` no longer runs code of the
/// program.
fn is_exiting(stat: &[u8]) -> bool {
    // The name of the thread, in parentheses, may contain any characters.
    let after_name = stat.iter().rposition(|&byte| byte == b')').map_or(stat, |at| &stat[at + 1..]);
    let mut fields = after_name.split(|&byte| byte == b' ').filter(|field| !field.is_empty());
    let is_dead = matches!(fields.next(), Some(b"Z" | b"X"));
    let flags =
        fields.nth(5).and_then(|field| std::str::from_utf8(field).ok()?.parse::<u64>().ok());
    is_dead || flags.is_some_and(|flags| flags & PF_EXITING != 0)
}

impl Child {
    pub(crate) fn id(&self) -> u32 {
        self.0.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    ///
    /// Returns an error if other code has already waited for it.
    pub(crate) fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            match waitpid(Some(self.0), WaitOptions::empty()) {
                Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
                Ok(None) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fork_recognizes_exiting_threads() {
        for (stat, expected) in [
            ("7 (a thread) R 1 7 7 0 -1 4194368 1 0", false),
            ("7 (a thread) R 1 7 7 0 -1 4194372 1 0", true),
            ("7 (a) Z 4 (b) S 1 7 7 0 -1 64 1 0", false),
            ("7 (x) Z 1 7 7 0 -1 64 1 0", true),
            ("", false),
        ] {
            assert_eq!(is_exiting(stat.as_bytes()), expected, "{stat}");
        }
    }

    #[test]
    fn fork_is_refused_with_other_threads() {
        // The test harness runs tests in another thread too.
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let thread = thread::spawn(move || wait.recv());
        assert!(matches!(fork(|| ()), Err(ForkError::Threads(1..))));
        drop(end);
        assert!(thread.join().unwrap().is_err());
    }
}
