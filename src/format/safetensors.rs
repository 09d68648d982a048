//! `.safetensors`: named arrays behind a JSON header, little-endian and in C order always.
//!
//! Format: <https://github.com/huggingface/safetensors#format>. Eight bytes of length, the header, then the arrays' bytes side
//! by side: every byte belongs to exactly one array.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    io::Write,
    ops::Range,
    path::Path,
    sync::Arc,
};

use byteorder::{ByteOrder as _, LittleEndian};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value, json};

use super::{
    DumpOptions,
    atomic::{self, cannot_write},
    dump::for_each_block,
    file::{ArrayFile, ArrayInfo, Format, Tree, UnsupportedEntry},
    named::{Entry, Named},
};
use crate::{
    AnyArray, DType, Error, Result,
    array::Order,
    bytes::map::FileMap,
    dtype::{ByteOrder, Quoted, Scalar},
};

/// Bytes of the length before the header.
const PREFIX: usize = 8;
/// Bytes that a header has at the most, by the format's own rule.
const LONGEST: u64 = 100_000_000;
/// The header is padded so that the arrays begin at a multiple of this.
const ALIGNMENT: usize = 64;
/// The key of the header that is no array.
const METADATA: &str = "__metadata__";

/// Those of 8 bits and less that no element type here is like.
const NARROW: [&str; 8] =
    ["F4", "F6_E2M3", "F6_E3M2", "F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2", "F8_E5M2FNUZ", "F8_E8M0"];

/// Whether a file that begins so is of this format: a header's length that is less than 4 GiB, and the header's first byte.
pub(super) fn is_begun(start: &[u8]) -> bool {
    start.len() > PREFIX && start[4..PREFIX] == [0; 4] && start[PREFIX] == b'{'
}

pub(super) fn read(map: Arc<FileMap>) -> Result<ArrayFile> {
    let bytes: &[u8] = map.as_ref().as_ref();
    let length = LittleEndian::read_u64(bytes);
    if length > LONGEST {
        return Err(Error::invalid_data(format!(
            "the header is said to have {length} bytes; {LONGEST} are allowed"
        )));
    }
    let start = PREFIX + length as usize;
    let Some(header) = bytes.get(PREFIX..start) else {
        let message =
            format!("the header ends at byte {start}, the file has {}: truncated", bytes.len());
        return Err(Error::invalid_data(message));
    };
    let Header { metadata, mut tensors } = serde_json::from_slice(header).map_err(|error| {
        Error::invalid_data(format!("the header is not what a safetensors header is: {error}"))
    })?;

    tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
    let (mut arrays, mut unreadable) = (Vec::with_capacity(tensors.len()), Vec::new());
    let mut end = 0;
    for (name, tensor) in tensors {
        let wrong = |error: Error| error.within(format_args!("array {}", Quoted(&name)));
        match dtype(&tensor.dtype).map_err(wrong)? {
            Ok(dtype) => {
                let info = tensor.placed(&name, dtype, end, start, bytes.len()).map_err(wrong)?;
                end += info.nbytes();
                arrays.push(info);
            }
            Err(reason) => {
                let range = tensor.range(end, start, bytes.len()).map_err(wrong)?;
                end += range.len() as u64;
                unreadable.push(UnsupportedEntry::new(name, range, None, &reason));
            }
        }
    }
    let held = (bytes.len() - start) as u64;
    if end != held {
        return Err(Error::invalid_data(format!(
            "the arrays end at byte {end} of the data, which has {held} bytes"
        )));
    }
    let file = ArrayFile::new(map, Format::Safetensors, None, arrays, Tree::OfNamed, false);
    Ok(file.with_unreadable(unreadable).with_metadata(metadata))
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
    /// First byte and the one past the last, of those behind the header.
    data_offsets: (u64, u64),
}

impl Tensor {
    /// The array of `dtype`, where it begins at `expected` of the data, which begins at `start` of the file.
    fn placed(
        self,
        name: &str,
        dtype: DType,
        expected: u64,
        start: usize,
        file_length: usize,
    ) -> Result<ArrayInfo> {
        self.begins_at(expected)?;
        let (begin, end) = self.data_offsets;
        // `begin` is where an array within the file ended.
        let info = ArrayInfo::checked(
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
                "lies from byte {begin} to {end} of the data, its shape and dtype make {} bytes",
                info.nbytes()
            ))),
        }
    }

    /// Where in the file the bytes lie, of whatever type.
    fn range(&self, expected: u64, start: usize, file_length: usize) -> Result<Range<usize>> {
        self.begins_at(expected)?;
        let (begin, end) = self.data_offsets;
        let held = (file_length - start) as u64;
        if begin > end || end > held {
            let message =
                format!("lies from byte {begin} to {end} of the data, which has {held} bytes");
            return Err(Error::invalid_data(message));
        }
        Ok(start + begin as usize..start + end as usize)
    }

    fn begins_at(&self, expected: u64) -> Result<()> {
        let begin = self.data_offsets.0;
        if begin == expected {
            return Ok(());
        }
        let fault =
            if begin < expected { "overlaps what precedes it" } else { "leaves a hole before it" };
        Err(Error::invalid_data(format!(
            "begins at byte {begin} of the data and {fault}, which ends at byte {expected}"
        )))
    }
}

