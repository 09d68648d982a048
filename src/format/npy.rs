//! NumPy's `.npy` format. Reads versions 1.0 to 3.0, and writes the oldest version
//! that can store the header.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
//! The header is a Python dictionary in one line. The parser below knows its three keys
//! and the notation of dtypes.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use byteorder::{ByteOrder as _, LittleEndian};

use super::{
    blocks::for_each_block,
    entry::{ArrayInfo, Index, Tree},
    interface::{FileFormat, Filler, Frame, Output, Writer, cannot_write},
    options::DumpOptions,
};
use crate::{
    AnyArray, DType, Error, Result,
    array::{Order, ShortShape},
    dtype::{DTypeKind, Literals, Quoted},
    error::Cause,
};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The data begins at a multiple of this, as in files by NumPy.
const ALIGNMENT: usize = 64;
/// The number of bytes that contain the length of the header.
pub(super) const PREFIX_LEN: usize = 12;

/// The format `.npy`.
pub(super) struct Npy;

impl FileFormat for Npy {
    fn name(&self) -> &'static str {
        "npy"
    }

    fn detect(&self, start: &[u8]) -> bool {
        start.starts_with(MAGIC)
    }

    fn index(&self, file: &[u8]) -> Result<Index> {
        let Header { version, dtype, order, shape, length } = header(file)?;
        let info =
            ArrayInfo::plain(String::new(), dtype, &shape, order, length as u64, file.len())?;
        let (version, end) = (Some(format!("{version}.0")), info.range().end);
        Ok(Index { version, end: Some(end), ..Index::new(vec![info], Tree::OneArray) })
    }

    fn writer(&self) -> Option<Writer> {
        Some(Writer::Array(write))
    }

    fn filler(&self) -> Option<Filler> {
        Some(|blank, _, _| {
            check_dtype(blank.dtype)?;
            let header = header_bytes(blank.dtype, blank.order, blank.shape);
            Ok(Frame { offset: header.len() as u64, header, finish: None })
        })
    }
}

fn write(file: Output<'_, '_>, array: &AnyArray, options: &DumpOptions) -> Result<()> {
    NpyArray::new(array, options)?.write(file).map_err(cannot_write)
}

/// Parses the header at the start of `bytes`, which may be a part of the file.
pub(super) fn header(bytes: &[u8]) -> Result<Header> {
    let (version, start, length) = extent(bytes)?;
    let text = bytes.get(start..length).ok_or_else(|| truncated(bytes, length))?;
    let text = match std::str::from_utf8(text) {
        // Before version 3.0 headers are Latin-1, which is the start of Unicode.
        _ if version < 3 && !text.is_ascii() => {
            Cow::Owned(text.iter().copied().map(char::from).collect())
        }
        Ok(text) => Cow::Borrowed(text),
        Err(_) => return Err(Error::invalid_data("the npy header is not UTF-8")),
    };
    let (dtype, order, shape) = parse(&text).map_err(|error| error.within("npy header"))?;
    Ok(Header { version, dtype, order, shape, length })
}

/// Parses the first twelve bytes. Returns the major version, the start of the header's
/// text, and its end, which is the start of the data.
pub(super) fn extent(bytes: &[u8]) -> Result<(u8, usize, usize)> {
    if bytes.len() < 10 {
        let is_npy = bytes.starts_with(MAGIC);
        let cause = if is_npy { Cause::Unspecified } else { Cause::ForeignFormat };
        return Err(truncated(bytes, 10).with_cause(cause));
    }
    if !bytes.starts_with(MAGIC) {
        let message = "expected the start of a .npy file, found other bytes";
        return Err(Error::invalid_data(message).with_cause(Cause::ForeignFormat));
    }
    let (major, minor) = (bytes[6], bytes[7]);
    if !matches!((major, minor), (1..=3, 0)) {
        return Err(Error::invalid_data(format!(
            "expected npy version 1.0, 2.0 or 3.0, found {major}.{minor}"
        ))
        .with_cause(Cause::Unsupported));
    }
    let (start, length) = match major {
        1 => (10_usize, LittleEndian::read_u16(&bytes[8..]).into()),
        _ if bytes.len() < PREFIX_LEN => return Err(truncated(bytes, PREFIX_LEN)),
        _ => (PREFIX_LEN, LittleEndian::read_u32(&bytes[8..]) as usize),
    };
    Ok((major, start, start.saturating_add(length)))
}

fn truncated(bytes: &[u8], expected: usize) -> Error {
    Error::invalid_data(format!(
        "expected {expected} bytes of npy header, found {} (truncated?)",
        bytes.len()
    ))
}

/// A parsed header.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// The major version. The minor version is zero.
    version: u8,
    pub(super) dtype: DType,
    pub(super) order: Order,
    pub(super) shape: Vec<usize>,
    /// The length of the header, which is the offset of the data.
    pub(super) length: usize,
}

