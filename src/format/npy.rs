//! NumPy's `.npy`: versions 1.0 to 3.0 read, and the first of them written that holds the header.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. The header is a Python dictionary in
//! one line; the parser below knows the three keys it may have, and what dtypes are written in.

use std::{
    borrow::Cow,
    io::{self, Write},
    sync::Arc,
};

use byteorder::{ByteOrder as _, LittleEndian};

use super::{
    DumpOptions,
    dump::{for_each_block, order_of},
    file::{ArrayFile, ArrayInfo, Format, Tree},
};
use crate::{
    AnyArray, DType, Error, Result,
    array::Order,
    bytes::map::FileMap,
    dtype::DTypeKind,
    dtype::{Literals, Quoted},
};

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// The data begins at a multiple of this, as NumPy itself has it.
const ALIGNMENT: usize = 64;

pub(super) fn read(map: Arc<FileMap>) -> Result<ArrayFile> {
    let bytes: &[u8] = map.as_ref().as_ref();
    let Header { version, dtype, order, shape, length } = header(bytes)?;
    let info = ArrayInfo::checked(String::new(), dtype, &shape, order, length as u64, bytes.len())?;
    let version = Some(format!("{version}.0"));
    Ok(ArrayFile::new(map, Format::Npy, version, vec![info], Tree::OfOne, false))
}

/// The header that `bytes`, a file or its beginning, begin with.
pub(super) fn header(bytes: &[u8]) -> Result<Header> {
    let (version, start, length) = extent(bytes)?;
    let text = bytes.get(start..length).ok_or_else(|| cut(bytes, length))?;
    let text = match std::str::from_utf8(text) {
        // Before 3.0 headers are Latin-1, whose codes are those of Unicode.
        _ if version < 3 && !text.is_ascii() => {
            Cow::Owned(text.iter().copied().map(char::from).collect())
        }
        Ok(text) => Cow::Borrowed(text),
        Err(_) => return Err(Error::invalid_data("npy header is not text")),
    };
    let (dtype, order, shape) = parse(&text).map_err(|error| error.within("npy header"))?;
    Ok(Header { version, dtype, order, shape, length })
}

/// Version (the greater part), start of the header's text and its end, where the data begins: by the first twelve bytes.
pub(super) fn extent(bytes: &[u8]) -> Result<(u8, usize, usize)> {
    if bytes.len() < 10 {
        return Err(cut(bytes, 10));
    }
    if !bytes.starts_with(MAGIC) {
        return Err(Error::invalid_data("does not begin as a .npy file does"));
    }
    let (major, minor) = (bytes[6], bytes[7]);
    if !matches!((major, minor), (1..=3, 0)) {
        return Err(Error::invalid_data(format!(
            "npy version {major}.{minor}; known are 1.0, 2.0 and 3.0"
        )));
    }
    let (start, length) = match major {
        1 => (10_usize, LittleEndian::read_u16(&bytes[8..]).into()),
        _ if bytes.len() < 12 => return Err(cut(bytes, 12)),
        _ => (12, LittleEndian::read_u32(&bytes[8..]) as usize),
    };
    Ok((major, start, start.saturating_add(length)))
}

fn cut(bytes: &[u8], needed: usize) -> Error {
    Error::invalid_data(format!(
        "npy header needs {needed} bytes, there are {}: truncated",
        bytes.len()
    ))
}

/// What a header says.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// The greater part of it; the lesser is zero.
    version: u8,
    pub(super) dtype: DType,
    pub(super) order: Order,
    pub(super) shape: Vec<usize>,
    /// Bytes from the start of the file to the data.
    pub(super) length: usize,
}

