//! The directory of a zip file: which members it has, where they lie, and that this is all there is.
//!
//! Format: PKWARE's APPNOTE.TXT, 6.3.10. A reader that maps members has to know where their bytes lie, and readers of zip files
//! disagree where a file says two things: here it must say one. Every byte belongs to a member, the directory or its end, and
//! what is said of a member twice is said alike.

mod read;
mod write;

pub(super) use read::{Member, members};
pub(super) use write::Archive;

/// How a member begins, and so a file that has one.
pub(super) const LOCAL: &[u8; 4] = b"PK\x03\x04";
/// How the end of the directory begins, and so a file that has no member.
pub(super) const END: &[u8; 4] = b"PK\x05\x06";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";
const END_64: &[u8; 4] = b"PK\x06\x06";
const LOCATOR_64: &[u8; 4] = b"PK\x06\x07";

/// Bytes of each record, names and extra fields left out.
const LOCAL_LENGTH: usize = 30;
const CENTRAL_LENGTH: usize = 46;
const END_LENGTH: usize = 22;
const END_64_LENGTH: usize = 56;
const LOCATOR_64_LENGTH: usize = 20;

/// A number that stands in an extra field, because it does not fit.
const ELSEWHERE: u32 = u32::MAX;
/// The extra field for such numbers.
const EXTRA_64: u16 = 1;

/// Flags: lengths and checksum stand behind the data; the name is UTF-8.
const DESCRIBED_AFTER: u16 = 1 << 3;
const UTF_8: u16 = 1 << 11;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
