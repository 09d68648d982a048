//! Detecting that a file was replaced or changed since it was opened.

use std::{
    fmt,
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{Error, Result};

/// The identity and state of a file when it was opened.
pub(super) struct Identity {
    /// The absolute path, which a later change of the working directory does not affect.
    path: Option<PathBuf>,
    state: State,
}

/// The properties that are compared.
#[derive(Clone, PartialEq, Eq)]
struct State {
    /// Device and inode, on Unix.
    number: Option<(u64, u64)>,
    length: u64,
    modified: Option<SystemTime>,
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
        match fs::metadata(path) {
            Ok(found) if State::of(&found).number == self.state.number => Ok(()),
            Ok(found) => Err(self.changed("replaced", &State::of(&found))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("cannot inspect", error)),
        }
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
            number: number(metadata),
            length: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}

#[cfg(unix)]
fn number(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> Option<(u64, u64)> {
    None
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.length)?;
        let since = self.modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        if let Some(since) = since {
            write!(f, ", modified at {}.{:09} s", since.as_secs(), since.subsec_nanos())?;
        }
        if let Some((device, inode)) = self.number {
            write!(f, ", inode {inode} of device {device}")?;
        }
        Ok(())
    }
}
