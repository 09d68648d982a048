//! The container, version 1: prelude, segments, tree, header. `docs/format.md` is its description.

mod forward;
mod read;
mod write;

use super::compress::Codec;
pub(super) use forward::Rehearsal;
pub(super) use read::{check, length, read};
#[cfg(target_os = "linux")]
pub(super) use write::first_offset;
pub(crate) use write::{Container, Target};

/// The first bytes of a container. As in PNG: a byte beyond ASCII, a name, and what breaks when line ends are converted.
pub(super) const MAGIC: &[u8; 8] = b"\x89NDFR\x0D\x0A\x1A";
/// The version this crate writes and reads.
const VERSION: u32 = 1;
/// Bytes of the prelude.
pub(super) const PRELUDE: usize = 64;
/// Every segment begins at a multiple of this.
pub(super) const ALIGNMENT: u64 = 64;
/// From this size on, a segment begins at a multiple of a page.
const PAGE_FROM: usize = 64 << 10;
const PAGE: u64 = 4096;

/// The header, as JSON has it.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    created_by: String,
    path: String,
    tree: TreeEntry,
    segments: Vec<SegmentEntry>,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TreeEntry {
    offset: u64,
    length: u64,
    xxh3: Checksum,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct SegmentEntry {
    name: String,
    dtype: crate::DType,
    shape: Vec<usize>,
    order: crate::array::Order,
    offset: u64,
    nbytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    codec: Option<Codec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xxh3: Option<Checksum>,
}

/// An xxh3-64, in JSON as sixteen hexadecimal digits: its numbers are not safe beyond 2⁵³.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Checksum(u64);

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl serde::Serialize for Checksum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Checksum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let digits = text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        match u64::from_str_radix(&text, 16) {
            Ok(checksum) if digits => Ok(Self(checksum)),
            _ => Err(serde::de::Error::custom("a checksum is sixteen hexadecimal digits")),
        }
    }
}
