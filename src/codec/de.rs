//! Decoding: a serde deserializer over a tree, which hands over the arrays it refers to.
//!
//! Trees come from files of unknown origin: every length is held against the bytes that are there before anything is
//! allocated for it, and nesting has a bound.

use std::borrow::Cow;

use byteorder::{BigEndian, ByteOrder as _};
use rmp::Marker;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor},
};

use super::{DEPTH, SEGMENT, SOME, Segments};
use crate::{
    AnyArray, Error, Result,
    array::{ARRAY, HANDOVER, Handover},
};

/// The value of `tree`, whose segments `segments` knows.
pub(crate) fn decode<'de, T: Deserialize<'de>>(tree: &'de [u8], segments: &dyn Segments) -> Result<T> {
    let mut decoder = Decoder { input: tree, at: 0, depth: 0, segments };
    let value = T::deserialize(&mut decoder)?;
    match tree.len() - decoder.at {
        0 => Ok(value),
        left => Err(Error::invalid(format!("the tree goes on for {left} bytes after its value"))),
    }
}

/// A shape, as just encoded.
pub(super) fn shape(tree: &[u8]) -> Option<Vec<usize>> {
    decode(tree, &NoSegments).ok()
}

/// A map's key at the beginning of `tree`, as text.
pub(super) fn key_text(tree: &[u8]) -> Cow<'_, str> {
    let mut decoder = Decoder { input: tree, at: 0, depth: 0, segments: &NoSegments };
    match decoder.next() {
        Ok(Item::Text(text)) => Cow::Borrowed(text),
        Ok(Item::Unsigned(number)) => Cow::Owned(number.to_string()),
        Ok(Item::Signed(number)) => Cow::Owned(number.to_string()),
        Ok(Item::Bool(value)) => Cow::Owned(value.to_string()),
        // A key of several parts has no name of its own.
        _ => Cow::Borrowed("?"),
    }
}

struct NoSegments;

impl Segments for NoSegments {
    fn get(&self, index: u64) -> Result<AnyArray> {
        Err(Error::invalid(format!("segment {index}, where there are none")))
    }
}

struct Decoder<'de, 's> {
    input: &'de [u8],
    at: usize,
    depth: usize,
    segments: &'s dyn Segments,
}

/// What stands at one place of a tree. Of an array or a map it is the head: its entries follow.
#[derive(Debug)]
enum Item<'de> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    F32(f32),
    F64(f64),
    Text(&'de str),
    Bytes(&'de [u8]),
    Array(usize),
    Map(usize),
    Segment(u64),
    Somes(u8),
}

impl Item<'_> {
    fn what(&self) -> &'static str {
        match self {
            Self::Nil => "nothing",
            Self::Bool(_) => "a bool",
            Self::Unsigned(_) | Self::Signed(_) => "an integer",
            Self::F32(_) | Self::F64(_) => "a float",
            Self::Text(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "a sequence",
            Self::Map(_) => "a map",
            Self::Segment(_) => "the elements of an array",
            Self::Somes(_) => "an option",
        }
    }
}

