//! Sweeping: finding the sessions of this user, telling the dead from the living, and removing the dead.
//!
//! What one dead session has left, and in which order it goes, is [`remains`](super::remains)'.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::io::Errno;

use super::{
    home::Home,
    lock::{self, Claim, SessionLock},
    name::SessionId,
    place::{self, Places, Private},
    remains::Remains,
};
use crate::{Error, Result, trace};

/// Removes what dead sessions have left: programs that were killed, machines that went down.
///
/// A session that some process still belongs to is never touched, nor another user's, nor anything behind a symbolic
/// link; and where the file system has no locks, nothing is, because there the living cannot be told from the dead.
/// Opening a [`Store`](crate::store::Store) sweeps by itself, but for sessions that were opened with `NDFERRY_KEEP=1`.
///
/// Looked at are `NDFERRY_DIR`, the system's temp directory and `/dev/shm`, as they are for this process, and the other
/// roots of the sessions found there.
///
/// ```
/// let swept = ndferry::store::sweep()?;
/// println!("{} dead sessions, {} bytes", swept.dead.len(), swept.nbytes());
/// for failure in &swept.failures {
///     eprintln!("{failure}");
/// }
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sweeper {
    dry_run: bool,
}

/// Removes what dead sessions have left, as a [`Sweeper`] does.
///
/// # Errors
///
/// As [`Sweeper::sweep`].
pub fn sweep() -> Result<Sweep> {
    Sweeper::new().sweep()
}

/// What a sweep has found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Sweep {
    /// Sessions of which no process was left. They are gone; after a dry run they are still there.
    pub dead: Vec<SessionReport>,
    /// Sessions of which some process lives. They were left alone.
    pub alive: Vec<SessionReport>,
    /// What could not be looked at, or not be removed, and why. A later sweep tries again.
    pub failures: Vec<Error>,
}

/// A session, as a sweep has found it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionReport {
    /// Its number, in hexadecimal.
    pub id: String,
    /// The directory that holds its lock and its registry.
    pub home: PathBuf,
    /// When it began, where that is known.
    pub since: Option<SystemTime>,
    /// Whether it is, or was, to stay when it is dead, unless a sweep is asked for: it was opened with `NDFERRY_KEEP=1`.
    pub keep: bool,
    /// The directories that hold its files.
    pub directories: Vec<PathBuf>,
    /// Its files.
    pub files: Vec<FileReport>,
}

/// A temp file, as a sweep has found it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileReport {
    /// Where it is, or was.
    pub path: PathBuf,
    /// Its length in bytes.
    pub nbytes: u64,
}

impl Sweeper {
    /// A sweeper that removes what it finds dead.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With `true`, nothing is removed: the sweep only says what would be, and what lives. Programs that open, join or close
    /// a store meanwhile do not notice.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sweeps. What stands in the way of a part of it is among the [`failures`](Sweep::failures), and stops nothing else.
    ///
    /// # Errors
    ///
    /// Where `NDFERRY_DIR` is set to something that is not a directory.
    pub fn sweep(&self) -> Result<Sweep> {
        Ok(self.sweep_in(&Places::known()?))
    }

    pub(super) fn sweep_in(&self, places: &[PathBuf]) -> Sweep {
        let mut sweeping =
            Sweeping { remove: !self.dry_run, thorough: true, ..Sweeping::quietly(places) };
        sweeping.run();
        sweeping.found
    }
}

impl Sweep {
    /// The bytes in the files of the dead sessions.
    #[must_use]
    pub fn nbytes(&self) -> u64 {
        self.dead.iter().map(SessionReport::nbytes).sum()
    }
}

impl SessionReport {
    /// The bytes in its files.
    #[must_use]
    pub fn nbytes(&self) -> u64 {
        self.files.iter().map(|file| file.nbytes).sum()
    }
}

/// Sweeps before a store is opened, for which it is no matter what that has found.
pub(super) fn before_opening(places: &[PathBuf]) {
    Sweeping { spare: true, ..Sweeping::quietly(places) }.run();
}

