//! Tuples, maps and structs, and the struct that is an array.

use rmp::encode;
use serde::{Serialize, ser};

use super::{Encoder, Kind, Open, Step, unwritable};
use crate::{Error, Result, array::as_lent, codec::de};

/// A tuple, a map or a struct.
pub(super) struct Compound<'a, 's> {
    encoder: &'a mut Encoder<'s>,
    open: Open,
    /// Steps to take back at the end: an enum variant's.
    within: usize,
    key: usize,
    /// Whether this may be an array as ndarray serialises them.
    pub(super) maybe_array: bool,
    dim: Option<Vec<usize>>,
}

impl<'a, 's> Compound<'a, 's> {
    pub(super) fn new(
        encoder: &'a mut Encoder<'s>,
        kind: Kind,
        length: Option<usize>,
        within: usize,
    ) -> Result<Self> {
        let open = encoder.open(kind, length)?;
        Ok(Self { encoder, open, within, key: 0, maybe_array: false, dim: None })
    }

    pub(super) fn of_variant(
        encoder: &'a mut Encoder<'s>,
        variant: &'static str,
        kind: Kind,
        length: usize,
    ) -> Result<Self> {
        encoder.variant(variant)?;
        encoder.steps.push(Step::Field(variant));
        Self::new(encoder, kind, Some(length), 1)
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let at = self.open.count;
        self.open.count += 1;
        self.encoder.part(Step::Index(at), value)
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<()> {
        self.open.count += 1;
        encode::write_str(&mut self.encoder.tree, key).map_err(unwritable)?;
        if self.maybe_array && key == "data" {
            return self.array_data(value);
        }
        let start = self.encoder.tree.len();
        self.encoder.part(Step::Field(key), value)?;
        if self.maybe_array && key == "dim" {
            self.dim = de::shape(&self.encoder.tree[start..]);
        }
        Ok(())
    }

    /// The elements of an array: named after the array, annotated with its shape.
    fn array_data<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        if let Some(elements) = as_lent(value) {
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
        let steps = self.encoder.steps.len() - self.within;
        self.encoder.steps.truncate(steps);
        Ok(())
    }
}

/// What serde calls by many names: parts that follow each other, and parts that have names.
macro_rules! compound {
    ($($trait:ident::$method:ident($($key:ident: $name:ty)?) => $own:ident;)*) => {$(
        impl ser::$trait for Compound<'_, '_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, $($key: $name,)? value: &T) -> Result<()> {
                self.$own($($key,)? value)
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
        self.encoder.part(Step::Field("key"), key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.encoder.part(Step::Key(self.key), value)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}
