//! How an array's bytes are stored in a file, and how they are checked.

use std::{fmt, ops::Range};

use xxhash_rust::xxh3::xxh3_64;

use super::{compress::Codec, inflate};
use crate::{Error, Result, bytes::map::Buffer};

/// How the elements of an array are stored in its range of the file.
#[derive(Clone, Debug)]
pub(super) enum Encoding {
    /// As they are in memory.
    Plain,
    /// As one compressed frame.
    Frame(Codec),
    /// As a deflated `.npz` member of `size` bytes that begins with a header.
    Deflated { header_len: usize, size: u64 },
}

/// A checksum that the file records.
#[derive(Clone, Debug)]
pub(super) enum Checksum {
    /// The xxh3-64 of the array's bytes in the file.
    Xxh3(u64),
    /// The CRC-32 of a zip member, header included, after decompression.
    Crc32 { member: Range<usize>, crc: u32 },
}

impl Encoding {
    /// Returns the name of the compression, if the array is compressed.
    pub(super) fn codec(&self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Frame(codec) => Some(codec.name()),
            Self::Deflated { .. } => Some("deflate"),
        }
    }

    /// Reports whether [`decode`](Self::decode) compares the checksum.
    pub(super) fn is_verified_when_decoded(&self) -> bool {
        matches!(self, Self::Deflated { .. })
    }

    /// Decompresses `stored` into `nbytes` bytes. Returns `None` if the array is
    /// not compressed.
    pub(super) fn decode(
        &self,
        stored: &[u8],
        nbytes: usize,
        checksum: Option<&Checksum>,
    ) -> Result<Option<Buffer>> {
        match self {
            Self::Plain => Ok(None),
            Self::Frame(codec) => {
                let mut buffer = Buffer::zeroed(nbytes)?;
                codec.decode(stored, buffer.as_mut())?;
                Ok(Some(buffer))
            }
            Self::Deflated { header_len, .. } => {
                let (buffer, found) = inflate::inflate(stored, *header_len, nbytes)?;
                if let Some(Checksum::Crc32 { crc, .. }) = checksum {
                    compare_crc(found, *crc)?;
                }
                Ok(Some(buffer))
            }
        }
    }
}

impl Checksum {
    /// Compares the checksum of an entry that is stored in `range` of `file`.
    pub(super) fn verify(
        &self,
        file: &[u8],
        range: Range<usize>,
        encoding: &Encoding,
    ) -> Result<()> {
        match (self, encoding) {
            (Self::Xxh3(expected), _) => verify_xxh3(file, range, *expected),
            (Self::Crc32 { member, crc }, Encoding::Deflated { size, .. }) => {
                compare_crc(inflate::crc_of_inflated(&file[member.clone()], *size)?, *crc)
            }
            (Self::Crc32 { member, crc }, Encoding::Plain | Encoding::Frame(_)) => {
                compare_crc(crc32fast::hash(&file[member.clone()]), *crc)
            }
        }
    }
}

/// Compares the xxh3-64 of a range of the file.
pub(super) fn verify_xxh3(file: &[u8], range: Range<usize>, expected: u64) -> Result<()> {
    let (start, length) = (range.start, range.len());
    let found = xxh3_64(&file[range]);
    if found == expected {
        return Ok(());
    }
    Err(Error::invalid_data(format!(
        "damaged: expected checksum {}, found {} in {length} bytes from byte {start}",
        Digits(expected),
        Digits(found)
    )))
}

fn compare_crc(found: u32, expected: u32) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::invalid_data(format!("damaged: expected CRC-32 {expected:08x}, found {found:08x}")))
}

/// A 64-bit checksum as sixteen hexadecimal digits.
pub(super) struct Digits(pub(super) u64);

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
