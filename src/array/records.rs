//! Reading elements without a Rust type: fields of records, texts, byte
//! strings, and times.

use ndarray::{Dimension, IxDyn};

use super::{
    any::AnyArray,
    layout::{Layout, Order},
    memory::Memory,
    shared::SharedArray,
    source::CopyReason,
};
use crate::{
    DType, Error, Result,
    bytes::map::Buffer,
    dtype::{ByteOrder, DTypeKind, Element, Escaped, Field, Quoted, Scalar, TimeUnit, dispatch},
};

/// How many known fields an error about an unknown one lists.
const MAX_LISTED_FIELDS: usize = 10;

impl AnyArray {
    /// Makes an array of any dtype from the bytes of its elements in `order`.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, array::Order};
    ///
    /// let names = AnyArray::from_bytes("|S3".parse()?, &[2], Order::C, b"one\x32\0\0")?;
    /// assert_eq!(names.byte_strings()?.collect::<Vec<_>>(), [&b"one"[..], b"2"]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the number of bytes is not that of the elements, or
    /// there is not enough memory for them.
    pub fn from_bytes(dtype: DType, shape: &[usize], order: Order, bytes: &[u8]) -> Result<Self> {
        let layout = Layout::contiguous(shape, order, dtype.item_size())?;
        let needed = layout.len() * dtype.item_size();
        if needed != bytes.len() {
            return Err(Error::invalid_input(format!(
                "expected {needed} bytes for the array, found {}",
                bytes.len()
            )));
        }
        Self::new(Memory::owned(Buffer::copy_of(bytes)?, None, CopyReason::InMemory), dtype, layout)
    }

    /// Returns the array of a field of records, without a copy.
    ///
    /// `path` is the name of the field. For a field of a field, join both names
    /// by a dot. A backslash must precede a dot or a backslash in a name, see
    /// [`Field::escaped_name`]. If the field is an array itself, its axes
    /// follow those of the records.
    ///
    /// [`to_array`](AnyArray::to_array) returns a view of the field's numbers
    /// if they are aligned, in native byte order, and the size of the records
    /// is a multiple of their size. Otherwise it returns a copy with a
    /// [reason](AnyArray::copy_reason).
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::{Ix1, Ix2};
    /// use ndferry::{AnyArray, array::Order};
    ///
    /// let stars = "[('name', '|S2'), ('position', [('x', '<u2'), ('yz', '<u2', (2,))])]".parse()?;
    /// let bytes = b"A\0\x01\0\x02\0\x03\0B\0\x04\0\x05\0\x06\0";
    /// let stars = AnyArray::from_bytes(stars, &[2], Order::C, bytes)?;
    /// assert_eq!(stars.field("position.x")?.to_array::<u16, Ix1>()?.to_vec(), [1, 4]);
    /// let yz = stars.field("position")?.field("yz")?.to_array::<u16, Ix2>()?;
    /// assert_eq!((yz.shape(), yz[(1, 0)]), (&[2, 2][..], 5));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such field.
    pub fn field(&self, path: &str) -> Result<Self> {
        let mut part = self.clone();
        for name in split_path(path) {
            let Some(fields) = part.dtype.fields() else {
                return Err(Error::invalid_input(format!(
                    "holds {}, which have no field {}",
                    part.dtype.kind(),
                    Quoted(&name)
                )));
            };
            let Some(field) = part.dtype.field(&name) else {
                let known: Vec<_> = fields
                    .iter()
                    .take(MAX_LISTED_FIELDS)
                    .map(|field| Quoted(field.name()).to_string())
                    .collect();
                return Err(Error::invalid_input(format!(
                    "has no field {}, expected one of {}",
                    Quoted(&name),
                    known.join(", ")
                )));
            };
            part = part.part(field)?;
        }
        Ok(part)
    }

    fn part(&self, field: &Field) -> Result<Self> {
        let dtype = field.dtype().clone();
        let layout =
            self.layout.within_elements(field.offset(), field.shape(), dtype.item_size())?;
        Self::new(self.memory.for_field(dtype.byte_order())?, dtype, layout)
    }

