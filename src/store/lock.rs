//! The session's lock: held shared by every process of a session, it *is* the session's life.
//!
//! A lock proves something only as long as its path names the file that is locked: between opening and locking somebody
//! may have swept it away. So whoever has locked looks again, and without the same file there has locked nothing.

use std::{fs::File, time::SystemTime};

use rustix::io::{Errno, Result};

use crate::sys::{
    dir::{self, Dir},
    lock,
    unshared::Unshared,
};

pub(super) const NAME: &str = "lock";

/// A held lock. Dropping it ends it.
pub(super) struct SessionLock(Unshared<File>);

/// What an attempt to take a session for dead has found.
pub(super) enum Claim {
    /// No process holds it. It is now this one's to remove, and nobody else's.
    Dead(SessionLock),
    /// Some process holds it.
    Alive,
    /// There is no lock: not yet, or no longer. Then the home is empty.
    Absent,
}

impl SessionLock {
    /// Makes and holds the lock of a new session; `None` where somebody sweeping has come in between.
    pub(super) fn create(home: &Dir) -> Result<Option<Self>> {
        match home.create(NAME) {
            Ok(file) => Self::hold(home, file),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Holds the lock of a session that another process holds; `None` where it has ended.
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

    /// Tries to take the session for dead. Who succeeds has to remove it: another that leaves, or is about to begin, at this
    /// moment relies on it.
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

/// Whether some process holds the session, for whoever only wants to know; `None` where there is no lock.
///
/// It is not the lock that is tried: who leaves, and finds a claim on it, trusts the claimer to take everything along. The
/// members hold the home too.
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

/// When the session began: nothing is ever written to its lock.
pub(super) fn since(home: &Dir) -> Option<SystemTime> {
    open(home).ok()?.metadata().ok()?.modified().ok()
}

impl Drop for SessionLock {
    fn drop(&mut self) {
        // Closing is not enough: a process between fork and exec has the file open too. In a forked one, the lock is its parent's.
        let _ = self.0.get().map(lock::unlock);
    }
}

fn open(home: &Dir) -> Result<File> {
    // For writing too: a network file system gives an exclusive lock on nothing else.
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
    fn a_session_lives_as_long_as_one_process_holds_it() {
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
    fn a_session_being_swept_cannot_be_entered_or_swept_by_another() {
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
    fn a_lock_swept_away_between_opening_and_locking_holds_nothing() {
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
    fn a_lock_that_is_no_file_is_an_error() {
        let (temp, home) = home();
        std::os::unix::fs::symlink("/etc/passwd", temp.path().join(NAME)).unwrap();
        assert!(SessionLock::claim(&home).is_err());
    }
}
