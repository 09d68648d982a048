//! Decoding: a serde deserializer over a tree, which hands over the arrays it refers to.
//!
//! Trees come from files of unknown origin: every length is held against the bytes that are there before anything is
//! allocated for it, and nesting has a bound.

mod check;
mod item;

use std::{borrow::Cow, collections::HashSet};

pub(crate) use check::check;
use item::Item;
use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
        Visitor,
    },
};

use super::{DEPTH, Segments};
use crate::{
    AnyArray, Error, Result,
    array::{ARRAY, HANDOVER, Handover},
    dtype::Escaped,
};

/// The value of `tree`, whose segments `segments` knows.
pub(crate) fn decode<'de, T: Deserialize<'de>>(
    tree: &'de [u8],
    segments: &dyn Segments,
) -> Result<T> {
    let mut decoder = Decoder::new(tree, segments);
    let value = T::deserialize(&mut decoder)?;
    decoder.end()?;
    Ok(value)
}

/// A shape, as just encoded.
pub(super) fn shape(tree: &[u8]) -> Option<Vec<usize>> {
    decode(tree, &NoSegments).ok()
}

/// A map's key at the beginning of `tree`, as text.
pub(super) fn key_text(tree: &[u8]) -> Cow<'_, str> {
    match Decoder::new(tree, &NoSegments).next() {
        Ok(Item::Text(text)) => Cow::Borrowed(text),
        Ok(Item::Unsigned(number)) => Cow::Owned(number.to_string()),
        Ok(Item::Signed(number)) => Cow::Owned(number.to_string()),
        Ok(Item::Bool(value)) => Cow::Owned(value.to_string()),
        // A key of several parts has no name of its own.
        _ => Cow::Borrowed("?"),
    }
}

/// The keys of an array's version, shape and elements, as the tree has them.
const VERSION: &[u8] = b"\xa1v";
const DIM: &[u8] = b"\xa3dim";
const DATA: &[u8] = b"\xa4data";

struct NoSegments;

impl Segments for NoSegments {
    fn get(&self, index: u64) -> Result<AnyArray> {
        Err(Error::invalid_data(format!("segment {index}, where there are none")))
    }
}

struct Decoder<'de, 's> {
    input: &'de [u8],
    at: usize,
    depth: usize,
    /// How often what stands at a place was looked at without moving on, and which place that was.
    stalls: (usize, usize),
    segments: &'s dyn Segments,
    /// Segments that were referred to.
    used: HashSet<u64>,
    /// Whether what comes next are the elements of an array: the `data` of a map that has a `dim`.
    of_array: bool,
}

impl<'de, 's> Decoder<'de, 's> {
    fn new(input: &'de [u8], segments: &'s dyn Segments) -> Self {
        Self {
            input,
            at: 0,
            depth: 0,
            stalls: (0, 0),
            segments,
            used: HashSet::new(),
            of_array: false,
        }
    }

    /// The value was all of the tree.
    fn end(&self) -> Result<()> {
        match self.input.len() - self.at {
            0 => Ok(()),
            left => Err(Error::invalid_data(format!(
                "the tree goes on for {left} bytes after its value"
            ))),
        }
    }

    /// The segment that comes next, if it is one.
    fn next_segment(&mut self) -> Result<Option<Handover>> {
        let Item::Segment(index) = self.peek()? else { return Ok(None) };
        self.next()?;
        self.segment(index).map(Some)
    }

    /// A segment. A value refers to each once: a small tree must not make many copies of one array.
    fn segment(&mut self, index: u64) -> Result<Handover> {
        self.refer(index)?;
        self.segments.get(index).map(Handover)
    }

    fn refer(&mut self, index: u64) -> Result<()> {
        if self.used.insert(index) {
            return Ok(());
        }
        Err(Error::invalid_data(format!("the value refers to segment {index} more than once")))
    }

    /// Bounds the options and newtypes around one place of the tree: they take none of it, and a type can nest them for ever.
    fn stall(&mut self) -> Result<()> {
        let (at, times) = self.stalls;
        self.stalls = if at == self.at { (at, times + 1) } else { (self.at, 1) };
        if self.stalls.1 > DEPTH {
            return Err(Error::invalid_data(format!(
                "the type nests more than {DEPTH} options or newtypes around one value"
            )));
        }
        Ok(())
    }

    fn deeper<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH {
            return Err(Error::invalid_data(format!("the tree nests deeper than {DEPTH} levels")));
        }
        self.depth += 1;
        let value = inside(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array<V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Result<V::Value> {
        self.deeper(|decoder| {
            let mut entries = Entries { decoder, left: count, at: 0, key: 0, has_dim: false };
            let value = visitor.visit_seq(&mut entries)?;
            match entries.left {
                0 => Ok(value),
                left => {
                    Err(de::Error::invalid_length(count, &&*format!("{} elements", count - left)))
                }
            }
        })
    }

    fn map<V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Result<V::Value> {
        self.deeper(|decoder| {
            let mut entries = Entries { decoder, left: count, at: 0, key: 0, has_dim: false };
            let value = visitor.visit_map(&mut entries)?;
            match entries.left {
                0 => Ok(value),
                left => {
                    Err(de::Error::invalid_length(count, &&*format!("{} entries", count - left)))
                }
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
                Err(_) => Err(Error::invalid_data(format!(
                    "{} bytes where a 128-bit integer has 16",
                    bytes.len()
                ))),
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
            Item::Segment(_) if self.of_array && self.segments.maps_alone() => {
                Err(Error::invalid_input(
                    "an array cannot be mapped where serde buffers it (untagged, internally tagged, flattened), and a map was required",
                ))
            }
            Item::Segment(index) => self.segment(index)?.deserialize_any(visitor),
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
            _ => {
                self.stall()?;
                visitor.visit_some(self)
            }
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.next_segment()? {
            Some(segment) => segment.deserialize_bytes(visitor),
            None => self.deserialize_any(visitor),
        }
    }

    /// Who asks for a sequence wants copies of its elements.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.next_segment()? {
            Some(segment) => segment.deserialize_any(visitor),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        if name == HANDOVER {
            if let Some(segment) = self.next_segment()? {
                return visitor.visit_newtype_struct(segment);
            }
        }
        self.stall()?;
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
            found if name == ARRAY => Err(Error::invalid_data(format!(
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
            Item::Text(variant) => {
                visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(variant))
            }
            Item::Map(1) => self.deeper(|decoder| visitor.visit_enum(Variant { decoder })),
            found => Err(Error::invalid_data(format!(
                "{} where a variant of enum {name} was expected",
                found.what()
            ))),
        }
    }

    /// Passes over the value; a segment is not even looked at.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.skip()?;
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string unit unit_struct map identifier
    }
}

/// The entries of an array or a map.
struct Entries<'d, 'de, 's> {
    decoder: &'d mut Decoder<'de, 's>,
    left: usize,
    at: usize,
    key: usize,
    /// Whether there was an entry `dim`.
    has_dim: bool,
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
        self.decoder.of_array = false;
        seed.deserialize(&mut *self.decoder)
            .map(Some)
            .map_err(|error| error.within(format_args!("element {at}")))
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
        self.decoder.of_array = self.has_dim && &input[key..self.decoder.at] == DATA;
        self.has_dim |= &input[key..self.decoder.at] == DIM;
        let value = seed.deserialize(&mut *self.decoder);
        self.decoder.of_array = false;
        value.map_err(|error| error.within(Escaped(&key_text(&input[key..]))))
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

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
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

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}
