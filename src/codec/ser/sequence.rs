//! Sequences: in the tree, or out of it as a segment when they turn out to be numbers of one type.

use serde::{Serialize, ser};

use super::{Encoder, Kind, Open, Step};
use crate::{
    Error, Result,
    array::as_element,
    bytes::map::Buffer,
    dtype::{Element, Scalar, dispatch},
};

/// Bytes of numbers gathered before they are passed on.
const CHUNK: usize = 64 << 10;

/// A sequence that may turn out to be numbers of one type.
pub(super) struct Sequence<'a, 's> {
    pub(super) encoder: &'a mut Encoder<'s>,
    pub(super) number: usize,
    pub(super) promised: Option<usize>,
    pub(super) count: usize,
    /// The shape, where the sequence is the elements of an array.
    pub(super) shape: Option<Vec<usize>>,
    pub(super) run: Run,
    pub(super) open: Option<Open>,
}

/// The numbers at the beginning of a sequence.
pub(super) enum Run {
    /// No element yet.
    Open,
    /// Elements so far are all of one type; `spilled` when the earlier of them are in a segment already.
    Of { scalar: Scalar, bytes: Vec<u8>, spilled: bool },
    /// Not a run of numbers, or no longer.
    Never,
}

impl Sequence<'_, '_> {
    #[inline]
    fn number<A: Element>(&mut self, element: &A) -> Result<()> {
        match &mut self.run {
            Run::Of { scalar, bytes, .. } if *scalar == A::SCALAR => {
                bytes.extend_from_slice(bytemuck::bytes_of(element));
                self.count += 1;
                if bytes.len() >= CHUNK {
                    self.spill()?;
                }
                Ok(())
            }
            Run::Open => {
                let room =
                    self.promised.unwrap_or(0).saturating_mul(size_of::<A>()).min(CHUNK + 16);
                let mut bytes = Vec::with_capacity(room);
                bytes.extend_from_slice(bytemuck::bytes_of(element));
                self.count = 1;
                self.run = Run::Of { scalar: A::SCALAR, bytes, spilled: false };
                Ok(())
            }
            Run::Of { .. } | Run::Never => self.other(element),
        }
    }

    /// Numbers gathered so far go to a segment, if they are enough for one or the first of them went there before.
    fn spill(&mut self) -> Result<()> {
        let Run::Of { scalar, bytes, spilled } = &mut self.run else {
            return Ok(());
        };
        if !*spilled {
            if self.shape.is_none() && bytes.len() < self.encoder.threshold {
                return Ok(());
            }
            let expected = self.promised.map(|length| length.saturating_mul(scalar.size()));
            let name = self.encoder.name();
            self.encoder.sink.begin(name, *scalar, expected)?;
            *spilled = true;
        }
        self.encoder.sink.write(bytes)?;
        bytes.clear();
        Ok(())
    }

    /// An element that goes to the tree.
    fn other<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<()> {
        self.settle()?;
        let at = self.count;
        self.count += 1;
        self.encoder.part(Step::Index(at), element)
    }

    /// From here on the sequence is in the tree, and what was gathered goes there first.
    fn settle(&mut self) -> Result<()> {
        if self.open.is_none() {
            self.open = Some(self.encoder.open(Kind::Array, self.promised)?);
        }
        match std::mem::replace(&mut self.run, Run::Never) {
            Run::Of { spilled: true, .. } => {
                self.encoder.found_mixed = Some(self.number);
                Err(Error::invalid_data("a sequence of numbers that changes its type"))
            }
            Run::Of { scalar, bytes, .. } => dispatch!(scalar, A => {
                // A vector of bytes may begin anywhere; a buffer is aligned for every element.
                let aligned = Buffer::copy_of(&bytes)?;
                let elements = A::cast(aligned.as_ref()).expect("bytes of whole elements, aligned");
                elements.iter().try_for_each(|element| element.serialize(&mut *self.encoder))
            }),
            Run::Open | Run::Never => Ok(()),
        }
    }
}

impl ser::SerializeSeq for Sequence<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<()> {
        macro_rules! numbers {
            ($($type:ty)*) => {$(
                if let Some(number) = as_element::<T, $type>(element) {
                    return self.number(number);
                }
            )*};
        }
        numbers!(f64 f32 u8 i32 i64 u16 i16 u32 u64 i8 bool half::f16 half::bf16);
        numbers!(num_complex::Complex<f32> num_complex::Complex<f64>);
        self.other(element)
    }

    fn end(mut self) -> Result<()> {
        if let Run::Of { bytes, spilled, .. } = &self.run {
            if *spilled || self.shape.is_some() || bytes.len() >= self.encoder.threshold {
                self.spill()?;
                let shape = match self.shape.take() {
                    Some(shape)
                        if shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis))
                            == Some(self.count) =>
                    {
                        shape
                    }
                    _ => vec![self.count],
                };
                let index = self.encoder.sink.end(&shape)?;
                return self.encoder.segment(index);
            }
        }
        self.settle()?;
        let mut open = self.open.take().expect("a settled sequence is open");
        open.count = self.count;
        self.encoder.close(&open)
    }
}