impl<'de> Decoder<'de, '_> {
    fn take(&mut self, count: usize) -> Result<&'de [u8]> {
        let left = self.input.len() - self.at;
        if count > left {
            return Err(Error::invalid(format!(
                "the tree ends at byte {} where {count} more bytes were expected and {left} are left",
                self.input.len()
            )));
        }
        let taken = &self.input[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<u64> {
        Ok(BigEndian::read_uint(self.take(bytes)?, bytes))
    }

    fn signed(&mut self, bytes: usize) -> Result<Item<'de>> {
        Ok(Item::Signed(BigEndian::read_int(self.take(bytes)?, bytes)))
    }

    fn length(&mut self, bytes: usize) -> Result<usize> {
        usize::try_from(self.number(bytes)?).map_err(|_| Error::invalid("a length beyond what memory can address"))
    }

    /// The number of entries of an array or a map, each of which needs a byte at least.
    fn entries(&self, count: usize, bytes_each: usize) -> Result<usize> {
        let left = self.input.len() - self.at;
        if count.saturating_mul(bytes_each) > left {
            return Err(Error::invalid(format!(
                "the tree promises {count} entries at byte {}, {left} bytes are left",
                self.at
            )));
        }
        Ok(count)
    }

    fn text(&mut self, length: usize) -> Result<Item<'de>> {
        let at = self.at;
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Item::Text).map_err(|_| Error::invalid(format!("the string at byte {at} of the tree is not UTF-8")))
    }

    fn extension(&mut self, length: usize) -> Result<Item<'de>> {
        let at = self.at;
        let kind = self.number(1)? as u8 as i8;
        let payload = self.take(length)?;
        match kind {
            SEGMENT => {
                let mut inner = Decoder { input: payload, at: 0, depth: 0, segments: &NoSegments };
                match inner.next()? {
                    Item::Unsigned(index) if inner.at == payload.len() => Ok(Item::Segment(index)),
                    _ => Err(Error::invalid(format!("the segment at byte {at} of the tree has no number"))),
                }
            }
            SOME if length == 1 && payload[0] > 0 => Ok(Item::Somes(payload[0])),
            _ => Err(Error::invalid(format!("extension of type {kind} and {length} bytes at byte {at} of the tree"))),
        }
    }

    fn next(&mut self) -> Result<Item<'de>> {
        let at = self.at;
        let marker = Marker::from_u8(self.take(1)?[0]);
        Ok(match marker {
            Marker::Null => Item::Nil,
            Marker::False => Item::Bool(false),
            Marker::True => Item::Bool(true),
            Marker::FixPos(value) => Item::Unsigned(value.into()),
            Marker::FixNeg(value) => Item::Signed(value.into()),
            Marker::U8 => Item::Unsigned(self.number(1)?),
            Marker::U16 => Item::Unsigned(self.number(2)?),
            Marker::U32 => Item::Unsigned(self.number(4)?),
            Marker::U64 => Item::Unsigned(self.number(8)?),
            Marker::I8 => self.signed(1)?,
            Marker::I16 => self.signed(2)?,
            Marker::I32 => self.signed(4)?,
            Marker::I64 => self.signed(8)?,
            Marker::F32 => Item::F32(f32::from_bits(BigEndian::read_u32(self.take(4)?))),
            Marker::F64 => Item::F64(f64::from_bits(self.number(8)?)),
            Marker::FixStr(length) => self.text(length.into())?,
            Marker::Str8 => self.length(1).and_then(|length| self.text(length))?,
            Marker::Str16 => self.length(2).and_then(|length| self.text(length))?,
            Marker::Str32 => self.length(4).and_then(|length| self.text(length))?,
            Marker::Bin8 => self.length(1).and_then(|length| self.take(length)).map(Item::Bytes)?,
            Marker::Bin16 => self.length(2).and_then(|length| self.take(length)).map(Item::Bytes)?,
            Marker::Bin32 => self.length(4).and_then(|length| self.take(length)).map(Item::Bytes)?,
            Marker::FixArray(count) => Item::Array(self.entries(count.into(), 1)?),
            Marker::Array16 => self.length(2).and_then(|count| self.entries(count, 1)).map(Item::Array)?,
            Marker::Array32 => self.length(4).and_then(|count| self.entries(count, 1)).map(Item::Array)?,
            Marker::FixMap(count) => Item::Map(self.entries(count.into(), 2)?),
            Marker::Map16 => self.length(2).and_then(|count| self.entries(count, 2)).map(Item::Map)?,
            Marker::Map32 => self.length(4).and_then(|count| self.entries(count, 2)).map(Item::Map)?,
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 => self.length(1).and_then(|length| self.extension(length))?,
            Marker::Ext16 => self.length(2).and_then(|length| self.extension(length))?,
            Marker::Ext32 => self.length(4).and_then(|length| self.extension(length))?,
            Marker::Reserved => return Err(Error::invalid(format!("the reserved byte C1 at byte {at} of the tree"))),
        })
    }

    /// What comes next, without moving on.
    fn peek(&mut self) -> Result<Item<'de>> {
        let at = self.at;
        let item = self.next();
        self.at = at;
        item
    }

    /// Moves past one value, however deep.
    fn skip(&mut self) -> Result<()> {
        let mut pending = 1usize;
        while pending > 0 {
            pending -= 1;
            match self.next()? {
                Item::Array(count) => pending = pending.saturating_add(count),
                Item::Map(count) => pending = pending.saturating_add(count.saturating_mul(2)),
                _ => {}
            }
        }
        Ok(())
    }

    fn deeper<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH {
            return Err(Error::invalid(format!("the tree nests deeper than {DEPTH} levels")));
        }
        self.depth += 1;
        let value = inside(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array<V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Result<V::Value> {
        self.deeper(|decoder| {
            let mut entries = Entries { decoder, left: count, at: 0, key: 0 };
            let value = visitor.visit_seq(&mut entries)?;
            match entries.left {
                0 => Ok(value),
                left => Err(de::Error::invalid_length(count, &&*format!("{} elements", count - left))),
            }
        })
    }

    fn map<V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Result<V::Value> {
        self.deeper(|decoder| {
            let mut entries = Entries { decoder, left: count, at: 0, key: 0 };
            let value = visitor.visit_map(&mut entries)?;
            match entries.left {
                0 => Ok(value),
                left => Err(de::Error::invalid_length(count, &&*format!("{} entries", count - left))),
            }
        })
    }

    fn wide(&mut self) -> Result<Option<[u8; 16]>> {
        match self.peek()? {
            Item::Bytes(bytes) => match bytes.try_into() {
                Ok(bytes) => {
                    self.next()?;
                    Ok(Some(bytes))
                }
                Err(_) => Err(Error::invalid(format!("{} bytes where a 128-bit integer has 16", bytes.len()))),
            },
            _ => Ok(None),
        }
    }
}

