//! How many bytes a session's files have: read off its journal, which every process of the session writes.
//!
//! A file counts with the bytes it was registered for, from before it is made until after it is gone. So the registry, whose
//! records stand in one order for all processes, knows also what was the most at one time.

use std::path::{Path, PathBuf};

use super::contents::Contents;

/// The bytes of a session's temp files, those of its workers included: see [`Store::usage`](crate::store::Store::usage).
///
/// A file counts with the bytes it was made for, from the moment it is named in the registry until after it is gone. So the
/// peak is never less than what there was, and has in it what a root could not hold after all. What has no name is not
/// counted: the files of a [`sealed`](crate::store::Store::sealed) store, [atomics](crate::store::Store::atomics). Nor are the user's own
/// files, which arrays may be maps of.
///
/// ```
/// let store = ndferry::store::Store::new()?;
/// let usage = store.usage()?;
/// assert_eq!((usage.live, usage.peak), (0, 0));
/// for root in &usage.roots {
///     println!("{}: {} files, {} bytes, {} at most", root.path.display(), root.files, root.live, root.peak);
/// }
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreUsage {
    /// Bytes there are now.
    pub live: u64,
    /// The most bytes there were at one time, in all roots together.
    pub peak: u64,
    /// The same for each root, in the order in which they are tried.
    pub roots: Vec<RootUsage>,
}

/// The bytes of a session's temp files in one root.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RootUsage {
    /// The session's directory there, which is made when its first file is.
    pub path: PathBuf,
    /// Files there are now.
    pub files: usize,
    /// Bytes there are now.
    pub live: u64,
    /// The most bytes there were at one time.
    pub peak: u64,
}

impl StoreUsage {
    /// What `contents` says of the roots whose directories are `paths`.
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
