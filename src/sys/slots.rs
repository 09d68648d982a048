//! Numbered slots that processes share.
//!
//! A slot is a locked byte of a memory file. The lock belongs to an open file
//! (`F_OFD_SETLK`, see `fcntl_locking(2)`) and not to a process: passing the
//! descriptor passes the slot. A slot is released when the last process with
//! the descriptor closes it or ends.

use std::{
    fs::{File, OpenOptions},
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use super::{
    memfd::{self, Seals},
    unshared::Unshared,
};

/// A set of slots, one for each byte of the file.
pub(crate) struct Slots(File);

/// A slot that is taken until this descriptor and its copies in other processes
/// are closed.
pub(crate) struct Slot(Unshared<OwnedFd>);

impl Slots {
    /// Creates `count` free slots.
    ///
    /// # Errors
    ///
    /// Returns an error if the memory file cannot be created.
    pub(crate) fn new(count: usize) -> io::Result<Self> {
        let file = memfd::create("ndferry-slots")?;
        file.set_len(count as u64)?;
        memfd::seal(&file, Seals::Length)?;
        Ok(Self(file))
    }

    /// Opens the slots of another process.
    pub(crate) fn of(file: OwnedFd) -> Self {
        Self(file.into())
    }

    /// Takes up to `max_count` free slots, without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error if this process cannot open more files.
    pub(crate) fn take(&self, max_count: usize) -> io::Result<Vec<Slot>> {
        let mut taken = Vec::new();
        let mut open = None;
        for at in 0..self.0.metadata()?.len() {
            if taken.len() >= max_count {
                break;
            }
            // Locks belong to an open file, so each slot needs its own.
            let file: OwnedFd = match open.take() {
                Some(file) => file,
                None => self.open()?,
            };
            if try_lock(file.as_fd(), at)? {
                taken.push(Slot(Unshared::new(file)));
            } else {
                open = Some(file);
            }
        }
        Ok(taken)
    }

    fn open(&self) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        Ok(OpenOptions::new().read(true).write(true).open(path)?.into())
    }
}

impl AsFd for Slots {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Slot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Locks byte `at`. Returns `false` if another open file has locked it.
fn try_lock(file: BorrowedFd<'_>, at: u64) -> io::Result<bool> {
    // SAFETY: the structure contains only numbers, for which zeros are valid.
    let mut lock: libc::flock = unsafe { mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = libc::off_t::try_from(at).map_err(io::Error::other)?;
    lock.l_len = 1;
    // SAFETY: the descriptor is open and the structure exists during the call.
    let locked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if locked == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_held_by_open_descriptors() {
        let slots = Slots::new(3).unwrap();
        let mut one = slots.take(2).unwrap();
        let elsewhere = Slots::of(slots.as_fd().try_clone_to_owned().unwrap());
        let other = elsewhere.take(9).unwrap();
        assert_eq!((one.len(), other.len(), slots.take(1).unwrap().len()), (2, 1, 0));
        let copy = one[0].as_fd().try_clone_to_owned().unwrap();
        one.remove(0);
        assert_eq!(slots.take(1).unwrap().len(), 0);
        drop(copy);
        assert_eq!(slots.take(9).unwrap().len(), 1);
        drop((one, other));
        assert_eq!(slots.take(9).unwrap().len(), 3);
        assert!(slots.0.set_len(9).is_err());
    }
}
