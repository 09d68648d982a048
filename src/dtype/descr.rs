//! Dtypes as text and as NumPy's `descr`: type strings, and lists of fields for structured dtypes.
//!
//! A field is `(name, dtype)` or `(name, dtype, shape)`, its name `(title, name)` where it has a title. Padding is a field of void
//! called `''`. JSON, which has no tuples, has lists in their place.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    ByteOrder, DType, DTypeKind, Field, Literals, Quoted, Scalar, TimeUnit,
    literal::{self, Literal},
};
use crate::{Error, Result};

impl DType {
    /// The dtype that comes next.
    pub(crate) fn read(literals: &mut Literals<'_>) -> Result<Self> {
        of(&literals.literal()?)
    }

    /// As Python writes it.
    pub(crate) fn as_literal(&self) -> impl fmt::Display {
        self.literal()
    }

    fn literal(&self) -> Literal {
        let Some(fields) = self.fields() else {
            return Literal::Text(self.to_string());
        };
        let mut items = Vec::with_capacity(fields.len());
        let mut at = 0;
        let padding = |length: usize| {
            let code = Literal::Text(format!("|V{length}"));
            (length > 0).then(|| Literal::Tuple(vec![Literal::Text(String::new()), code]))
        };
        for field in fields.iter() {
            items.extend(padding(field.offset() - at));
            let name = Literal::Text(field.name().to_owned());
            let name = match field.title() {
                Some(title) => Literal::Tuple(vec![Literal::Text(title.to_owned()), name]),
                None => name,
            };
            let mut parts = vec![name, field.dtype().literal()];
            if !field.shape().is_empty() {
                parts.push(Literal::Tuple(
                    field.shape().iter().copied().map(Literal::Number).collect(),
                ));
            }
            items.push(Literal::Tuple(parts));
            at = field.offset() + field.count() * field.dtype().item_size();
        }
        items.extend(padding(self.item_size() - at));
        Literal::List(items)
    }
}

/// A type string or, of a structured dtype, the list of its fields, as NumPy writes them.
impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.byte_order() {
            None => '|',
            Some(ByteOrder::Little) => '<',
            Some(ByteOrder::Big) => '>',
        };
        match &self.kind {
            DTypeKind::Scalar(scalar) => write!(f, "{prefix}{}", scalar.code()),
            DTypeKind::Bytes(length) => write!(f, "|S{length}"),
            DTypeKind::Text(length) => write!(f, "{prefix}U{length}"),
            DTypeKind::DateTime(unit) => write!(f, "{prefix}M8{unit}"),
            DTypeKind::TimeDelta(unit) => write!(f, "{prefix}m8{unit}"),
            DTypeKind::Void(length) => write!(f, "|V{length}"),
            DTypeKind::Struct(_) => self.literal().fmt(f),
        }
    }
}

impl FromStr for DType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if !text.starts_with('[') {
            return type_string(text);
        }
        let mut literals = Literals::new(text);
        let dtype = Self::read(&mut literals)?;
        literals.end().map(|()| dtype)
    }
}

