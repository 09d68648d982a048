//! Where sessions stand: the directories to choose from, and in each of them the user's own directory.
//!
//! ```text
//! PLACE/ndferry-UID/session-ID/    the home: lock and journal
//! PLACE/ndferry-UID/data-ID/       the files of that session, in each root it uses
//! PLACE/ndferry-UID-ID/            a place of the session's own, where PLACE/ndferry-UID is not to be had
//! ```
//!
//! Every directory below a place is private: made with mode 0700, and entered only after a look at its owner and mode,
//! never through a symbolic link. The user's directory goes with the last session in it.
//!
//! In a place for everybody, somebody else can take the name of this user's directory first. A session that finds it taken
//! makes itself a place of its own in there, under a name that nobody can foresee.

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

/// The variable that chooses the place.
const VARIABLE: &str = "NDFERRY_DIR";

/// Where Linux has a file system in memory for everybody.
const MEMORY: &str = "/dev/shm";

/// The directories to choose from, without symbolic links.
pub(super) struct Places {
    /// Where a home goes: the first that will have it.
    pub(super) homes: Vec<PathBuf>,
    /// Where files go: the first with room.
    pub(super) roots: Vec<PathBuf>,
}

impl Places {
    /// `NDFERRY_DIR` where it is set; else the system's temp directory for the home, memory before it for the files.
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

    /// Every place in which a program of this user may have left something: wherever this one would put it, and
    /// wherever one without `NDFERRY_DIR` would have.
    pub(super) fn known() -> Result<Vec<PathBuf>> {
        let chosen = chosen().map_or(Ok(None), |path| find(&path).map_err(chosen_by_variable))?;
        let [temp, memory] =
            [env::temp_dir(), MEMORY.into()].map(|path| find(&path).unwrap_or(None));
        Ok(distinct([chosen, temp, memory].into_iter().flatten()))
    }
}

/// The place that the session makes of its own in `place`, if it has to.
pub(super) fn own(place: &Path, id: SessionId) -> PathBuf {
    place.join(format!("{}-{id}", name_of_user()))
}

/// Where in `place` sessions of this user have made places of their own.
pub(super) fn owned(place: &Path) -> Vec<PathBuf> {
    let names = Dir::open(place).and_then(|dir| dir.names()).unwrap_or_default();
    let owned = names.iter().map(|name| place.join(name)).filter(|path| is_own(path));
    owned
        .filter(|path| matches!(Private::inspect(Dir::open(path), path.clone()), Ok(Some(_))))
        .collect()
}

/// Whether the place is a session's own, by its name.
pub(super) fn is_own(place: &Path) -> bool {
    let id =
        place.file_name().and_then(|name| name.as_bytes().strip_prefix(name_of_user().as_bytes()));
    id.and_then(|id| id.strip_prefix(b"-")).is_some_and(|id| hex(id, 16).is_some())
}

/// Removes a place that is a session's own, if nothing is left in it.
pub(super) fn remove_own(place: &Path) {
    if is_own(place) {
        let _ = fs::remove_dir(place);
    }
}

/// Whether somebody else can make something in `place`.
pub(super) fn is_shared(place: &Path) -> bool {
    // Where root is somebody else, it is one who needs no names to be in the way.
    let trusted = |owner| owner == dir::user() || owner == 0;
    fs::metadata(place).is_ok_and(|found| found.mode() & 0o022 != 0 || !trusted(found.uid()))
}

fn name_of_user() -> String {
    format!("ndferry-{}", dir::user())
}

fn chosen() -> Option<PathBuf> {
    env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Whether the session of a store that is opened now is kept when it dies.
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

/// The same places, each once.
pub(super) fn distinct(places: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut distinct = Vec::new();
    for place in places {
        if !distinct.contains(&place) {
            distinct.push(place);
        }
    }
    distinct
}

/// A directory somebody has named, absolute and without symbolic links; made, if only its last part is missing.
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

/// The same; `None` where there is none.
fn find(path: &Path) -> Result<Option<PathBuf>> {
    let found = match fs::canonicalize(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("cannot find the directory", error).at(path)),
    };
    if !found.is_dir() {
        return Err(Error::invalid_data("is not a directory").at(path));
    }
    // A journal has one line for each.
    if found.as_os_str().as_bytes().contains(&b'\n') {
        return Err(Error::invalid_input(
            "cannot hold temp files: its path has a line break in it",
        )
        .at(path));
    }
    Ok(Some(found))
}

/// A directory that belongs to this user alone, held open.
pub(super) struct Private {
    pub(super) dir: Dir,
    pub(super) path: PathBuf,
}

impl Private {
    /// The user's own directory in `place`; `None` where there is none.
    pub(super) fn of_user(place: &Path) -> Result<Option<Self>> {
        if is_own(place) {
            let place = Self::inspect(Dir::open(place), place.to_path_buf())?;
            return place.map_or(Ok(None), |place| place.sub(name_of_user()));
        }
        let path = Self::path_of_user(place);
        Self::inspect(Dir::open(&path), path)
    }

    /// Where the user's own directory in `place` is, or would be.
    pub(super) fn path_of_user(place: &Path) -> PathBuf {
        place.join(name_of_user())
    }

    /// The user's own directory in `place`, made if need be.
    pub(super) fn make_of_user(place: &Path) -> Result<Self> {
        loop {
            if let Some(found) = Self::of_user(place)? {
                return Ok(found);
            }
            let path = Self::path_of_user(place);
            let made = match dir::make(&path) {
                // Whoever sweeps takes an empty place along.
                Err(Errno::NOENT) if is_own(place) => dir::make(place),
                made => made,
            };
            match made {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(Error::io("cannot make the directory", error).at(path)),
            }
        }
    }

    /// The same; where its name is taken by something else, in a place of the session's own. And the place.
    pub(super) fn make_for(id: SessionId, place: &Path) -> Result<(PathBuf, Self)> {
        let taken = match Self::make_of_user(place) {
            Ok(user) => return Ok((place.to_path_buf(), user)),
            Err(error) => error,
        };
        let own = own(place, id);
        Self::make_of_user(&own).map(|user| (own, user)).map_err(|_| taken)
    }

    /// A directory in this one; `None` where there is none.
    pub(super) fn sub(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>> {
        Self::inspect(self.dir.sub(&name), self.path.join(name.as_ref()))
    }

    /// Locks the directory for as long as it is open. It tells those who only look that somebody is there, and the cleaners
    /// of old temp files to pass it over: systemd's leave alone what somebody holds a lock on.
    pub(super) fn hold(&self) {
        // Somebody else's look is over in an instant. Who finds no lock here misinforms a person, and removes nothing.
        for _ in 0..100 {
            if !matches!(lock::try_shared(&self.dir), Ok(false)) {
                return;
            }
            thread::sleep(Duration::from_micros(100));
        }
    }

    /// Removes this directory, which is a user's, if nothing is left in it; and then its place, if that is a session's own.
    pub(super) fn remove_if_empty(&self) {
        // By path, as a directory can only be removed. It was this user's a moment ago; one that is not empty stays.
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
