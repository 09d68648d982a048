//! Where sessions stand: the directories to choose from, and in each of them the user's own directory.
//!
//! ```text
//! PLACE/ndferry-UID/session-ID/    the home: lock and journal
//! PLACE/ndferry-UID/data-ID/       the files of that session, in each root it uses
//! ```
//!
//! Every directory below a place is private: made with mode 0700, and entered only after a look at its owner and mode,
//! never through a symbolic link. The user's directory goes with the last session in it.

use std::{
    env,
    ffi::OsStr,
    fs, io, iter,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

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
            return Ok(Self { homes: vec![chosen.clone()], roots: distinct(iter::once(chosen).chain(temp)) });
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
        let [temp, memory] = [env::temp_dir(), MEMORY.into()].map(|path| find(&path).unwrap_or(None));
        Ok(distinct([chosen, temp, memory].into_iter().flatten()))
    }
}

fn chosen() -> Option<PathBuf> {
    env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
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
    find(path)?.ok_or_else(|| Error::invalid("was made, and is gone again").at(path))
}

/// The same; `None` where there is none.
fn find(path: &Path) -> Result<Option<PathBuf>> {
    let found = match fs::canonicalize(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("cannot find the directory", error).at(path)),
    };
    if !found.is_dir() {
        return Err(Error::invalid("is not a directory").at(path));
    }
    // A journal has one line for each.
    if found.as_os_str().as_bytes().contains(&b'\n') {
        return Err(Error::usage("cannot hold temp files: its path has a line break in it").at(path));
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
        let path = Self::path_of_user(place);
        Self::inspect(Dir::open(&path), path)
    }

    /// Where the user's own directory in `place` is, or would be.
    pub(super) fn path_of_user(place: &Path) -> PathBuf {
        place.join(format!("ndferry-{}", dir::user()))
    }

    /// The user's own directory in `place`, made if need be.
    pub(super) fn make_of_user(place: &Path) -> Result<Self> {
        loop {
            if let Some(found) = Self::of_user(place)? {
                return Ok(found);
            }
            let path = Self::path_of_user(place);
            match dir::make(&path) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(Error::io("cannot make the directory", error).at(path)),
            }
        }
    }

    /// A directory in this one; `None` where there is none.
    pub(super) fn sub(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>> {
        Self::inspect(self.dir.sub(&name), self.path.join(name.as_ref()))
    }

    /// Asks the cleaners of old temp files to pass the directory over for as long as it is open: systemd's leave alone
    /// what somebody holds a lock on.
    pub(super) fn hold(&self) {
        let _ = lock::try_shared(&self.dir);
    }

    /// Removes this directory, which is a user's, if nothing is left in it.
    pub(super) fn remove_if_empty(&self) {
        // By path, as a directory can only be removed. It was this user's a moment ago; one that is not empty stays.
        let _ = fs::remove_dir(&self.path);
    }

    fn inspect(opened: rustix::io::Result<Dir>, path: PathBuf) -> Result<Option<Self>> {
        let dir = match opened {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let kind = fs::symlink_metadata(&path).map(|found| sys::file::describe(found.file_type()));
                let kind = kind.unwrap_or("something else");
                return Err(
                    Error::invalid(format!("is {kind}, not a directory of this user; it is left alone")).at(path)
                );
            }
            Err(error) => return Err(Error::io("cannot open the directory", error).at(path)),
        };
        let found = dir::status(&dir).map_err(|error| Error::io("cannot inspect", error).at(&path))?;
        let user = dir::user();
        if found.owner != user {
            let message = format!("belongs to user {}, not to user {user}; it is left alone", found.owner);
            return Err(Error::invalid(message).at(path));
        }
        if found.mode != 0o700 {
            let message = format!("has mode {:04o}, where 0700 was expected; it is left alone", found.mode);
            return Err(Error::invalid(message).at(path));
        }
        Ok(Some(Self { dir, path }))
    }
}
