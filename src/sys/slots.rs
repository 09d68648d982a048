//! Numbered slots, each held by whoever has a certain open file: they are shared by processes, and free again when the last of them that
//! has the file is gone, however it went.
//!
//! A slot is a locked byte of a memory file. The lock belongs to an open file (`F_OFD_SETLK`, fcntl_locking(2)), as with `flock`, and
//! not to a process: handing over the descriptor hands over the slot.

use std::{
    fs::{File, OpenOptions},
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use super::{
    memfd::{self, Seals},
    unshared::Unshared,
};

/// Slots, as many as the file is long.
pub(crate) struct Slots(File);

/// A slot that is held while this, or a copy of it in another process, is open.
pub(crate) struct Slot(Unshared<OwnedFd>);

impl Slots {
    /// So many slots, all free.
    ///
    /// # Errors
    ///
    /// Where the system gives no memory file.
    pub(crate) fn new(count: usize) -> io::Result<Self> {
        let file = memfd::create("ndferry-slots")?;
        file.set_len(count as u64)?;
        memfd::seal(&file, Seals::Length)?;
        Ok(Self(file))
    }

    /// The slots that another process has told of.
    pub(crate) fn of(file: OwnedFd) -> Self {
        Self(file.into())
    }

    /// Takes free slots, up to `most`, without waiting for any.
    ///
    /// # Errors
    ///
    /// Where this process may open no more files.
    pub(crate) fn take(&self, most: usize) -> io::Result<Vec<Slot>> {
        let mut taken = Vec::new();
        let mut open = None;
        for at in 0..self.0.metadata()?.len() {
            if taken.len() >= most {
                break;
            }
            // Opened once more, so that the slot is no other's who has the file.
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

/// Locks byte `at`, or answers `false` where somebody else has it locked.
fn try_lock(file: BorrowedFd<'_>, at: u64) -> io::Result<bool> {
    // SAFETY: a structure of numbers, for which zeros are valid; filled in below as far as they are not meant.
    let mut lock: libc::flock = unsafe { mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = libc::off_t::try_from(at).map_err(io::Error::other)?;
    lock.l_len = 1;
    // SAFETY: the descriptor is open for the time of the call, which reads a structure that lives as long.
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
    fn a_slot_is_held_by_whoever_has_it_open() {
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
