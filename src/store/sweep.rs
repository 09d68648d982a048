//! Sweeping: finding the sessions of this user, telling live from dead ones, and removing the
//! dead.
//!
//! The leftovers of one session, and the order in which they are removed, are in
//! [`remains`](super::remains).

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::io::Errno;

use super::{
    home::Home,
    journal,
    lock::{self, Claim, SessionLock},
    name::SessionId,
    place::{self, Places, Private},
    remains::Remains,
    report::CleanupReport,
};
use crate::{Error, Result, trace};

/// Options for [`cleanup`].
///
/// # Examples
///
/// ```
/// use ndferry::store::{CleanupOptions, cleanup};
///
/// let found = cleanup(&CleanupOptions::new().dry_run(true))?;
/// println!("{} bytes could be removed", found.nbytes());
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CleanupOptions {
    dry_run: bool,
}

impl CleanupOptions {
    /// Returns options to remove everything that dead sessions left.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only reports what would be removed. Other programs do not notice. Off by default.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    pub(super) fn cleanup_in(&self, places: &[PathBuf]) -> CleanupReport {
        let mut sweeping =
            Sweeping { remove: !self.dry_run, thorough: true, ..Sweeping::quietly(places) };
        sweeping.run();
        sweeping.found
    }
}

/// Removes the files of dead sessions: programs that were killed, or a machine that lost power.
///
/// It removes neither sessions that a process still belongs to, nor those of other users, nor
/// anything behind a symbolic link. If a file system does not support locks, it removes nothing
/// there, because it cannot tell whether a session is dead.
///
/// Opening a [`Store`](crate::store::Store) does the same, except for sessions that were opened
/// with `NDFERRY_KEEP=1`. Call this function to remove those too, or to see what is there.
///
/// It searches `NDFERRY_DIR`, the system's temporary directory, `/dev/shm`, and the other roots
/// of the sessions that it finds there. Problems with one session are reported in
/// [`failures`](CleanupReport::failures).
///
/// # Examples
///
/// ```
/// use ndferry::store::{CleanupOptions, cleanup};
///
/// let report = cleanup(&CleanupOptions::new())?;
/// println!("removed {} dead sessions, {} bytes", report.dead.len(), report.nbytes());
/// for failure in &report.failures {
///     eprintln!("{failure}");
/// }
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// # Errors
///
/// Returns an error if `NDFERRY_DIR` is set, but is not a directory.
pub fn cleanup(options: &CleanupOptions) -> Result<CleanupReport> {
    Ok(options.cleanup_in(&Places::known()?))
}

/// Sweeps before a store is opened, and ignores the result.
pub(super) fn before_opening(places: &[PathBuf]) {
    Sweeping { spare: true, ..Sweeping::quietly(places) }.run();
}

/// Sweeps repeatedly until no process holds a session that `opener` began, for at most
/// `longest`. `opener` has ended.
///
/// A process that `opener` was starting when it died holds copies of its locks until it
/// executes its program. If it is killed before that, only this function removes what `opener`
/// left.
pub(super) fn after(places: &[PathBuf], opener: u32, longest: Duration) {
    let until = Instant::now() + longest;
    let mut pause = Duration::from_millis(1);
    loop {
        let mut sweeping =
            Sweeping { spare: true, opener: Some(opener), ..Sweeping::quietly(places) };
        sweeping.run();
        if !sweeping.is_opener_held || Instant::now() >= until {
            return;
        }
        thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_millis(20));
    }
}

/// Sweeps a session that this process has just left, unless other processes belong to it.
/// Returns whether it was removed.
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
    /// Whether sessions that are to be kept stay.
    spare: bool,
    /// Whether to report everything, including live sessions.
    thorough: bool,
    /// The process whose sessions are awaited, if any.
    opener: Option<u32>,
    /// Whether a process holds a session that the opener began.
    is_opener_held: bool,
    found: CleanupReport,
}

impl<'a> Sweeping<'a> {
    /// Removes dead sessions, and reports only those.
    fn quietly(places: &'a [PathBuf]) -> Self {
        Self {
            places,
            remove: true,
            spare: false,
            thorough: false,
            opener: None,
            is_opener_held: false,
            found: CleanupReport::default(),
        }
    }

    fn run(&mut self) {
        for place in self.places {
            let usable = self.place(place);
            // Sessions make their own places only if the user's directory is not available.
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
                    bytes = session.nbytes
                );
            }
        }
    }

    fn tell_failures(&self) {
        for error in &self.found.failures {
            trace::event!(WARN, "a sweep has met an obstacle", error = %error);
        }
    }

    /// Returns whether the user's directory exists.
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

    /// Reports the session without disturbing other processes.
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
            // Only the session's opener would rely on this claim, and it records that it leaves
            // before it does.
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
        if self.opener.is_some() {
            // A session without a journal may have been begun by any process.
            let opener = journal::contents(&home.dir).ok().and_then(|contents| contents.opener);
            self.is_opener_held |= opener.is_none() || opener == self.opener;
        }
        if self.thorough {
            match Remains::find(home, id, &[]) {
                Ok(remains) => self.found.alive.push(remains.report()),
                Err(error) => self.found.failures.push(error),
            }
        }
    }

    /// Handles a session's directory without a lock. Its process died before it created the
    /// lock, or is about to create it and will then find its directory gone and start again.
    /// Another sweep may also be this far.
    fn unlocked(&mut self, user: &Private, home: &Private, id: SessionId) {
        match user.dir.remove_dir(id.home()) {
            Ok(()) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => match SessionLock::claim(&home.dir) {
                // The lock was created just now. If no process holds it, it is claimed here,
                // and its creator starts again elsewhere.
                Ok(Claim::Dead(lock)) => self.dead(user, home, id, lock),
                Ok(Claim::Alive) => self.alive(home, id),
                Ok(Claim::Absent) => self.unlocked_still(user, home, id),
                Err(error) => self.cannot_tell(error, home),
            },
            Err(error) => self.fail("cannot remove", error, &home.path),
        }
    }

    /// Handles a directory whose lock disappeared again, so that everything else was removed
    /// before it, or a directory that never had a lock but contains other files.
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
    fn sweep_reports_only_nonempty_unlocked_sessions() {
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
    fn sweep_handles_a_session_locked_meanwhile() {
        // S3
        let temp = tempfile::tempdir().unwrap();
        let user = Private::make_of_user(temp.path()).unwrap();
        let id = SessionId::new().unwrap();
        dir::make(&user.path.join(id.home())).unwrap();
        let home = user.sub(id.home()).unwrap().unwrap();
        // The sweep has seen no lock. Now there is one, which its maker has not locked yet, and
        // cannot while the sweep does.
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
