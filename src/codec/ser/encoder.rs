//! The state of an encoding, and its basic operations.

use std::collections::HashSet;

use rmp::encode;
use serde::Serialize;

use crate::{
    Error, Result,
    codec::{
        de::key_text,
        segments::{MAX_DEPTH, SEGMENT_EXTENSION, Sink},
    },
    dtype::escape_name,
};

/// A step from a value to one of its parts.
#[derive(Clone, Copy)]
pub(super) enum PathStep {
    /// A field or an enum variant.
    Field(&'static str),
    /// An element of a sequence or tuple.
    Index(usize),
    /// The value of a map entry. Its key is encoded at this offset of the tree.
    Key(usize),
}

/// How many options and newtypes may be around a value, in all of its levels together. Each takes
/// some of the stack.
const MAX_WRAPPERS: usize = 4 * MAX_DEPTH;

/// The state of an encoding.
pub(super) struct Encoder<'s> {
    pub(super) tree: Vec<u8>,
    /// The path of the part that is being encoded.
    pub(super) steps: Vec<PathStep>,
    /// The number of sequences so far. It identifies a sequence if the value is
    /// encoded again.
    pub(super) sequences: usize,
    /// The sequences that are known to contain elements of several types.
    pub(super) mixed: &'s HashSet<usize>,
    /// A sequence that turned out to be mixed after a part of it was written to
    /// a segment.
    pub(super) found_mixed: Option<usize>,
    /// The shape of the next sequence, if it begins at this depth.
    pub(super) array_shape: Option<(Vec<usize>, usize)>,
    pub(super) threshold: usize,
    /// The number of options and newtypes around the current value.
    pub(super) wrappers: usize,
    pub(super) sink: &'s mut dyn Sink,
}

impl Encoder<'_> {
    /// Encodes a part of the current value.
    pub(super) fn part<T: Serialize + ?Sized>(&mut self, step: PathStep, value: &T) -> Result<()> {
        self.steps.push(step);
        value.serialize(&mut *self)?;
        self.steps.pop();
        Ok(())
    }

    /// Encodes a value within an option or a newtype, which has no part of its own.
    pub(super) fn within<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        if self.wrappers == MAX_WRAPPERS {
            return Err(Error::invalid_data(format!(
                "the value nests more than {MAX_WRAPPERS} options or newtypes"
            )));
        }
        self.wrappers += 1;
        let encoded = value.serialize(&mut *self);
        self.wrappers -= 1;
        encoded
    }

    /// Checks the nesting depth before a value with parts.
    pub(super) fn enter(&self) -> Result<()> {
        if self.steps.len() < MAX_DEPTH {
            return Ok(());
        }
        Err(Error::invalid_data(format!("the value nests deeper than {MAX_DEPTH} levels")))
    }

    /// Writes the name of an enum variant with content.
    pub(super) fn variant(&mut self, variant: &'static str) -> Result<()> {
        self.enter()?;
        CompoundKind::Map.write(&mut self.tree, 1)?;
        encode::write_str(&mut self.tree, variant).map_err(unwritable)
    }

    /// Writes a reference to a segment.
    pub(super) fn segment(&mut self, index: usize) -> Result<()> {
        let mut number = Vec::with_capacity(9);
        encode::write_uint(&mut number, index as u64).map_err(unwritable)?;
        encode::write_ext_meta(&mut self.tree, checked_len(number.len())?, SEGMENT_EXTENSION)
            .map_err(unwritable)?;
        self.tree.extend_from_slice(&number);
        Ok(())
    }

    /// Returns the path of the current part.
    pub(super) fn name(&self) -> String {
        path_name(&self.steps, &self.tree)
    }

    /// Begins a map or an array. `promised` is its number of entries according
    /// to serde, which may be wrong.
    pub(super) fn open(
        &mut self,
        kind: CompoundKind,
        promised: Option<usize>,
    ) -> Result<OpenCompound> {
        self.enter()?;
        let start = self.tree.len();
        let promised = promised.unwrap_or(0);
        kind.write(&mut self.tree, promised)?;
        Ok(OpenCompound { kind, start, header: self.tree.len() - start, promised, count: 0 })
    }

    /// Ends a map or an array, and corrects its number of entries.
    pub(super) fn close(&mut self, open: &OpenCompound) -> Result<()> {
        if open.count != open.promised {
            let mut header = Vec::new();
            open.kind.write(&mut header, open.count)?;
            self.tree.splice(open.start..open.start + open.header, header);
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
pub(super) enum CompoundKind {
    Array,
    Map,
}

impl CompoundKind {
    fn write(self, tree: &mut Vec<u8>, count: usize) -> Result<()> {
        let count = checked_len(count)?;
        match self {
            Self::Array => encode::write_array_len(tree, count),
            Self::Map => encode::write_map_len(tree, count),
        }
        .map(drop)
        .map_err(unwritable)
    }
}

/// An array or a map that is being written.
pub(super) struct OpenCompound {
    kind: CompoundKind,
    /// Offset and length of its header in the tree.
    start: usize,
    header: usize,
    promised: usize,
    /// The number of entries so far.
    pub(super) count: usize,
}

/// Returns a length as MessagePack stores it.
pub(super) fn checked_len(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| {
        Error::invalid_data(format!(
            "a part of the value has {length} entries or bytes, at most {} are supported",
            u32::MAX
        ))
    })
}

/// Converts the error type of writes to a vector, which do not fail.
pub(super) fn unwritable(error: impl std::fmt::Debug) -> Error {
    Error::invalid_data(format!("cannot write the tree: {error:?}"))
}

/// Joins the steps to a name, such as `model.layers.0.weight`.
fn path_name(steps: &[PathStep], tree: &[u8]) -> String {
    let mut name = String::new();
    for (at, step) in steps.iter().enumerate() {
        if at > 0 {
            name.push('.');
        }
        match step {
            PathStep::Field(field) => name.push_str(field),
            PathStep::Index(index) => name.push_str(&index.to_string()),
            PathStep::Key(offset) => name.push_str(&escape_name(&key_text(&tree[*offset..]))),
        }
    }
    name
}
