//! The `.safetensors` format: named arrays after a JSON header, always little-endian and
//! in C order.
//!
//! Format: <https://github.com/huggingface/safetensors#format>. The file contains the
//! length of the header in eight bytes, the header, and the bytes of all arrays without
//! gaps.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    fmt,
    io::Write,
    ops::Range,
};

use byteorder::{ByteOrder as _, LittleEndian};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};

use super::{
    blocks::for_each_block,
    entry::{ArrayInfo, Index, Tree, UnsupportedEntry},
    interface::{Capabilities, FileFormat, Output, Writer, cannot_write},
    named::{Named, NamedEntry},
    options::DumpOptions,
};
use crate::{
    DType, Error, Result,
    array::Order,
    dtype::{ByteOrder, Quoted, Scalar},
    error::Cause,
};

/// The number of bytes of the header's length, before the header.
const PREFIX_LEN: usize = 8;
/// The longest header that the format allows.
const MAX_HEADER_LEN: u64 = 100_000_000;
/// The header is padded so that the arrays begin at a multiple of this.
const ALIGNMENT: usize = 64;
/// The key of the header for metadata.
const METADATA: &str = "__metadata__";

/// Element types of at most 8 bits that ndferry does not support.
const UNSUPPORTED_DTYPES: [&str; 8] =
    ["F4", "F6_E2M3", "F6_E3M2", "F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2", "F8_E5M2FNUZ", "F8_E8M0"];

/// The format `.safetensors`.
pub(super) struct Safetensors;

impl FileFormat for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    /// Looks for a length below 4 GiB, followed by the start of a JSON object.
    fn detect(&self, start: &[u8]) -> bool {
        start.len() > PREFIX_LEN && start[4..PREFIX_LEN] == [0; 4] && start[PREFIX_LEN] == b'{'
    }

    fn index(&self, file: &[u8]) -> Result<Index> {
        index(file)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            byte_orders: &[ByteOrder::Little],
            orders: &[Order::C],
            metadata: true,
            ..Capabilities::default()
        }
    }

    fn writer(&self) -> Option<Writer> {
        Some(Writer::Arrays(write))
    }
}

fn index(file: &[u8]) -> Result<Index> {
    let Some(prefix) = file.first_chunk::<PREFIX_LEN>() else {
        return Err(truncated_header(PREFIX_LEN as u64, file.len()));
    };
    let length = u64::from_le_bytes(*prefix);
    if length > MAX_HEADER_LEN {
        return Err(Error::invalid_data(format!(
            "expected at most {MAX_HEADER_LEN} bytes of header, found {length}"
        )));
    }
    let start = PREFIX_LEN + length as usize;
    let Some(header) = file.get(PREFIX_LEN..start) else {
        return Err(truncated_header(start as u64, file.len()));
    };
    let Header { metadata, mut tensors } = serde_json::from_slice(header)
        .map_err(|error| Error::invalid_data(format!("invalid safetensors header: {error}")))?;

    tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
    let (mut arrays, mut unsupported) = (Vec::with_capacity(tensors.len()), Vec::new());
    let mut end = 0;
    for (name, tensor) in tensors {
        let at_array = |error: Error| error.within(format_args!("array {}", Quoted(&name)));
        match dtype(&tensor.dtype).map_err(at_array)? {
            Ok(dtype) => {
                let info = tensor.info(&name, dtype, end, start, file.len()).map_err(at_array)?;
                end += info.nbytes();
                arrays.push(info);
            }
            Err(reason) => {
                let range = tensor.range(end, start, file.len()).map_err(at_array)?;
                end += range.len() as u64;
                unsupported.push(UnsupportedEntry::new(name, range, &reason));
            }
        }
    }
    let found = (file.len() - start) as u64;
    if end != found {
        return Err(Error::invalid_data(format!(
            "expected {end} bytes of array data, found {found}"
        )));
    }
    Ok(Index { unsupported, metadata, ..Index::new(arrays, Tree::NamedArrays) })
}

fn truncated_header(expected: u64, found: usize) -> Error {
    Error::invalid_data(format!(
        "expected {expected} bytes up to the end of the header, found {found} (truncated?)"
    ))
}

struct Header {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, Tensor)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tensor {
    dtype: String,
    shape: Vec<usize>,
    /// The first byte and the end of the array, counted from the end of the header.
    data_offsets: (u64, u64),
}

impl Tensor {
    /// Describes the array. The data begins at `start` of the file, and the previous array
    /// ends at byte `expected` of the data.
    fn info(
        self,
        name: &str,
        dtype: DType,
        expected: u64,
        start: usize,
        file_length: usize,
    ) -> Result<ArrayInfo> {
        self.check_start(expected)?;
        let (begin, end) = self.data_offsets;
        let info = ArrayInfo::plain(
            name.to_owned(),
            dtype,
            &self.shape,
            Order::C,
            start as u64 + begin,
            file_length,
        )?;
        match end.checked_sub(begin) {
            Some(nbytes) if nbytes == info.nbytes() => Ok(info),
            _ => Err(Error::invalid_data(format!(
                "expected {} bytes for its shape and dtype, found bytes {begin} to {end} of the data",
                info.nbytes()
            ))),
        }
    }

    /// Returns the range of the file that stores the array.
    fn range(&self, expected: u64, start: usize, file_length: usize) -> Result<Range<usize>> {
        self.check_start(expected)?;
        let (begin, end) = self.data_offsets;
        let held = (file_length - start) as u64;
        if begin > end || end > held {
            return Err(Error::invalid_data(format!(
                "expected a range within the {held} bytes of data, found bytes {begin} to {end}"
            )));
        }
        Ok(start + begin as usize..start + end as usize)
    }