/// Parses `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`. The keys may
/// be in any order.
fn parse(text: &str) -> Result<(DType, Order, Vec<usize>)> {
    let mut text = Literals::new(text);
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    text.expect("{")?;
    while !text.accept("}") {
        let key = text.string()?;
        text.expect(":")?;
        let is_duplicate = match &*key {
            "descr" => {
                let dtype = dtype_in(&mut text).map_err(|error| with_shape(error, &text))?;
                descr.replace(dtype).is_some()
            }
            "fortran_order" => fortran_order.replace(bool_in(&mut text)?).is_some(),
            "shape" => shape.replace(shape_in(&mut text)?).is_some(),
            _ => return Err(Error::invalid_data(format!("unknown key {}", Quoted(&key)))),
        };
        if is_duplicate {
            return Err(Error::invalid_data(format!("duplicate key {}", Quoted(&key))));
        }
        if !text.accept(",") {
            text.expect("}")?;
            break;
        }
    }
    text.end()?;
    let missing = |key: &str| Error::invalid_data(format!("key `{key}` is missing"));
    Ok((
        descr.ok_or_else(|| missing("descr"))?,
        if fortran_order.ok_or_else(|| missing("fortran_order"))? { Order::F } else { Order::C },
        shape.ok_or_else(|| missing("shape"))?,
    ))
}

fn dtype_in(text: &mut Literals<'_>) -> Result<DType> {
    let dtype = DType::read(text)?;
    if is_known(&dtype) {
        return Ok(dtype);
    }
    Err(Error::invalid_data(format!("NumPy has no dtype {}", Quoted(&dtype.to_string()))))
}

/// Adds the shape to the error for a sound dtype that is not supported, if the rest of the header
/// contains it.
fn with_shape(error: Error, rest: &Literals<'_>) -> Error {
    let shape = |text: &str| {
        let (_, text) = text.split_once("'shape':")?;
        shape_in(&mut Literals::new(text)).ok()
    };
    match shape(rest.rest()).filter(|_| error.is_unsupported()) {
        None => error,
        Some(shape) => {
            let message = format!("{}; its shape is {}", error.message(), ShortShape(&shape));
            Error::invalid_data(message).with_cause(error.cause())
        }
    }
}

fn bool_in(text: &mut Literals<'_>) -> Result<bool> {
    match (text.accept("True"), text.accept("False")) {
        (true, false) => Ok(true),
        (false, true) => Ok(false),
        _ => Err(text.unexpected("`True` or `False`")),
    }
}

fn shape_in(text: &mut Literals<'_>) -> Result<Vec<usize>> {
    let mut shape = Vec::new();
    text.expect("(")?;
    while !text.accept(")") {
        shape.push(text.number()?);
        if text.accept(",") {
            continue;
        }
        if shape.len() == 1 {
            return Err(text.unexpected("`,` after the only length of a shape"));
        }
        text.expect(")")?;
        break;
    }
    Ok(shape)
}

/// Reports whether NumPy has a type for these elements and for all their fields.
fn is_known(dtype: &DType) -> bool {
    match dtype.kind() {
        DTypeKind::Scalar(scalar) => scalar.numpy_supported(),
        DTypeKind::Struct(_) => {
            dtype.fields().into_iter().flatten().all(|field| is_known(field.dtype()))
        }
        _ => true,
    }
}

/// Returns the name of a field that NumPy cannot read back: a field without a name, which
/// NumPy takes for padding, or an array of empty strings.
fn misread(dtype: &DType) -> Option<String> {
    dtype.fields()?.iter().find_map(|field| {
        let is_empty = field.dtype().item_size() == 0 && field.dtype().fields().is_none();
        let is_misread = field.name().is_empty() || (is_empty && !field.shape().is_empty());
        if is_misread { Some(field.name().to_owned()) } else { misread(field.dtype()) }
    })
}

/// Checks that NumPy can read these elements from a file.
fn check_dtype(dtype: &DType) -> Result<()> {
    if let Some(field) = misread(dtype) {
        return Err(Error::invalid_input(format!(
            "NumPy cannot read field {} back; write a `.ferry` file instead",
            Quoted(&field)
        )));
    }
    if is_known(dtype) {
        return Ok(());
    }
    Err(Error::invalid_input(format!(
        "NumPy has no dtype {}; write a `.safetensors` or `.ferry` file instead",
        Quoted(&dtype.to_string())
    )))
}

