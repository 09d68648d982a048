//! The directories for sessions, and in each of them the user's own directory.
//!
//! ```text
//! PLACE/ndferry-UID/session-ID/    the session's directory: lock and journal
//! PLACE/ndferry-UID/data-ID/       the files of the session, in each root that it uses
//! PLACE/ndferry-UID-ID/            the session's own place, if PLACE/ndferry-UID is not available
//! ```
//!
//! Every directory below a place is private: it is created with mode 0700, and used only after
//! a check of its owner and mode, never through a symbolic link. The user's directory is
//! removed with the last session in it.
//!
//! In a place that all users can write to, another user can take the name of this user's
//! directory. A session that finds it taken makes its own place there, with an unpredictable
//! name.

use std::{
    env,
    ffi::OsStr,
    fs, io, iter,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::io::Errno;

use super::name::{SessionId, hex};
use crate::{
    Error, Result,
    sys::{
        self,
        dir::{self, Dir},
        lock,
    },
};

/// The environment variable that sets the place.
const VARIABLE: &str = "NDFERRY_DIR";

/// The memory file system of Linux.
const MEMORY: &str = "/dev/shm";

/// The candidate directories, without symbolic links.
pub(super) struct Places {
    /// Candidates for the session's directory. The first usable one is chosen.
    pub(super) homes: Vec<PathBuf>,
    /// Candidates for files. The first one with room is chosen.
    pub(super) roots: Vec<PathBuf>,
}

impl Places {
    /// Returns the places that the environment sets: `NDFERRY_DIR`, or the defaults.
    pub(super) fn of_environment() -> Result<Self> {
        let temp = find(&env::temp_dir()).unwrap_or(None);
        if let Some(chosen) = chosen() {
            let chosen = find_or_make(&chosen).map_err(chosen_by_variable)?;
            return Ok(Self {
                homes: vec![chosen.clone()],
                roots: distinct(iter::once(chosen).chain(temp)),
            });
        }
        let memory = find(Path::new(MEMORY)).unwrap_or(None);
        Ok(Self {
            homes: distinct([temp.clone(), memory.clone()].into_iter().flatten()),
            roots: distinct([memory, temp].into_iter().flatten()),
        })
    }

    /// Returns every place in which a program of this user may have left something, with or
    /// without `NDFERRY_DIR`.
    pub(super) fn known() -> Result<Vec<PathBuf>> {
        let chosen = chosen().map_or(Ok(None), |path| find(&path).map_err(chosen_by_variable))?;
        let [temp, memory] =
            [env::temp_dir(), MEMORY.into()].map(|path| find(&path).unwrap_or(None));
        Ok(distinct([chosen, temp, memory].into_iter().flatten()))
    }
}

/// Returns the session's own place in `place`.
pub(super) fn own(place: &Path, id: SessionId) -> PathBuf {
    place.join(format!("{}-{id}", name_of_user()))
}

/// Returns the own places of all sessions of this user in `place`.
pub(super) fn owned(place: &Path) -> Vec<PathBuf> {
    let names = Dir::open(place).and_then(|dir| dir.names()).unwrap_or_default();
    let owned = names.iter().map(|name| place.join(name)).filter(|path| is_own(path));
    owned
        .filter(|path| matches!(Private::inspect(Dir::open(path), path.clone()), Ok(Some(_))))
        .collect()
}

/// Returns whether the name of `place` is that of a session's own place.
pub(super) fn is_own(place: &Path) -> bool {
    let id =
        place.file_name().and_then(|name| name.as_bytes().strip_prefix(name_of_user().as_bytes()));
    id.and_then(|id| id.strip_prefix(b"-")).is_some_and(|id| hex(id, 16).is_some())
}

/// Removes a session's own place if it is empty.
pub(super) fn remove_own(place: &Path) {
    if is_own(place) {
        let _ = fs::remove_dir(place);
    }
}

/// Returns whether other users can create files in `place`.
pub(super) fn is_shared(place: &Path) -> bool {
    // If root is not this user, root can do harm anyway.
    let trusted = |owner| owner == dir::user() || owner == 0;
    fs::metadata(place).is_ok_and(|found| found.mode() & 0o022 != 0 || !trusted(found.uid()))
}

fn name_of_user() -> String {
    format!("ndferry-{}", dir::user())
}

fn chosen() -> Option<PathBuf> {
    env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Returns whether a session that is opened now is kept when it dies.
pub(super) fn keep() -> Result<bool> {
    const VARIABLE: &str = "NDFERRY_KEEP";
    let Some(text) = env::var_os(VARIABLE) else { return Ok(false) };
    match text.as_bytes() {
        b"1" => Ok(true),
        b"0" | b"" => Ok(false),
        _ => Err(Error::invalid_input(format!(
            "the environment variable {VARIABLE} is {text:?}, 0 or 1 was expected"
        ))),
    }
}

fn chosen_by_variable(error: Error) -> Error {
    error.within(VARIABLE)
}

/// Removes duplicates.
pub(super) fn distinct(places: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut distinct = Vec::new();
    for place in places {
        if !distinct.contains(&place) {
            distinct.push(place);
        }
    }
    distinct
}

/// Resolves a directory that the user named, and creates its last component if necessary.
pub(super) fn find_or_make(path: &Path) -> Result<PathBuf> {
    if let Some(found) = find(path)? {
        return Ok(found);
    }
    match dir::make(path) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(Error::io("cannot make the directory", error).at(path)),
    }
    find(path)?.ok_or_else(|| Error::invalid_data("was made, and is gone again").at(path))
}

/// Resolves a directory, or returns `None` if it does not exist.
fn find(path: &Path) -> Result<Option<PathBuf>> {
    let found = match fs::canonicalize(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("cannot find the directory", error).at(path)),
    };
    if !found.is_dir() {
        return Err(Error::invalid_data("is not a directory").at(path));
    }
    // A journal has one line for each root.
    if found.as_os_str().as_bytes().contains(&b'\n') {
        return Err(Error::invalid_input(
            "cannot hold temp files: its path has a line break in it",
        )
        .at(path));
    }
    Ok(Some(found))
}

