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
    lock::{Claim, SessionLock},
    name::SessionId,
    place::{Places, Private},
    remains::Remains,
};
use crate::{Error, Result};

/// Removes what dead sessions have left: programs that were killed, machines that went down.
///
/// A session that some process still belongs to is never touched, nor another user's, nor anything behind a symbolic
/// link; and where the file system has no locks, nothing is, because there the living cannot be told from the dead.
/// Opening a [`Store`](crate::Store) sweeps by itself.
///
/// Looked at are `NDFERRY_DIR`, the system's temp directory and `/dev/shm`, as they are for this process, and the other
/// roots of the sessions found there.
///
/// ```
/// let swept = ndferry::sweep()?;
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

    /// With `true`, nothing is removed: the sweep only says what would be.
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
        let mut sweeping = Sweeping { remove: !self.dry_run, describe_alive: true, ..Sweeping::quietly(places) };
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
    Sweeping::quietly(places).run();
}

/// Sweeps a session this process has just left, unless others are still in it.
pub(super) fn last_out(home: &Home) {
    if let Ok(Some(user)) = Private::of_user(home.place()) {
        Sweeping::quietly(&[]).session(&user, home.id());
        user.remove_if_empty();
    }
}

struct Sweeping<'a> {
    places: &'a [PathBuf],
    remove: bool,
    describe_alive: bool,
    found: Sweep,
}

impl<'a> Sweeping<'a> {
    /// Removes, and describes nothing it does not remove.
    fn quietly(places: &'a [PathBuf]) -> Self {
        Self { places, remove: true, describe_alive: false, found: Sweep::default() }
    }

    fn run(&mut self) {
        for place in self.places {
            match Private::of_user(place) {
                Ok(Some(user)) => self.user(&user),
                Ok(None) => {}
                Err(error) => self.found.failures.push(error),
            }
        }
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
        match SessionLock::claim(&home.dir) {
            Ok(Claim::Dead(lock)) => self.dead(user, &home, id, lock),
            Ok(Claim::Alive) => self.alive(&home, id),
            Ok(Claim::Absent) => self.unlocked(user, &home, id),
            Err(error) => self.fail("cannot tell whether the session lives: cannot lock", error, &home.path),
        }
    }

    fn dead(&mut self, user: &Private, home: &Private, id: SessionId, lock: SessionLock) {
        let remains = match Remains::find(home, id, self.places) {
            Ok(remains) => remains,
            Err(error) => return self.found.failures.push(error),
        };
        let report = remains.report();
        let failures = if self.remove { remains.remove(user, lock) } else { Vec::new() };
        if failures.is_empty() {
            self.found.dead.push(report);
        }
        self.found.failures.extend(failures);
    }

    fn alive(&mut self, home: &Private, id: SessionId) {
        if self.describe_alive {
            match Remains::find(home, id, &[]) {
                Ok(remains) => self.found.alive.push(remains.report()),
                Err(error) => self.found.failures.push(error),
            }
        }
    }

    /// A home without a lock is empty: its process has died before it made the lock, or is about to, and then it will find
    /// its home gone and begin anew; or somebody sweeping has come as far as this.
    fn unlocked(&mut self, user: &Private, home: &Private, id: SessionId) {
        if !self.remove {
            return;
        }
        match user.dir.remove_dir(id.home()) {
            Ok(()) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                // The lock was made just now; without one, the home has things in it that do not belong there.
                if matches!(SessionLock::claim(&home.dir), Ok(Claim::Absent)) {
                    self.fail("is the home of a session without its lock, and", Errno::NOTEMPTY, &home.path);
                }
            }
            Err(error) => self.fail("cannot remove", error, &home.path),
        }
    }

    fn fail(&mut self, action: &'static str, error: Errno, path: &Path) {
        self.found.failures.push(Error::io(action, error).at(path));
    }
}
