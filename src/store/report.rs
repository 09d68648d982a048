//! Reports on sessions: the result of a cleanup, and the bytes in a session's files.
//!
//! The bytes come from the journal, which all processes of the session write. A file counts with
//! its registered size, from before it is created until after it is removed. The records have one
//! order for all processes, so the journal also knows the largest size at one time.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::contents::Contents;
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

/// The bytes in a session's temporary files, including those of workers; see
/// [`Store::usage`](crate::store::Store::usage).
///
/// A file counts from the moment it is registered until after it is removed, so the peak is
/// never too low. It may include files for which a root had no room after all. Memory files
/// ([`memfd`](crate::store::Store::memfd), [atomics](crate::store::Store::atomics)) and your
/// own files do not count.
///
/// # Examples
///
/// ```
/// let store = ndferry::store::Store::new()?;
/// let usage = store.usage()?;
/// assert_eq!((usage.live, usage.peak), (0, 0));
/// for root in &usage.roots {
///     println!("{}: {} files, {} bytes", root.path.display(), root.files, root.live);
/// }
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreUsage {
    /// The current number of bytes.
    pub live: u64,
    /// The largest number of bytes at one time, in all roots together.
    pub peak: u64,
    /// The same for each root, in the order in which they are tried.
    pub roots: Vec<RootUsage>,
}

/// The bytes in a session's temporary files in one root.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RootUsage {
    /// The session's directory in the root. It is created with the first file.
    pub path: PathBuf,
    /// The current number of files.
    pub files: usize,
    /// The current number of bytes.
    pub live: u64,
    /// The largest number of bytes at one time.
    pub peak: u64,
}

impl StoreUsage {
    /// Returns the usage of the roots whose directories are `paths`.
    pub(super) fn of<'p>(contents: &Contents, paths: impl Iterator<Item = &'p Path>) -> Self {
        let root = |(number, path): (u8, &Path)| {
            let tally = contents.tallies.get(&number).copied().unwrap_or_default();
            let files = contents.live.iter().filter(|(entry, _)| entry.root == number).count();
            RootUsage { path: path.to_path_buf(), files, live: tally.live, peak: tally.peak }
        };
        let roots = (0..=u8::MAX).zip(paths).map(root).collect();
        Self { live: contents.total.live, peak: contents.total.peak, roots }
    }
}