/// An open directory that only this user can access.
pub(super) struct Private {
    pub(super) dir: Dir,
    pub(super) path: PathBuf,
}

impl Private {
    /// Opens the user's own directory in `place`, or returns `None` if it does not exist.
    pub(super) fn of_user(place: &Path) -> Result<Option<Self>> {
        if is_own(place) {
            let place = Self::inspect(Dir::open(place), place.to_path_buf())?;
            return place.map_or(Ok(None), |place| place.sub(name_of_user()));
        }
        let path = Self::path_of_user(place);
        Self::inspect(Dir::open(&path), path)
    }

    /// Returns the path of the user's own directory in `place`.
    pub(super) fn path_of_user(place: &Path) -> PathBuf {
        place.join(name_of_user())
    }

    /// Opens the user's own directory in `place`, and creates it if necessary.
    pub(super) fn make_of_user(place: &Path) -> Result<Self> {
        loop {
            if let Some(found) = Self::of_user(place)? {
                return Ok(found);
            }
            let path = Self::path_of_user(place);
            let made = match dir::make(&path) {
                // A sweep removes an empty place.
                Err(Errno::NOENT) if is_own(place) => dir::make(place),
                made => made,
            };
            match made {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(Error::io("cannot make the directory", error).at(path)),
            }
        }
    }

    /// Opens the user's own directory for a session. If its name is taken, it is in the
    /// session's own place. Also returns the place.
    pub(super) fn make_for(id: SessionId, place: &Path) -> Result<(PathBuf, Self)> {
        let taken = match Self::make_of_user(place) {
            Ok(user) => return Ok((place.to_path_buf(), user)),
            Err(error) => error,
        };
        let own = own(place, id);
        Self::make_of_user(&own).map(|user| (own, user)).map_err(|_| taken)
    }

    /// Opens a directory in this one, or returns `None` if it does not exist.
    pub(super) fn sub(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>> {
        Self::inspect(self.dir.sub(&name), self.path.join(name.as_ref()))
    }

    /// Locks the directory while it is open. This shows observers that the session is alive,
    /// and keeps systemd's cleaner of temporary files away.
    pub(super) fn hold(&self) {
        // An observer holds its lock only briefly. Without the lock, an observer may misreport
        // the session, but nothing is removed.
        for _ in 0..100 {
            if !matches!(lock::try_shared(&self.dir), Ok(false)) {
                return;
            }
            thread::sleep(Duration::from_micros(100));
        }
    }

    /// Removes the user's directory if it is empty, and then its place if that is the session's
    /// own.
    pub(super) fn remove_if_empty(&self) {
        // Directories can be removed only by path. One that is not empty stays.
        let _ = fs::remove_dir(&self.path);
        self.path.parent().map(remove_own);
    }

    fn inspect(opened: rustix::io::Result<Dir>, path: PathBuf) -> Result<Option<Self>> {
        let dir = match opened {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let kind =
                    fs::symlink_metadata(&path).map(|found| sys::file::describe(found.file_type()));
                let kind = kind.unwrap_or("something else");
                return Err(Error::invalid_data(format!(
                    "is {kind}, not a directory of this user; it is left alone"
                ))
                .at(path));
            }
            Err(error) => return Err(Error::io("cannot open the directory", error).at(path)),
        };
        let found =
            dir::status(&dir).map_err(|error| Error::io("cannot inspect", error).at(&path))?;
        let user = dir::user();
        if found.owner != user {
            let message =
                format!("belongs to user {}, not to user {user}; it is left alone", found.owner);
            return Err(Error::invalid_data(message).at(path));
        }
        if found.mode != 0o700 {
            let message =
                format!("has mode {:04o}, where 0700 was expected; it is left alone", found.mode);
            return Err(Error::invalid_data(message).at(path));
        }
        Ok(Some(Self { dir, path }))
    }
}
