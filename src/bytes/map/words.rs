//! Atomic words in memory that processes share.

use std::{fs::File, io, ops::Deref, sync::atomic::AtomicI64};

use memmap2::{MmapOptions, MmapRaw};

use crate::sys::memfd;

/// Bytes of a word.
const WORD_SIZE: usize = size_of::<AtomicI64>();

/// A memory file of fixed length as atomic words, which every process that maps
/// it shares.
pub(crate) struct Words {
    /// `None` for an empty file, which cannot be mapped.
    map: Option<MmapRaw>,
}

impl Words {
    /// Maps all of `file`.
    ///
    /// # Errors
    ///
    /// Returns an error if the length of the file is not sealed or not a
    /// multiple of 8 bytes, or if the file cannot be written to or mapped.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let unfit = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why);
        if !memfd::is_of_fixed_length(file) {
            return Err(unfit("the file is not a writable memory file of fixed length"));
        }
        let length =
            usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        if length % WORD_SIZE != 0 {
            return Err(unfit("the length of the file is not a multiple of 8 bytes"));
        }
        let map = (length > 0).then(|| MmapOptions::new().len(length).map_raw(file));
        Ok(Self { map: map.transpose()? })
    }
}

impl Deref for Words {
    type Target = [AtomicI64];

    fn deref(&self) -> &[AtomicI64] {
        let Some(map) = &self.map else {
            return &[];
        };
        // SAFETY: The map is a whole number of words, aligned to a page, and
        // exists as long as the borrow of `self`. The file cannot become
        // shorter: `of` has checked that its length is sealed, and seals cannot
        // be removed. All processes access the words as atomics only: the file
        // has no name, its descriptor is passed on for this use only, and the
        // crate does not write to it otherwise. Any bits are a valid integer.
        unsafe {
            std::slice::from_raw_parts(map.as_mut_ptr().cast::<AtomicI64>(), map.len() / WORD_SIZE)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use memfd::Seals;

    fn file(length: u64, seals: Option<Seals>) -> File {
        let file = memfd::create("words").unwrap();
        file.set_len(length).unwrap();
        seals.into_iter().for_each(|seals| memfd::seal(&file, seals).unwrap());
        file
    }

    #[test]
    fn words_are_shared_between_maps() {
        let file = file(24, Some(Seals::Length));
        let (one, other) = (Words::of(&file).unwrap(), Words::of(&file).unwrap());
        assert_eq!((one.len(), one[2].load(Ordering::Relaxed)), (3, 0));
        one[2].fetch_sub(5, Ordering::Relaxed);
        assert_eq!(other[2].load(Ordering::Relaxed), -5);
        drop((one, file));
        assert_eq!(other[2].load(Ordering::Relaxed), -5);
    }

    #[test]
    fn words_refuse_unsuitable_files() {
        assert!(Words::of(&file(0, Some(Seals::Length))).unwrap().is_empty());
        for (length, seals) in [(24, None), (24, Some(Seals::Content)), (23, Some(Seals::Length))] {
            assert!(Words::of(&file(length, seals)).is_err(), "{length} bytes, {seals:?}");
        }
        assert!(Words::of(&tempfile::tempfile().unwrap()).is_err());
    }
}
