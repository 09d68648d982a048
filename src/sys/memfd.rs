//! Memory files (`memfd_create`): files without a name or a file system, that go with their last descriptor or map.
//!
//! A seal is a promise that the kernel keeps, whoever holds the file: none can be taken off, and a receiver can ask for them.

use std::{fs::File, os::fd::AsFd};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create},
    io::{Errno, Result},
};

/// What nobody can do any more to a file of sealed length.
const LENGTH: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// What is sealed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seals {
    /// The length: every byte stays there, whatever is written to it.
    Length,
    /// The length and every byte.
    Content,
}

impl Seals {
    fn flags(self) -> SealFlags {
        match self {
            Self::Length => LENGTH,
            Self::Content => LENGTH.union(SealFlags::WRITE),
        }
    }
}

/// A new file, empty, for reading and writing; `name` shows in `/proc`.
pub(crate) fn create(name: &str) -> Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux has it since 6.3; before, what it does not know is an invalid argument.
        Err(Errno::INVAL) => memfd_create(name, flags),
        made => made,
    }
    .map(File::from)
}

/// Seals `file`, and that no further seals can come.
///
/// # Errors
///
/// `BUSY` where the content is to be sealed and some process has the file mapped for writing.
pub(crate) fn seal(file: impl AsFd, seals: Seals) -> Result<()> {
    fcntl_add_seals(file, seals.flags() | SealFlags::SEAL)
}

/// Whether nobody can ever change what `file` holds.
pub(crate) fn is_sealed(file: impl AsFd) -> bool {
    found(file).is_some_and(|found| found.contains(Seals::Content.flags()))
}

/// Whether the length of `file` is sealed and its content is not.
pub(crate) fn is_of_fixed_length(file: impl AsFd) -> bool {
    let writing = SealFlags::WRITE | SealFlags::FUTURE_WRITE;
    found(file)
        .is_some_and(|found| found.contains(Seals::Length.flags()) && !found.intersects(writing))
}

/// The seals of a file; `None` where it can have none.
fn found(file: impl AsFd) -> Option<SealFlags> {
    fcntl_get_seals(file).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_is_sealed_cannot_be_changed_and_says_so() {
        let file = create("sealed").unwrap();
        file.write_all_at(b"content", 0).unwrap();
        assert!(!is_sealed(&file) && !is_of_fixed_length(&file));
        seal(&file, Seals::Content).unwrap();
        assert!(is_sealed(&file) && !is_of_fixed_length(&file));
        assert!(
            file.write_at(b"C", 0).is_err()
                && file.set_len(3).is_err()
                && file.set_len(99).is_err()
        );
        let mut bytes = [0; 7];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"content");
    }

    #[test]
    fn a_file_of_fixed_length_can_still_be_written_to() {
        let file = create("fixed").unwrap();
        file.set_len(8).unwrap();
        seal(&file, Seals::Length).unwrap();
        assert!(is_of_fixed_length(&file) && !is_sealed(&file));
        assert!(file.set_len(3).is_err() && file.set_len(99).is_err());
        file.write_all_at(b"C", 0).unwrap();
        assert_eq!(seal(&file, Seals::Content).unwrap_err(), Errno::PERM, "no further seals");
    }

    #[test]
    fn an_ordinary_file_is_not_sealed() {
        let file = tempfile::tempfile().unwrap();
        assert!(!is_sealed(&file) && !is_of_fixed_length(&file));
    }
}
