//! Temp files: where they are, what they are called, who deletes them.
//!
//! It owns sessions, their registry and their end. What is in the files is [`share`]'s; who sends them where
//! is the [`pool`](crate::Pool)'s.

mod file;
mod home;
mod journal;
mod lock;
mod name;
mod place;
mod remains;
mod root;
mod session;
mod share;
mod sweep;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

pub(crate) use file::TempFile;
pub(crate) use name::Member;
pub(crate) use share::{Placed, Segment, Writing, note};
pub use sweep::{FileReport, SessionReport, Sweep, Sweeper, sweep};

use crate::{ByteOrder, Error, Result};
use place::Places;
use session::Session;

/// The temp files of one running program: a *session*.
///
/// Clones are the same store. When the last is dropped, everything is removed: files, directories, registry. When the
/// program is killed, its workers do that; when they are killed too, whoever next opens a store, or
/// [`sweep`](crate::sweep()), does.
///
/// # Where
///
/// The session's [`home`](Store::home) holds its lock and its registry. It is under `NDFERRY_DIR` if that is set (and made,
/// if only its last part is missing), else under the system's temp directory or, where that cannot be written to,
/// `/dev/shm`. It must be on a file system with locks.
///
/// Files go to the first root with room: `NDFERRY_DIR` if that is set, else `/dev/shm`; then the system's temp directory.
/// [`StoreBuilder::roots`] names others. Room is what the file system has and, in memory, what the control group and the
/// machine still allow. A file that no root has room for is an error with the bytes needed and the bytes free.
///
/// In every one of these places only the directory `ndferry-UID` is used, and nothing in it by anybody else: directories
/// have mode 0700 and files 0600 from the moment they exist. It goes with the last session in it.
///
/// ```
/// use ndferry::Store;
///
/// let store = Store::new()?;
/// let home = store.home().to_path_buf();
/// assert!(home.is_dir());
/// assert!(store.files()?.is_empty());
/// drop(store);
/// assert!(!home.exists());
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone)]
pub struct Store(Arc<Session>);

/// Chooses how a [`Store`] is to be.
///
/// ```
/// use ndferry::{ByteOrder, Store};
///
/// let store = Store::builder().byte_order(ByteOrder::Big).build()?;
/// assert_eq!(store.byte_order(), ByteOrder::Big);
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StoreBuilder {
    byte_order: ByteOrder,
    roots: Option<Vec<PathBuf>>,
}

impl Store {
    /// Opens a store, after sweeping what dead ones have left.
    ///
    /// # Errors
    ///
    /// Where there is no directory for its home: `NDFERRY_DIR` is not a directory, cannot be written to or has no locks;
    /// or, without it, so are the system's temp directory and `/dev/shm`. Somebody else's directory of the name this user's
    /// should have is not used either.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Opens a store otherwise than [`new`](Store::new) does.
    #[must_use]
    pub fn builder() -> StoreBuilder {
        StoreBuilder { byte_order: ByteOrder::NATIVE, roots: None }
    }

    /// The byte order of the arrays in its files.
    #[must_use]
    pub fn byte_order(&self) -> ByteOrder {
        self.0.byte_order()
    }

    /// The directory that holds the session's lock and registry: absolute, without symbolic links.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.0.home().path()
    }

    /// Every temp file the session's registry names now, whichever of its processes has made it, oldest first.
    ///
    /// A file is named before it is made and until after it is gone, so one of them may not be there.
    ///
    /// # Errors
    ///
    /// Where the registry cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        self.0.files()
    }

    /// The number of the session.
    pub(crate) fn id(&self) -> u64 {
        self.0.home().id().number()
    }

    /// Joins, in a worker, the session whose home another process has named, as the `member` it has made up, by which it
    /// can [`reap`](Store::reap) what this process leaves.
    ///
    /// # Errors
    ///
    /// Where the session has ended.
    pub(crate) fn join(home: &Path, byte_order: ByteOrder, member: Member) -> Result<Self> {
        Session::join(home, byte_order, member).map(Self)
    }

    /// Makes an empty place for `nbytes` bytes: a file of that length, its space reserved, gone when the value is dropped.
    ///
    /// # Errors
    ///
    /// Where no root has room for it, where it cannot be registered, or after [`leave`](Store::leave).
    pub(crate) fn create(&self, nbytes: u64) -> Result<TempFile> {
        self.0.create(nbytes)
    }

    /// Takes over the file at `path`, which another process of this session has [handed over](TempFile::hand_over).
    ///
    /// # Errors
    ///
    /// Where it is no temp file of this session, or is gone.
    pub(crate) fn adopt(&self, path: &Path) -> Result<TempFile> {
        self.0.adopt(path)
    }

    /// Removes what a process of the session has left when it died: whatever it had made, and this process has not adopted.
    ///
    /// # Errors
    ///
    /// Where the registry cannot be read.
    pub(crate) fn reap(&self, member: Member) -> Result<()> {
        self.0.reap(member)
    }

    /// Ends this process's part in the session, for all clones; the last process to leave takes every file along. Files
    /// cannot be made from here on.
    pub(crate) fn leave(&self) {
        self.0.leave();
    }
}

impl StoreBuilder {
    /// Writes arrays in this byte order. The default is the machine's: what is written in it is mapped as it lies, what is
    /// not is copied by every process that reads it.
    #[must_use]
    pub fn byte_order(mut self, byte_order: ByteOrder) -> Self {
        self.byte_order = byte_order;
        self
    }

    /// Puts files into the first of these directories with room, and no others. The home stays where it is without them,
    /// so that a sweep finds it, and by it them.
    #[must_use]
    pub fn roots(mut self, roots: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.roots = Some(roots.into_iter().map(Into::into).collect());
        self
    }

    /// Opens the store, after sweeping what dead ones have left.
    ///
    /// # Errors
    ///
    /// As for [`Store::new`]; and where no roots are named, more than 256, or one that is not a directory.
    pub fn build(self) -> Result<Store> {
        let mut places = Places::of_environment()?;
        if let Some(roots) = &self.roots {
            places.roots = check(roots)?;
        }
        sweep::before_opening(&Places::known()?);
        Session::begin(&places, self.byte_order).map(Store)
    }
}

fn check(roots: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let checked = roots.iter().map(|root| place::find_or_make(root));
    let checked = place::distinct(checked.collect::<Result<Vec<_>>>()?);
    match checked.len() {
        1..=session::MOST_ROOTS => Ok(checked),
        0 => Err(Error::usage("a store needs a root to put its files in, and none was named")),
        many => Err(Error::usage(format!("a store has at most {} roots, and {many} were named", session::MOST_ROOTS))),
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("home", &self.home()).field("byte_order", &self.byte_order()).finish()
    }
}