/// Sweeps a session this process has just left, unless others are still in it; tells whether it did.
pub(super) fn last_out(home: &Home) -> bool {
    let Ok(Some(user)) = Private::of_user(home.place()) else { return false };
    let mut sweeping = Sweeping::quietly(&[]);
    sweeping.session(&user, home.id());
    user.remove_if_empty();
    sweeping.tell_failures();
    !sweeping.found.dead.is_empty()
}

struct Sweeping<'a> {
    places: &'a [PathBuf],
    remove: bool,
    /// Whether what is to be kept is.
    spare: bool,
    /// Whether somebody wants to know of everything.
    thorough: bool,
    found: Sweep,
}

impl<'a> Sweeping<'a> {
    /// Removes, and describes nothing it does not remove.
    fn quietly(places: &'a [PathBuf]) -> Self {
        Self { places, remove: true, spare: false, thorough: false, found: Sweep::default() }
    }

    fn run(&mut self) {
        for place in self.places {
            let usable = self.place(place);
            // What sessions have made there of their own: while the user's directory is there they had no need to.
            if !usable || self.thorough {
                for own in place::owned(place) {
                    self.place(&own);
                }
            }
        }
        if self.remove {
            self.tell_failures();
            for session in &self.found.dead {
                trace::event!(
                    INFO,
                    "removed what a dead session left",
                    home = %session.home.display(),
                    files = session.files.len(),
                    bytes = session.nbytes()
                );
            }
        }
    }

    fn tell_failures(&self) {
        for error in &self.found.failures {
            trace::event!(WARN, "a sweep has met an obstacle", error = %error);
        }
    }

    /// Whether the user's directory is there.
    fn place(&mut self, place: &Path) -> bool {
        match Private::of_user(place) {
            Ok(Some(user)) => {
                self.user(&user);
                return true;
            }
            Ok(None) if self.remove => place::remove_own(place),
            Ok(None) => {}
            Err(error) => self.found.failures.push(error),
        }
        false
    }

    fn user(&mut self, user: &Private) {
        match user.dir.names() {
            Ok(names) => {
                for id in names.iter().filter_map(|name| SessionId::of_home(name)) {
                    self.session(user, id);
                }
            }
            Err(error) => self.fail("cannot list", error, &user.path),
        }
        if self.remove {
            user.remove_if_empty();
        }
    }

    fn session(&mut self, user: &Private, id: SessionId) {
        let home = match user.sub(id.home()) {
            Ok(Some(home)) => home,
            Ok(None) => return,
            Err(error) => return self.found.failures.push(error),
        };
        if self.remove {
            self.remove(user, &home, id);
        } else {
            self.look_at(&home, id);
        }
    }

    fn remove(&mut self, user: &Private, home: &Private, id: SessionId) {
        match SessionLock::claim(&home.dir) {
            Ok(Claim::Dead(lock)) => self.dead(user, home, id, lock),
            Ok(Claim::Alive) => self.alive(home, id),
            Ok(Claim::Absent) => self.unlocked(user, home, id),
            Err(error) => self.cannot_tell(error, home),
        }
    }

    /// Says what is there, and is in nobody's way.
    fn look_at(&mut self, home: &Private, id: SessionId) {
        match lock::is_held(&home.dir) {
            Ok(Some(true)) => self.alive(home, id),
            Ok(Some(false)) => match Remains::find(home, id, self.places) {
                Ok(remains) => self.found.dead.push(remains.report()),
                Err(error) => self.found.failures.push(error),
            },
            Ok(None) => {}
            Err(error) => self.cannot_tell(error, home),
        }
    }

    fn dead(&mut self, user: &Private, home: &Private, id: SessionId, lock: SessionLock) {
        let remains = match Remains::find(home, id, self.places) {
            Ok(remains) => remains,
            Err(error) => return self.found.failures.push(error),
        };
        if self.spare && remains.keep {
            // Nobody relies on this claim: the session's opener alone would, and it says that it leaves before it does.
            return;
        }
        let report = remains.report();
        let failures = remains.remove(user, lock);
        if failures.is_empty() {
            self.found.dead.push(report);
        }
        self.found.failures.extend(failures);
    }

