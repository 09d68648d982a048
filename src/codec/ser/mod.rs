//! Encoding: a serde serializer that writes the tree and lets arrays out of it.

mod compound;
mod sequence;

use std::collections::HashSet;

use rmp::encode;
use serde::{Serialize, Serializer};

use super::{
    DEPTH, SEGMENT, SOME, Sink,
    place::{self, Step},
};
use crate::{Error, Result, array::ARRAY, dtype::Scalar};
use compound::Compound;
use sequence::{Run, Sequence};

/// The tree of `value`; its segments have gone to `sink`.
///
/// A sequence of numbers that is no array becomes a segment from `threshold` bytes on.
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    threshold: usize,
    sink: &mut dyn Sink,
) -> Result<Vec<u8>> {
    encode_into(Vec::new(), value, threshold, sink)
}

/// As [`encode`], into the memory of `tree`, whose content goes.
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
            sink,
        };
        match (value.serialize(&mut encoder), encoder.found_mixed) {
            (Ok(()), _) => return Ok(encoder.tree),
            (Err(_), Some(sequence)) => {
                // A sequence began as numbers of one type and went on as something else after much of it had left as a
                // segment. Once more, with that sequence kept in the tree.
                tree = encoder.tree;
                mixed.insert(sequence);
                sink.restart()?;
            }
            (Err(error), None) => return Err(error),
        }
    }
}

struct Encoder<'s> {
    tree: Vec<u8>,
    steps: Vec<Step>,
    /// Sequences begun so far: their number tells them apart between two runs over the same value.
    sequences: usize,
    mixed: &'s HashSet<usize>,
    found_mixed: Option<usize>,
    /// The shape the sequence about to begin has, and the depth at which it is to begin.
    array_shape: Option<(Vec<usize>, usize)>,
    threshold: usize,
    sink: &'s mut dyn Sink,
}

impl Encoder<'_> {
    fn part<T: Serialize + ?Sized>(&mut self, step: Step, value: &T) -> Result<()> {
        self.steps.push(step);
        value.serialize(&mut *self)?;
        self.steps.pop();
        Ok(())
    }

    /// Before anything that has parts.
    fn enter(&self) -> Result<()> {
        if self.steps.len() < DEPTH {
            return Ok(());
        }
        Err(Error::invalid_data(format!("the value nests deeper than {DEPTH} levels")))
    }

    /// The head of an enum variant with content.
    fn variant(&mut self, variant: &'static str) -> Result<()> {
        self.enter()?;
        Kind::Map.write(&mut self.tree, 1)?;
        encode::write_str(&mut self.tree, variant).map_err(unwritable)
    }

    fn segment(&mut self, index: usize) -> Result<()> {
        let mut number = Vec::with_capacity(9);
        encode::write_uint(&mut number, index as u64).map_err(unwritable)?;
        encode::write_ext_meta(&mut self.tree, length(number.len())?, SEGMENT)
            .map_err(unwritable)?;
        self.tree.extend_from_slice(&number);
        Ok(())
    }

    fn name(&self) -> String {
        place::name(&self.steps, &self.tree)
    }

    /// Starts a map or an array whose number of entries is known only at its end, if then as promised.
    fn open(&mut self, kind: Kind, promised: Option<usize>) -> Result<Open> {
        self.enter()?;
        let start = self.tree.len();
        let promised = promised.unwrap_or(0);
        kind.write(&mut self.tree, promised)?;
        Ok(Open { kind, start, header: self.tree.len() - start, promised, count: 0 })
    }

    fn close(&mut self, open: &Open) -> Result<()> {
        if open.count != open.promised {
            let mut header = Vec::new();
            open.kind.write(&mut header, open.count)?;
            self.tree.splice(open.start..open.start + open.header, header);
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Array,
    Map,
}

impl Kind {
    fn write(self, tree: &mut Vec<u8>, count: usize) -> Result<()> {
        let count = length(count)?;
        match self {
            Self::Array => encode::write_array_len(tree, count),
            Self::Map => encode::write_map_len(tree, count),
        }
        .map(drop)
        .map_err(unwritable)
    }
}

/// An array or a map being written.
struct Open {
    kind: Kind,
    start: usize,
    header: usize,
    promised: usize,
    count: usize,
}

fn length(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| {
        Error::invalid_data(format!(
            "a part of the value has {length} entries or bytes, a tree can hold {} in one",
            u32::MAX
        ))
    })
}

/// Writing to a vector fails only in type.
fn unwritable(error: impl std::fmt::Debug) -> Error {
    Error::invalid_data(format!("cannot write the tree: {error:?}"))
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

    /// Sixteen bytes, most significant first: MessagePack's own integers end at 64 bits.
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
        length(value.len())?;
        encode::write_str(&mut self.tree, value).map_err(unwritable)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        if value.len() >= self.threshold {
            self.sink.begin(self.name(), Scalar::U8, Some(value.len()))?;
            self.sink.write(value)?;
            let index = self.sink.end(&[value.len()])?;
            return self.segment(index);
        }
        length(value.len())?;
        encode::write_bin(&mut self.tree, value).map_err(unwritable)
    }

    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        let start = self.tree.len();
        value.serialize(&mut *self)?;
        let somes = match self.tree[start..] {
            [0xc0] => 1,
            // A fixext of one byte: Somes around a nil already.
            [0xd4, kind, count] if kind == SOME as u8 => count.checked_add(1).ok_or_else(|| {
                Error::invalid_data("the value nests more than 255 options around nothing")
            })?,
            _ => return Ok(()),
        };
        self.tree.truncate(start);
        encode::write_ext_meta(&mut self.tree, 1, SOME).map_err(unwritable)?;
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
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        self.variant(variant)?;
        self.part(Step::Field(variant), value)
    }

    fn serialize_seq(self, promised: Option<usize>) -> Result<Sequence<'a, 's>> {
        self.enter()?;
        self.sequences += 1;
        let depth = self.steps.len();
        let shape = self.array_shape.take().filter(|(_, at)| *at == depth).map(|(shape, _)| shape);
        let run = if self.mixed.contains(&self.sequences) { Run::Never } else { Run::Open };
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
        Compound::new(self, Kind::Array, Some(length), 0)
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
        Compound::of_variant(self, variant, Kind::Array, length)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Compound<'a, 's>> {
        Compound::new(self, Kind::Map, length, 0)
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Compound<'a, 's>> {
        let mut compound = Compound::new(self, Kind::Map, Some(length), 0)?;
        compound.maybe_array = name == ARRAY && length == 3;
        Ok(compound)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Compound<'a, 's>> {
        Compound::of_variant(self, variant, Kind::Map, length)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<()> {
        self.serialize_str(&value.to_string())
    }
}
