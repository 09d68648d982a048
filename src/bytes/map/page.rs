//! A few words and bytes that two processes see at once.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::AtomicU64,
};

use memmap2::{MmapOptions, MmapRaw};

use crate::sys::memfd::{self, Seals};

/// Bytes of a page.
const LENGTH: usize = 64 << 10;
/// The first of them are words, the rest is a notepad.
const WORDS: usize = 16;
const NOTEPAD: usize = WORDS * size_of::<AtomicU64>();

/// Memory that processes share: words that all of them read and write, and a notepad that one of them writes.
///
/// It is a file without a name, whose length nobody can change; nothing is left of it when the last process lets go.
pub(crate) struct Page {
    map: MmapRaw,
    file: File,
}

impl Page {
    /// A new page, all zero.
    ///
    /// # Errors
    ///
    /// Where the system gives no such memory.
    pub(crate) fn new() -> io::Result<Self> {
        let file = memfd::create("ndferry-page")?;
        file.set_len(LENGTH as u64)?;
        memfd::seal(&file, Seals::Length)?;
        Self::of(file)
    }

    /// The page that another process has made.
    ///
    /// # Errors
    ///
    /// Where `file` is no page.
    pub(crate) fn of(file: File) -> io::Result<Self> {
        if !memfd::is_of_fixed_length(&file) || file.metadata()?.len() != LENGTH as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is no page of shared memory",
            ));
        }
        let map = MmapOptions::new().len(LENGTH).map_raw(&file)?;
        Ok(Self { map, file })
    }

    /// The word at `index`, of 16.
    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < WORDS, "a page has {WORDS} words");
        // SAFETY: the map is `LENGTH` bytes long for as long as `self` lives (its file is sealed against any other length, and
        // `of` has checked both), begins at a multiple of a memory page, and `index` is below `WORDS`: the word lies inside and is
        // aligned. Every access to these bytes, in every process, is through this function, so it is atomic; any 8 bytes are a
        // valid `AtomicU64`.
        unsafe { &*self.map.as_mut_ptr().cast::<AtomicU64>().add(index) }
    }

    /// How much the notepad takes.
    pub(crate) const fn capacity() -> usize {
        LENGTH - NOTEPAD
    }

    /// Writes on the notepad, from `at` on.
    ///
    /// # Panics
    ///
    /// Where it does not fit.
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        let fits = at.checked_add(bytes.len()).is_some_and(|end| end <= Self::capacity());
        assert!(
            fits,
            "{} bytes from {at} on do not fit on a notepad of {}",
            bytes.len(),
            Self::capacity()
        );
        // SAFETY: the target lies inside the map, behind the words, by the check above and the length that `of` has checked. `bytes`
        // cannot overlap it: nobody is ever given a reference to the notepad, in any process; it is read by the file alone. The
        // exclusive reference keeps this process from writing there twice at a time, and only one process writes.
        unsafe {
            let target = self.map.as_mut_ptr().add(NOTEPAD + at);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
    }

    /// Writes on the notepad, from `at` on, by its file: for whoever cannot know who else writes there.
    ///
    /// # Errors
    ///
    /// Where the system refuses.
    pub(crate) fn write_aside(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        use std::os::unix::fs::FileExt as _;

        let most = Self::capacity().saturating_sub(at);
        self.file.write_all_at(&bytes[..bytes.len().min(most)], (NOTEPAD + at) as u64)
    }

    /// The first `length` bytes of the notepad, as another process has written them; if it writes there meanwhile, something of either.
    pub(crate) fn read(&self, length: usize) -> io::Result<Vec<u8>> {
        use std::os::unix::fs::FileExt as _;

        let mut bytes = vec![0; length.min(Self::capacity())];
        self.file.read_exact_at(&mut bytes, NOTEPAD as u64)?;
        Ok(bytes)
    }
}

/// What another process gets the page by.
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
    fn what_one_writes_the_other_reads() {
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
    fn what_is_no_page_is_refused_and_a_page_keeps_its_length() {
        assert!(Page::of(tempfile::tempfile().unwrap()).is_err());
        let page = Page::new().unwrap();
        assert!(page.file.set_len(1).is_err());
    }

    #[test]
    #[should_panic = "do not fit"]
    fn more_than_the_notepad_takes_is_not_written() {
        Page::new().unwrap().write(Page::capacity(), b"a");
    }
}
