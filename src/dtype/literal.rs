//! The Python literals in dtypes and `.npy` headers: strings, whole numbers,
//! lists and tuples.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, SeqAccess, Visitor},
};

use super::{
    escape::Quoted,
    fields::{MAX_DESCR_PARTS, MAX_NESTING_DEPTH},
};
use crate::{Error, Result};

/// How deep brackets may nest. A structured dtype is a list of tuples, and a
/// shape is one more tuple.
const MAX_BRACKET_DEPTH: usize = 2 * MAX_NESTING_DEPTH + 2;

/// A string, a whole number that is not negative, or a list or tuple of
/// literals.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Number(usize),
    List(Vec<Literal>),
    Tuple(Vec<Literal>),
}

/// Writes the literal like Python does.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, items, close) = match self {
            Self::Text(text) => return write_text(text, f),
            Self::Number(number) => return write!(f, "{number}"),
            Self::List(items) => ("[", items, "]"),
            Self::Tuple(items) => ("(", items, if items.len() == 1 { ",)" } else { ")" }),
        };
        f.write_str(open)?;
        for (at, item) in items.iter().enumerate() {
            write!(f, "{}{item}", if at > 0 { ", " } else { "" })?;
        }
        f.write_str(close)
    }
}

fn write_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    write!(f, "{quote}")?;
    for letter in text.chars() {
        match letter {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            // All other control characters are below 256.
            _ if letter.is_control() => write!(f, "\\x{:02x}", u32::from(letter))?,
            _ if letter == quote => write!(f, "\\{letter}")?,
            _ => write!(f, "{letter}")?,
        }
    }
    write!(f, "{quote}")
}

/// Serializes tuples as lists, because JSON has no tuples.
impl Serialize for Literal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => number.serialize(serializer),
            Self::List(items) | Self::Tuple(items) => items.serialize(serializer),
        }
    }
}

/// Reads a literal from any self-describing format.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Literal, D::Error> {
    LiteralSeed { depth: MAX_BRACKET_DEPTH, parts: &Cell::new(MAX_DESCR_PARTS) }
        .deserialize(deserializer)
}