impl Serialize for DType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.literal().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        of(&literal::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn of(literal: &Literal) -> Result<DType> {
    match literal {
        Literal::Text(text) => type_string(text),
        Literal::List(items) if shape_in(items).is_none() => structured(items),
        _ => Err(Error::invalid_data(format!(
            "expected a type string or a list of fields, found {}",
            Found(literal)
        ))),
    }
}

fn structured(items: &[Literal]) -> Result<DType> {
    let mut fields = Vec::with_capacity(items.len());
    let mut at = 0_usize;
    for (number, item) in items.iter().enumerate() {
        let (title, name, rest) = named(item).ok_or_else(|| {
            Error::invalid_data(format!(
                "expected field {number} as (name, dtype) or (name, dtype, shape), found {}",
                Found(item)
            ))
        })?;
        let (dtype, shape) =
            shaped(rest).map_err(|error| error.within(format_args!("field {}", Quoted(name))))?;
        let padding = name.is_empty() && matches!(dtype.kind(), DTypeKind::Void(_));
        let field = Field::new(name, dtype, at).with_shape(shape);
        let end = field.nbytes().and_then(|nbytes| nbytes.checked_add(at));
        at = end.ok_or_else(|| {
            Error::invalid_data(format!(
                "field {} ends beyond what memory can address",
                Quoted(name)
            ))
        })?;
        if !padding {
            fields.push(match title {
                Some(title) => field.with_title(title),
                None => field,
            });
        }
    }
    DType::structured(fields, at)
}

/// Title, name, and what follows the name in a field.
fn named(item: &Literal) -> Option<(Option<&str>, &str, &[Literal])> {
    let (name, rest) =
        items_of(item)?.split_first().filter(|(_, rest)| matches!(rest.len(), 1 | 2))?;
    match (name, items_of(name)) {
        (Literal::Text(name), _) => Some((None, name, rest)),
        (_, Some([Literal::Text(title), Literal::Text(name)])) => Some((Some(title), name, rest)),
        _ => None,
    }
}

/// A dtype, with a shape behind it where there is one. The dtype may have a shape of its own, which comes last.
fn shaped(parts: &[Literal]) -> Result<(DType, Vec<usize>)> {
    let (dtype, inner) = match items_of(&parts[0]) {
        Some(items) if shape_in(items).is_some() => shaped(items)?,
        _ => (of(&parts[0])?, Vec::new()),
    };
    let Some(shape) = parts.get(1) else {
        return Ok((dtype, inner));
    };
    let Some(mut shape) = lengths(shape) else {
        return Err(Error::invalid_data(format!("expected a shape, found {}", Found(shape))));
    };
    shape.extend(inner);
    Ok((dtype, shape))
}

/// The shape in a pair of a dtype and a shape.
fn shape_in(items: &[Literal]) -> Option<Vec<usize>> {
    match items {
        [_, shape] => lengths(shape),
        _ => None,
    }
}

fn lengths(literal: &Literal) -> Option<Vec<usize>> {
    let number = |literal: &Literal| {
        if let Literal::Number(number) = literal { Some(*number) } else { None }
    };
    match items_of(literal) {
        Some(items) => items.iter().map(number).collect(),
        None => number(literal).map(|length| vec![length]),
    }
}

fn items_of(literal: &Literal) -> Option<&[Literal]> {
    match literal {
        Literal::List(items) | Literal::Tuple(items) => Some(items),
        Literal::Text(_) | Literal::Number(_) => None,
    }
}

/// A literal inside a message.
struct Found<'a>(&'a Literal);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quoted(&self.0.to_string()).fmt(f)
    }
}

/// A dtype that is not structured. Only where elements have no byte order, none need be said.
fn type_string(text: &str) -> Result<DType> {
    let (prefix, code) = match text.as_bytes().first() {
        Some(b'<' | b'>' | b'|' | b'=') => text.split_at(1),
        _ => ("", text),
    };
    let kind = kind(code).ok_or_else(|| unknown(text, code))?;
    let byte_order = match prefix {
        "<" => ByteOrder::Little,
        ">" => ByteOrder::Big,
        _ if !kind.has_byte_order() => ByteOrder::NATIVE,
        _ => {
            return Err(Error::invalid_data(format!(
                "dtype {} does not say its byte order: write `<{code}` (little-endian) or `>{code}` (big-endian)",
                Quoted(text)
            )));
        }
    };
    Ok(DType::of_kind(kind, byte_order))
}

fn kind(code: &str) -> Option<DTypeKind> {
    if let Some(scalar) = Scalar::ALL.into_iter().find(|scalar| scalar.code() == code) {
        return Some(DTypeKind::Scalar(scalar));
    }
    let (letter, rest) = code.split_at_checked(1)?;
    let kind = match letter {
        "S" => DTypeKind::Bytes(length(rest, 1)?),
        "U" => DTypeKind::Text(length(rest, DTypeKind::CHARACTER)?),
        "V" => DTypeKind::Void(length(rest, 1)?),
        "M" => DTypeKind::DateTime(TimeUnit::parse(rest.strip_prefix('8')?)?),
        "m" => DTypeKind::TimeDelta(TimeUnit::parse(rest.strip_prefix('8')?)?),
        _ => return None,
    };
    Some(kind)
}

/// A length that memory can address, in units of so many bytes.
fn length(digits: &str, unit: usize) -> Option<usize> {
    let length = digits
        .bytes()
        .all(|digit| digit.is_ascii_digit())
        .then(|| digits.parse::<usize>().ok())??;
    length.checked_mul(unit).and_then(|bytes| isize::try_from(bytes).ok()).map(|_| length)
}

fn unknown(text: &str, code: &str) -> Error {
    let quoted = Quoted(text);
    if code.starts_with('O') {
        return Error::invalid_data(format!(
            "dtype {quoted} holds Python objects, which only Python can read: save it with a numeric dtype"
        ));
    }
    let codes: Vec<_> = Scalar::ALL.iter().map(|scalar| scalar.code()).collect();
    Error::invalid_data(format!(
        "unknown dtype {quoted}; known are {}, M8 and m8 with a unit, S, U and V with a length, each after `<` or `>`, \
         and lists of fields",
        codes.join(" ")
    ))
}
