//! The constants of the format, and the header.

use crate::format::{
    compress::Codec, encoding::Digits, options::MIN_ALIGNMENT, safetensors::Strings,
};

/// The first bytes of a container. Like PNG's, they contain a byte that is not ASCII, a
/// name, and line ends that a text conversion would change.
pub(super) const MAGIC: &[u8; 8] = b"\x89NDFR\x0D\x0A\x1A";
/// The version that this crate writes and reads.
pub(super) const VERSION: u32 = 1;
/// The length of the prelude.
pub(super) const PRELUDE_LEN: usize = 64;
/// Every segment begins at a multiple of this.
pub(super) const ALIGNMENT: u64 = MIN_ALIGNMENT;
/// Segments of at least this size begin at a multiple of a page.
pub(super) const MIN_PAGE_ALIGNED_LEN: usize = 64 << 10;
pub(super) const PAGE_LEN: u64 = 4096;

/// The header, which is stored as JSON.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) created_by: String,
    pub(super) path: String,
    pub(super) tree: TreeEntry,
    pub(super) segments: Vec<SegmentEntry>,
    #[serde(default, skip_serializing_if = "Strings::is_empty")]
    pub(super) metadata: Strings,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TreeEntry {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) xxh3: Checksum,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentEntry {
    pub(super) name: String,
    pub(super) dtype: crate::DType,
    pub(super) shape: Vec<usize>,
    pub(super) order: crate::array::Order,
    pub(super) offset: u64,
    pub(super) nbytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) codec: Option<Codec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stored: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) xxh3: Option<Checksum>,
}

/// An xxh3-64. JSON stores it as sixteen hexadecimal digits, because many readers round
/// numbers above 2⁵³.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Checksum(pub(super) u64);

impl serde::Serialize for Checksum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Digits(self.0))
    }
}

impl<'de> serde::Deserialize<'de> for Checksum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let digits = text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        match u64::from_str_radix(&text, 16) {
            Ok(checksum) if digits => Ok(Self(checksum)),
            _ => Err(serde::de::Error::custom("expected a checksum of sixteen hexadecimal digits")),
        }
    }
}
