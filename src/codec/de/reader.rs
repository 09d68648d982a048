//! Reading the items of a tree.

use std::{borrow::Cow, collections::HashSet};

use byteorder::{BigEndian, ByteOrder as _};
use rmp::Marker;

use crate::{
    Error, Result,
    array::Number,
    codec::segments::{MAX_DEPTH, SEGMENT_EXTENSION, SOME_EXTENSION},
};

/// The encoded keys of an array's version, shape and elements.
pub(super) const ARRAY_VERSION_KEY: &[u8] = b"\xa1v";
pub(super) const ARRAY_DIM_KEY: &[u8] = b"\xa3dim";
pub(super) const ARRAY_DATA_KEY: &[u8] = b"\xa4data";

/// Returns the key of a map entry at the start of `tree` as text.
pub(in crate::codec) fn key_text(tree: &[u8]) -> Cow<'_, str> {
    match Reader::new(tree).next() {
        Ok(Item::Text(text)) => Cow::Borrowed(text),
        Ok(Item::Number(Number::Unsigned(number))) => Cow::Owned(number.to_string()),
        Ok(Item::Number(Number::Signed(number))) => Cow::Owned(number.to_string()),
        Ok(Item::Bool(value)) => Cow::Owned(value.to_string()),
        // A compound key has no short name.
        _ => Cow::Borrowed("?"),
    }
}

/// A reader of a tree.
pub(super) struct Reader<'de> {
    tree: &'de [u8],
    position: usize,
    depth: usize,
    /// The segments that the tree has referred to.
    referred: HashSet<u64>,
}

/// An item of a tree. The entries of an array or a map follow it.
#[derive(Debug)]
pub(super) enum Item<'de> {
    Nil,
    Bool(bool),
    Number(Number),
    Text(&'de str),
    Bytes(&'de [u8]),
    Array(usize),
    Map(usize),
    Segment(u64),
    Somes(u8),
}

impl Item<'_> {
    /// Describes the item in words.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Nil => "nothing",
            Self::Bool(_) => "a bool",
            Self::Number(Number::Unsigned(_) | Number::Signed(_)) => "an integer",
            Self::Number(Number::F32(_) | Number::F64(_)) => "a float",
            Self::Text(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "a sequence",
            Self::Map(_) => "a map",
            Self::Segment(_) => "the elements of an array",
            Self::Somes(_) => "an option",
        }
    }
}

impl<'de> Reader<'de> {
    pub(super) fn new(tree: &'de [u8]) -> Self {
        Self { tree, position: 0, depth: 0, referred: HashSet::new() }
    }

