//! Descriptors and memory that a forked process does not share.
//!
//! A lock is held, and a connection stands, until the last process that has the descriptor lets go of it. And what one process
//! writes to a file's memory, every other that has it mapped would see, although each believes it has that memory alone. So a
//! process that is forked lets go at once of what belongs to the one it was forked from: there is a list for that, and
//! whatever is not on it stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    io, mem,
    ops::{Deref, DerefMut},
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    ptr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use rustix::mm::{MapFlags, ProtFlags, mmap};

/// How many times the line of processes that ends in this one was forked by this module.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// What a process lets go of that this one forks.
static LIST: Mutex<List> = Mutex::new(List { descriptors: BTreeSet::new(), maps: BTreeMap::new() });

pub(super) struct List {
    descriptors: BTreeSet<RawFd>,
    /// By address.
    maps: BTreeMap<usize, Map>,
}

/// Where the memory of a map comes from.
struct Map {
    length: usize,
    file: OwnedFd,
    offset: u64,
}

/// The process something was made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin(u32);

impl Origin {
    /// This process.
    pub(crate) fn here() -> Self {
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Whether it was forked.
    pub(crate) fn is_fork(self) -> bool {
        self.0 > 0
    }

    /// Whether it was this process, and not one that it was forked from.
    pub(crate) fn is_here(self) -> bool {
        self == Self::here()
    }
}

/// Something with a descriptor that is closed in processes forked later; there is nothing left of it there.
pub(crate) struct Unshared<T: AsRawFd> {
    /// There until it is dropped.
    inner: Option<T>,
    origin: Origin,
}

impl<T: AsRawFd> Unshared<T> {
    pub(crate) fn new(inner: T) -> Self {
        list().descriptors.insert(inner.as_raw_fd());
        Self { inner: Some(inner), origin: Origin::here() }
    }

    /// What it is; an error in a forked process.
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
/// In a forked process.
impl<T: AsRawFd> Deref for Unshared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.get().expect("a descriptor is used where it was opened")
    }
}

/// # Panics
///
/// In a forked process.
impl<T: AsRawFd> DerefMut for Unshared<T> {
    fn deref_mut(&mut self) -> &mut T {
        assert!(self.origin.is_here(), "a descriptor is used where it was opened");
        self.inner.as_mut().expect("it is there until it is dropped")
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
            // It is closed, and its number may be another's by now.
            mem::forget(inner);
        }
    }
}

/// Puts a map on the list: `length` bytes at `address` that are those of `file` from `offset` on, written to by this process. A
/// forked one has memory of its own there, which at first holds the same.
///
/// # Safety
///
/// The bytes are such a map, for writing, from the beginning of a page on; and they stay one until it is [taken off](unlist_map) the list.
pub(crate) unsafe fn list_map(address: *mut u8, length: usize, file: OwnedFd, offset: u64) {
    list().maps.insert(address.expose_provenance(), Map { length, file, offset });
}

/// Takes a map off the list, before it goes.
pub(crate) fn unlist_map(address: *mut u8) {
    list().maps.remove(&address.addr());
}

/// The list, held.
pub(super) fn list() -> MutexGuard<'static, List> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In a process that was just forked, with the list as it was held by then: lets go of everything on it.
///
/// # Errors
///
/// Where memory cannot be had: then this process must end.
pub(super) fn let_go(mut list: MutexGuard<'_, List>) -> io::Result<()> {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    for descriptor in mem::take(&mut list.descriptors) {
        // SAFETY: a number is on the list while an `Unshared` owns its descriptor, which is therefore open. That value is of another
        // origin from the line above on: nothing is reached through it any more, and dropping it closes nothing.
        unsafe { rustix::io::close(descriptor) };
    }
    for (address, Map { length, file, offset }) in mem::take(&mut list.maps) {
        let (protection, flags) =
            (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::FIXED);
        // SAFETY: `list_map` was promised that this is a map of the same bytes, as long and as accessible, from the beginning of a page on: only
        // that is replaced, by the same content. This is the only thread, so nobody looks meanwhile; and whoever has references
        // to these bytes goes on with them, only that no other process sees what is written.
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
