//! The `.ferry` container, version 1: prelude, segments, tree, header.
//!
//! `docs/format.md` describes the format.

mod read;
mod two_pass;
mod write;

use std::path::Path;

pub(super) use two_pass::DryRun;
pub(crate) use write::{Container, Target};

use super::{
    compress::Codec,
    encoding::Digits,
    entry::Index,
    interface::{Blank, Capabilities, Encode, FileFormat, Filler, Frame, Output, Writer},
    options::{DumpOptions, MIN_ALIGNMENT},
};
use crate::{Result, codec};

/// The first bytes of a container. Like PNG's, they contain a byte that is not ASCII, a
/// name, and line ends that a text conversion would change.
const MAGIC: &[u8; 8] = b"\x89NDFR\x0D\x0A\x1A";
/// The version that this crate writes and reads.
const VERSION: u32 = 1;
/// The length of the prelude.
const PRELUDE_LEN: usize = 64;
/// Every segment begins at a multiple of this.
const ALIGNMENT: u64 = MIN_ALIGNMENT;
/// Segments of at least this size begin at a multiple of a page.
const MIN_PAGE_ALIGNED_LEN: usize = 64 << 10;
const PAGE_LEN: u64 = 4096;

/// The format `.ferry`.
pub(super) struct Ferry;

impl FileFormat for Ferry {
    fn name(&self) -> &'static str {
        "ferry"
    }

    fn detect(&self, start: &[u8]) -> bool {
        start.starts_with(MAGIC)
    }

    fn length(&self, start: &[u8]) -> Result<Option<u64>> {
        read::length(start).map(Some)
    }

    fn index(&self, file: &[u8]) -> Result<Index> {
        read::index(file)
    }

    fn escapes_names(&self) -> bool {
        true
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            compression: true,
            alignment: true,
            min_segment_bytes: true,
            ..Capabilities::default()
        }
    }

    fn writer(&self) -> Option<Writer> {
        Some(Writer::Value(write_value))
    }

    fn filler(&self) -> Option<Filler> {
        Some(filler)
    }
}

fn write_value(
    file: Output<'_, '_>,
    path: &Path,
    options: &DumpOptions,
    encode: Encode<'_>,
) -> Result<()> {
    let mut container = Container::new(file, Target::User(path), options.clone())?;
    let tree = encode(&mut container)?;
    container.finish(&tree).map(drop)
}

/// Prepares a container of one array. Everything around the array is written when the
/// array is filled.
fn filler(blank: &Blank<'_>, path: &Path, options: &DumpOptions) -> Result<Frame> {
    let Blank { dtype, shape, order, nbytes } = *blank;
    let offset = write::first_offset(nbytes, options);
    let (dtype, shape, path) = (dtype.clone(), shape.to_vec(), path.to_path_buf());
    let options = options.clone();
    let finish = move |file: &std::fs::File, bytes: &[u8]| {
        let mut container = Container::new(file, Target::User(&path), options)?;
        container.begin_blank(dtype, nbytes)?;
        container.end_blank(bytes, &shape, order)?;
        container.finish(&codec::tree_of(&shape)?).map(drop)
    };
    Ok(Frame { offset, header: Vec::new(), finish: Some(Box::new(finish)) })
}

/// The header, which is stored as JSON.
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

/// An xxh3-64. JSON stores it as sixteen hexadecimal digits, because many readers round
/// numbers above 2⁵³.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Checksum(u64);

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
