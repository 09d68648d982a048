//! Detecting that a file was replaced or changed since it was opened.

use std::{
    fmt,
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// The identity and state of a file when it was opened.
pub(super) struct Identity {
    /// The absolute path, which a later change of the working directory does not affect.
    path: Option<PathBuf>,
    state: State,
}

/// The properties that are compared.
#[derive(PartialEq, Eq)]
struct State {
    device: u64,
    inode: u64,
    nbytes: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
}

impl Identity {
    /// Records the metadata of a file that was opened as `path`.
    pub(super) fn of(metadata: &Metadata, path: &Path) -> Self {
        Self { path: std::path::absolute(path).ok(), state: State::of(metadata) }
    }

    /// Checks that `file` and the file at its path are the one that was opened.
    ///
    /// # Errors
    ///
    /// Returns an error if the file was truncated or changed, or if its path now names
    /// another file. A removed path is not an error: the open file still exists.
    pub(super) fn check(&self, file: &File) -> Result<()> {
        let found = file.metadata().map_err(|error| Error::io("cannot inspect", error))?;
        let found = State::of(&found);
        if found != self.state {
            return Err(self.changed("changed", &found));
        }
        let Some(path) = &self.path else { return Ok(()) };
        let found = match fs::metadata(path) {
            Ok(found) => State::of(&found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("cannot inspect", error)),
        };
        if (found.device, found.inode) != (self.state.device, self.state.inode) {
            return Err(self.changed("replaced", &found));
        }
        Ok(())
    }

    fn changed(&self, change: &str, found: &State) -> Error {
        Error::invalid_data(format!(
            "the file was {change} after it was opened: expected {}, found {found}; open it again",
            self.state
        ))
    }
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            nbytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, inode, nbytes, modified: (seconds, nanoseconds) } = self;
        write!(
            f,
            "{nbytes} bytes, modified at {seconds}.{nanoseconds:09} s, inode {inode} of device \
             {device}"
        )
    }
}