impl<'de> Deserializer<'de> for &mut Decoder<'de, '_> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.next()? {
            Item::Nil | Item::Somes(_) => visitor.visit_unit(),
            Item::Bool(value) => visitor.visit_bool(value),
            Item::Unsigned(value) => visitor.visit_u64(value),
            Item::Signed(value) => visitor.visit_i64(value),
            Item::F32(value) => visitor.visit_f32(value),
            Item::F64(value) => visitor.visit_f64(value),
            Item::Text(value) => visitor.visit_borrowed_str(value),
            Item::Bytes(value) => visitor.visit_borrowed_bytes(value),
            Item::Array(count) => self.array(count, visitor),
            Item::Map(count) => self.map(count, visitor),
            Item::Segment(index) => Handover(self.segments.get(index)?).deserialize_any(visitor),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.wide()? {
            Some(bytes) => visitor.visit_i128(i128::from_be_bytes(bytes)),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.wide()? {
            Some(bytes) => visitor.visit_u128(u128::from_be_bytes(bytes)),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek()? {
            Item::Nil => {
                self.next()?;
                visitor.visit_none()
            }
            Item::Somes(count) => {
                self.next()?;
                visitor.visit_some(SomesAroundNil(count - 1))
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek()? {
            Item::Segment(index) => {
                self.next()?;
                Handover(self.segments.get(index)?).deserialize_bytes(visitor)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        if name == HANDOVER {
            if let Item::Segment(index) = self.peek()? {
                self.next()?;
                return visitor.visit_newtype_struct(Handover(self.segments.get(index)?));
            }
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.peek()? {
            Item::Map(_) => self.deserialize_any(visitor),
            found if name == ARRAY => Err(Error::invalid(format!(
                "{} where an array was expected: what was written as a plain sequence is read as one (`Vec`)",
                found.what()
            ))),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.next()? {
            Item::Text(variant) => visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(variant)),
            Item::Map(1) => self.deeper(|decoder| visitor.visit_enum(Variant { decoder })),
            found => Err(Error::invalid(format!("{} where a variant of enum {name} was expected", found.what()))),
        }
    }

    /// Passes over the value; a segment is not even looked at.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.skip()?;
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string unit unit_struct seq tuple tuple_struct map identifier
    }
}

/// The entries of an array or a map.
struct Entries<'d, 'de, 's> {
    decoder: &'d mut Decoder<'de, 's>,
    left: usize,
    at: usize,
    key: usize,
}

impl<'de> SeqAccess<'de> for &mut Entries<'_, 'de, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let at = self.at;
        self.at += 1;
        seed.deserialize(&mut *self.decoder).map(Some).map_err(|error| error.within(format_args!("element {at}")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for &mut Entries<'_, 'de, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.key = self.decoder.at;
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        let (input, key) = (self.decoder.input, self.key);
        seed.deserialize(&mut *self.decoder).map_err(|error| error.within(key_text(&input[key..])))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// An enum variant with content.
struct Variant<'d, 'de, 's> {
    decoder: &'d mut Decoder<'de, 's>,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let variant = seed.deserialize(&mut *self.decoder)?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<()> {
        <()>::deserialize(self.decoder)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.decoder)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.decoder.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.decoder.deserialize_any(visitor)
    }
}

/// A nil inside so many `Some`s.
struct SomesAroundNil(u8);

impl<'de> Deserializer<'de> for SomesAroundNil {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0.checked_sub(1) {
            Some(fewer) => visitor.visit_some(Self(fewer)),
            None => visitor.visit_none(),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}
