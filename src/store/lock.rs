//! The lock of a session. Every process of the session holds it shared, and the session is
//! alive while a process holds it.
//!
//! A lock counts only if its path still names the locked file: a sweep may have removed the
//! file between opening and locking. So every process checks this after locking.

use std::{fs::File, time::SystemTime};

use rustix::io::{Errno, Result};

use crate::sys::{
    dir::{self, Dir},
    lock,
    unshared::Unshared,
};

pub(super) const NAME: &str = "lock";

/// A held lock. Dropping it unlocks.
pub(super) struct SessionLock(Unshared<File>);

/// The result of an attempt to claim a dead session.
pub(super) enum Claim {
    /// No process holds the session. This process must remove it, and no other will.
    Dead(SessionLock),
    /// A process holds the session.
    Alive,
    /// There is no lock, because it was not created yet or was removed. The directory is empty.
    Absent,
}

impl SessionLock {
    /// Creates and holds the lock of a new session. Returns `None` if a sweep has intervened.
    pub(super) fn create(home: &Dir) -> Result<Option<Self>> {
        match home.create(NAME) {
            Ok(file) => Self::hold(home, file),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Holds the lock of a session that another process holds. Returns `None` if the session
    /// has ended.
    pub(super) fn join(home: &Dir) -> Result<Option<Self>> {
        match open(home) {
            Ok(file) => Self::hold(home, file),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn hold(home: &Dir, file: File) -> Result<Option<Self>> {
        Ok((lock::try_shared(&file)? && is_in_place(home, &file)?)
            .then(|| Self(Unshared::new(file))))
    }

    /// Tries to claim the session. If this succeeds, the caller must remove the session: other
    /// processes that leave at this moment, or are about to begin, rely on it.
    pub(super) fn claim(home: &Dir) -> Result<Claim> {
        let file = match open(home) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(Claim::Absent),
            Err(error) => return Err(error),
        };
        if !lock::try_exclusive(&file)? {
            return Ok(Claim::Alive);
        }
        let lock = Self(Unshared::new(file));
        Ok(if is_in_place(home, &lock.0)? { Claim::Dead(lock) } else { Claim::Absent })
    }
}

/// Returns whether a process holds the session, for observers. Returns `None` if there is no
/// lock.
///
/// This does not try the lock itself: a process that leaves and finds the lock claimed trusts
/// the claimer to remove everything. Members also hold the directory, which is tried instead.
pub(super) fn is_held(home: &Dir) -> Result<Option<bool>> {
    match home.status_of(NAME) {
        Ok(_) => {}
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error),
    }
    let free = lock::try_exclusive(home)?;
    lock::unlock(home)?;
    Ok(Some(!free))
}

/// Returns when the session began. Nothing is ever written to the lock file.
pub(super) fn since(home: &Dir) -> Option<SystemTime> {
    open(home).ok()?.metadata().ok()?.modified().ok()
}

impl Drop for SessionLock {
    fn drop(&mut self) {
        // Closing is not enough, because a process between fork and exec has the file open too.
        // In a forked process, the lock belongs to the parent.
        let _ = self.0.get().map(lock::unlock);
    }
}

fn open(home: &Dir) -> Result<File> {
    // Opened for writing too, because network file systems require it for exclusive locks.
    home.open_file(NAME)?.ok_or(Errno::INVAL)
}

fn is_in_place(home: &Dir, file: &File) -> Result<bool> {
    match home.status_of(NAME) {
        Ok(named) => Ok(named.identity == dir::status(file)?.identity),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let home = Dir::open(temp.path()).unwrap();
        (temp, home)
    }

    fn is_dead(home: &Dir) -> bool {
        matches!(SessionLock::claim(home).unwrap(), Claim::Dead(_))
    }

    #[test]
    fn lock_keeps_a_session_alive_while_held() {
        // S3
        let (_temp, home) = home();
        assert!(matches!(SessionLock::claim(&home).unwrap(), Claim::Absent));
        let first = SessionLock::create(&home).unwrap().unwrap();
        let second = SessionLock::join(&home).unwrap().unwrap();
        assert!(!is_dead(&home));
        drop(first);
        assert!(!is_dead(&home));
        drop(second);
        assert!(is_dead(&home) && is_dead(&home), "a claim let go is no sweep");
    }

    #[test]
    fn lock_claimed_excludes_joining_and_claiming() {
        // S3
        let (_temp, home) = home();
        drop(SessionLock::create(&home).unwrap().unwrap());
        let Claim::Dead(_claimed) = SessionLock::claim(&home).unwrap() else {
            panic!("nobody holds it");
        };
        assert!(SessionLock::join(&home).unwrap().is_none());
        assert!(!is_dead(&home));
    }

    #[test]
    fn lock_removed_before_locking_holds_nothing() {
        // S3
        let (_temp, home) = home();
        for replace in [false, true] {
            let opened = home.create(NAME).unwrap();
            home.remove(NAME).unwrap();
            if replace {
                home.create(NAME).unwrap();
            }
            assert!(SessionLock::hold(&home, opened).unwrap().is_none());
        }
    }

    #[test]
    fn lock_that_is_not_a_file_is_an_error() {
        let (temp, home) = home();
        std::os::unix::fs::symlink("/etc/passwd", temp.path().join(NAME)).unwrap();
        assert!(SessionLock::claim(&home).is_err());
    }
}
