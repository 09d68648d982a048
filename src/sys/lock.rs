//! Locks on open files (`flock`): they belong to the open file, end with it, and no process id is involved.

use std::os::fd::AsFd;

use rustix::{
    fs::{FlockOperation, flock},
    io::{Errno, Result, retry_on_intr},
};

/// Takes a shared lock, or answers `false` where somebody holds an exclusive one.
pub(crate) fn try_shared(file: impl AsFd) -> Result<bool> {
    attempt(file, FlockOperation::NonBlockingLockShared)
}

/// Takes an exclusive lock, or answers `false` where somebody holds any.
pub(crate) fn try_exclusive(file: impl AsFd) -> Result<bool> {
    attempt(file, FlockOperation::NonBlockingLockExclusive)
}

/// Waits for an exclusive lock.
pub(crate) fn exclusive(file: impl AsFd) -> Result<()> {
    retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))
}

/// Ends the lock at once, also where a process just forked still has the same file open.
pub(crate) fn unlock(file: impl AsFd) -> Result<()> {
    flock(file, FlockOperation::Unlock)
}

fn attempt(file: impl AsFd, operation: FlockOperation) -> Result<bool> {
    match retry_on_intr(|| flock(&file, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}
