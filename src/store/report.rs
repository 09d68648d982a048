//! The results of a cleanup.

use std::{path::PathBuf, time::SystemTime};

use crate::Error;

/// The sessions that [`cleanup`](super::cleanup) found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CleanupReport {
    /// Dead sessions. They were removed, except in a dry run.
    pub dead: Vec<SessionReport>,
    /// Sessions that a process still belongs to. They were left alone.
    pub alive: Vec<SessionReport>,
    /// Problems with sessions that could not be examined or removed. A later cleanup tries again.
    pub failures: Vec<Error>,
}

impl CleanupReport {
    /// Returns the number of bytes in the files of the dead sessions.
    #[must_use]
    pub fn nbytes(&self) -> u64 {
        self.dead.iter().map(|session| session.nbytes).sum()
    }
}

/// A session that [`cleanup`](super::cleanup) found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionReport {
    /// The number of the session, in hexadecimal.
    pub id: String,
    /// The directory with the lock and the registry.
    pub home: PathBuf,
    /// When the session began, if that is known.
    pub since: Option<SystemTime>,
    /// Whether it was opened with `NDFERRY_KEEP=1`, so that only a cleanup removes it.
    pub keep: bool,
    /// The directories with its files.
    pub directories: Vec<PathBuf>,
    /// The paths of its files.
    pub files: Vec<PathBuf>,
    /// The number of bytes in its files.
    pub nbytes: u64,
}
