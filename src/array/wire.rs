//! Serialization of arrays with serde.
//!
//! Every serializer sees an array like one of ndarray's: a struct `Array` of
//! `v` (1), `dim` and `data`. The crate's codec recognizes the type of `data`
//! ([`ArrayElements`]) when it encodes, and passes a whole array
//! ([`WholeArray`]) when it decodes, so nothing is copied. All other formats
//! see a sequence of numbers.

use std::{borrow::Cow, fmt, marker::PhantomData};

use ndarray::{ArrayD, Dimension, IxDyn};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Error as _, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor},
    ser::{SerializeSeq, SerializeStruct},
};

use super::{
    any::AnyArray,
    cast::{ArrayElements, WholeArray, downcast},
    layout::{Order, ShortShape},
    shared::SharedArray,
};
use crate::{
    Error,
    dtype::{Element, Scalar, dispatch, scalars},
};

/// The name of the struct that an array is serialized as.
pub(crate) const ARRAY_STRUCT: &str = "Array";
/// The fields of the struct.
const ARRAY_FIELDS: [&str; 3] = ["v", "dim", "data"];
/// The version of ndarray's serialization.
const VERSION: u8 = 1;
/// The name of a newtype that tells the crate's deserializer to pass a whole
/// array.
pub(crate) const WHOLE_ARRAY_NEWTYPE: &str = "$ndferry::Elements";

impl Serialize for ArrayElements {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let scalar = self.0.scalar().map_err(serde::ser::Error::custom)?;
        dispatch!(scalar, A => {
            let array = self.0.to_array::<A, IxDyn>().map_err(serde::ser::Error::custom)?;
            let mut sequence = serializer.serialize_seq(Some(array.len()))?;
            for element in array.iter() {
                sequence.serialize_element(element)?;
            }
            sequence.end()
        })
    }
}

/// `.ferry` files and other processes receive arrays of any dtype. Other
/// formats receive arrays of scalars, like ndarray's.
impl Serialize for AnyArray {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct(ARRAY_STRUCT, ARRAY_FIELDS.len())?;
        fields.serialize_field("v", &VERSION)?;
        fields.serialize_field("dim", self.shape())?;
        fields.serialize_field("data", &ArrayElements(self.clone()))?;
        fields.end()
    }
}

impl<A: Element, D: Dimension> Serialize for SharedArray<A, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_any().serialize(serializer)
    }
}

impl<'de> Deserializer<'de> for WholeArray {
    type Error = Error;