    fn check_start(&self, expected: u64) -> Result<()> {
        let begin = self.data_offsets.0;
        if begin == expected {
            return Ok(());
        }
        let fault = if begin < expected { "an overlap" } else { "a gap" };
        Err(Error::invalid_data(format!(
            "expected to begin at byte {expected} of the data, found byte {begin} ({fault})"
        )))
    }
}

/// Parses the name of a dtype. The inner error is the reason why ndferry does not support
/// it; the outer one means that the header is invalid.
fn dtype(name: &str) -> Result<Result<DType>> {
    if let Some(scalar) = Scalar::from_safetensors_name(name) {
        return Ok(Ok(DType::new(scalar, ByteOrder::Little)));
    }
    let known: Vec<_> = Scalar::ALL.into_iter().filter_map(Scalar::safetensors_name).collect();
    let error = Error::invalid_data(format!(
        "unsupported dtype {}; supported are {}",
        Quoted(name),
        known.join(", ")
    ));
    if UNSUPPORTED_DTYPES.contains(&name) {
        Ok(Err(error.with_cause(Cause::Unsupported)))
    } else {
        Err(error)
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with an entry for each array")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Header, M::Error> {
                let (mut metadata, mut tensors) = (None, Vec::new());
                while let Some(name) = map.next_key::<String>()? {
                    if name != METADATA {
                        tensors.push((name, map.next_value()?));
                    } else if metadata.replace(map.next_value::<Strings>()?).is_some() {
                        return Err(duplicate(METADATA));
                    }
                }
                let mut names = HashSet::with_capacity(tensors.len());
                if let Some((name, _)) =
                    tensors.iter().find(|(name, _)| !names.insert(name.as_str()))
                {
                    return Err(duplicate(name));
                }
                Ok(Header {
                    metadata: metadata.map(|strings| strings.0).unwrap_or_default(),
                    tensors,
                })
            }
        }

        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// A map of strings without duplicate keys.
#[derive(Default, Serialize)]
pub(super) struct Strings(pub(super) BTreeMap<String, String>);

impl Strings {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringsVisitor;

        impl<'de> Visitor<'de> for StringsVisitor {
            type Value = Strings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Strings, M::Error> {
                let mut strings = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if strings.contains_key(&key) {
                        return Err(duplicate(&key));
                    }
                    strings.insert(key, value);
                }
                Ok(Strings(strings))
            }
        }

        deserializer.deserialize_map(StringsVisitor)
    }
}

fn duplicate<E: serde::de::Error>(key: &str) -> E {
    E::custom(format!("duplicate key {}", Quoted(key)))
}

/// Writes the arrays with the largest elements first, so that all arrays are aligned.
fn write(
    file: Output<'_, '_>,
    arrays: &Named<'_>,
    metadata: &BTreeMap<String, String>,
    _: &DumpOptions,
) -> Result<()> {
    let mut indices: Vec<_> = (0..arrays.entries.len()).collect();
    indices.sort_by_key(|&index| Reverse(arrays.entries[index].dtype.item_size()));
    let entries = indices.iter().map(|&index| &arrays.entries[index]);
    file.write_all(&header(entries, metadata)?).map_err(cannot_write)?;
    for index in indices {
        let dtype = arrays.entries[index].dtype.with_byte_order(ByteOrder::Little);
        for_each_block(&arrays.get(index)?, &dtype, Order::C, |block| file.write_all(block))
            .map_err(cannot_write)?;
    }
    Ok(())
}

/// A header to write.
struct NewHeader<'a> {
    metadata: &'a BTreeMap<String, String>,
    tensors: Vec<(&'a String, NewTensor<'a>)>,
}

#[derive(Serialize)]
struct NewTensor<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

impl Serialize for NewHeader<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.metadata.is_empty() {
            map.serialize_entry(METADATA, self.metadata)?;
        }
        for (name, tensor) in &self.tensors {
            map.serialize_entry(name, tensor)?;
        }
        map.end()
    }
}

/// Returns the header of a file with these arrays, after its length.
fn header<'a>(
    entries: impl Iterator<Item = &'a NamedEntry>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let mut tensors = Vec::new();
    let mut at = 0_usize;
    for NamedEntry { name, dtype, shape } in entries {
        if name == METADATA {
            return Err(Error::invalid_input(format!(
                "an array in a `.safetensors` file cannot be named `{METADATA}`"
            )));
        }
        let Some(known) = dtype.scalar().and_then(Scalar::safetensors_name) else {
            return Err(Error::invalid_input(format!(
                "array {}: the `.safetensors` format has no dtype {}",
                Quoted(name),
                Quoted(&dtype.to_string())
            )));
        };
        let nbytes = shape.iter().product::<usize>() * dtype.item_size();
        let Some(end) = nbytes.checked_add(at) else {
            return Err(Error::invalid_input(format!(
                "array {}: the arrays are too large for a file",
                Quoted(name)
            )));
        };
        tensors.push((name, NewTensor { dtype: known, shape, data_offsets: [at, end] }));
        at = end;
    }
    let mut bytes = vec![0; PREFIX_LEN];
    serde_json::to_writer(&mut bytes, &NewHeader { metadata, tensors })
        .map_err(|error| Error::invalid_data(format!("cannot write the header: {error}")))?;
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), b' ');
    let length = (bytes.len() - PREFIX_LEN) as u64;
    if length > MAX_HEADER_LEN {
        return Err(Error::invalid_input(format!(
            "the header has {length} bytes; the `.safetensors` format allows {MAX_HEADER_LEN}"
        )));
    }
    LittleEndian::write_u64(&mut bytes, length);
    Ok(bytes)
}
