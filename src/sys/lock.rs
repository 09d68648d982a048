//! Locks on open files (`flock`).
//!
//! A lock belongs to the open file and is released when the last descriptor of
//! it is closed.

use std::os::fd::AsFd;

use rustix::{
    fs::{FlockOperation, flock},
    io::{Errno, Result, retry_on_intr},
};

/// Takes a shared lock. Returns `false` if another open file has an exclusive
/// one.
pub(crate) fn try_shared(file: impl AsFd) -> Result<bool> {
    attempt(file, FlockOperation::NonBlockingLockShared)
}

/// Takes an exclusive lock. Returns `false` if another open file has a lock.
pub(crate) fn try_exclusive(file: impl AsFd) -> Result<bool> {
    attempt(file, FlockOperation::NonBlockingLockExclusive)
}

/// Takes an exclusive lock, and waits for it if necessary.
pub(crate) fn exclusive(file: impl AsFd) -> Result<()> {
    #[cfg(test)]
    fault::check()?;
    retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))
}

/// Releases the lock, even if a forked process still has the same file open.
pub(crate) fn unlock(file: impl AsFd) -> Result<()> {
    flock(file, FlockOperation::Unlock)
}

fn attempt(file: impl AsFd, operation: FlockOperation) -> Result<bool> {
    #[cfg(test)]
    fault::check()?;
    match retry_on_intr(|| flock(&file, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Simulates file systems without locks in the process of a test.
#[cfg(test)]
pub(crate) mod fault {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::io::{Errno, Result};

    static ACTIVE: AtomicBool = AtomicBool::new(false);

    /// Makes all locks of this process fail from now on.
    pub(crate) fn begin() {
        ACTIVE.store(true, Ordering::Relaxed);
    }

    pub(super) fn check() -> Result<()> {
        if ACTIVE.load(Ordering::Relaxed) { Err(Errno::OPNOTSUPP) } else { Ok(()) }
    }
}
