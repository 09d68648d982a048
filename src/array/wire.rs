//! How arrays look to serde.
//!
//! To any serializer an array is what ndarray's own arrays are: a struct `Array` of `v` (1), `dim` and `data`. The crate's own
//! codec, which comes later, recognises the type of `data` on the way out ([`Elements`]) and hands a whole array over on the
//! way in ([`Handover`]), so nothing is copied; every other format sees a sequence of numbers.

use std::{borrow::Cow, fmt, marker::PhantomData};

use ndarray::{ArrayD, Dimension, IxDyn};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Error as _, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor},
    ser::{SerializeSeq, SerializeStruct},
};

use super::{AnyArray, SharedArray, Short, identical};
use crate::{
    Error,
    dtype::{Element, dispatch},
};

/// Name of the struct as which an array is serialised.
pub(crate) const ARRAY: &str = "Array";
/// Its fields.
pub(crate) const ARRAY_FIELDS: [&str; 3] = ["v", "dim", "data"];
/// The version of this form, ndarray's own.
const VERSION: u8 = 1;
/// The newtype by whose name a deserializer learns that a whole array may be handed over.
pub(crate) const HANDOVER: &str = "$ndferry::Elements";

/// The elements of an array, as `data`: a sequence of numbers to those who do not know better.
pub(crate) struct Elements(pub(crate) AnyArray);

impl Serialize for Elements {
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

/// To `.ferry` files and other processes as it is, whatever its elements; to other formats, as ndarray's arrays, where they are numbers.
impl Serialize for AnyArray {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct(ARRAY, ARRAY_FIELDS.len())?;
        fields.serialize_field("v", &VERSION)?;
        fields.serialize_field("dim", self.shape())?;
        fields.serialize_field("data", &Elements(self.clone()))?;
        fields.end()
    }
}

impl<A: Element, D: Dimension> Serialize for SharedArray<A, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_any().serialize(serializer)
    }
}

/// A deserializer that holds a whole array: what the codec passes to a visitor that asked for [`HANDOVER`].
pub(crate) struct Handover(pub(crate) AnyArray);

impl<'de> Deserializer<'de> for Handover {
    type Error = Error;

    /// The elements one by one, in logical order.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        dispatch!(self.0.scalar()?, A => {
            let array = self.0.to_array::<A, IxDyn>()?;
            let length = array.len();
            let mut sequence = ElementSeq { elements: array.iter(), left: length };
            let value = visitor.visit_seq(&mut sequence)?;
            match sequence.left {
                0 => Ok(value),
                left => Err(de::Error::invalid_length(length, &&*format!("{} elements", length - left))),
            }
        })
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.dtype().scalar() == Some(crate::dtype::Scalar::U8) {
            visitor.visit_bytes(&self.0.bytes_in(super::Order::C))
        } else {
            self.deserialize_any(visitor)
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_byte_buf(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string option unit unit_struct newtype_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct ElementSeq<I> {
    elements: I,
    left: usize,
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
        seed.deserialize(element.value()).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// One element as a deserializer.
trait ElementValue<'de> {
    fn value(self) -> impl Deserializer<'de, Error = Error>;
}

macro_rules! plain {
    ($($type:ty)*) => {$(
        impl<'de> ElementValue<'de> for $type {
            #[inline]
            fn value(self) -> impl Deserializer<'de, Error = Error> {
                self.into_deserializer()
            }
        }
    )*};
}
plain!(bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);

impl<'de> ElementValue<'de> for half::f16 {
    fn value(self) -> impl Deserializer<'de, Error = Error> {
        Half { bits: self.to_bits(), value: self.to_f32() }
    }
}

impl<'de> ElementValue<'de> for half::bf16 {
    fn value(self) -> impl Deserializer<'de, Error = Error> {
        Half { bits: self.to_bits(), value: self.to_f32() }
    }
}

/// `half` serialises its bits in a newtype; whoever wants a float gets that.
struct Half {
    bits: u16,
    value: f32,
}

impl<'de> Deserializer<'de> for Half {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f32(self.value)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(IntoDeserializer::<Error>::into_deserializer(self.bits))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> ElementValue<'de> for num_complex::Complex<f32> {
    fn value(self) -> impl Deserializer<'de, Error = Error> {
        de::value::SeqDeserializer::new([self.re, self.im].into_iter())
    }
}

impl<'de> ElementValue<'de> for num_complex::Complex<f64> {
    fn value(self) -> impl Deserializer<'de, Error = Error> {
        de::value::SeqDeserializer::new([self.re, self.im].into_iter())
    }
}

/// What `data` turns out to be.
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
                match identical::<D, Handover>(deserializer) {
                    Ok(Handover(array)) => Ok(Data::Whole(array)),
                    Err(deserializer) => Vec::deserialize(deserializer).map(Data::Elements),
                }
            }

            fn visit_seq<S: SeqAccess<'de>>(self, sequence: S) -> Result<Self::Value, S::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(sequence))
                    .map(Data::Elements)
            }
        }

        deserializer.deserialize_newtype_struct(HANDOVER, DataVisitor(PhantomData))
    }
}

/// The struct `Array` before it is known to be consistent.
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
                Err(E::custom(format!("array of version {version}, {VERSION} is known")))
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

        deserializer.deserialize_struct(ARRAY, &ARRAY_FIELDS, PartsVisitor(PhantomData))
    }
}

impl<A: Element> Parts<A> {
    fn into_any(self) -> crate::Result<AnyArray> {
        match self.data {
            Data::Whole(any) => any.of_shape(&self.dim),
            Data::Elements(elements) => {
                let found = elements.len();
                let array = ArrayD::from_shape_vec(self.dim.as_slice(), elements);
                array.map(|array| SharedArray::from(array).to_any()).map_err(|_| {
                    Error::invalid_data(format!(
                        "the value says shape {}, and has {found} elements",
                        Short(&self.dim)
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

/// From `.ferry` files and between processes. Formats that do not record an element type cannot give one back: numbers
/// from them are read as `f64`.
impl<'de> Deserialize<'de> for AnyArray {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Parts::<f64>::deserialize(deserializer)?;
        parts.into_any().map_err(D::Error::custom)
    }
}
