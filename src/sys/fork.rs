//! Forking this process: when it may be, what becomes of the one that is forked, how its end is learned.

use std::{
    fs, io, mem,
    os::unix::process::ExitStatusExt,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitStatus,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, WaitOptions, setpgid, waitpid},
};

use super::{process, signal, unshared};

/// Threads of this process that wait in the system for the end of another, and then end this one.
static WATCHERS: AtomicUsize = AtomicUsize::new(0);

/// How long threads that are about to end may take for it: one that was joined may still be there.
const GRACE: Duration = Duration::from_millis(100);

/// How a fork ends that cannot do its work: as a program does that panics.
const FAILED: i32 = 101;

/// What the kernel notes on a thread that runs no code of the program any more (`PF_EXITING`, field 9 of proc_pid_stat(5)).
const EXITING: u64 = 4;

/// Why a process is not forked.
pub(crate) enum Refused {
    /// This many other threads run in it.
    Threads(usize),
    System(io::Error),
}

/// A process that was forked. It is to be waited for.
pub(crate) struct Child(Pid);

/// Starts a thread that does `watch`, which waits in the system until this process is to end, and then ends it.
pub(crate) fn watcher(name: &str, watch: impl FnOnce() + Send + 'static) -> io::Result<()> {
    WATCHERS.fetch_add(1, Ordering::Relaxed);
    let started = thread::Builder::new().name(name.into()).spawn(move || {
        watch();
        process::end()
    });
    if started.is_err() {
        WATCHERS.fetch_sub(1, Ordering::Relaxed);
    }
    started.map(drop)
}

/// Forks this process: the new one, in a group of its own, does `work` and ends. It never returns from here, and runs no
/// destructor and no exit handler of what it has inherited.
///
/// It is refused where other threads run: a lock that one of them holds would stay locked in the new process for ever.
pub(crate) fn fork(work: impl FnOnce()) -> Result<Child, Refused> {
    alone()?;
    let list = unshared::list();
    let signals = signal::Blocked::new();
    // SAFETY: `alone` has found this thread to be the only one that runs code of the program, and only a running one could start
    // another; so whatever the new process inherits is as this thread has left it, and no lock is held there by a thread it does not have.
    // Watchers, which are not counted, wait in the system; one that has just woken up ends this process, and holds at most the
    // list of what a fork lets go of, which is held here, and its own session's state, which the new process does not use. The new process
    // gets a copy of all memory, also (`let_go`) of what this crate has mapped to write to, and never returns to the caller.
    match unsafe { libc::fork() } {
        0 => {
            WATCHERS.store(0, Ordering::Relaxed);
            if unshared::let_go(list).is_err() {
                process::end_as(FAILED);
            }
            let _ = setpgid(None, None);
            signal::discard_and_unblock(signals.before());
            let ran = catch_unwind(AssertUnwindSafe(work));
            process::end_as(match ran {
                Ok(()) => 0,
                Err(payload) => {
                    // It could panic on its way out.
                    mem::forget(payload);
                    FAILED
                }
            })
        }
        id => {
            drop(list);
            let Some(pid) = Pid::from_raw(id).filter(|_| id > 0) else {
                return Err(Refused::System(io::Error::last_os_error()));
            };
            // Whoever of the two comes first: from here on it is in a group of its own.
            let _ = setpgid(Some(pid), Some(pid));
            Ok(Child(pid))
        }
    }
}

/// Whether no other thread runs code of the program. Those that are about to end are waited for.
pub(crate) fn alone() -> Result<(), Refused> {
    let until = Instant::now() + GRACE;
    loop {
        match others().map_err(Refused::System)? {
            0 => return Ok(()),
            others if Instant::now() >= until => return Err(Refused::Threads(others)),
            _ => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// How many threads run beside this one and the watchers.
fn others() -> io::Result<usize> {
    let mut running: usize = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        // One that has gone meanwhile does not count.
        let Ok(stat) = fs::read(thread?.path().join("stat")) else { continue };
        running += usize::from(!is_exiting(&stat));
    }
    Ok(running.saturating_sub(1 + WATCHERS.load(Ordering::Relaxed)))
}

/// Whether a thread with this `stat` has ended as far as the program goes.
fn is_exiting(stat: &[u8]) -> bool {
    // Its name, in parentheses, may hold anything.
    let behind = stat.iter().rposition(|&byte| byte == b')').map_or(stat, |at| &stat[at + 1..]);
    let mut fields = behind.split(|&byte| byte == b' ').filter(|field| !field.is_empty());
    let is_dead = matches!(fields.next(), Some(b"Z" | b"X"));
    let flags =
        fields.nth(5).and_then(|field| std::str::from_utf8(field).ok()?.parse::<u64>().ok());
    is_dead || flags.is_some_and(|flags| flags & EXITING != 0)
}

impl Child {
    pub(crate) fn id(&self) -> u32 {
        self.0.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// Where somebody else has waited for it.
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
    fn a_thread_on_its_way_out_is_told_from_one_that_runs() {
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
    fn a_process_with_other_threads_is_not_forked() {
        // The test harness runs this in a thread of its own.
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let thread = thread::spawn(move || wait.recv());
        assert!(matches!(fork(|| ()), Err(Refused::Threads(1..))));
        drop(end);
        assert!(thread.join().unwrap().is_err());
    }
}
