//! What an array holds whose elements have no Rust type: fields of records, texts, bytes, times.

use ndarray::{Dimension, IxDyn};

use super::{AnyArray, CopyReason, Layout, Memory, Order, SharedArray};
use crate::{
    DType, Error, Result,
    bytes::map::Buffer,
    dtype::{ByteOrder, DTypeKind, Element, Field, Scalar, TimeUnit},
    dtype::{Escaped, Quoted, dispatch},
};

impl AnyArray {
    /// An array of elements of any dtype, from their bytes in `order`.
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
    /// Where there are more or fewer bytes than the elements take.
    pub fn from_bytes(dtype: DType, shape: &[usize], order: Order, bytes: &[u8]) -> Result<Self> {
        let layout = Layout::contiguous(shape, order, dtype.item_size())?;
        let needed = layout.len() * dtype.item_size();
        if needed != bytes.len() {
            return Err(Error::invalid_input(format!(
                "the array takes {needed} bytes, {} were given",
                bytes.len()
            )));
        }
        Self::new(Memory::owned(Buffer::copy_of(bytes)?, None, CopyReason::InMemory), dtype, layout)
    }

    /// The array of one field of structured elements, by its name; a field of a field by both, joined by a dot. A dot or a backslash
    /// in a name is preceded by a backslash. Nothing is read or copied.
    ///
    /// Axes of a field that is an array itself come after those of the records. [`to_array`](AnyArray::to_array) makes a number
    /// among records a view of them, in native byte order, where it lies aligned and the records' size is a multiple of its own; else
    /// a copy, which [says why](AnyArray::copy_reason).
    ///
    /// ```
    /// use ndarray::{Ix1, Ix2};
    /// use ndferry::{AnyArray, array::Order};
    ///
    /// let stars = "[('name', '|S2'), ('position', [('x', '<u2'), ('yz', '<u2', (2,))])]".parse()?;
    /// let stars = AnyArray::from_bytes(stars, &[2], Order::C, b"A\0\x01\0\x02\0\x03\0B\0\x04\0\x05\0\x06\0")?;
    /// assert_eq!(stars.field("position.x")?.to_array::<u16, Ix1>()?.to_vec(), [1, 4]);
    /// let yz = stars.field("position")?.field("yz")?.to_array::<u16, Ix2>()?;
    /// assert_eq!((yz.shape(), yz[(1, 0)]), (&[2, 2][..], 5));
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where there is no such field.
    pub fn field(&self, path: &str) -> Result<Self> {
        let mut part = self.clone();
        for name in names(path) {
            let Some(fields) = part.dtype.fields() else {
                return Err(Error::invalid_input(format!(
                    "holds {}, which have no field {}",
                    part.dtype.kind(),
                    Quoted(&name)
                )));
            };
            let Some(field) = fields.get(&name) else {
                let known: Vec<_> =
                    fields.iter().take(10).map(|field| Quoted(field.name()).to_string()).collect();
                return Err(Error::invalid_input(format!(
                    "has no field {}; there are {}",
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

    /// The strings of an array of `S` or the bytes of an array of `V`, in logical (C) order: of strings without the zeros that fill
    /// them up, as NumPy shows them.
    ///
    /// # Errors
    ///
    /// Where elements are neither.
    pub fn byte_strings(&self) -> Result<impl ExactSizeIterator<Item = &[u8]>> {
        let filled = match self.dtype.kind() {
            DTypeKind::Bytes(_) => true,
            DTypeKind::Void(_) => false,
            _ => return Err(self.no("strings of bytes")),
        };
        Ok(self.elements().map(move |bytes| if filled { without_end(bytes, &[0]) } else { bytes }))
    }

    /// The texts of an array of `U` or `S`, in logical (C) order, without the zeros that fill them up. Each that is not text is an
    /// error of its own: `S` has to be UTF-8, and `U` is read in the byte order it was recorded in.
    ///
    /// ```
    /// use ndferry::{AnyArray, array::Order};
    ///
    /// let texts = AnyArray::from_bytes(">U2".parse()?, &[1], Order::C, b"\0\0\0\xB5\0\0\0m")?;
    /// assert_eq!(texts.texts()?.collect::<Result<Vec<_>, _>>()?, ["µm"]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where elements are neither.
    pub fn strings(&self) -> Result<impl ExactSizeIterator<Item = Result<String>>> {
        let characters = match self.dtype.kind() {
            DTypeKind::Bytes(_) => None,
            DTypeKind::Text(_) => self.dtype.byte_order(),
            _ => return Err(self.no("texts")),
        };
        Ok(self.elements().enumerate().map(move |(at, bytes)| {
            let text = match characters {
                None => std::str::from_utf8(without_end(bytes, &[0]))
                    .map(str::to_owned)
                    .map_err(|error| error.to_string()),
                Some(byte_order) => decoded(bytes, byte_order),
            };
            text.map_err(|reason| {
                Error::invalid_data(format!("element {at} is not text: {reason}"))
            })
        }))
    }

    /// What an array of datetimes or lengths of time counts, in the unit that its [`dtype`](AnyArray::dtype) tells: from 1970 on for
    /// datetimes. [`TimeUnit::NAT`] stands for no time. A view where it can be one, as [`to_array`](AnyArray::to_array).
    ///
    /// ```
    /// use ndarray::Ix1;
    /// use ndferry::{AnyArray, array::Order, dtype::TimeUnit};
    ///
    /// let bytes = [[0, 0, 0, 0, 0, 0, 0, 42], [0x80, 0, 0, 0, 0, 0, 0, 0]].concat();
    /// let days = AnyArray::from_bytes(">M8[D]".parse()?, &[2], Order::C, &bytes)?.counts::<Ix1>()?;
    /// assert_eq!(days.to_vec(), [42, TimeUnit::NAT]);
    /// # Ok::<(), ndferry::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where elements are neither, or the number of axes is not that of `D`.
    pub fn timestamps_i64<D: Dimension>(&self) -> Result<SharedArray<i64, D>> {
        let (DTypeKind::DateTime(_) | DTypeKind::TimeDelta(_), Some(byte_order)) =
            (self.dtype.kind(), self.dtype.byte_order())
        else {
            return Err(self.no("times"));
        };
        Self { dtype: DType::new(Scalar::I64, byte_order), ..self.clone() }.to_array()
    }

    /// The Rust type of the elements.
    ///
    /// # Errors
    ///
    /// Where they have none.
    pub(crate) fn scalar(&self) -> Result<Scalar> {
        self.dtype.scalar().ok_or_else(|| self.no("numbers"))
    }

    fn no(&self, wanted: &str) -> Error {
        let dtype = self.dtype.to_string();
        Error::invalid_data(format!(
            "holds {} ({}), not {wanted}",
            self.dtype.kind(),
            Escaped(&dtype)
        ))
    }

    /// The bytes of each element, in logical (C) order.
    fn elements(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let (shape, strides, size) = (self.shape(), self.strides(), self.dtype.item_size());
        let bytes = self.memory.bytes();
        (0..self.len()).map(move |at| {
            let (mut rest, mut place) = (at, self.layout.start() as isize);
            for (&axis, &stride) in shape.iter().zip(strides).rev() {
                place += (rest % axis) as isize * stride;
                rest /= axis;
            }
            &bytes[place as usize..place as usize + size]
        })
    }
}

/// The names in a path.
fn names(path: &str) -> Vec<String> {
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

/// `bytes` without the units of zeros at their end.
fn without_end<'a>(bytes: &'a [u8], zero: &[u8]) -> &'a [u8] {
    let kept = bytes.rchunks_exact(zero.len()).skip_while(|unit| *unit == zero).count();
    &bytes[..kept * zero.len()]
}

fn decoded(bytes: &[u8], byte_order: ByteOrder) -> Result<String, String> {
    let characters =
        without_end(bytes, &[0; DTypeKind::CHARACTER]).chunks_exact(DTypeKind::CHARACTER);
    let character = |bytes: &[u8]| {
        let bytes = bytes.try_into().expect("chunks are of this size");
        let number = match byte_order {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        };
        char::from_u32(number).ok_or_else(|| format!("{number:#x} is no character"))
    };
    characters.map(character).collect()
}

/// Two arrays are equal when they have the same shape, the same kind of elements and equal elements; byte order, memory order
/// and origin do not matter. As with numbers, NaN and NaT equal nothing. Records are equal when they have the same fields, all of
/// them equal, wherever these lie.
impl PartialEq for AnyArray {
    fn eq(&self, other: &Self) -> bool {
        if self.shape() != other.shape() {
            return false;
        }
        match (self.dtype.kind(), other.dtype.kind()) {
            (DTypeKind::Scalar(this), DTypeKind::Scalar(that)) => {
                this == that && dispatch!(*this, A => equal::<A>(self.to_array(), other.to_array()))
            }
            (DTypeKind::Struct(these), DTypeKind::Struct(those)) => {
                these.len() == those.len()
                    && these.iter().zip(those.iter()).all(|(this, that)| {
                        let parts = (self.part(this), other.part(that));
                        this.name() == that.name()
                            && matches!(parts, (Ok(this), Ok(that)) if this == that)
                    })
            }
            (this, that) if this != that => false,
            (DTypeKind::DateTime(_) | DTypeKind::TimeDelta(_), _) => {
                match (self.timestamps_i64::<IxDyn>(), other.timestamps_i64()) {
                    (Ok(this), Ok(that)) => {
                        this == that && this.iter().all(|&count| count != TimeUnit::NAT)
                    }
                    _ => false,
                }
            }
            // Of elements without bytes there may be more than anybody can count.
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