    /// Passes the elements one by one, in C order.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        dispatch!(self.0.scalar()?, A => {
            let array = self.0.to_array::<A, IxDyn>()?;
            let length = array.len();
            let mut sequence = ElementSeq { elements: array.iter(), left: length, length };
            let value = visitor.visit_seq(&mut sequence)?;
            match sequence.left {
                0 => Ok(value),
                left => {
                    let expected = format!("{} elements", length - left);
                    Err(de::Error::invalid_length(length, &&*expected))
                }
            }
        })
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.dtype().scalar() == Some(Scalar::U8) {
            visitor.visit_bytes(&self.0.bytes_in(Order::C))
        } else {
            self.deserialize_any(visitor)
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_byte_buf(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct ElementSeq<I> {
    elements: I,
    left: usize,
    length: usize,
}

impl<'de, 'a, A, I> SeqAccess<'de> for &mut ElementSeq<I>
where
    A: Element + ElementValue<'de>,
    I: Iterator<Item = &'a A>,
{
    type Error = Error;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(element) = self.elements.next() else {
            return Ok(None);
        };
        self.left -= 1;
        seed.deserialize(element.value())
            .map(Some)
            .map_err(|error| error.within(format_args!("element {}", self.length - self.left - 1)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// An element that can be deserialized from.
trait ElementValue<'de> {
    fn value(self) -> impl Deserializer<'de, Error = Error>;
}

/// Implements [`ElementValue`] by the class of the scalar.
macro_rules! implement_element_value {
    (() $($scalar:ident: $type:ty, $class:ident, $names:tt;)*) => {$(
        impl<'de> ElementValue<'de> for $type {
            #[inline]
            fn value(self) -> impl Deserializer<'de, Error = Error> {
                deserializer_of!($class, self)
            }
        }
    )*};
}

macro_rules! deserializer_of {
    (half, $value:ident) => {
        HalfDeserializer {
            name: <Self as Element>::SCALAR.rust_name(),
            bits: $value.to_bits(),
            value: $value.to_f32(),
        }
    };
    (complex, $value:ident) => {
        de::value::SeqDeserializer::new([$value.re, $value.im].map(Number::from).into_iter())
    };
    (boolean, $value:ident) => {
        $value.into_deserializer()
    };
    ($class:ident, $value:ident) => {
        Number::from($value)
    };
}

scalars!(implement_element_value!());

/// A number that is passed to serde. A type that asks for a float gets one only if it can
/// represent the number exactly. Serde's own types would round it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Unsigned(u64),
    Signed(i64),
    F32(f32),
    F64(f64),
}

macro_rules! implement_number_from {
    ($($variant:ident: $($type:ty)*;)*) => {$($(
        impl From<$type> for Number {
            #[inline]
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )*)*};
}

implement_number_from! {
    Unsigned: u8 u16 u32 u64;
    Signed: i8 i16 i32 i64;
    F32: f32;
    F64: f64;
}

impl Number {
    /// Returns the same number as an `f64`.
    #[inline]
    fn exact_f64(self) -> Result<f64, Error> {
        let (value, is_exact) = match self {
            Self::Unsigned(value) => (value as f64, value as f64 as u128 == u128::from(value)),
            Self::Signed(value) => (value as f64, value as f64 as i128 == i128::from(value)),
            Self::F32(value) => (value.into(), true),
            Self::F64(value) => (value, true),
        };
        if is_exact { Ok(value) } else { Err(self.inexact("f64")) }
    }

    /// Returns the same number as an `f32`.
    #[inline]
    fn exact_f32(self) -> Result<f32, Error> {
        let (value, is_exact) = match self {
            Self::Unsigned(value) => (value as f32, value as f32 as u128 == u128::from(value)),
            Self::Signed(value) => (value as f32, value as f32 as i128 == i128::from(value)),
            Self::F32(value) => (value, true),
            Self::F64(value) => {
                let narrow = value as f32;
                (narrow, f64::from(narrow) == value || value.is_nan())
            }
        };
        if is_exact { Ok(value) } else { Err(self.inexact("f32")) }
    }

    /// Checks that the half-precision float called `name`, if it is one, represents the number
    /// exactly.
    fn check_half(self, name: &str) -> Result<(), Error> {
        let value = self.exact_f32()?;
        let rounded = match name {
            "f16" => half::f16::from_f32(value).to_f32(),
            "bf16" => half::bf16::from_f32(value).to_f32(),
            _ => return Ok(()),
        };
        if rounded == value || value.is_nan() { Ok(()) } else { Err(self.inexact(name)) }
    }

    #[cold]
    fn inexact(self, asked: &str) -> Error {
        let (value, own): (&dyn fmt::Debug, _) = match &self {
            Self::Unsigned(value) => (value, "u64"),
            Self::Signed(value) => (value, "i64"),
            Self::F32(value) => (value, "f32"),
            Self::F64(value) => (value, "f64"),
        };
        Error::invalid_data(format!(
            "{value:?} is not exact as {asked}: read it as {own}, then cast it with `as {asked}`"
        ))
    }
}

impl<'de> Deserializer<'de> for Number {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Unsigned(value) => visitor.visit_u64(value),
            Self::Signed(value) => visitor.visit_i64(value),
            Self::F32(value) => visitor.visit_f32(value),
            Self::F64(value) => visitor.visit_f64(value),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f32(self.exact_f32()?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f64(self.exact_f64()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match (name, self) {
            ("f16" | "bf16", Self::F32(_) | Self::F64(_)) => {
                self.check_half(name)?;
                self.deserialize_any(visitor)
            }
            // Its own newtype contains the bits, which an integer must not be taken for.
            ("f16" | "bf16", _) => self.deserialize_any(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Number {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A half-precision float. `half` deserializes it from a newtype of its bits,
/// and all other types from an `f32`.
struct HalfDeserializer {
    name: &'static str,
    bits: u16,
    value: f32,
}

impl<'de> Deserializer<'de> for HalfDeserializer {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f32(self.value)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == self.name {
            visitor.visit_newtype_struct(IntoDeserializer::<Error>::into_deserializer(self.bits))
        } else {
            Number::F32(self.value).deserialize_newtype_struct(name, visitor)
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The field `data`.
enum Data<A> {
    Whole(AnyArray),
    Elements(Vec<A>),
}

impl<'de, A: Element> Deserialize<'de> for Data<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DataVisitor<A>(PhantomData<A>);

        impl<'de, A: Element> Visitor<'de> for DataVisitor<A> {
            type Value = Data<A>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a sequence of {}", A::SCALAR.rust_name())
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Self::Value, D::Error> {
                match downcast::<D, WholeArray>(deserializer) {
                    Ok(WholeArray(array)) => Ok(Data::Whole(array)),
                    Err(deserializer) => Vec::deserialize(deserializer).map(Data::Elements),
                }
            }

            fn visit_seq<S: SeqAccess<'de>>(self, sequence: S) -> Result<Self::Value, S::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(sequence))
                    .map(Data::Elements)
            }
        }

        deserializer.deserialize_newtype_struct(WHOLE_ARRAY_NEWTYPE, DataVisitor(PhantomData))
    }
}

/// The fields of the struct `Array`, before `dim` and `data` are compared.
struct Parts<A> {
    dim: Vec<usize>,
    data: Data<A>,
}

impl<'de, A: Element> Deserialize<'de> for Parts<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PartsVisitor<A>(PhantomData<A>);

        fn check_version<E: de::Error>(version: u8) -> Result<(), E> {
            if version == VERSION {
                Ok(())
            } else {
                Err(E::custom(format!("array has version {version}, expected {VERSION}")))
            }
        }

        impl<'de, A: Element> Visitor<'de> for PartsVisitor<A> {
            type Value = Parts<A>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of {}", A::SCALAR.rust_name())
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let (mut version, mut dim, mut data) = (None, None, None);
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match key.as_ref() {
                        "v" => version = Some(map.next_value()?),
                        "dim" => dim = Some(map.next_value()?),
                        "data" => data = Some(map.next_value()?),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                check_version(version.ok_or_else(|| M::Error::missing_field("v"))?)?;
                Ok(Parts {
                    dim: dim.ok_or_else(|| M::Error::missing_field("dim"))?,
                    data: data.ok_or_else(|| M::Error::missing_field("data"))?,
                })
            }

            fn visit_seq<S: SeqAccess<'de>>(
                self,
                mut sequence: S,
            ) -> Result<Self::Value, S::Error> {
                let missing =
                    |at| S::Error::invalid_length(at, &"an array of version, shape and elements");
                check_version(sequence.next_element()?.ok_or_else(|| missing(0))?)?;
                Ok(Parts {
                    dim: sequence.next_element()?.ok_or_else(|| missing(1))?,
                    data: sequence.next_element()?.ok_or_else(|| missing(2))?,
                })
            }
        }

        deserializer.deserialize_struct(ARRAY_STRUCT, &ARRAY_FIELDS, PartsVisitor(PhantomData))
    }
}

impl<A: Element> Parts<A> {
    fn into_any(self) -> crate::Result<AnyArray> {
        match self.data {
            Data::Whole(any) => any.expect_shape(&self.dim),
            Data::Elements(elements) => {
                let found = elements.len();
                let array = ArrayD::from_shape_vec(self.dim.as_slice(), elements);
                array.map(|array| SharedArray::from(array).to_any()).map_err(|_| {
                    Error::invalid_data(format!(
                        "the value has an array of shape {}, but {found} elements",
                        ShortShape(&self.dim)
                    ))
                })
            }
        }
    }
}

impl<'de, A: Element, D: Dimension> Deserialize<'de> for SharedArray<A, D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        let parts = Parts::<A>::deserialize(deserializer)?;
        let array = parts.into_any().and_then(|any| any.to_array());
        array.map_err(De::Error::custom)
    }
}

/// `.ferry` files and other processes keep the dtype. Other formats do not
/// record it, so their numbers are read as `f64`.
impl<'de> Deserialize<'de> for AnyArray {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Parts::<f64>::deserialize(deserializer)?;
        parts.into_any().map_err(D::Error::custom)
    }
}
