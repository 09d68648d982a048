//! What a session has left, wherever it is, and removing it.
//!
//! The journal says in which roots to look. Only what is a temp file by name and kind is removed, only from directories
//! that are this user's and this session's; so a journal can say what it likes and nothing else is lost.
//!
//! Everything goes before the journal, which knows where everything is; the journal before the lock, which keeps others
//! away; the home last. A sweeper that dies has left a session whose sweeping can begin again.

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
    sweep::{FileReport, SessionReport},
};
use crate::{
    Error, Result,
    sys::dir::{self, Dir},
};

pub(super) struct Remains<'a> {
    id: SessionId,
    home: &'a Private,
    /// They are to stay unless a sweep is asked for.
    pub(super) keep: bool,
    /// Where they may be.
    places: Vec<PathBuf>,
    /// Where they are.
    roots: Vec<InRoot>,
}

/// What there is in one root.
struct InRoot {
    user: Private,
    data: Option<Private>,
    /// Names and lengths.
    files: Vec<(OsString, u64)>,
}

impl<'a> Remains<'a> {
    /// Looks for them in the roots the journal names and, as a journal may be lost with the power, in `places`.
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
        let files = data().flat_map(|(root, data)| {
            root.files
                .iter()
                .map(|(name, nbytes)| FileReport { path: data.path.join(name), nbytes: *nbytes })
        });
        SessionReport {
            id: self.id.to_string(),
            home: self.home.path.clone(),
            since: lock::since(&self.home.dir),
            keep: self.keep,
            directories: data().map(|(_, data)| data.path.clone()).collect(),
            files: files.collect(),
        }
    }

    /// Removes them, and the home in `user`, under the lock of the dead. What could not be removed keeps journal and lock
    /// in place.
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

/// The temp files in a directory, with their lengths.
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

/// Whether files of the session may be in what stands in `place` for this user's directory, and cannot be entered now: if it is
/// one of theirs, and has the session's directory.
fn may_hold(place: &Path, id: SessionId) -> bool {
    let path = Private::path_of_user(place);
    let is_this_users =
        fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir() && found.uid() == dir::user());
    let data = || Dir::open(&path).and_then(|user| user.status_of(id.data()));
    is_this_users && !matches!(data(), Err(Errno::NOENT))
}
