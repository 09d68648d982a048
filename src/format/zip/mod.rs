//! Zip files: reading the directory, and writing stored members.
//!
//! Format: PKWARE's APPNOTE.TXT, 6.3.10. Zip files contain many facts twice, and readers
//! differ in which of the two they believe. This reader therefore requires that both are
//! the same, and that every byte belongs to a member, to the directory or to its end.

mod read;
mod write;

pub(super) use read::{ZipMember, members};
pub(super) use write::Archive;

/// The start of a member, and of a file with members.
const LOCAL: &[u8; 4] = b"PK\x03\x04";
/// The start of the directory's end, and of a file without members.
const END: &[u8; 4] = b"PK\x05\x06";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";
const END_64: &[u8; 4] = b"PK\x06\x06";
const LOCATOR_64: &[u8; 4] = b"PK\x06\x07";

/// The lengths of the records without names and extra fields.
const LOCAL_LENGTH: usize = 30;
const CENTRAL_LENGTH: usize = 46;
const END_LENGTH: usize = 22;
const END_64_LENGTH: usize = 56;
const LOCATOR_64_LENGTH: usize = 20;

/// Marks a number that is stored in an extra field because it does not fit.
const IN_EXTRA_FIELD: u32 = u32::MAX;
/// The extra field for such numbers.
const EXTRA_64: u16 = 1;

/// The flag for lengths and checksum that follow the data.
const DESCRIBED_AFTER: u16 = 1 << 3;
/// The flag for a name in UTF-8.
const UTF_8: u16 = 1 << 11;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Reports whether a file that begins with `start` is a zip file.
pub(super) fn is_start(start: &[u8]) -> bool {
    start.starts_with(LOCAL) || start.starts_with(END)
}
