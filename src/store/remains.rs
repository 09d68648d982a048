//! Finding and removing the leftovers of a dead session.
//!
//! The journal names the roots to search. Only files with the name and type of temporary files
//! are removed, and only from directories of this user and this session, so a forged journal
//! can do no harm.
//!
//! Files are removed before the journal, which names them, the journal before the lock, which
//! keeps other processes away, and the session's directory last. If a sweeper dies, another can
//! start again.

use std::{
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{fs::FileType, io::Errno};

use super::{
    journal,
    lock::{self, SessionLock},
    name::{FileName, SessionId},
    place::{self, Private, distinct},
    report::SessionReport,
};
use crate::{
    Error, Result,
    sys::dir::{self, Dir},
};

pub(super) struct Remains<'a> {
    id: SessionId,
    home: &'a Private,
    /// Whether they stay until a sweep is requested.
    pub(super) keep: bool,
    /// The places to search.
    places: Vec<PathBuf>,
    /// The roots that contain leftovers.
    roots: Vec<InRoot>,
}

/// The leftovers in one root.
struct InRoot {
    user: Private,
    data: Option<Private>,
    /// Names and sizes.
    files: Vec<(OsString, u64)>,
}

impl<'a> Remains<'a> {
    /// Searches the roots that the journal names, and `places`, because the journal may be lost
    /// after a power failure.
    pub(super) fn find(home: &'a Private, id: SessionId, places: &[PathBuf]) -> Result<Self> {
        let path = home.path.join(journal::NAME);
        let journal = journal::contents(&home.dir)
            .map_err(|error| Error::io("cannot read", error).at(&path))?;
        if journal.foreign {
            return Err(Error::invalid_data(
                "was written by another version of ndferry, which can sweep it",
            )
            .at(path));
        }
        let places = distinct(journal.roots.iter().chain(places).cloned());
        let mut roots = Vec::new();
        for place in &places {
            roots.extend(InRoot::find(place, id)?);
        }
        Ok(Self { id, home, keep: journal.keep, places, roots })
    }

    pub(super) fn report(&self) -> SessionReport {
        let data = || self.roots.iter().filter_map(|root| Some((root, root.data.as_ref()?)));
        let files = || {
            data().flat_map(|(root, data)| {
                root.files.iter().map(|(name, nbytes)| (data.path.join(name), *nbytes))
            })
        };
        SessionReport {
            id: self.id.to_string(),
            home: self.home.path.clone(),
            since: lock::since(&self.home.dir),
            keep: self.keep,
            directories: data().map(|(_, data)| data.path.clone()).collect(),
            files: files().map(|(path, _)| path).collect(),
            nbytes: files().map(|(_, nbytes)| nbytes).sum(),
        }
    }

    /// Removes the leftovers and the session's directory in `user`, while holding the lock of
    /// the dead session. If something cannot be removed, the journal and the lock stay.
    pub(super) fn remove(self, user: &Private, lock: SessionLock) -> Vec<Error> {
        let mut failures = Vec::new();
        for root in &self.roots {
            root.remove(self.id, &mut failures);
        }
        self.places.iter().for_each(|place| place::remove_own(place));
        if failures.is_empty() {
            failures.extend(self.remove_home(user).err());
        }
        drop(lock);
        failures
    }

    fn remove_home(&self, user: &Private) -> Result<()> {
        for name in [journal::NEXT, journal::NAME, lock::NAME] {
            let removed = self.home.dir.remove(name);
            removed
                .map_err(|error| Error::io("cannot remove", error).at(self.home.path.join(name)))?;
        }
        let removed = user.dir.remove_dir(self.id.home());
        removed.map_err(|error| Error::io("cannot remove", error).at(&self.home.path))
    }
}

impl InRoot {
    fn find(place: &Path, id: SessionId) -> Result<Option<Self>> {
        let user = match Private::of_user(place) {
            Ok(Some(user)) => user,
            Err(error) if may_hold(place, id) => return Err(error),
            Ok(None) | Err(_) => return Ok(None),
        };
        let data = user.sub(id.data())?;
        let files = data.as_ref().map_or(Ok(Vec::new()), temp_files)?;
        Ok(Some(Self { user, data, files }))
    }

    fn remove(&self, id: SessionId, failures: &mut Vec<Error>) {
        if let Some(data) = &self.data {
            for (name, _) in &self.files {
                if let Err(error) = data.dir.remove(name) {
                    failures.push(Error::io("cannot remove", error).at(data.path.join(name)));
                }
            }
            if let Err(error) = self.user.dir.remove_dir(id.data()) {
                let action = "cannot remove, with what else is in it";
                failures.push(Error::io(action, error).at(&data.path));
            }
        }
        self.user.remove_if_empty();
    }
}

/// Returns the temporary files in a directory, with their sizes.
fn temp_files(data: &Private) -> Result<Vec<(OsString, u64)>> {
    let cannot = |error: Errno| Error::io("cannot list", error).at(&data.path);
    let mut files = Vec::new();
    for name in data.dir.names().map_err(cannot)? {
        if FileName::parse(name.as_bytes()).is_none() {
            continue;
        }
        match data.dir.status_of(&name) {
            Ok(found) if found.kind == FileType::RegularFile && found.owner == dir::user() => {
                files.push((name, found.nbytes));
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(error) => return Err(cannot(error)),
        }
    }
    Ok(files)
}

/// Returns whether the user's directory in `place` may contain files of the session, although
/// it cannot be opened now.
fn may_hold(place: &Path, id: SessionId) -> bool {
    let path = Private::path_of_user(place);
    let is_this_users =
        fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir() && found.uid() == dir::user());
    let data = || Dir::open(&path).and_then(|user| user.status_of(id.data()));
    is_this_users && !matches!(data(), Err(Errno::NOENT))
}
