//! Reading a tree one item at a time.

use byteorder::{BigEndian, ByteOrder as _};
use rmp::Marker;

use super::{Decoder, NoSegments};
use crate::{
    Error, Result,
    codec::{SEGMENT, SOME},
};

/// What stands at one place of a tree. Of an array or a map it is the head: its entries follow.
#[derive(Debug)]
pub(super) enum Item<'de> {
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
    pub(super) fn what(&self) -> &'static str {
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
            return Err(Error::invalid_data(format!(
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
        usize::try_from(self.number(bytes)?)
            .map_err(|_| Error::invalid_data("a length beyond what memory can address"))
    }

    /// The number of entries of an array or a map, each of which needs a byte at least.
    fn entries(&self, count: usize, bytes_each: usize) -> Result<usize> {
        let left = self.input.len() - self.at;
        if count.saturating_mul(bytes_each) > left {
            return Err(Error::invalid_data(format!(
                "the tree promises {count} entries at byte {}, {left} bytes are left",
                self.at
            )));
        }
        Ok(count)
    }

    fn text(&mut self, length: usize) -> Result<Item<'de>> {
        let at = self.at;
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Item::Text).map_err(|_| {
            Error::invalid_data(format!("the string at byte {at} of the tree is not UTF-8"))
        })
    }

    fn extension(&mut self, length: usize) -> Result<Item<'de>> {
        let at = self.at;
        let kind = self.number(1)? as u8 as i8;
        let payload = self.take(length)?;
        match kind {
            SEGMENT => {
                let mut inner = Decoder::new(payload, &NoSegments);
                match inner.next()? {
                    Item::Unsigned(index) if inner.at == payload.len() => Ok(Item::Segment(index)),
                    _ => Err(Error::invalid_data(format!(
                        "the segment at byte {at} of the tree has no number"
                    ))),
                }
            }
            SOME if length == 1 && payload[0] > 0 => Ok(Item::Somes(payload[0])),
            _ => Err(Error::invalid_data(format!(
                "extension of type {kind} and {length} bytes at byte {at} of the tree"
            ))),
        }
    }

    pub(super) fn next(&mut self) -> Result<Item<'de>> {
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
                    "the reserved byte C1 at byte {at} of the tree"
                )));
            }
        })
    }

    /// What comes next, without moving on.
    pub(super) fn peek(&mut self) -> Result<Item<'de>> {
        let at = self.at;
        let item = self.next();
        self.at = at;
        item
    }

    /// Moves past one value, however deep.
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