    /// Returns the elements as byte strings (`S`) or raw bytes (`V`), in C
    /// order.
    ///
    /// Byte strings are returned without the zeros at their end, like in NumPy.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, array::Order};
    ///
    /// let names = AnyArray::from_bytes("|S3".parse()?, &[2], Order::C, b"one\x32\0\0")?;
    /// assert_eq!(names.byte_strings()?.collect::<Vec<_>>(), [&b"one"[..], b"2"]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the elements are neither byte strings nor raw bytes.
    pub fn byte_strings(&self) -> Result<impl ExactSizeIterator<Item = &[u8]>> {
        let is_padded = match self.dtype.kind() {
            DTypeKind::Bytes(_) => true,
            DTypeKind::Void(_) => false,
            _ => return Err(self.unexpected_kind("strings of bytes")),
        };
        Ok(self
            .elements()
            .map(move |bytes| if is_padded { trim_zeros(bytes, &[0]) } else { bytes }))
    }

    /// Returns the texts (`U` or `S`) of the elements, in C order.
    ///
    /// Texts are returned without the zeros at their end. `U` is read in the
    /// byte order of the array, and `S` must be UTF-8. An element with invalid
    /// text is an error of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndferry::{AnyArray, array::Order};
    ///
    /// let texts = AnyArray::from_bytes(">U2".parse()?, &[1], Order::C, b"\0\0\0\xB5\0\0\0m")?;
    /// assert_eq!(texts.strings()?.collect::<Result<Vec<_>, _>>()?, ["µm"]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the elements are neither texts nor byte strings.
    pub fn strings(&self) -> Result<impl ExactSizeIterator<Item = Result<String>>> {
        let characters = match self.dtype.kind() {
            DTypeKind::Bytes(_) => None,
            DTypeKind::Text(_) => self.dtype.byte_order(),
            _ => return Err(self.unexpected_kind("texts")),
        };
        Ok(self.elements().enumerate().map(move |(at, bytes)| {
            let text = match characters {
                None => std::str::from_utf8(trim_zeros(bytes, &[0]))
                    .map(str::to_owned)
                    .map_err(|error| error.to_string()),
                Some(byte_order) => decode_text(bytes, byte_order),
            };
            text.map_err(|reason| {
                Error::invalid_data(format!("element {at} is not text: {reason}"))
            })
        }))
    }

    /// Returns datetimes or time spans as integers.
    ///
    /// The [`dtype`](AnyArray::dtype) contains their unit. Datetimes are
    /// counted from 1970. [`TimeUnit::NAT`] is NumPy's `NaT`. Like
    /// [`to_array`](AnyArray::to_array), this returns a view if possible.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::Ix1;
    /// use ndferry::{AnyArray, array::Order, dtype::TimeUnit};
    ///
    /// let bytes = [[0, 0, 0, 0, 0, 0, 0, 42], [0x80, 0, 0, 0, 0, 0, 0, 0]].concat();
    /// let days = AnyArray::from_bytes(">M8[D]".parse()?, &[2], Order::C, &bytes)?;
    /// assert_eq!(days.timestamps_i64::<Ix1>()?.to_vec(), [42, TimeUnit::NAT]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the elements are neither datetimes nor time spans,
    /// or the number of axes is not that of `D`.
    pub fn timestamps_i64<D: Dimension>(&self) -> Result<SharedArray<i64, D>> {
        let (DTypeKind::DateTime(_) | DTypeKind::TimeDelta(_), Some(byte_order)) =
            (self.dtype.kind(), self.dtype.byte_order())
        else {
            return Err(self.unexpected_kind("times"));
        };
        Self { dtype: DType::new(Scalar::I64, byte_order), ..self.clone() }.to_array()
    }

    /// Returns the scalar that the elements are.
    ///
    /// # Errors
    ///
    /// Returns an error if the elements have no Rust type.
    pub(crate) fn scalar(&self) -> Result<Scalar> {
        self.dtype.scalar().ok_or_else(|| self.unexpected_kind("numbers"))
    }

