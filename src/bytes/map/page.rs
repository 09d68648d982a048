//! A page of memory that two processes share.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::AtomicU64,
};

use memmap2::{MmapOptions, MmapRaw};

use crate::sys::memfd::{self, Seals};

/// Bytes of a page.
const PAGE_LEN: usize = 64 << 10;
/// Number of atomic words at the start of a page.
const WORD_COUNT: usize = 16;
/// Offset in bytes of the notepad, which follows the words.
const NOTEPAD_OFFSET: usize = WORD_COUNT * size_of::<AtomicU64>();

/// Memory shared by processes: words that all of them read and write, and a
/// notepad that one of them writes.
///
/// It is a memory file whose length is sealed. The kernel removes it when the
/// last process closes it.
pub(crate) struct Page {
    map: MmapRaw,
    file: File,
}

impl Page {
    /// Creates a page of zeros.
    ///
    /// # Errors
    ///
    /// Returns an error if the memory file cannot be created.
    pub(crate) fn new() -> io::Result<Self> {
        let file = memfd::create("ndferry-page")?;
        file.set_len(PAGE_LEN as u64)?;
        memfd::seal(&file, Seals::Length)?;
        Self::of(file)
    }

    /// Maps a page that another process has created.
    ///
    /// # Errors
    ///
    /// Returns an error if `file` is not a page.
    pub(crate) fn of(file: File) -> io::Result<Self> {
        if !memfd::is_of_fixed_length(&file) || file.metadata()?.len() != PAGE_LEN as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file is not a page of shared memory",
            ));
        }
        let map = MmapOptions::new().len(PAGE_LEN).map_raw(&file)?;
        Ok(Self { map, file })
    }

    /// Returns the word at `index`, which is less than 16.
    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < WORD_COUNT, "a page has {WORD_COUNT} words");
        // SAFETY: The map is `PAGE_LEN` bytes long as long as `self` exists,
        // because `of` has checked the length of the file and that it is
        // sealed. The map begins at a memory page and `index` is less than
        // `WORD_COUNT`, so the word is inside the map and aligned. All accesses
        // to these bytes, in every process, use this function and are atomic.
        // Any 8 bytes are a valid `AtomicU64`.
        unsafe { &*self.map.as_mut_ptr().cast::<AtomicU64>().add(index) }
    }

    /// Returns the length of the notepad in bytes.
    pub(crate) const fn capacity() -> usize {
        PAGE_LEN - NOTEPAD_OFFSET
    }

    /// Writes to the notepad at offset `at`.
    ///
    /// # Panics
    ///
    /// Panics if the bytes do not fit.
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        let fits = at.checked_add(bytes.len()).is_some_and(|end| end <= Self::capacity());
        assert!(
            fits,
            "{} bytes at offset {at} do not fit into a notepad of {} bytes",
            bytes.len(),
            Self::capacity()
        );
        // SAFETY: The target is inside the map and after the words, by the
        // check above and the length that `of` has checked. `bytes` cannot
        // overlap it, because no process makes a reference to the notepad: it
        // is read through the file only. `&mut self` prevents concurrent writes
        // in this process, and only one process writes.
        unsafe {
            let target = self.map.as_mut_ptr().add(NOTEPAD_OFFSET + at);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
    }

    /// Writes to the notepad at offset `at` through its file, which is sound
    /// while another process writes to it.
    ///
    /// Bytes that do not fit are dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub(crate) fn write_aside(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        use std::os::unix::fs::FileExt as _;

        let room = Self::capacity().saturating_sub(at);
        self.file.write_all_at(&bytes[..bytes.len().min(room)], (NOTEPAD_OFFSET + at) as u64)
    }

    /// Reads the first `length` bytes of the notepad.
    ///
    /// If another process writes to them meanwhile, the result is a mixture of
    /// old and new bytes.
    pub(crate) fn read(&self, length: usize) -> io::Result<Vec<u8>> {
        use std::os::unix::fs::FileExt as _;

        let mut bytes = vec![0; length.min(Self::capacity())];
        self.file.read_exact_at(&mut bytes, NOTEPAD_OFFSET as u64)?;
        Ok(bytes)
    }
}

/// The descriptor that another process maps the page from.
impl AsFd for Page {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn page_writes_are_visible_to_other_maps() {
        let mut one = Page::new().unwrap();
        let other = Page::of(one.as_fd().try_clone_to_owned().unwrap().into()).unwrap();
        one.word(7).store(5, Ordering::Release);
        assert_eq!(other.word(7).load(Ordering::Acquire), 5);
        one.write(0, b"abc");
        one.write(Page::capacity() - 1, b"z");
        assert_eq!(other.read(3).unwrap(), b"abc");
        assert_eq!(other.read(usize::MAX).unwrap().last(), Some(&b'z'));
        assert_eq!(other.word(7).load(Ordering::Acquire), 5);
    }

    #[test]
    fn page_refuses_other_files_and_lengths() {
        assert!(Page::of(tempfile::tempfile().unwrap()).is_err());
        let page = Page::new().unwrap();
        assert!(page.file.set_len(1).is_err());
    }

    #[test]
    #[should_panic = "do not fit"]
    fn page_refuses_write_beyond_notepad() {
        Page::new().unwrap().write(Page::capacity(), b"a");
    }
}
