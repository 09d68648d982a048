//! Temp files: where they are, what they are called, who deletes them.
//!
//! It owns sessions, their registry and their end. What is in the files is [`share`]'s and, where it is made in them,
//! [`born`]'s; who sends them where is the [`pool`](crate::Pool)'s.

mod atomics;
mod attached;
mod born;
mod contents;
mod file;
mod home;
mod journal;
mod lock;
mod name;
mod output;
mod place;
mod remains;
mod root;
mod sealed;
mod session;
mod share;
mod sweep;
#[cfg(test)]
mod tests;
mod usage;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub use atomics::SharedAtomics;
pub(crate) use attached::{Attached, Role, incoming, outgoing};
pub use born::{SharedArrayMut, create};
pub(crate) use file::TempFile;
pub(crate) use name::Member;
pub(crate) use output::{Output, Part};
pub(crate) use share::{Lies, Placed, Segment, Writing, note};
pub use sweep::{FileReport, SessionReport, Sweep, Sweeper, sweep};
pub use usage::{RootUsage, StoreUsage};

use crate::{Error, Result, dtype::ByteOrder};
use place::Places;
use session::Session;

/// The temp files of one running program: a *session*.
///
/// Clones are the same store. When the last is dropped, everything is removed: files, directories, registry. When the
/// program is killed, its workers do that; when they are killed too, whoever next opens a store, or
/// [`sweep`](crate::store::sweep()), does.
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
/// Those of a [`sealed`](Store::sealed) store are nowhere: they are memory.
///
/// In every one of these places only the directory `ndferry-UID` is used, and nothing in it by anybody else: directories
/// have mode 0700 and files 0600 from the moment they exist. It goes with the last session in it. Where something else has
/// that name, another user's directory say, the session uses `ndferry-UID-` and a number that nobody can foresee.
///
/// # Keeping what a crash has left
///
/// With the environment variable `NDFERRY_KEEP` set to `1`, a store that is opened does not sweep what dead sessions have left, and its own session
/// is kept when it dies: when its process ends without dropping the store, by a signal or by [`std::process::exit`]. Workers then remove nothing, and neither
/// does any program that opens a store later, with or without the variable, until a sweep is asked for: by [`sweep`](crate::store::sweep()) or `ndferry sweep`.
/// Meanwhile `ndferry sweep --dry-run` says where the files are, and `ndferry info` what is in them. A store that is dropped removes everything all the same, and
/// files go as early as ever while the session lives. A value other than `0` and `1` is an error.
///
/// ```
/// use ndferry::store::Store;
///
/// let store = Store::new()?;
/// let home = store.home().to_path_buf();
/// assert!(home.is_dir());
/// assert!(store.files()?.is_empty());
/// drop(store);
/// assert!(!home.exists());
/// # Ok::<(), ndferry::Error>(())
/// ```
/// In a task of a [`Pool`](crate::Pool), a store is a part of the session that the worker works in, unless it has roots of its own: what it
/// holds goes when the store does, and when the worker is killed; the home stays as long as the outermost pool does.
#[derive(Clone)]
pub struct Store(Arc<Session>, Manner);

/// How a store writes arrays.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Manner {
    byte_order: ByteOrder,
    sealed: bool,
}

/// The session this process was started to work in.
static OUTER: Mutex<Option<Arc<Session>>> = Mutex::new(None);

/// Chooses how a [`Store`] is to be.
///
/// ```
/// use ndferry::{dtype::ByteOrder, store::Store};
///
/// let store = Store::builder().byte_order(ByteOrder::Big).build()?;
/// assert_eq!(store.byte_order(), ByteOrder::Big);
/// # Ok::<(), ndferry::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StoreBuilder {
    byte_order: ByteOrder,
    roots: Option<Vec<PathBuf>>,
    sealed: bool,
}

impl Store {
    /// Opens a store, after sweeping what dead ones have left, unless `NDFERRY_KEEP` says otherwise.
    ///
    /// # Errors
    ///
    /// Where there is no directory for its home: `NDFERRY_DIR` is not a directory, cannot be written to or has no locks;
    /// or, without it, so are the system's temp directory and `/dev/shm`. Also where `NDFERRY_KEEP` is neither 0 nor 1.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Opens a store whose files are sealed memory.
    ///
    /// They have no name and are not limited by the size of `/dev/shm`; workers get them as open descriptors; they go with the
    /// last process that has them, whoever dies. Once written they are sealed, and every receiver sees that they are: no
    /// process, this one included, can change or truncate them, so reading them is sound whatever anyone does.
    ///
    /// Each array costs an open descriptor while it lives, in every process that maps it. Where a process may open few
    /// (`ulimit -n`), a store of ordinary files holds more.
    ///
    /// ```
    /// use ndferry::store::Store;
    ///
    /// let store = Store::sealed()?;
    /// assert!(store.is_sealed());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`new`](Store::new): the session has a home all the same.
    pub fn memfd() -> Result<Self> {
        Self::builder().memfd().build()
    }