/// `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`, the keys in any order, each once.
fn parse(text: &str) -> Result<(DType, Order, Vec<usize>)> {
    let mut text = Literals::new(text);
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    text.expect("{")?;
    while !text.accept("}") {
        let key = text.string()?;
        text.expect(":")?;
        let doubled = match &*key {
            "descr" => descr.replace(dtype_in(&mut text)?).is_some(),
            "fortran_order" => fortran_order.replace(bool_in(&mut text)?).is_some(),
            "shape" => shape.replace(shape_in(&mut text)?).is_some(),
            _ => return Err(Error::invalid_data(format!("unknown key {}", Quoted(&key)))),
        };
        if doubled {
            return Err(Error::invalid_data(format!("key {} stands twice", Quoted(&key))));
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
    Err(Error::invalid_data(format!("{} is no dtype of NumPy's", Quoted(&dtype.to_string()))))
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

/// Whether NumPy has a type for these elements, all fields included.
fn is_known(dtype: &DType) -> bool {
    match dtype.kind() {
        DTypeKind::Scalar(scalar) => scalar.numpy_supported(),
        DTypeKind::Struct(_) => {
            dtype.fields().into_iter().flatten().all(|field| is_known(field.dtype()))
        }
        _ => true,
    }
}

/// A field that NumPy writes and cannot read: one without a name, which is padding to it, and arrays of strings or void without bytes.
fn misread(dtype: &DType) -> Option<String> {
    dtype.fields()?.iter().find_map(|field| {
        let is_nothing = field.dtype().item_size() == 0 && field.dtype().fields().is_none();
        let is_misread = field.name().is_empty() || (is_nothing && !field.shape().is_empty());
        if is_misread { Some(field.name().to_owned()) } else { misread(field.dtype()) }
    })
}

/// Whether NumPy's formats can hold these elements.
pub(super) fn check_dtype(dtype: &DType) -> Result<()> {
    if let Some(field) = misread(dtype) {
        return Err(Error::invalid_input(format!(
            "NumPy takes field {} for something else when it reads it back: write .ferry",
            Quoted(&field)
        )));
    }
    if is_known(dtype) {
        return Ok(());
    }
    Err(Error::invalid_input(format!(
        "NumPy has no type for {}, and so neither .npy nor .npz: write .safetensors or .ferry",
        Quoted(&dtype.to_string())
    )))
}

/// The header for an array, magic included.
pub(super) fn header_bytes(dtype: &DType, order: Order, shape: &[usize]) -> Vec<u8> {
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
    // The oldest version that can hold it, so that the oldest readers read it.
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

/// An array on its way to a `.npy` file.
pub(super) struct Outgoing<'a> {
    array: &'a AnyArray,
    dtype: DType,
    order: Order,
    header: Vec<u8>,
}

impl<'a> Outgoing<'a> {
    /// # Errors
    ///
    /// Where NumPy has no type for the elements.
    pub(super) fn new(array: &'a AnyArray, options: &DumpOptions) -> Result<Self> {
        let dtype = match options.byte_order {
            Some(byte_order) => array.dtype().with_byte_order(byte_order),
            None => array.dtype().clone(),
        };
        check_dtype(&dtype)?;
        let order = order_of(array, options.order);
        let header = header_bytes(&dtype, order, array.shape());
        Ok(Self { array, dtype, order, header })
    }

    /// Bytes of the whole file.
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
    fn headers_numpy_writes_are_read() {
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
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 0L), }",
                "<f4",
                Order::C,
                &[3, 0],
            ),
        ] {
            let said = parse(text).unwrap();
            assert_eq!(said, (dtype.parse().unwrap(), order, shape.to_vec()));
            let written = header_bytes(&said.0, order, shape);
            assert_eq!(written.len() % 64, 0);
            let read = header(&written).unwrap();
            assert_eq!((read.version, read.length), (1, written.len()));
            assert_eq!((read.dtype, read.order, read.shape), said);
        }
        let long = header_bytes(&"<f8".parse().unwrap(), Order::C, &[1; 30_000]);
        assert_eq!((long[6], long.len() % 64), (2, 0));
        assert_eq!(header(&long).unwrap().shape.len(), 30_000);
    }

    // F1
    #[test]
    fn headers_nobody_should_write_are_refused_with_the_reason() {
        let deep = format!("{{'descr': {}", "[".repeat(60_000));
        for (text, reason) in [
            ("", "expected `{` at byte 0, found the end"),
            ("{}", "key `descr` is missing"),
            ("{'descr': '<f8', 'fortran_order': False}", "key `shape` is missing"),
            ("{'descr': '<f8', 'descr': '<f8', ", "key `descr` stands twice"),
            ("{'descr': '<f8', 'extra': 1, ", "unknown key `extra`"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", "Python objects"),
            (
                "{'descr': '<bf2', 'fortran_order': False, 'shape': (3,), }",
                "`<bf2` is no dtype of NumPy's",
            ),
            ("{'descr': '<q8', 'fortran_order': False, 'shape': (3,), }", "unknown dtype `<q8`"),
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
