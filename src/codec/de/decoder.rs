//! The serde deserializer over a tree.

use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
        Visitor,
    },
};

use super::reader::{ARRAY_DATA_KEY, ARRAY_DIM_KEY, Item, Reader, key_text};
use crate::{
    AnyArray, Error, Result,
    array::{ARRAY_STRUCT, Number, WHOLE_ARRAY_NEWTYPE, WholeArray},
    codec::segments::{MAX_DEPTH, Segments},
    dtype::Escaped,
};

/// Decodes the value of `tree`, with arrays from `segments`.
pub(crate) fn decode<'de, T: Deserialize<'de>>(
    tree: &'de [u8],
    segments: &dyn Segments,
) -> Result<T> {
    let mut decoder = Decoder::new(tree, segments);
    let value = T::deserialize(&mut decoder)?;
    decoder.reader.end()?;
    Ok(value)
}

/// Decodes a shape.
pub(in crate::codec) fn decode_shape(tree: &[u8]) -> Option<Vec<usize>> {
    decode(tree, &NoSegments).ok()
}

/// The segments of a tree that must not refer to any.
struct NoSegments;

impl Segments for NoSegments {
    fn get(&self, index: u64) -> Result<AnyArray> {
        Err(Error::invalid_data(format!(
            "the tree refers to segment {index}, but there are no segments"
        )))
    }
}

struct Decoder<'de, 's> {
    reader: Reader<'de>,
    /// A position, and how often a value was requested there without moving on.
    stalls: (usize, usize),
    segments: &'s dyn Segments,
    /// Whether the next value is the elements of an array: `data` in a map that
    /// has `dim`.
    is_array_data: bool,
}

impl<'de, 's> Decoder<'de, 's> {
    fn new(tree: &'de [u8], segments: &'s dyn Segments) -> Self {
        Self { reader: Reader::new(tree), stalls: (0, 0), segments, is_array_data: false }
    }

    /// Returns the next value if it is a segment.
    fn next_segment(&mut self) -> Result<Option<WholeArray>> {
        let Item::Segment(index) = self.reader.peek()? else { return Ok(None) };
        self.reader.next()?;
        self.segment(index).map(Some)
    }

    fn segment(&mut self, index: u64) -> Result<WholeArray> {
        self.reader.refer_to(index)?;
        self.segments.get(index).map(WholeArray)
    }

    /// Returns the next value if it is a number.
    fn next_number(&mut self) -> Result<Option<Number>> {
        let Item::Number(number) = self.reader.peek()? else { return Ok(None) };
        self.reader.next()?;
        Ok(Some(number))
    }

    /// Limits the options and newtypes around a value. They use no bytes of the
    /// tree, and a type can nest them without end.
    fn stall(&mut self) -> Result<()> {
        let (stalled_at, times) = self.stalls;
        let position = self.reader.position();
        self.stalls = if stalled_at == position { (position, times + 1) } else { (position, 1) };
        if self.stalls.1 > MAX_DEPTH {
            return Err(Error::invalid_data(format!(
                "the type nests more than {MAX_DEPTH} options or newtypes around one value"
            )));
        }
        Ok(())
    }

    fn deeper<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.reader.enter()?;
        let value = inside(self)?;
        self.reader.leave();
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

    /// Reads a 128-bit integer, if the next value is bytes.
    fn wide_integer(&mut self) -> Result<Option<[u8; 16]>> {
        match self.reader.peek()? {
            Item::Bytes(bytes) => match bytes.try_into() {
                Ok(bytes) => {
                    self.reader.next()?;
                    Ok(Some(bytes))
                }
                Err(_) => Err(Error::invalid_data(format!(
                    "expected 16 bytes of a 128-bit integer, found {}",
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
        match self.reader.next()? {
            Item::Nil | Item::Somes(_) => visitor.visit_unit(),
            Item::Bool(value) => visitor.visit_bool(value),
            Item::Number(number) => number.deserialize_any(visitor),
            Item::Text(value) => visitor.visit_borrowed_str(value),
            Item::Bytes(value) => visitor.visit_borrowed_bytes(value),
            Item::Array(count) => self.array(count, visitor),
            Item::Map(count) => self.map(count, visitor),
            Item::Segment(_) if self.is_array_data && self.segments.requires_maps() => {
                Err(Error::invalid_input(
                    "an array in an untagged, internally tagged or flattened type cannot be \
                     mapped, because serde buffers it, but a map is required",
                ))
            }
            Item::Segment(index) => self.segment(index)?.deserialize_any(visitor),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.wide_integer()? {
            Some(bytes) => visitor.visit_i128(i128::from_be_bytes(bytes)),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.wide_integer()? {
            Some(bytes) => visitor.visit_u128(u128::from_be_bytes(bytes)),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.next_number()? {
            Some(number) => number.deserialize_f32(visitor),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.next_number()? {
            Some(number) => number.deserialize_f64(visitor),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.peek()? {
            Item::Nil => {
                self.reader.next()?;
                visitor.visit_none()
            }
            Item::Somes(count) => {
                self.reader.next()?;
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

    /// A visitor of a sequence receives copies of the elements.
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
        if name == WHOLE_ARRAY_NEWTYPE {
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
        match self.reader.peek()? {
            Item::Map(_) => self.deserialize_any(visitor),
            found if name == ARRAY_STRUCT => Err(Error::invalid_data(format!(
                "expected an array, found {}: read a value that was written as a plain sequence \
                 into a `Vec`",
                found.describe()
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
        match self.reader.next()? {
            Item::Text(variant) => {
                visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(variant))
            }
            Item::Map(1) => self.deeper(|decoder| visitor.visit_enum(Variant { decoder })),
            found => Err(Error::invalid_data(format!(
                "expected a variant of enum {name}, found {}",
                found.describe()
            ))),
        }
    }

    /// Skips the value without access to segments.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.reader.skip()?;
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 char str string unit unit_struct map identifier
    }
}

/// The entries of an array or a map.
struct Entries<'d, 'de, 's> {
    decoder: &'d mut Decoder<'de, 's>,
    left: usize,
    at: usize,
    /// The offset of the last key.
    key: usize,
    /// Whether the map has an entry `dim`.
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
        self.decoder.is_array_data = false;
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
        self.key = self.decoder.reader.position();
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        let key = self.decoder.reader.since(self.key);
        let is_array_data = self.has_dim && key == ARRAY_DATA_KEY;
        self.decoder.is_array_data = is_array_data;
        self.has_dim |= key == ARRAY_DIM_KEY;
        let value = seed.deserialize(&mut *self.decoder);
        self.decoder.is_array_data = false;
        value.map_err(
            |error| {
                if is_array_data { error } else { error.within(Escaped(&key_text(key))) }
            },
        )
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

/// A nil within this many `Some`s.
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
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
