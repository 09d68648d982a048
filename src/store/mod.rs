//! Temporary files that processes share, and the registry that removes them.
//!
//! A *session* is one running program and its workers. It has a directory with a lock and a
//! *journal*, the registry of all its temporary files. A process that belongs to the session
//! holds the lock, so a session without a holder is dead. The last process that leaves removes
//! all files. If all processes are killed, the next program that opens a store removes them, or
//! you call [`cleanup`].
//!
//! A *root* is a directory for the files. A store tries its roots in order: `NDFERRY_DIR`, or
//! `/dev/shm` and the system's temporary directory.
//!
//! # Environment variables
//!
//! - `NDFERRY_DIR` sets the directory for the session and its files.
//! - `NDFERRY_KEEP=1` keeps the files of a program that dies, so that you can inspect them.

mod atomics;
mod attached;
mod contents;
mod file;
mod filling;
mod home;
mod journal;
mod lock;
mod name;
mod output;
mod place;
mod remains;
mod report;
mod root;
mod sealed;
mod session;
mod share;
mod sweep;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub use atomics::SharedAtomics;
pub(crate) use attached::{Attached, Role, incoming, outgoing};
pub(crate) use file::TempFile;
pub(crate) use name::Member;
pub(crate) use output::{Output, Part};
pub use report::{CleanupReport, RootUsage, SessionReport, StoreUsage};
pub(crate) use share::{Lies, Placed, Segment, Writing, note};
pub use sweep::{CleanupOptions, cleanup};

use crate::{Error, Result, dtype::ByteOrder};
use place::Places;
use session::Session;

/// The temporary files of one running program, its *session*.
///
/// Clones refer to the same store. When the last one is dropped, all files, directories and the
/// registry are removed. If the program is killed, its workers remove them. If they are killed
/// too, the next program that opens a store does, or [`cleanup`].
///
/// A [`Pool`](crate::Pool) opens its own store. Make one yourself to choose where files go, to
/// share one store between pools, or to make arrays in it ([`zeros`](Store::zeros)).
///
/// # Location
///
/// [`session_dir`](Store::session_dir) contains the lock and the registry. It is in
/// `NDFERRY_DIR` if that is set, and otherwise in the system's temporary directory, or in
/// `/dev/shm` if that is not writable. The last component of `NDFERRY_DIR` is created if
/// necessary. The file system must support locks.
///
/// Files go to the first root with enough room: `NDFERRY_DIR` if it is set, and otherwise
/// `/dev/shm`, then the system's temporary directory. [`StoreBuilder::roots`] sets other roots.
/// The room in memory also depends on the limits of the control group. If no root has room, the
/// error reports the bytes needed and the bytes free. The files of a [`memfd`](Store::memfd)
/// store are in memory and have no path.
///
/// In each of these places, only the directory `ndferry-UID` is used. Directories have mode
/// 0700 and files 0600 from the moment they exist. The directory is removed with the last
/// session in it. If something else has that name, such as a directory of another user, the
/// session uses `ndferry-UID-` and a random number.
///
/// # Keeping files after a crash
///
/// If the environment variable `NDFERRY_KEEP` is `1`, opening a store does not sweep, and the
/// session is kept if its process ends without dropping the store, such as by a signal or by
/// [`std::process::exit`]. Nothing removes the files until you call
/// [`cleanup`] or run `ndferry sweep`. `ndferry sweep --dry-run` lists
/// the files, and `ndferry info` shows their content. Dropping the store still removes
/// everything. Values other than `0` and `1` are an error.
///
/// # Examples
///
/// ```
/// use ndferry::store::Store;
///
/// let store = Store::new()?;
/// let session = store.session_dir().to_path_buf();
/// assert!(session.is_dir());
/// assert!(store.files()?.is_empty());
/// drop(store);
/// assert!(!session.exists());
/// # Ok::<(), ndferry::Error>(())
/// ```
///
/// A store opened in a task of a [`Pool`](crate::Pool) belongs to the session of its worker,
/// unless it has its own roots. Its files are removed when it is dropped or the worker is
/// killed.
#[derive(Clone)]
pub struct Store(Arc<Session>, Manner);

/// How a store writes arrays.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Manner {
    byte_order: ByteOrder,
    sealed: bool,
}

/// The session that this process, a worker, was started for.
static OUTER: Mutex<Option<Arc<Session>>> = Mutex::new(None);

