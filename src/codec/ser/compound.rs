//! Tuples, maps and structs, including the struct that represents an array.

use rmp::encode;
use serde::{Serialize, ser};

use super::encoder::{CompoundKind, Encoder, OpenCompound, PathStep, unwritable};
use crate::{Error, Result, array::as_array_elements, codec::de};

/// A tuple, a map or a struct that is being encoded.
pub(super) struct Compound<'a, 's> {
    encoder: &'a mut Encoder<'s>,
    open: OpenCompound,
    /// The number of steps to remove at the end: 1 for an enum variant.
    variant_steps: usize,
    /// The offset of the last key of a map.
    key: usize,
    /// Whether this may be the struct that represents an array.
    pub(super) maybe_array: bool,
    /// The shape of the array.
    dim: Option<Vec<usize>>,
}

impl<'a, 's> Compound<'a, 's> {
    pub(super) fn new(
        encoder: &'a mut Encoder<'s>,
        kind: CompoundKind,
        length: Option<usize>,
        variant_steps: usize,
    ) -> Result<Self> {
        let open = encoder.open(kind, length)?;
        Ok(Self { encoder, open, variant_steps, key: 0, maybe_array: false, dim: None })
    }

    pub(super) fn of_variant(
        encoder: &'a mut Encoder<'s>,
        variant: &'static str,
        kind: CompoundKind,
        length: usize,
    ) -> Result<Self> {
        encoder.variant(variant)?;
        encoder.steps.push(PathStep::Field(variant));
        Self::new(encoder, kind, Some(length), 1)
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let at = self.open.count;
        self.open.count += 1;
        self.encoder.part(PathStep::Index(at), value)
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<()> {
        self.open.count += 1;
        encode::write_str(&mut self.encoder.tree, key).map_err(unwritable)?;
        if self.maybe_array && key == "data" {
            return self.array_data(value);
        }
        let start = self.encoder.tree.len();
        self.encoder.part(PathStep::Field(key), value)?;
        if self.maybe_array && key == "dim" {
            self.dim = de::decode_shape(&self.encoder.tree[start..]);
        }
        Ok(())
    }

    /// Encodes the elements of an array as a segment with the name and shape of
    /// the array.
    fn array_data<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        if let Some(elements) = as_array_elements(value) {
            let index = self.encoder.sink.array(self.encoder.name(), &elements.0)?;
            return self.encoder.segment(index);
        }
        self.encoder.array_shape = self.dim.take().map(|dim| (dim, self.encoder.steps.len()));
        let done = value.serialize(&mut *self.encoder);
        self.encoder.array_shape = None;
        done
    }

    fn finish(self) -> Result<()> {
        self.encoder.close(&self.open)?;
        let steps = self.encoder.steps.len() - self.variant_steps;
        self.encoder.steps.truncate(steps);
        Ok(())
    }
}

/// Implements serde's traits for values with unnamed and named parts.
macro_rules! compound {
    ($($trait:ident::$method:ident($($key:ident: $name:ty)?) => $encode:ident;)*) => {$(
        impl ser::$trait for Compound<'_, '_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, $($key: $name,)? value: &T) -> Result<()> {
                self.$encode($($key,)? value)
            }

            fn end(self) -> Result<()> {
                self.finish()
            }
        }
    )*};
}

compound! {
    SerializeTuple::serialize_element() => element;
    SerializeTupleStruct::serialize_field() => element;
    SerializeTupleVariant::serialize_field() => element;
    SerializeStruct::serialize_field(key: &'static str) => field;
    SerializeStructVariant::serialize_field(key: &'static str) => field;
}

impl ser::SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.open.count += 1;
        self.key = self.encoder.tree.len();
        self.encoder.part(PathStep::Field("key"), key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.encoder.part(PathStep::Key(self.key), value)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}
