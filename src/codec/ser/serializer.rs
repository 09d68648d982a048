//! The serde serializer.

use std::collections::HashSet;

use rmp::encode;
use serde::{Serialize, Serializer};

use super::{
    compound::Compound,
    encoder::{CompoundKind, Encoder, PathStep, checked_len, unwritable},
    sequence::{NumberRun, Sequence},
};
use crate::{
    Error, Result,
    array::ARRAY_STRUCT,
    codec::segments::{SOME_EXTENSION, Sink},
    dtype::Scalar,
};

/// Encodes `value`. Returns the tree, and writes the segments to `sink`.
///
/// A sequence of numbers that is not an array becomes a segment if it has at
/// least `threshold` bytes.
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    threshold: usize,
    sink: &mut dyn Sink,
) -> Result<Vec<u8>> {
    encode_into(Vec::new(), value, threshold, sink)
}

/// Like [`encode`], but reuses the memory of `tree`. Its content is discarded.
pub(crate) fn encode_into<T: Serialize + ?Sized>(
    mut tree: Vec<u8>,
    value: &T,
    threshold: usize,
    sink: &mut dyn Sink,
) -> Result<Vec<u8>> {
    let mut mixed = HashSet::new();
    loop {
        tree.clear();
        let mut encoder = Encoder {
            tree,
            steps: Vec::new(),
            sequences: 0,
            mixed: &mixed,
            found_mixed: None,
            array_shape: None,
            threshold,
            wrappers: 0,
            sink,
        };
        match (value.serialize(&mut encoder), encoder.found_mixed) {
            (Ok(()), _) => return Ok(encoder.tree),
            (Err(_), Some(sequence)) => {
                // A part of the sequence was written to a segment before an
                // element of another type followed. Encode the value again,
                // with this sequence in the tree.
                tree = encoder.tree;
                mixed.insert(sequence);
                sink.restart()?;
            }
            (Err(error), None) => return Err(error),
        }
    }
}

impl<'a, 's> Serializer for &'a mut Encoder<'s> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Sequence<'a, 's>;
    type SerializeTuple = Compound<'a, 's>;
    type SerializeTupleStruct = Compound<'a, 's>;
    type SerializeTupleVariant = Compound<'a, 's>;
    type SerializeMap = Compound<'a, 's>;
    type SerializeStruct = Compound<'a, 's>;
    type SerializeStructVariant = Compound<'a, 's>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<()> {
        encode::write_bool(&mut self.tree, value).map_err(unwritable)
    }

    fn serialize_i8(self, value: i8) -> Result<()> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<()> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<()> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<()> {
        encode::write_sint(&mut self.tree, value).map(drop).map_err(unwritable)
    }

    /// Writes 16 bytes, most significant first, because MessagePack has no
    /// 128-bit integers.
    fn serialize_i128(self, value: i128) -> Result<()> {
        encode::write_bin(&mut self.tree, &value.to_be_bytes()).map_err(unwritable)
    }

    fn serialize_u8(self, value: u8) -> Result<()> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<()> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<()> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<()> {
        encode::write_uint(&mut self.tree, value).map(drop).map_err(unwritable)
    }

    fn serialize_u128(self, value: u128) -> Result<()> {
        encode::write_bin(&mut self.tree, &value.to_be_bytes()).map_err(unwritable)
    }

    fn serialize_f32(self, value: f32) -> Result<()> {
        encode::write_f32(&mut self.tree, value).map_err(unwritable)
    }

    fn serialize_f64(self, value: f64) -> Result<()> {
        encode::write_f64(&mut self.tree, value).map_err(unwritable)
    }

    fn serialize_char(self, value: char) -> Result<()> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<()> {
        checked_len(value.len())?;
        encode::write_str(&mut self.tree, value).map_err(unwritable)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        if value.len() >= self.threshold {
            self.sink.begin(self.name(), Scalar::U8, Some(value.len()))?;
            self.sink.write(value)?;
            let index = self.sink.end(&[value.len()])?;
            return self.segment(index);
        }
        checked_len(value.len())?;
        encode::write_bin(&mut self.tree, value).map_err(unwritable)
    }

    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        let start = self.tree.len();
        self.within(value)?;
        let somes = match self.tree[start..] {
            [0xc0] => 1,
            // A fixext of one byte: a nil within `Some`s.
            [0xd4, extension_type, count] if extension_type == SOME_EXTENSION as u8 => {
                count.checked_add(1).ok_or_else(|| {
                    Error::invalid_data("the value nests more than 255 options around nothing")
                })?
            }
            _ => return Ok(()),
        };
        self.tree.truncate(start);
        encode::write_ext_meta(&mut self.tree, 1, SOME_EXTENSION).map_err(unwritable)?;
        self.tree.push(somes);
        Ok(())
    }

    fn serialize_unit(self) -> Result<()> {
        encode::write_nil(&mut self.tree).map_err(unwritable)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<()> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<()> {
        self.within(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        self.variant(variant)?;
        self.part(PathStep::Field(variant), value)
    }

    fn serialize_seq(self, promised: Option<usize>) -> Result<Sequence<'a, 's>> {
        self.enter()?;
        self.sequences += 1;
        let depth = self.steps.len();
        let shape = self.array_shape.take().filter(|(_, at)| *at == depth).map(|(shape, _)| shape);
        let run =
            if self.mixed.contains(&self.sequences) { NumberRun::Ended } else { NumberRun::Empty };
        Ok(Sequence {
            number: self.sequences,
            encoder: self,
            promised,
            count: 0,
            shape,
            run,
            open: None,
        })
    }

    fn serialize_tuple(self, length: usize) -> Result<Compound<'a, 's>> {
        Compound::new(self, CompoundKind::Array, Some(length), 0)
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Compound<'a, 's>> {
        self.serialize_tuple(length)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Compound<'a, 's>> {
        Compound::of_variant(self, variant, CompoundKind::Array, length)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Compound<'a, 's>> {
        Compound::new(self, CompoundKind::Map, length, 0)
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Compound<'a, 's>> {
        let mut compound = Compound::new(self, CompoundKind::Map, Some(length), 0)?;
        compound.maybe_array = name == ARRAY_STRUCT && length == 3;
        Ok(compound)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Compound<'a, 's>> {
        Compound::of_variant(self, variant, CompoundKind::Map, length)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<()> {
        self.serialize_str(&value.to_string())
    }
}
