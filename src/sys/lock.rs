//! Locks on open files (`flock`): they belong to the open file, end with it, and no process id is involved.

use std::os::fd::AsFd;

use rustix::{
    fs::{FlockOperation, flock},
    io::{Errno, Result, retry_on_intr},
};

#[cfg(all(feature = "store", target_os = "linux"))]
/// Takes a shared lock, or answers `false` where somebody holds an exclusive one.
pub(crate) fn try_shared(file: impl AsFd) -> Result<bool> {
    attempt(file, FlockOperation::NonBlockingLockShared)
}

/// Takes an exclusive lock, or answers `false` where somebody holds any.
pub(crate) fn try_exclusive(file: impl AsFd) -> Result<bool> {
    attempt(file, FlockOperation::NonBlockingLockExclusive)
}

#[cfg(all(feature = "store", target_os = "linux"))]
/// Waits for an exclusive lock.
pub(crate) fn exclusive(file: impl AsFd) -> Result<()> {
    #[cfg(test)]
    fault::strikes()?;
    retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))
}

/// Ends the lock at once, also where a process just forked still has the same file open.
pub(crate) fn unlock(file: impl AsFd) -> Result<()> {
    flock(file, FlockOperation::Unlock)
}

fn attempt(file: impl AsFd, operation: FlockOperation) -> Result<bool> {
    #[cfg(test)]
    fault::strikes()?;
    match retry_on_intr(|| flock(&file, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}

/// File systems without locks are hard to come by: a test's own process can have all of them be so.
#[cfg(test)]
pub(crate) mod fault {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::io::{Errno, Result};

    static HERE: AtomicBool = AtomicBool::new(false);

    /// From here on this process cannot lock anything.
    pub(crate) fn begin() {
        HERE.store(true, Ordering::Relaxed);
    }

    pub(super) fn strikes() -> Result<()> {
        if HERE.load(Ordering::Relaxed) { Err(Errno::OPNOTSUPP) } else { Ok(()) }
    }
}
