//! Memory that several processes change at once, a word at a time.

use std::{fs::File, io, ops::Deref, sync::atomic::AtomicI64};

use memmap2::{MmapOptions, MmapRaw};

use crate::sys::memfd;

/// Bytes of a word.
const WORD: usize = size_of::<AtomicI64>();

/// A memory file of fixed length as atomic words, shared by every process that has mapped it.
pub(crate) struct Words {
    /// `None` for a file without words, which cannot be mapped and needs no map.
    map: Option<MmapRaw>,
}

impl Words {
    /// Maps all of `file`.
    ///
    /// # Errors
    ///
    /// Where its length is not sealed or no whole number of words, where it cannot be written to, or cannot be mapped.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let unfit = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why);
        if !memfd::is_of_fixed_length(file) {
            return Err(unfit("it is no memory file of a fixed length that can be written to"));
        }
        let length =
            usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        if length % WORD != 0 {
            return Err(unfit("its length is no multiple of 8 bytes"));
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
        // SAFETY: The map is a whole number of words long, aligned to a page, and lives as long as what is lent of it. Every
        // byte of it stays: the length of the file is sealed, which `of` has seen and no seal can be undone. It is made and
        // reached in no other way than as atomics, in this process and in every other: the file has no name, its descriptor
        // is passed on for this use alone, and the crate neither maps nor writes to it otherwise. Any bits are an integer.
        unsafe {
            std::slice::from_raw_parts(map.as_mut_ptr().cast::<AtomicI64>(), map.len() / WORD)
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
    fn two_maps_of_a_file_are_the_same_words() {
        let file = file(24, Some(Seals::Length));
        let (one, other) = (Words::of(&file).unwrap(), Words::of(&file).unwrap());
        assert_eq!((one.len(), one[2].load(Ordering::Relaxed)), (3, 0));
        one[2].fetch_sub(5, Ordering::Relaxed);
        assert_eq!(other[2].load(Ordering::Relaxed), -5);
        drop((one, file));
        assert_eq!(other[2].load(Ordering::Relaxed), -5);
    }

    #[test]
    fn what_could_shrink_or_not_be_written_to_is_refused() {
        assert!(Words::of(&file(0, Some(Seals::Length))).unwrap().is_empty());
        for (length, seals) in [(24, None), (24, Some(Seals::Content)), (23, Some(Seals::Length))] {
            assert!(Words::of(&file(length, seals)).is_err(), "{length} bytes, {seals:?}");
        }
        assert!(Words::of(&tempfile::tempfile().unwrap()).is_err());
    }
}