    fn unexpected_kind(&self, wanted: &str) -> Error {
        let dtype = self.dtype.to_string();
        Error::invalid_data(format!(
            "holds {} ({}), not {wanted}",
            self.dtype.kind(),
            Escaped(&dtype)
        ))
    }

    /// Returns the bytes of each element, in C order.
    fn elements(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let (shape, strides, size) = (self.shape(), self.strides(), self.dtype.item_size());
        let bytes = self.memory.bytes();
        (0..self.len()).map(move |at| {
            let (mut rest, mut start) = (at, self.layout.start() as isize);
            for (&axis, &stride) in shape.iter().zip(strides).rev() {
                start += (rest % axis) as isize * stride;
                rest /= axis;
            }
            &bytes[start as usize..start as usize + size]
        })
    }
}

/// Splits a path into the names of fields.
fn split_path(path: &str) -> Vec<String> {
    let (mut names, mut name, mut letters) = (Vec::new(), String::new(), path.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '.' => names.push(std::mem::take(&mut name)),
            '\\' => name.extend(letters.next()),
            _ => name.push(letter),
        }
    }
    names.push(name);
    names
}

/// Removes units of zeros from the end of `bytes`.
fn trim_zeros<'a>(bytes: &'a [u8], zero: &[u8]) -> &'a [u8] {
    let kept = bytes.rchunks_exact(zero.len()).skip_while(|unit| *unit == zero).count();
    &bytes[..kept * zero.len()]
}

/// Decodes text of four-byte characters.
fn decode_text(bytes: &[u8], byte_order: ByteOrder) -> Result<String, String> {
    let characters =
        trim_zeros(bytes, &[0; DTypeKind::CHARACTER_SIZE]).chunks_exact(DTypeKind::CHARACTER_SIZE);
    let character = |bytes: &[u8]| {
        let bytes = bytes.try_into().expect("chunks have this size");
        let number = match byte_order {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        };
        char::from_u32(number).ok_or_else(|| format!("{number:#x} is not a character"))
    };
    characters.map(character).collect()
}

/// Arrays are equal if they have the same shape and equal elements of the same
/// kind.
///
/// Byte order, memory order and origin do not matter. NaN and NaT are not equal
/// to themselves. Records are equal if they have the same names of fields in
/// the same order, and equal fields. The offsets of fields do not matter.
impl PartialEq for AnyArray {
    fn eq(&self, other: &Self) -> bool {
        if self.shape() != other.shape() {
            return false;
        }
        match (self.dtype.kind(), other.dtype.kind()) {
            (DTypeKind::Scalar(this), DTypeKind::Scalar(that)) => {
                this == that && dispatch!(*this, A => equal::<A>(self.to_array(), other.to_array()))
            }
            (this, that) if this != that => false,
            (DTypeKind::Struct(_), _) => {
                let pairs = self.dtype.fields().into_iter().flatten();
                let mut pairs = pairs.zip(other.dtype.fields().into_iter().flatten());
                pairs.all(|(this, that)| {
                    let parts = (self.part(this), other.part(that));
                    this.name() == that.name()
                        && matches!(parts, (Ok(this), Ok(that)) if this == that)
                })
            }
            (DTypeKind::DateTime(_) | DTypeKind::TimeDelta(_), _) => {
                match (self.timestamps_i64::<IxDyn>(), other.timestamps_i64()) {
                    (Ok(this), Ok(that)) => {
                        this == that && this.iter().all(|&count| count != TimeUnit::NAT)
                    }
                    _ => false,
                }
            }
            // There may be too many elements of zero bytes to iterate over.
            _ if self.dtype.item_size() == 0 => true,
            (DTypeKind::Text(_), _) => {
                let in_one_order =
                    self.dtype.byte_order().map(|byte_order| other.in_byte_order(byte_order));
                matches!(in_one_order, Some(Ok(other)) if self.elements().eq(other.elements()))
            }
            _ => self.elements().eq(other.elements()),
        }
    }
}

fn equal<A: Element>(
    this: Result<SharedArray<A, IxDyn>>,
    that: Result<SharedArray<A, IxDyn>>,
) -> bool {
    matches!((this, that), (Ok(this), Ok(that)) if this == that)
}
