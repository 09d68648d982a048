//! The constants of the records of a zip file.

/// The start of a member, and of a file with members.
pub(super) const LOCAL: &[u8; 4] = b"PK\x03\x04";
/// The start of the directory's end, and of a file without members.
pub(super) const END: &[u8; 4] = b"PK\x05\x06";
pub(super) const CENTRAL: &[u8; 4] = b"PK\x01\x02";
pub(super) const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";
pub(super) const END_64: &[u8; 4] = b"PK\x06\x06";
pub(super) const LOCATOR_64: &[u8; 4] = b"PK\x06\x07";

/// The lengths of the records without names and extra fields.
pub(super) const LOCAL_LENGTH: usize = 30;
pub(super) const CENTRAL_LENGTH: usize = 46;
pub(super) const END_LENGTH: usize = 22;
pub(super) const END_64_LENGTH: usize = 56;
pub(super) const LOCATOR_64_LENGTH: usize = 20;

/// Marks a number that is stored in an extra field because it does not fit.
pub(super) const IN_EXTRA_FIELD: u32 = u32::MAX;
/// The extra field for such numbers.
pub(super) const EXTRA_64: u16 = 1;

/// The flag for lengths and checksum that follow the data.
pub(super) const DESCRIBED_AFTER: u16 = 1 << 3;
/// The flag for a name in UTF-8.
pub(super) const UTF_8: u16 = 1 << 11;

pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;