/// Reads a literal with at most this many nested brackets and parts.
#[derive(Clone, Copy)]
struct LiteralSeed<'a> {
    depth: usize,
    parts: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for LiteralSeed<'_> {
    type Value = Literal;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Literal, D::Error> {
        self.parts
            .set(self.parts.get().checked_sub(1).ok_or_else(|| de::Error::custom(too_many()))?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LiteralSeed<'_> {
    type Value = Literal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a dtype: a type string or a list of fields")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Literal, E> {
        Ok(Literal::Text(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Literal, E> {
        usize::try_from(number).map(Literal::Number).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Literal, A::Error> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(de::Error::custom(too_deep()));
        };
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(LiteralSeed { depth, ..self })? {
            items.push(item);
        }
        Ok(Literal::List(items))
    }
}

fn too_deep() -> Error {
    Error::invalid_data(format!("brackets nest deeper than {MAX_BRACKET_DEPTH}"))
}

fn too_many() -> Error {
    Error::invalid_data(format!("the dtype has more than {MAX_DESCR_PARTS} parts"))
}

/// A parser of literals in a text.
pub(crate) struct Literals<'a> {
    text: &'a str,
    /// The offset of the next byte.
    at: usize,
    /// How many more parts are accepted.
    parts: usize,
}

impl<'a> Literals<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, parts: MAX_DESCR_PARTS }
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blank(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Skips `symbol` if it comes next, and returns whether it did.
    pub(crate) fn accept(&mut self, symbol: &str) -> bool {
        self.skip_blank();
        let found = self.rest().starts_with(symbol);
        self.at += if found { symbol.len() } else { 0 };
        found
    }

    pub(crate) fn expect(&mut self, symbol: &str) -> Result<()> {
        if self.accept(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    pub(crate) fn end(&self) -> Result<()> {
        if self.rest().trim().is_empty() { Ok(()) } else { Err(self.unexpected("the end")) }
    }

    pub(crate) fn unexpected(&self, expected: &str) -> Error {
        let found = match self.rest() {
            "" => "the end".into(),
            rest => Quoted(rest.lines().next().unwrap_or("")).to_string(),
        };
        Error::invalid_data(format!("expected {expected} at byte {}, found {found}", self.at))
    }

    pub(crate) fn string(&mut self) -> Result<String> {
        self.skip_blank();
        // Python 2 marks text like `u'<f8'`.
        if matches!(self.rest().as_bytes(), [b'u', b'\'' | b'"', ..]) {
            self.at += 1;
        }
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|letter| matches!(letter, '\'' | '"')) else {
            return Err(self.unexpected("a string"));
        };
        let (mut text, mut at) = (String::new(), 1);
        while let Some(plain) = rest[at..].find([quote, '\\']) {
            text.push_str(&rest[at..at + plain]);
            at += plain;
            if rest[at..].starts_with(quote) {
                self.at += at + 1;
                return Ok(text);
            }
            let Some((letter, length)) = escaped(&rest[at + 1..]) else {
                self.at += at;
                return Err(self.unexpected("an escaped character"));
            };
            text.push(letter);
            at += 1 + length;
        }
        Err(self.unexpected("a closing quote"))
    }

    pub(crate) fn number(&mut self) -> Result<usize> {
        self.skip_blank();
        let rest = self.rest();
        let digits =
            rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let Ok(number) = rest[..digits].parse() else {
            return Err(
                self.unexpected("a length (a whole number that is not negative and fits memory)")
            );
        };
        self.at += digits;
        // Python 2 writes long integers like `3L`.
        if self.rest().starts_with('L') {
            self.at += 1;
        }
        Ok(number)
    }

    pub(super) fn literal(&mut self) -> Result<Literal> {
        self.literal_within(MAX_BRACKET_DEPTH)
    }

    fn literal_within(&mut self, depth: usize) -> Result<Literal> {
        self.parts = self.parts.checked_sub(1).ok_or_else(too_many)?;
        self.skip_blank();
        match self.rest().as_bytes().first() {
            Some(b'\'' | b'"' | b'u') => Ok(Literal::Text(self.string()?)),
            Some(b'0'..=b'9') => self.number().map(Literal::Number),
            Some(b'[' | b'(') if depth == 0 => Err(too_deep()),
            Some(b'[') => Ok(Literal::List(self.items("[", "]", depth - 1)?.0)),
            Some(b'(') => {
                let (mut items, comma) = self.items("(", ")", depth - 1)?;
                // Brackets around a single item are not a tuple.
                Ok(if items.len() == 1 && !comma { items.remove(0) } else { Literal::Tuple(items) })
            }
            _ => Err(self.unexpected("a string, a whole number, a list or a tuple")),
        }
    }

    /// Reads items between brackets. Returns them and whether a comma follows
    /// the last one.
    fn items(&mut self, open: &str, close: &str, depth: usize) -> Result<(Vec<Literal>, bool)> {
        let mut items = Vec::new();
        self.expect(open)?;
        let mut comma = false;
        while !self.accept(close) {
            items.push(self.literal_within(depth)?);
            comma = self.accept(",");
            if !comma {
                self.expect(close)?;
                break;
            }
        }
        Ok((items, comma))
    }
}

/// Parses an escape sequence after its backslash. Returns the character and the
/// length of the sequence.
fn escaped(text: &str) -> Option<(char, usize)> {
    let hexadecimal = |digits: usize| {
        let number = text
            .get(1..=digits)
            .filter(|text| text.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        Some((char::from_u32(u32::from_str_radix(number, 16).ok()?)?, digits + 1))
    };
    match text.bytes().next()? {
        letter @ (b'\\' | b'\'' | b'"') => Some((letter.into(), 1)),
        b'n' => Some(('\n', 1)),
        b'r' => Some(('\r', 1)),
        b't' => Some(('\t', 1)),
        b'x' => hexadecimal(2),
        b'u' => hexadecimal(4),
        b'U' => hexadecimal(8),
        _ => None,
    }
}