    /// Returns the offset of the next item.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Returns the bytes from offset `start` to the next item.
    pub(super) fn since(&self, start: usize) -> &'de [u8] {
        &self.tree[start..self.position]
    }

    /// Checks that no bytes are left.
    pub(super) fn end(&self) -> Result<()> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(Error::invalid_data(format!("{left} bytes follow the value of the tree"))),
        }
    }

    /// Descends one level. Returns an error if the tree nests too deep.
    pub(super) fn enter(&mut self) -> Result<()> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::invalid_data(format!(
                "the tree nests deeper than {MAX_DEPTH} levels"
            )));
        }
        self.depth += 1;
        Ok(())
    }

    /// Ascends one level.
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Records a reference to a segment.
    ///
    /// A value refers to each segment only once, so that a small tree cannot
    /// create many copies of an array.
    pub(super) fn refer_to(&mut self, index: u64) -> Result<()> {
        if self.referred.insert(index) {
            return Ok(());
        }
        Err(Error::invalid_data(format!("the value refers to segment {index} more than once")))
    }

    fn remaining(&self) -> usize {
        self.tree.len() - self.position
    }

    fn take(&mut self, count: usize) -> Result<&'de [u8]> {
        let left = self.remaining();
        if count > left {
            return Err(Error::invalid_data(format!(
                "the tree is truncated: expected {count} bytes at byte {}, found {left}",
                self.position
            )));
        }
        let taken = &self.tree[self.position..self.position + count];
        self.position += count;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<u64> {
        Ok(BigEndian::read_uint(self.take(bytes)?, bytes))
    }

    fn signed(&mut self, bytes: usize) -> Result<Item<'de>> {
        Ok(Item::Number(BigEndian::read_int(self.take(bytes)?, bytes).into()))
    }

    fn length(&mut self, bytes: usize) -> Result<usize> {
        usize::try_from(self.number(bytes)?)
            .map_err(|_| Error::invalid_data("a length is larger than memory can address"))
    }

    /// Checks the number of entries of an array or a map, each of which has at
    /// least `bytes_each` bytes.
    fn entries(&self, count: usize, bytes_each: usize) -> Result<usize> {
        let left = self.remaining();
        if count.saturating_mul(bytes_each) > left {
            return Err(Error::invalid_data(format!(
                "the tree declares {count} entries at byte {}, but only {left} bytes are left",
                self.position
            )));
        }
        Ok(count)
    }

    fn text(&mut self, length: usize) -> Result<Item<'de>> {
        let at = self.position;
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Item::Text).map_err(|_| {
            Error::invalid_data(format!("the string at byte {at} of the tree is not UTF-8"))
        })
    }

    fn extension(&mut self, length: usize) -> Result<Item<'de>> {
        let at = self.position;
        let extension_type = self.number(1)? as u8 as i8;
        let payload = self.take(length)?;
        match extension_type {
            SEGMENT_EXTENSION => {
                let mut inner = Reader::new(payload);
                match inner.next()? {
                    Item::Number(Number::Unsigned(index)) if inner.remaining() == 0 => {
                        Ok(Item::Segment(index))
                    }
                    _ => Err(Error::invalid_data(format!(
                        "the segment at byte {at} of the tree has no index"
                    ))),
                }
            }
            SOME_EXTENSION if length == 1 && payload[0] > 0 => Ok(Item::Somes(payload[0])),
            _ => Err(Error::invalid_data(format!(
                "unknown extension of type {extension_type} and {length} bytes at byte {at} of the \
                 tree"
            ))),
        }
    }

    /// Reads the next item.
    pub(super) fn next(&mut self) -> Result<Item<'de>> {
        let at = self.position;
        let marker = Marker::from_u8(self.take(1)?[0]);
        Ok(match marker {
            Marker::Null => Item::Nil,
            Marker::False => Item::Bool(false),
            Marker::True => Item::Bool(true),
            Marker::FixPos(value) => Item::Number(Number::Unsigned(value.into())),
            Marker::FixNeg(value) => Item::Number(Number::Signed(value.into())),
            Marker::U8 => Item::Number(self.number(1)?.into()),
            Marker::U16 => Item::Number(self.number(2)?.into()),
            Marker::U32 => Item::Number(self.number(4)?.into()),
            Marker::U64 => Item::Number(self.number(8)?.into()),
            Marker::I8 => self.signed(1)?,
            Marker::I16 => self.signed(2)?,
            Marker::I32 => self.signed(4)?,
            Marker::I64 => self.signed(8)?,
            Marker::F32 => Item::Number(f32::from_bits(BigEndian::read_u32(self.take(4)?)).into()),
            Marker::F64 => Item::Number(f64::from_bits(self.number(8)?).into()),
            Marker::FixStr(length) => self.text(length.into())?,
            Marker::Str8 => self.length(1).and_then(|length| self.text(length))?,
            Marker::Str16 => self.length(2).and_then(|length| self.text(length))?,
            Marker::Str32 => self.length(4).and_then(|length| self.text(length))?,
            Marker::Bin8 => self.length(1).and_then(|length| self.take(length)).map(Item::Bytes)?,
            Marker::Bin16 => {
                self.length(2).and_then(|length| self.take(length)).map(Item::Bytes)?
            }
            Marker::Bin32 => {
                self.length(4).and_then(|length| self.take(length)).map(Item::Bytes)?
            }
            Marker::FixArray(count) => Item::Array(self.entries(count.into(), 1)?),
            Marker::Array16 => {
                self.length(2).and_then(|count| self.entries(count, 1)).map(Item::Array)?
            }
            Marker::Array32 => {
                self.length(4).and_then(|count| self.entries(count, 1)).map(Item::Array)?
            }
            Marker::FixMap(count) => Item::Map(self.entries(count.into(), 2)?),
            Marker::Map16 => {
                self.length(2).and_then(|count| self.entries(count, 2)).map(Item::Map)?
            }
            Marker::Map32 => {
                self.length(4).and_then(|count| self.entries(count, 2)).map(Item::Map)?
            }
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 => self.length(1).and_then(|length| self.extension(length))?,
            Marker::Ext16 => self.length(2).and_then(|length| self.extension(length))?,
            Marker::Ext32 => self.length(4).and_then(|length| self.extension(length))?,
            Marker::Reserved => {
                return Err(Error::invalid_data(format!(
                    "byte {at} of the tree is the reserved byte 0xC1"
                )));
            }
        })
    }

    /// Moves back to an offset.
    pub(super) fn rewind(&mut self, position: usize) {
        self.position = position;
    }

    /// Returns the next item without moving past it.
    pub(super) fn peek(&mut self) -> Result<Item<'de>> {
        let position = self.position;
        let item = self.next();
        self.position = position;
        item
    }

    /// Moves past a value.
    pub(super) fn skip(&mut self) -> Result<()> {
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
}