    fn alive(&mut self, home: &Private, id: SessionId) {
        if self.thorough {
            match Remains::find(home, id, &[]) {
                Ok(remains) => self.found.alive.push(remains.report()),
                Err(error) => self.found.failures.push(error),
            }
        }
    }

    /// A home without a lock is empty: its process has died before it made the lock, or is about to, and then it will find
    /// its home gone and begin anew; or somebody sweeping has come as far as this.
    fn unlocked(&mut self, user: &Private, home: &Private, id: SessionId) {
        match user.dir.remove_dir(id.home()) {
            Ok(()) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => match SessionLock::claim(&home.dir) {
                // The lock was made just now. One that nobody held is claimed now: who has made it will begin elsewhere.
                Ok(Claim::Dead(lock)) => self.dead(user, home, id, lock),
                Ok(Claim::Alive) => self.alive(home, id),
                Ok(Claim::Absent) => self.unlocked_still(user, home, id),
                Err(error) => self.cannot_tell(error, home),
            },
            Err(error) => self.fail("cannot remove", error, &home.path),
        }
    }

    /// The lock that was made just now has gone again, and then all that was in the home had gone before it; or there was
    /// none, and the home has things in it that do not belong there.
    fn unlocked_still(&mut self, user: &Private, home: &Private, id: SessionId) {
        if let Err(error) = user.dir.remove_dir(id.home()) {
            self.fail("is the home of a session without its lock, and", error, &home.path);
        }
    }

    fn cannot_tell(&mut self, error: Errno, home: &Private) {
        self.fail("cannot tell whether the session lives: cannot lock", error, &home.path);
    }

    fn fail(&mut self, action: &'static str, error: Errno, path: &Path) {
        self.found.failures.push(Error::io(action, error).at(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::dir;

    #[test]
    fn a_home_without_a_lock_is_at_fault_only_if_something_is_in_it() {
        // S3
        let temp = tempfile::tempdir().unwrap();
        let user = Private::make_of_user(temp.path()).unwrap();
        let id = SessionId::new().unwrap();
        dir::make(&user.path.join(id.home())).unwrap();
        let home = user.sub(id.home()).unwrap().unwrap();
        let mut sweeping = Sweeping::quietly(&[]);
        std::fs::write(home.path.join("stray"), "").unwrap();
        sweeping.unlocked(&user, &home, id);
        assert!(
            sweeping.found.failures[0].to_string().contains("without its lock"),
            "{:?}",
            sweeping.found
        );
        // A session that came and went while the sweep looked elsewhere.
        std::fs::remove_file(home.path.join("stray")).unwrap();
        sweeping.found.failures.clear();
        sweeping.unlocked_still(&user, &home, id);
        sweeping.unlocked_still(&user, &home, id);
        assert!(sweeping.found.failures.is_empty() && !home.path.exists(), "{:?}", sweeping.found);
    }

    #[test]
    fn a_home_locked_for_the_first_time_while_a_sweep_looks_at_it_is_not_forgotten() {
        // S3
        let temp = tempfile::tempdir().unwrap();
        let user = Private::make_of_user(temp.path()).unwrap();
        let id = SessionId::new().unwrap();
        dir::make(&user.path.join(id.home())).unwrap();
        let home = user.sub(id.home()).unwrap().unwrap();
        // The sweep has seen no lock. Now there is one, which its maker has not locked yet, and cannot while the sweep does.
        home.dir.create(lock::NAME).unwrap();
        let mut sweeping = Sweeping::quietly(&[]);
        sweeping.unlocked(&user, &home, id);
        assert!(sweeping.found.failures.is_empty(), "{:?}", sweeping.found);
        assert!(!home.path.exists());

        // One that its maker holds is a living session's.
        dir::make(&home.path).unwrap();
        let home = user.sub(id.home()).unwrap().unwrap();
        let held = SessionLock::create(&home.dir).unwrap().unwrap();
        sweeping.unlocked(&user, &home, id);
        assert!(home.path.join(lock::NAME).exists() && sweeping.found.failures.is_empty());
        drop(held);
    }
}