    /// Opens a store otherwise than [`new`](Store::new) does.
    #[must_use]
    pub fn builder() -> StoreBuilder {
        StoreBuilder { byte_order: ByteOrder::NATIVE, roots: None, sealed: false }
    }

    /// Whether its files are sealed memory: see [`sealed`](Store::sealed).
    #[must_use]
    pub fn is_memfd(&self) -> bool {
        self.1.sealed
    }

    /// The byte order in which it writes arrays. Those [born](Store::zeros) in it are filled in the machine's.
    #[must_use]
    pub fn byte_order(&self) -> ByteOrder {
        self.1.byte_order
    }

    /// The directory that holds the session's lock and registry: absolute, without symbolic links.
    #[must_use]
    pub fn session_dir(&self) -> &Path {
        self.0.home().path()
    }

    /// Every temp file the session's registry names now, whichever of its processes has made it, oldest first.
    ///
    /// A file is named before it is made and until after it is gone, so one of them may not be there. Memory files (of a
    /// [`sealed`](Store::sealed) store, of [`atomics`](Store::atomics)) have no names and are none of them.
    ///
    /// # Errors
    ///
    /// Where the registry cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        self.0.files()
    }

    /// How many bytes the temp files have that the session's registry names now, and the most they had at one time: whichever
    /// of its processes has made them, in each root and in all.
    ///
    /// # Errors
    ///
    /// Where the registry cannot be read.
    pub fn usage(&self) -> Result<StoreUsage> {
        self.0.usage()
    }

    /// The number of the session, another for each manner of writing: what was written in one is not known in another.
    pub(crate) fn id(&self) -> u64 {
        let manner =
            u64::from(self.is_memfd()) << 1 | u64::from(self.byte_order() == ByteOrder::Big);
        self.0.home().id().number().wrapping_add(manner)
    }

    /// Joins, in a worker, the session whose home another process has named, as the `member` it has made up, by which it
    /// can [`reap`](Store::reap) what this process leaves.
    ///
    /// # Errors
    ///
    /// Where the session has ended.
    pub(crate) fn join(
        home: &Path,
        byte_order: ByteOrder,
        sealed: bool,
        member: Member,
    ) -> Result<Self> {
        Ok(Self(Session::join(home, member)?, Manner { byte_order, sealed }))
    }

    /// From here on all stores of this process, which is a worker, are part of the same session.
    pub(crate) fn be_outer(&self) {
        // One that was inherited is its parent's, and stays: dropping it here would do nothing.
        *OUTER.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&self.0));
    }

    /// Who a worker of this process is to be.
    pub(crate) fn new_member(&self) -> Result<Member> {
        self.0.new_member()
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

    /// Removes what a worker of this process has left when it died: whatever it had made, and this process has not adopted.
    ///
    /// # Errors
    ///
    /// Where the registry cannot be read.
    pub(crate) fn reap(&self, member: Member) -> Result<()> {
        self.0.reap(member)
    }

    /// How many handles to the session this process has.
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Ends this process's part in the session, for all clones; the last process to leave takes every file along. Files
    /// cannot be made from here on.
    pub(crate) fn leave(&self) {
        self.0.leave();
    }

    /// As [`leave`](Store::leave), where the others in the session are ending too, or have died: stays until one of them has
    /// taken every file along, or this process has; `longest` at most.
    pub(crate) fn leave_with_the_dying(&self, longest: Duration) {
        self.0.leave_with_the_dying(longest);
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

    /// Puts arrays into sealed memory files: see [`Store::sealed`].
    ///
    /// ```
    /// use ndferry::{dtype::ByteOrder, store::Store};
    ///
    /// let store = Store::builder().byte_order(ByteOrder::Big).sealed().build()?;
    /// assert!(store.is_sealed());
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    #[must_use]
    pub fn memfd(mut self) -> Self {
        self.sealed = true;
        self
    }

    /// Opens the store, after sweeping what dead ones have left.
    ///
    /// # Errors
    ///
    /// As for [`Store::new`]; and where no roots are named, more than 256, one that is not a directory, or any for a sealed
    /// store, which puts nothing there.
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

/// Sweeps as a store does that is opened.
pub(crate) fn sweep_aside() {
    if let (Ok(false), Ok(places)) = (place::keep(), Places::known()) {
        sweep::before_opening(&places);
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
