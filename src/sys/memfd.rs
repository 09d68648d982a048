//! Memory files (`memfd_create`).
//!
//! A memory file has no name in a file system. The kernel removes it when its
//! last descriptor and map are closed. Seals prevent changes of the file by all
//! processes. They cannot be removed, and a process that receives the file can
//! check them.

use std::{fs::File, os::fd::AsFd};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create},
    io::{Errno, Result},
};

/// The seals that prevent changes of the length.
const LENGTH_SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// What is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seals {
    /// The length. The content can still be written to.
    Length,
    /// The length and the content.
    Content,
}

impl Seals {
    fn flags(self) -> SealFlags {
        match self {
            Self::Length => LENGTH_SEALS,
            Self::Content => LENGTH_SEALS.union(SealFlags::WRITE),
        }
    }
}

/// Creates an empty file for reading and writing. `/proc` shows `name`.
pub(crate) fn create(name: &str) -> Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3, `NOEXEC_SEAL` is an invalid argument.
        Err(Errno::INVAL) => memfd_create(name, flags),
        made => made,
    }
    .map(File::from)
}

/// Seals `file`, and prevents further seals.
///
/// # Errors
///
/// Returns `BUSY` if `seals` include the content and a process has mapped the
/// file for writing.
pub(crate) fn seal(file: impl AsFd, seals: Seals) -> Result<()> {
    fcntl_add_seals(file, seals.flags() | SealFlags::SEAL)
}

/// Returns whether seals prevent all changes of `file`.
pub(crate) fn is_sealed(file: impl AsFd) -> bool {
    found(file).is_some_and(|found| found.contains(Seals::Content.flags()))
}

/// Returns whether the length of `file` is sealed, but not its content.
pub(crate) fn is_of_fixed_length(file: impl AsFd) -> bool {
    let writing = SealFlags::WRITE | SealFlags::FUTURE_WRITE;
    found(file)
        .is_some_and(|found| found.contains(Seals::Length.flags()) && !found.intersects(writing))
}

/// Returns the seals of a file, or `None` if it does not support them.
fn found(file: impl AsFd) -> Option<SealFlags> {
    fcntl_get_seals(file).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn memfd_sealed_content_cannot_be_changed() {
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
    fn memfd_of_fixed_length_can_be_written() {
        let file = create("fixed").unwrap();
        file.set_len(8).unwrap();
        seal(&file, Seals::Length).unwrap();
        assert!(is_of_fixed_length(&file) && !is_sealed(&file));
        assert!(file.set_len(3).is_err() && file.set_len(99).is_err());
        file.write_all_at(b"C", 0).unwrap();
        assert_eq!(seal(&file, Seals::Content).unwrap_err(), Errno::PERM, "no further seals");
    }

    #[test]
    fn memfd_ordinary_file_is_not_sealed() {
        let file = tempfile::tempfile().unwrap();
        assert!(!is_sealed(&file) && !is_of_fixed_length(&file));
    }
}
