//! Reading a container. Every number in the file is checked before it is used.

use std::ops::Range;

use byteorder::{ByteOrder as _, LittleEndian};

use super::layout::{ALIGNMENT, Header, MAGIC, PRELUDE_LEN, SegmentEntry, VERSION};
use crate::{
    Error, Result,
    error::Cause,
    format::{
        encoding::{Checksum, Encoding, verify_xxh3},
        entry::{ArrayInfo, Index, Tree},
    },
};

/// Parses the bytes of a whole container.
pub(super) fn index(file: &[u8]) -> Result<Index> {
    let header = header(file)?;
    let header: Header = serde_json::from_slice(&file[header])
        .map_err(|error| Error::invalid_data(format!("invalid version 1 header: {error}")))?;

    let tree = range(file, header.tree.offset, header.tree.length)
        .map_err(|error| error.within("tree"))?;
    verify(file, tree.clone(), header.tree.xxh3.0, "tree")?;

    let mut arrays = Vec::with_capacity(header.segments.len());
    let mut end = PRELUDE_LEN;
    for (number, entry) in header.segments.into_iter().enumerate() {
        let info = segment(entry, end, tree.start)
            .map_err(|error| error.within(format_args!("segment {number}")))?;
        end = info.range().end;
        arrays.push(info);
    }
    let (version, metadata) = (Some(VERSION.to_string()), header.metadata.0);
    Ok(Index { version, metadata, ..Index::new(arrays, Tree::InFile(tree)) })
}

/// Checks the prelude at the start of `bytes`, and returns the length of the file.
pub(super) fn length(bytes: &[u8]) -> Result<u64> {
    let Some(prelude) = bytes.get(..PRELUDE_LEN) else {
        return Err(Error::invalid_data(format!(
            "expected {PRELUDE_LEN} bytes of prelude, found {} (truncated?)",
            bytes.len()
        )));
    };
    let version = LittleEndian::read_u32(&prelude[8..]);
    verify(bytes, 0..56, LittleEndian::read_u64(&prelude[56..]), "prelude")?;
    // In another version everything after the version number may differ.
    if version != VERSION {
        return Err(Error::invalid_data(format!(
            "expected a .ferry file of version {VERSION}, found version {version}; use a newer ndferry"
        ))
        .with_cause(Cause::Unsupported));
    }
    if &prelude[..8] != MAGIC || prelude[12..16] != [0; 4] || prelude[48..56] != [0; 8] {
        return Err(Error::invalid_data("expected zeros in the unused bytes of the prelude"));
    }
    Ok(LittleEndian::read_u64(&prelude[16..]))
}

/// Checks the prelude, and returns the range of the header.
fn header(file: &[u8]) -> Result<Range<usize>> {
    let length = length(file)?;
    if length != file.len() as u64 {
        return Err(Error::invalid_data(format!(
            "expected {length} bytes, found {} (truncated or appended to?)",
            file.len()
        )));
    }
    let field = |at: usize| LittleEndian::read_u64(&file[at..]);
    let header = range(file, field(24), field(32)).map_err(|error| error.within("header"))?;
    verify(file, header.clone(), field(40), "header")?;
    Ok(header)
}

fn verify(file: &[u8], range: Range<usize>, expected: u64, part: &str) -> Result<()> {
    verify_xxh3(file, range, expected).map_err(|error| error.within(part))
}

/// Returns the range of a part, if it is between the prelude and the end of the file.
fn range(file: &[u8], offset: u64, length: u64) -> Result<Range<usize>> {
    match offset.checked_add(length) {
        Some(end) if offset >= PRELUDE_LEN as u64 && end <= file.len() as u64 => {
            Ok(offset as usize..end as usize)
        }
        _ => Err(Error::invalid_data(format!(
            "expected {length} bytes from byte {offset}, outside the file of {} bytes",
            file.len()
        ))),
    }
}

/// Describes the array of a segment, which must be between `low` and `high`.
fn segment(entry: SegmentEntry, low: usize, high: usize) -> Result<ArrayInfo> {
    let SegmentEntry { name, dtype, shape, order, offset, nbytes, codec, stored, xxh3 } = entry;
    if offset % ALIGNMENT != 0 {
        return Err(Error::invalid_data(format!(
            "expected an offset that is a multiple of {ALIGNMENT}, found {offset}"
        )));
    }
    if offset < low as u64 {
        return Err(Error::invalid_data(format!(
            "expected an offset of at least {low}, the end of the previous segment, found {offset}"
        )));
    }
    let info = match (codec, stored) {
        (None, None) => ArrayInfo::plain(name, dtype, &shape, order, offset, high)?,
        (Some(codec), Some(stored)) => {
            let range = compressed_range(offset, stored, high)?;
            ArrayInfo::compressed(name, dtype, &shape, order, range, Encoding::Frame(codec))?
        }
        _ => {
            return Err(Error::invalid_data(
                "expected both or neither of `codec` and `stored`, found one",
            ));
        }
    };
    if info.nbytes() != nbytes {
        return Err(Error::invalid_data(format!(
            "expected {} bytes for its shape and dtype, found `nbytes` {nbytes}",
            info.nbytes()
        )));
    }
    Ok(info.with_checksum(xxh3.map(|checksum| Checksum::Xxh3(checksum.0))))
}

/// Returns the range of a compressed array, if it ends before `high`.
fn compressed_range(offset: u64, stored: u64, high: usize) -> Result<Range<usize>> {
    match offset.checked_add(stored) {
        Some(end) if end <= high as u64 => Ok(offset as usize..end as usize),
        _ => Err(Error::invalid_data(format!(
            "expected {stored} compressed bytes from byte {offset}, beyond byte {high}, where the \
             next part begins"
        ))),
    }
}
