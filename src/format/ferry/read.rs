//! Reading a container: nothing it says is believed before it is checked.

use std::{ops::Range, sync::Arc};

use byteorder::{ByteOrder as _, LittleEndian};
use xxhash_rust::xxh3::xxh3_64;

use super::{ALIGNMENT, Checksum, Header, MAGIC, PRELUDE, SegmentEntry, VERSION};
use crate::{
    Error, Result,
    bytes::map::FileMap,
    format::file::{ArrayFile, ArrayInfo, Format, Tree},
};

pub(in crate::format) fn read(map: Arc<FileMap>, private: bool) -> Result<ArrayFile> {
    let bytes: &[u8] = map.as_ref().as_ref();
    let header = header(bytes)?;
    let header: Header = serde_json::from_slice(&bytes[header]).map_err(|error| {
        Error::invalid_data(format!("the header is not what a version 1 header is: {error}"))
    })?;

    let tree = within(bytes, header.tree.offset, header.tree.length, "tree")?;
    check(bytes, tree.clone(), header.tree.xxh3.0, "the tree")?;

    let mut arrays = Vec::with_capacity(header.segments.len());
    let mut end = PRELUDE;
    for (number, entry) in header.segments.into_iter().enumerate() {
        let info = segment(entry, end, tree.start)
            .map_err(|error| error.within(format_args!("segment {number}")))?;
        end = info.range().end;
        arrays.push(info);
    }
    Ok(ArrayFile::new(
        map,
        Format::Ferry,
        Some(VERSION.to_string()),
        arrays,
        Tree::InFile(tree),
        private,
    ))
}

/// Bytes of a file that begins with `bytes`, by a prelude that was checked.
pub(in crate::format) fn length(bytes: &[u8]) -> Result<u64> {
    let Some(prelude) = bytes.get(..PRELUDE) else {
        return Err(Error::invalid_data(format!(
            "the file has {} bytes, a prelude has {PRELUDE}: truncated",
            bytes.len()
        )));
    };
    // Version first: in another version everything after it may be different.
    let version = LittleEndian::read_u32(&prelude[8..]);
    check(bytes, 0..56, LittleEndian::read_u64(&prelude[56..]), "the prelude")?;
    if version != VERSION {
        return Err(Error::invalid_data(format!(
            "the file is of version {version}, this ndferry reads version {VERSION}"
        )));
    }
    if &prelude[..8] != MAGIC || prelude[12..16] != [0; 4] || prelude[48..56] != [0; 8] {
        return Err(Error::invalid_data("the prelude has bytes set that are zero in version 1"));
    }
    Ok(LittleEndian::read_u64(&prelude[16..]))
}

/// Where the header lies, by a prelude that was checked.
fn header(bytes: &[u8]) -> Result<Range<usize>> {
    let length = length(bytes)?;
    if length != bytes.len() as u64 {
        let held = bytes.len();
        let message = format!(
            "the file has {held} bytes, its prelude says {length}: truncated or appended to"
        );
        return Err(Error::invalid_data(message));
    }
    let field = |at: usize| LittleEndian::read_u64(&bytes[at..]);
    let header = within(bytes, field(24), field(32), "header")?;
    check(bytes, header.clone(), field(40), "the header")?;
    Ok(header)
}

/// The range of a part, if it lies in the file behind the prelude.
fn within(bytes: &[u8], offset: u64, length: u64, part: &str) -> Result<Range<usize>> {
    match offset.checked_add(length) {
        Some(end) if offset >= PRELUDE as u64 && end <= bytes.len() as u64 => {
            Ok(offset as usize..end as usize)
        }
        _ => Err(Error::invalid_data(format!(
            "the {part} is said to be {length} bytes from byte {offset} on, the file has {}",
            bytes.len()
        ))),
    }
}

/// Compares the checksum of a range of the file; `part` is what to call its bytes.
pub(in crate::format) fn check(
    file: &[u8],
    range: Range<usize>,
    expected: u64,
    part: &str,
) -> Result<()> {
    let (start, length) = (range.start, range.len());
    let found = xxh3_64(&file[range]);
    if found == expected {
        return Ok(());
    }
    Err(Error::invalid_data(format!(
        "{part} is damaged: the checksum of its {length} bytes from byte {start} on is {}, {} was recorded",
        Checksum(found),
        Checksum(expected)
    )))
}

/// A segment between `low` and `high`.
fn segment(entry: SegmentEntry, low: usize, high: usize) -> Result<ArrayInfo> {
    let SegmentEntry { name, dtype, shape, order, offset, nbytes, codec, stored, xxh3 } = entry;
    if offset % ALIGNMENT != 0 {
        return Err(Error::invalid_data(format!(
            "begins at byte {offset}, which is no multiple of {ALIGNMENT}"
        )));
    }
    if offset < low as u64 {
        return Err(Error::invalid_data(format!(
            "begins at byte {offset}, before what precedes it ends, byte {low}"
        )));
    }
    let mut info = match (codec, stored) {
        (None, None) => ArrayInfo::checked(name, dtype, &shape, order, offset, high)?,
        (Some(codec), Some(stored)) => ArrayInfo::compressed(
            name,
            dtype,
            &shape,
            order,
            within_segments(offset, stored, high)?,
            codec,
        )?,
        _ => return Err(Error::invalid_data("has one of `codec` and `stored`, which go together")),
    };
    if info.nbytes() != nbytes {
        let message =
            format!("is said to have {nbytes} bytes, its shape and dtype make {}", info.nbytes());
        return Err(Error::invalid_data(message));
    }
    info.checksum = xxh3.map(|checksum| checksum.0);
    Ok(info)
}

/// Where the bytes of a compressed array lie, if that is before `high`.
fn within_segments(offset: u64, stored: u64, high: usize) -> Result<Range<usize>> {
    match offset.checked_add(stored) {
        Some(end) if end <= high as u64 => Ok(offset as usize..end as usize),
        _ => Err(Error::invalid_data(format!(
            "is said to be {stored} bytes from byte {offset} on, beyond what follows it, at byte {high}"
        ))),
    }
}
