//! Sequences, which become segments if they contain numbers of one type only.

use serde::{Serialize, ser};

use super::encoder::{CompoundKind, Encoder, OpenCompound, PathStep};
use crate::{
    Error, Result,
    array::as_element,
    bytes::map::Buffer,
    dtype::{Element, Scalar, dispatch, scalars},
};

/// How many bytes of numbers are collected before they are passed to the sink.
const CHUNK_LEN: usize = 64 << 10;

/// A sequence that is being encoded.
pub(super) struct Sequence<'a, 's> {
    pub(super) encoder: &'a mut Encoder<'s>,
    pub(super) number: usize,
    pub(super) promised: Option<usize>,
    pub(super) count: usize,
    /// The shape, if the sequence is the elements of an array.
    pub(super) shape: Option<Vec<usize>>,
    pub(super) run: NumberRun,
    /// The sequence in the tree, once an element was written there.
    pub(super) open: Option<OpenCompound>,
}

/// The numbers at the beginning of a sequence.
pub(super) enum NumberRun {
    /// The sequence has no elements yet.
    Empty,
    /// All elements so far are of one type. `bytes` are those that were not yet
    /// passed to the sink.
    Of { scalar: Scalar, bytes: Vec<u8>, spilled: bool },
    /// An element was not a number of the same type.
    Ended,
}

impl Sequence<'_, '_> {
    #[inline]
    fn number<A: Element>(&mut self, element: &A) -> Result<()> {
        match &mut self.run {
            NumberRun::Of { scalar, bytes, .. } if *scalar == A::SCALAR => {
                bytes.extend_from_slice(bytemuck::bytes_of(element));
                self.count += 1;
                if bytes.len() >= CHUNK_LEN {
                    self.spill()?;
                }
                Ok(())
            }
            NumberRun::Empty => {
                let room =
                    self.promised.unwrap_or(0).saturating_mul(size_of::<A>()).min(CHUNK_LEN + 16);
                let mut bytes = Vec::with_capacity(room);
                bytes.extend_from_slice(bytemuck::bytes_of(element));
                self.count = 1;
                self.run = NumberRun::Of { scalar: A::SCALAR, bytes, spilled: false };
                Ok(())
            }
            NumberRun::Of { .. } | NumberRun::Ended => self.write_to_tree(element),
        }
    }

    /// Passes the collected numbers to the sink, unless they are too few for a
    /// segment.
    fn spill(&mut self) -> Result<()> {
        let NumberRun::Of { scalar, bytes, spilled } = &mut self.run else {
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

    /// Writes an element to the tree.
    fn write_to_tree<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<()> {
        self.move_to_tree()?;
        let at = self.count;
        self.count += 1;
        self.encoder.part(PathStep::Index(at), element)
    }

    /// Moves the collected numbers to the tree, which contains the sequence
    /// from now on.
    fn move_to_tree(&mut self) -> Result<()> {
        if self.open.is_none() {
            self.open = Some(self.encoder.open(CompoundKind::Array, self.promised)?);
        }
        match std::mem::replace(&mut self.run, NumberRun::Ended) {
            NumberRun::Of { spilled: true, .. } => {
                self.encoder.found_mixed = Some(self.number);
                Err(Error::invalid_data("the sequence contains numbers of several types"))
            }
            NumberRun::Of { scalar, bytes, .. } => dispatch!(scalar, A => {
                // Unlike a vector of bytes, a buffer is aligned for all element
                // types.
                let aligned = Buffer::copy_of(&bytes)?;
                let elements = A::cast(aligned.as_ref());
                let elements = elements.expect("the bytes are whole, aligned elements");
                elements.iter().try_for_each(|element| element.serialize(&mut *self.encoder))
            }),
            NumberRun::Empty | NumberRun::Ended => Ok(()),
        }
    }
}

impl ser::SerializeSeq for Sequence<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<()> {
        macro_rules! append_scalar {
            (
                ($this:ident, $element:ident)
                $($scalar:ident: $type:ty, $class:ident, $names:tt;)*
            ) => {$(
                if let Some(number) = as_element::<T, $type>($element) {
                    return $this.number(number);
                }
            )*};
        }
        scalars!(append_scalar!(self, element));
        self.write_to_tree(element)
    }

    fn end(mut self) -> Result<()> {
        if let NumberRun::Of { bytes, spilled, .. } = &self.run {
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
        self.move_to_tree()?;
        let mut open = self.open.take().expect("the sequence is in the tree");
        open.count = self.count;
        self.encoder.close(&open)
    }
}