/// The type of that name, or why it can only be passed over.
fn dtype(name: &str) -> Result<Result<DType>> {
    if let Some(scalar) = Scalar::from_safetensors_name(name) {
        return Ok(Ok(DType::new(scalar, ByteOrder::Little)));
    }
    let known: Vec<_> = Scalar::ALL.into_iter().filter_map(Scalar::safetensors_name).collect();
    let message =
        format!("is of dtype {}; those that can be read are {}", Quoted(name), known.join(" "));
    let error = Error::invalid_data(message);
    if NARROW.contains(&name) { Ok(Err(error)) } else { Err(error) }
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
                    } else if metadata.replace(map.next_value::<Texts>()?).is_some() {
                        return Err(twice(METADATA));
                    }
                }
                let mut names = HashSet::with_capacity(tensors.len());
                if let Some((name, _)) =
                    tensors.iter().find(|(name, _)| !names.insert(name.as_str()))
                {
                    return Err(twice(name));
                }
                Ok(Header { metadata: metadata.map(|texts| texts.0).unwrap_or_default(), tensors })
            }
        }

        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// A map of texts to texts that has no key twice.
struct Texts(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;

        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Texts, M::Error> {
                let mut texts = BTreeMap::new();
                while let Some((key, text)) = map.next_entry::<String, String>()? {
                    if texts.contains_key(&key) {
                        return Err(twice(&key));
                    }
                    texts.insert(key, text);
                }
                Ok(Texts(texts))
            }
        }

        deserializer.deserialize_map(TextsVisitor)
    }
}

fn twice<E: serde::de::Error>(key: &str) -> E {
    E::custom(format!("key {} stands twice", Quoted(key)))
}

impl DumpOptions {
    /// Writes named arrays to a `.safetensors` file, with `metadata` of any kind in words. Those with the larger elements come
    /// first, so that all are aligned to their elements; the first begins at a multiple of 64.
    ///
    /// The format is little-endian and in C order: the arrays are brought into both. An array without a name is called `arr_` and
    /// its number.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("model.safetensors");
    /// use ndarray::{Ix1, array};
    /// use ndferry::{file::DumpOptions, SharedArray};
    ///
    /// let weight = SharedArray::from(array![[1f32, 2.], [3., 4.]]).to_any();
    /// let bias = SharedArray::from(array![0.5f32]).to_any();
    /// let metadata = [("trained on".to_owned(), "the survey".to_owned())].into();
    /// DumpOptions::new().write_safetensors(&path, [("weight", weight), ("bias", bias)], &metadata)?;
    ///
    /// let file = ndferry::open(&path)?;
    /// assert_eq!(file.read_array::<f32, Ix1>("bias")?.to_vec(), [0.5]);
    /// assert_eq!(file.metadata()["trained on"], "the survey");
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where a name stands twice or is `__metadata__`, the format has no type for some array's elements (`Complex<f64>`), big-endian or F
    /// order is asked for, or the file cannot be written. What was at `path` then stays as it was.
    pub fn write_safetensors<N: Into<String>, A: Into<AnyArray>>(
        &self,
        path: impl AsRef<Path>,
        arrays: impl IntoIterator<Item = (N, A)>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<()> {
        let path = path.as_ref();
        let arrays = Named::of(arrays).map_err(|error| error.at(path))?;
        self.safetensors(path, &arrays, metadata)
    }

    pub(super) fn safetensors(
        &self,
        path: &Path,
        arrays: &Named<'_>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<()> {
        self.check_plain(Format::Safetensors).map_err(|error| error.at(path))?;
        atomic::write(path, |file| {
            if self.byte_order == Some(ByteOrder::Big) || self.order == Some(Order::F) {
                return Err(Error::invalid_input(
                    ".safetensors is little-endian and in C order, nothing else can be asked for",
                ));
            }
            let mut turns: Vec<_> = (0..arrays.entries.len()).collect();
            turns.sort_by_key(|&index| std::cmp::Reverse(arrays.entries[index].dtype.item_size()));
            let header = header(turns.iter().map(|&index| &arrays.entries[index]), metadata)?;
            file.write_all(&header).map_err(cannot_write)?;
            for index in turns {
                let dtype = arrays.entries[index].dtype.with_byte_order(ByteOrder::Little);
                for_each_block(&arrays.get(index)?, &dtype, Order::C, |block| {
                    file.write_all(block)
                })
                .map_err(cannot_write)?;
            }
            Ok(())
        })
    }
}

/// Length and header of a file whose arrays follow in the order given.
fn header<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert(METADATA.into(), json!(metadata));
    }
    let mut at = 0_usize;
    for Entry { name, dtype, shape } in entries {
        if name == METADATA {
            return Err(Error::invalid_input(format!(
                "no array can be called `{METADATA}` in a .safetensors file"
            )));
        }
        let Some(known) = dtype.scalar().and_then(Scalar::safetensors_name) else {
            return Err(Error::invalid_input(format!(
                "array {}: .safetensors has no type for {}",
                Quoted(name),
                Quoted(&dtype.to_string())
            )));
        };
        let nbytes = shape.iter().product::<usize>() * dtype.item_size();
        let Some(end) = nbytes.checked_add(at) else {
            return Err(Error::invalid_input(format!(
                "array {}: the arrays are larger than any file",
                Quoted(name)
            )));
        };
        header.insert(
            name.clone(),
            json!({"dtype": known, "shape": shape, "data_offsets": [at, end]}),
        );
        at = end;
    }
    let mut bytes = vec![0; PREFIX];
    serde_json::to_writer(&mut bytes, &Value::Object(header))
        .map_err(|error| Error::invalid_data(format!("the header cannot be written: {error}")))?;
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), b' ');
    let length = (bytes.len() - PREFIX) as u64;
    if length > LONGEST {
        return Err(Error::invalid_input(format!(
            "the header has {length} bytes; .safetensors allows {LONGEST}"
        )));
    }
    LittleEndian::write_u64(&mut bytes, length);
    Ok(bytes)
}