/// Options for a [`Store`].
///
/// # Examples
///
/// ```
/// use ndferry::store::Store;
///
/// let folder = tempfile::tempdir().unwrap();
/// let store = Store::builder().roots([folder.path()]).build()?;
/// let table = store.zeros::<f64, _>(1000)?.freeze()?;
/// assert!(store.files()?[0].starts_with(folder.path().canonicalize().unwrap()));
/// # drop(table);
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StoreBuilder {
    byte_order: ByteOrder,
    roots: Option<Vec<PathBuf>>,
    sealed: bool,
}

impl Store {
    /// Opens a store, and removes the files of dead sessions, unless `NDFERRY_KEEP` is set.
    ///
    /// # Examples
    ///
    /// ```
    /// let store = ndferry::store::Store::new()?;
    /// assert!(!store.is_memfd());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - `NDFERRY_DIR` is not a directory, is not writable or does not support locks,
    /// - it is not set, and the same applies to the temporary directory and `/dev/shm`, or
    /// - `NDFERRY_KEEP` is neither 0 nor 1.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Opens a store whose files are sealed memory files (`memfd_create`).
    ///
    /// They have no name, and their size is not limited by that of `/dev/shm`. Workers receive
    /// them as open descriptors, and the kernel frees them with the last process that has them.
    /// A file is sealed after it is written, and every receiver checks the seals: no process
    /// can change or truncate it. Reading it is therefore sound, whatever other programs do.
    ///
    /// Each array uses an open descriptor in every process that maps it. If the limit of
    /// descriptors is low (`ulimit -n`), use a store with ordinary files.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::store::Store;
    ///
    /// let store = Store::memfd()?;
    /// assert!(store.is_memfd());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`new`](Store::new). The session still needs a directory for its lock.
    pub fn memfd() -> Result<Self> {
        Self::builder().memfd().build()
    }

    /// Returns a builder with the default options.
    ///
    /// # Examples
    ///
    /// ```
    /// let store = ndferry::store::Store::builder().memfd().build()?;
    /// assert!(store.is_memfd());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn builder() -> StoreBuilder {
        StoreBuilder { byte_order: ByteOrder::NATIVE, roots: None, sealed: false }
    }

    /// Returns whether the files are sealed memory files; see [`memfd`](Store::memfd).
    #[must_use]
    pub fn is_memfd(&self) -> bool {
        self.1.sealed
    }

    /// Returns the byte order in which arrays are written. Arrays made in the store
    /// ([`zeros`](Store::zeros)) are always in native byte order.
    #[must_use]
    pub fn byte_order(&self) -> ByteOrder {
        self.1.byte_order
    }

    /// Returns the directory with the session's lock and registry, as an absolute path without
    /// symbolic links.
    #[must_use]
    pub fn session_dir(&self) -> &Path {
        self.0.home().path()
    }

    /// Returns the paths of all temporary files in the session's registry, oldest first.
    ///
    /// This includes the files of workers. A file is registered before it is created and until
    /// after it is removed, so a path may not exist. Memory files ([`memfd`](Store::memfd),
    /// [`atomics`](Store::atomics)) have no path and are not listed.
    ///
    /// # Examples
    ///
    /// ```
    /// let store = ndferry::store::Store::new()?;
    /// let table = store.zeros::<f64, _>(1000)?.freeze()?;
    /// assert_eq!(store.files()?.len(), 1);
    /// drop(table);
    /// assert!(store.files()?.is_empty());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the registry cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        self.0.files()
    }

    /// Returns the current and the largest size of the session's temporary files, in total and
    /// for each root.
    ///
    /// This includes the files of workers.
    ///
    /// # Examples
    ///
    /// ```
    /// let store = ndferry::store::Store::new()?;
    /// let table = store.zeros::<f64, _>(1000)?.freeze()?;
    /// assert!(store.usage()?.live >= 8000);
    /// # drop(table);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the registry cannot be read.
    pub fn usage(&self) -> Result<StoreUsage> {
        self.0.usage()
    }

    /// Returns the number of the session. Stores that write in another way have another number,
    /// because arrays written in one are unknown in the other.
    pub(crate) fn id(&self) -> u64 {
        let manner =
            u64::from(self.is_memfd()) << 1 | u64::from(self.byte_order() == ByteOrder::Big);
        self.0.home().id().number().wrapping_add(manner)
    }

    /// Joins a session that another process began, in a worker. The other process uses `member`
    /// to [`reap`](Store::reap) the files that this process leaves.
    ///
    /// # Errors
    ///
    /// Returns an error if the session has ended.
    pub(crate) fn join(
        home: &Path,
        byte_order: ByteOrder,
        sealed: bool,
        member: Member,
    ) -> Result<Self> {
        Ok(Self(Session::join(home, member)?, Manner { byte_order, sealed }))
    }

    /// Makes all stores of this process, which is a worker, part of the same session.
    pub(crate) fn be_outer(&self) {
        // An inherited session belongs to the parent, and dropping it here has no effect.
        *OUTER.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&self.0));
    }

    /// Returns the identity of a new worker.
    pub(crate) fn new_member(&self) -> Result<Member> {
        self.0.new_member()
    }

    /// Creates a file of `nbytes` bytes and reserves its space. The file is removed when the
    /// value is dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if no root has room, the file cannot be registered, or the process has
    /// [left](Store::leave).
    pub(crate) fn create(&self, nbytes: u64) -> Result<TempFile> {
        self.0.create(nbytes)
    }

    /// Takes over the file at `path`, which another process of this session has [handed
    /// over](TempFile::hand_over).
    ///
    /// # Errors
    ///
    /// Returns an error if the file does not belong to this session, or was removed.
    pub(crate) fn adopt(&self, path: &Path) -> Result<TempFile> {
        self.0.adopt(path)
    }

    /// Removes the files that a dead worker made and this process did not adopt.
    ///
    /// # Errors
    ///
    /// Returns an error if the registry cannot be read.
    pub(crate) fn reap(&self, member: Member) -> Result<()> {
        self.0.reap(member)
    }

    /// Returns the number of handles that this process has to the session.
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Leaves the session, for all clones. The last process to leave removes all files. Files
    /// can no longer be created.
    pub(crate) fn leave(&self) {
        self.0.leave();
    }

    /// Like [`leave`](Store::leave), but waits until one of the leaving or dying processes has
    /// removed all files, for at most `longest`.
    pub(crate) fn leave_with_the_dying(&self, longest: Duration) {
        self.0.leave_with_the_dying(longest);
    }
}