/// Returns the header for an array, with the magic bytes.
fn header_bytes(dtype: &DType, order: Order, shape: &[usize]) -> Vec<u8> {
    let fortran_order = if order == Order::F { "True" } else { "False" };
    let mut lengths: Vec<_> = shape.iter().map(usize::to_string).collect();
    if let [only] = &mut *lengths {
        only.push(',');
    }
    let lengths = lengths.join(", ");
    let text = format!(
        "{{'descr': {}, 'fortran_order': {fortran_order}, 'shape': ({lengths}), }}",
        dtype.as_literal()
    );
    // The oldest version that can store the header suits the most readers.
    let latin: Option<Vec<u8>> =
        text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect();
    let encoded = latin.as_deref().unwrap_or(text.as_bytes());
    let padded =
        |prelude: usize| (prelude + encoded.len() + 1).next_multiple_of(ALIGNMENT) - prelude;
    let mut bytes = MAGIC.to_vec();
    let length = match (u16::try_from(padded(10)), &latin) {
        (Ok(length), Some(_)) => {
            bytes.extend_from_slice(&[1, 0]);
            bytes.extend_from_slice(&length.to_le_bytes());
            length.into()
        }
        (_, latin) => {
            bytes.extend_from_slice(&[if latin.is_some() { 2 } else { 3 }, 0]);
            bytes.extend_from_slice(&(padded(12) as u32).to_le_bytes());
            padded(12)
        }
    };
    let end = bytes.len() + length;
    bytes.extend_from_slice(encoded);
    bytes.resize(end - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// An array that is written with a `.npy` header.
pub(super) struct NpyArray<'a> {
    array: &'a AnyArray,
    dtype: DType,
    order: Order,
    header: Vec<u8>,
}

impl<'a> NpyArray<'a> {
    /// Prepares `array` for writing. Returns an error if NumPy has no such dtype.
    pub(super) fn new(array: &'a AnyArray, options: &DumpOptions) -> Result<Self> {
        let (dtype, order) = (options.dtype_of(array), options.order_of(array));
        check_dtype(&dtype)?;
        let header = header_bytes(&dtype, order, array.shape());
        Ok(Self { array, dtype, order, header })
    }

    /// Returns the number of bytes of header and elements.
    pub(super) fn size(&self) -> u64 {
        (self.header.len() + self.array.nbytes()) as u64
    }

    pub(super) fn write(&self, file: &mut impl Write) -> io::Result<()> {
        file.write_all(&self.header)?;
        for_each_block(self.array, &self.dtype, self.order, |block| file.write_all(block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npy_header_round_trips() {
        for (text, dtype, order, shape) in [
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   \n",
                "<f8",
                Order::C,
                &[3, 4][..],
            ),
            ("{'descr': '>i2', 'fortran_order': True, 'shape': (3,), }", ">i2", Order::F, &[3]),
            ("{'shape': (), \"fortran_order\": False, 'descr': '|u1'}\n", "|u1", Order::C, &[]),
            (
                "{u'descr': u'<f4', u'fortran_order': False, u'shape': (3L, 0L), }",
                "<f4",
                Order::C,
                &[3, 0],
            ),
        ] {
            let parsed = parse(text).unwrap();
            assert_eq!(parsed, (dtype.parse().unwrap(), order, shape.to_vec()));
            let written = header_bytes(&parsed.0, order, shape);
            assert_eq!(written.len() % 64, 0);
            let read = header(&written).unwrap();
            assert_eq!((read.version, read.length), (1, written.len()));
            assert_eq!((read.dtype, read.order, read.shape), parsed);
        }
        let long = header_bytes(&"<f8".parse().unwrap(), Order::C, &[1; 30_000]);
        assert_eq!((long[6], long.len() % 64), (2, 0));
        assert_eq!(header(&long).unwrap().shape.len(), 30_000);
    }

    // F1
    #[test]
    fn npy_header_errors_name_the_reason() {
        let deep = format!("{{'descr': {}", "[".repeat(60_000));
        for (text, reason) in [
            ("", "expected `{` at byte 0, found the end"),
            ("{}", "key `descr` is missing"),
            ("{'descr': '<f8', 'fortran_order': False}", "key `shape` is missing"),
            ("{'descr': '<f8', 'descr': '<f8', ", "duplicate key `descr`"),
            ("{'descr': '<f8', 'extra': 1, ", "unknown key `extra`"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", "Python objects"),
            (
                "{'descr': '<bf2', 'fortran_order': False, 'shape': (3,), }",
                "NumPy has no dtype `<bf2`",
            ),
            ("{'descr': '<q8', 'fortran_order': False, 'shape': (3,), }", "unknown dtype `<q8`"),
            (
                "{'descr': '<f16', 'fortran_order': False, 'shape': (3, 4), }",
                "in Python; its shape is (3, 4)",
            ),
            ("{'descr': [('a', '|O')], ", "field `a`: dtype `|O` holds Python objects"),
            (
                "{'descr': ('<f8', (2,)), ",
                "expected a type string or a list of fields, found `('<f8', (2,))`",
            ),
            (
                "{'descr': {'names': ['a']}, ",
                "expected a string, a whole number, a list or a tuple",
            ),
            ("{'shape': (-1,), ", "expected a length"),
            ("{'shape': (99999999999999999999,), ", "expected a length"),
            ("{'shape': (3), ", "expected `,` after the only length"),
            ("{'shape': ((((", "expected a length"),
            ("{'fortran_order': 1, ", "expected `True` or `False`"),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), } x",
                "expected the end at byte",
            ),
            ("{'descr", "a closing quote"),
            (&deep, "brackets nest deeper than"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text:.60}: {error}");
            assert!(error.len() < 300, "{error}");
        }
    }
}
