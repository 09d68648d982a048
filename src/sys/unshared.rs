//! Descriptors and maps that a forked process does not share with its parent.
//!
//! A lock is held and a connection is open until the last process closes its
//! descriptor. Writes to a shared map are visible in all processes, although
//! each assumes that it is the only writer. So a list records these descriptors
//! and maps. A forked process closes the descriptors, and replaces the maps by
//! private copies, before it does anything else. The C library calls the
//! functions that do this around every `fork`, whoever forks. It does not do so
//! for a program that makes the system call itself.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    io, mem,
    ops::{Deref, DerefMut},
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    ptr,
    sync::{
        Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use rustix::mm::{MapFlags, ProtFlags, mmap};

/// The exit code of a forked process that fails, which is that of a panic.
pub(super) const FAILURE_EXIT_CODE: i32 = 101;

/// How many of the ancestors of this process, including itself, were forked
/// since this module was used first.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The number of threads that only wait in a system call, and then end this
/// process. A forked process has none of them.
pub(super) static WATCHER_COUNT: AtomicUsize = AtomicUsize::new(0);

/// What a forked process closes or copies.
static LIST: Mutex<List> = Mutex::new(List { descriptors: BTreeSet::new(), maps: BTreeMap::new() });

struct List {
    descriptors: BTreeSet<RawFd>,
    /// By address.
    maps: BTreeMap<usize, Map>,
}

/// The origin of a map.
struct Map {
    length: usize,
    file: OwnedFd,
    offset: u64,
}

/// The process in which a value was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin(u32);

impl Origin {
    /// Returns this process.
    pub(crate) fn here() -> Self {
        watch_forks();
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Returns whether the process was forked.
    pub(crate) fn is_fork(self) -> bool {
        self.0 > 0
    }

    /// Returns whether it is this process, and not one that this process was
    /// forked from.
    pub(crate) fn is_here(self) -> bool {
        self == Self::here()
    }
}

/// A value with a descriptor that is closed in forked processes.
pub(crate) struct Unshared<T: AsRawFd> {
    /// `Some` until the value is dropped.
    inner: Option<T>,
    origin: Origin,
}

impl<T: AsRawFd> Unshared<T> {
    pub(crate) fn new(inner: T) -> Self {
        list().descriptors.insert(inner.as_raw_fd());
        Self { inner: Some(inner), origin: Origin::here() }
    }

    /// Returns the value, or an error in a forked process.
    pub(crate) fn get(&self) -> io::Result<&T> {
        match &self.inner {
            Some(inner) if self.origin.is_here() => Ok(inner),
            _ => Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "it belongs to the process that this one was forked from",
            )),
        }
    }
}

/// # Panics
///
/// Panics in a forked process.
impl<T: AsRawFd> Deref for Unshared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.get().expect("a descriptor is used in the process that opened it")
    }
}

/// # Panics
///
/// Panics in a forked process.
impl<T: AsRawFd> DerefMut for Unshared<T> {
    fn deref_mut(&mut self) -> &mut T {
        assert!(self.origin.is_here(), "a descriptor is used in the process that opened it");
        self.inner.as_mut().expect("the value exists until it is dropped")
    }
}

impl<T: AsRawFd + AsFd> AsFd for Unshared<T> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        (**self).as_fd()
    }
}

impl<T: AsRawFd> Drop for Unshared<T> {
    fn drop(&mut self) {
        let inner = self.inner.take();
        if self.origin.is_here() {
            if let Some(inner) = &inner {
                list().descriptors.remove(&inner.as_raw_fd());
            }
        } else {
            // The descriptor is closed, and its number may belong to another
            // file.
            mem::forget(inner);
        }
    }
}

/// Adds a shared map to the list: `length` bytes at `address`, which map `file`
/// at `offset`.
///
/// In a forked process, memory with a copy of the content replaces it.
///
/// # Safety
///
/// The bytes must be such a writable map that begins at a page, until
/// [`unlist_map`] removes it from the list.
pub(crate) unsafe fn list_map(address: *mut u8, length: usize, file: OwnedFd, offset: u64) {
    list().maps.insert(address.expose_provenance(), Map { length, file, offset });
}

/// Removes a map from the list. Must be called before it is unmapped.
pub(crate) fn unlist_map(address: *mut u8) {
    list().maps.remove(&address.addr());
}

/// Locks the list.
fn list() -> MutexGuard<'static, List> {
    watch_forks();
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// The list, which is locked while this thread forks: no other thread can then be halfway
    /// through a change that the new process would see.
    static LOCKED_TO_FORK: Cell<Option<MutexGuard<'static, List>>> = const { Cell::new(None) };
}

/// Has the C library call the functions below around each `fork` of this process.
fn watch_forks() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        // SAFETY: the three functions have the expected signature and do not unwind. If they are
        // part of a library, the C library forgets them when it unloads that library.
        let failed = unsafe {
            libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_forked_process))
        };
        assert_eq!(failed, 0, "there is memory to note three functions");
    });
}

extern "C" fn before_fork() {
    let list = LIST.lock().unwrap_or_else(PoisonError::into_inner);
    // In a thread that is about to end, the list is unlocked at once.
    let _ = LOCKED_TO_FORK.try_with(|locked| locked.set(Some(list)));
}

extern "C" fn after_fork() {
    let _ = LOCKED_TO_FORK.try_with(Cell::take);
}

extern "C" fn in_forked_process() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    WATCHER_COUNT.store(0, Ordering::Relaxed);
    let list = LOCKED_TO_FORK.try_with(Cell::take).ok().flatten();
    if list.is_some_and(|list| release_all(list).is_err()) {
        // Its writes would be visible in the parent.
        // SAFETY: `_exit` accepts any number and does not return.
        unsafe { libc::_exit(FAILURE_EXIT_CODE) }
    }
}

/// Closes all descriptors and copies all maps of the list, in a process that
/// was just forked.
///
/// # Errors
///
/// Returns an error if memory cannot be mapped. Then the process must end.
fn release_all(mut list: MutexGuard<'_, List>) -> io::Result<()> {
    for descriptor in mem::take(&mut list.descriptors) {
        // SAFETY: a descriptor on the list is owned by an `Unshared` and
        // therefore open. The new generation makes the origin of that value
        // another process: it no longer returns the descriptor, and dropping it
        // does not close it.
        unsafe { rustix::io::close(descriptor) };
    }
    for (address, Map { length, file, offset }) in mem::take(&mut list.maps) {
        let (protection, flags) =
            (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::FIXED);
        // SAFETY: the caller of `list_map` has ensured that this is a writable
        // map of the same bytes, with this length, that begins at a page. Only
        // this map is replaced, by one with the same content. No other thread
        // exists in this process, so no access happens meanwhile. References to
        // the bytes stay valid, but writes are no longer visible in other
        // processes.
        unsafe {
            mmap(
                ptr::with_exposed_provenance_mut(address),
                length,
                protection,
                flags,
                &file,
                offset,
            )
        }?;
    }
    Ok(())
}