impl StoreBuilder {
    /// Sets the byte order in which arrays are written. This is for tests: workers copy arrays
    /// that are not in native byte order.
    #[must_use]
    pub fn byte_order(mut self, byte_order: ByteOrder) -> Self {
        self.byte_order = byte_order;
        self
    }

    /// Sets the directories for files. Files go to the first one with enough room.
    ///
    /// The session's directory stays in its default place, so that a sweep finds it.
    ///
    /// # Examples
    ///
    /// See [`StoreBuilder`].
    #[must_use]
    pub fn roots(mut self, roots: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.roots = Some(roots.into_iter().map(Into::into).collect());
        self
    }

    /// Puts arrays into sealed memory files; see [`Store::memfd`].
    ///
    /// # Examples
    ///
    /// ```
    /// let store = ndferry::store::Store::builder().memfd().build()?;
    /// assert!(store.is_memfd());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn memfd(mut self) -> Self {
        self.sealed = true;
        self
    }

    /// Opens the store, and removes the files of dead sessions.
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - [`Store::new`] does,
    /// - there are no roots or more than 256, or one is not a directory, or
    /// - roots are set for a [`memfd`](StoreBuilder::memfd) store, which does not use them.
    pub fn build(self) -> Result<Store> {
        if self.sealed && self.roots.is_some() {
            return Err(Error::invalid_input(
                "a sealed store has its files in memory: it takes no roots to put files in",
            ));
        }
        let manner = Manner { byte_order: self.byte_order, sealed: self.sealed };
        let outer = OUTER.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let (None, Some(outer)) = (&self.roots, outer) {
            return Ok(Store(outer, manner));
        }
        let mut places = Places::of_environment()?;
        if let Some(roots) = &self.roots {
            places.roots = check(roots)?;
        }
        let keep = place::keep()?;
        if !keep {
            sweep::before_opening(&Places::known()?);
        }
        Ok(Store(Session::begin(&places, keep)?, manner))
    }
}

/// Removes the sessions that process `opener`, which has ended, left behind. Waits for
/// `longest` at most until no other process holds them.
pub(crate) fn sweep_after(opener: u32, longest: Duration) {
    if let (Ok(false), Ok(places)) = (place::keep(), Places::known()) {
        sweep::after(&places, opener, longest);
    }
}

fn check(roots: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let checked = roots.iter().map(|root| place::find_or_make(root));
    let checked = place::distinct(checked.collect::<Result<Vec<_>>>()?);
    match checked.len() {
        1..=session::MOST_ROOTS => Ok(checked),
        0 => Err(Error::invalid_input(
            "a store needs a root to put its files in, and none was named",
        )),
        many => Err(Error::invalid_input(format!(
            "a store has at most {} roots, and {many} were named",
            session::MOST_ROOTS
        ))),
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("home", &self.session_dir())
            .field("byte_order", &self.byte_order())
            .field("sealed", &self.is_memfd())
            .finish()
    }
}
