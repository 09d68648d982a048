//! Zip files: reading the directory, and writing stored members.
//!
//! Format: PKWARE's APPNOTE.TXT, 6.3.10. Zip files contain many facts twice, and readers
//! differ in which of the two they believe. This reader therefore requires that both are
//! the same, and that every byte belongs to a member, to the directory or to its end.

mod read;
mod records;
mod write;

pub(super) use read::{ZipMember, members};
pub(super) use write::Archive;

use self::records::{END, LOCAL};

/// Reports whether a file that begins with `start` is a zip file.
pub(super) fn is_start(start: &[u8]) -> bool {
    start.starts_with(LOCAL) || start.starts_with(END)
}
