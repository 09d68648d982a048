//! Dtypes as text: NumPy's type strings, and its `descr` for structured dtypes.
//!
//! A field is `(name, dtype)` or `(name, dtype, shape)`. A field with a title
//! has `(title, name)` as its name. Padding is a field of void with an empty
//! name. JSON has lists instead of tuples.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    byte_order::ByteOrder,
    data_type::DType,
    escape::Quoted,
    fields::Field,
    kind::DTypeKind,
    literal::{self, Literal, Literals},
    scalar::Scalar,
    time::TimeUnit,
};
use crate::{Error, Result, error::Cause};

impl DType {
    /// Reads the next literal as a dtype.
    pub(crate) fn read(literals: &mut Literals<'_>) -> Result<Self> {
        from_literal(&literals.literal()?)
    }

    /// Returns the dtype as a Python literal.
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
        for field in fields {
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

/// Writes NumPy's type string, or the list of fields of a structured dtype.
impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.byte_order() {
            None => '|',
            Some(ByteOrder::Little) => '<',
            Some(ByteOrder::Big) => '>',
        };
        match self.kind() {
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
        from_literal(&literal::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn from_literal(literal: &Literal) -> Result<DType> {
    match literal {
        Literal::Text(text) => type_string(text),
        Literal::List(items) if shape_in(items).is_none() => structured(items),
        _ => Err(Error::invalid_data(format!(
            "expected a type string or a list of fields, found {}",
            Shown(literal)
        ))),
    }
}

fn structured(items: &[Literal]) -> Result<DType> {
    let mut fields = Vec::with_capacity(items.len());
    let mut at = 0_usize;
    for (number, item) in items.iter().enumerate() {
        let (title, name, rest) = split_field(item).ok_or_else(|| {
            Error::invalid_data(format!(
                "expected field {number} as (name, dtype) or (name, dtype, shape), found {}",
                Shown(item)
            ))
        })?;
        let (dtype, shape) = dtype_and_shape(rest)
            .map_err(|error| error.within(format_args!("field {}", Quoted(name))))?;
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

/// Splits a field into its title, its name, and the items after the name.
fn split_field(item: &Literal) -> Option<(Option<&str>, &str, &[Literal])> {
    let (name, rest) =
        items_of(item)?.split_first().filter(|(_, rest)| matches!(rest.len(), 1 | 2))?;
    match (name, items_of(name)) {
        (Literal::Text(name), _) => Some((None, name, rest)),
        (_, Some([Literal::Text(title), Literal::Text(name)])) => Some((Some(title), name, rest)),
        _ => None,
    }
}

/// Reads a dtype and the optional shape after it. The dtype may have a shape of
/// its own, which comes last.
fn dtype_and_shape(parts: &[Literal]) -> Result<(DType, Vec<usize>)> {
    let (dtype, inner) = match items_of(&parts[0]) {
        Some(items) if shape_in(items).is_some() => dtype_and_shape(items)?,
        _ => (from_literal(&parts[0])?, Vec::new()),
    };
    let Some(shape) = parts.get(1) else {
        return Ok((dtype, inner));
    };
    let Some(mut shape) = lengths(shape) else {
        return Err(Error::invalid_data(format!("expected a shape, found {}", Shown(shape))));
    };
    shape.extend(inner);
    Ok((dtype, shape))
}

/// Returns the shape if `items` is a pair of a dtype and a shape.
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

/// A literal in a message.
struct Shown<'a>(&'a Literal);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quoted(&self.0.to_string()).fmt(f)
    }
}

/// Parses a dtype without fields. The byte order may be absent only if the
/// elements have none.
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
                "dtype {} has no byte order: write `<{code}` (little-endian) or \
                 `>{code}` (big-endian)",
                Quoted(text)
            )));
        }
    };
    Ok(DType::of_kind(kind, byte_order))
}

fn kind(code: &str) -> Option<DTypeKind> {
    if let Some(scalar) = Scalar::from_code(code) {
        return Some(DTypeKind::Scalar(scalar));
    }
    let (letter, rest) = code.split_at_checked(1)?;
    let kind = match letter {
        "S" => DTypeKind::Bytes(length(rest, 1)?),
        "U" => DTypeKind::Text(length(rest, DTypeKind::CHARACTER_SIZE)?),
        "V" => DTypeKind::Void(length(rest, 1)?),
        "M" => DTypeKind::DateTime(TimeUnit::parse(rest.strip_prefix('8')?)?),
        "m" => DTypeKind::TimeDelta(TimeUnit::parse(rest.strip_prefix('8')?)?),
        _ => return None,
    };
    Some(kind)
}

/// Parses a length, in units of `unit` bytes, that memory can address.
fn length(digits: &str, unit: usize) -> Option<usize> {
    let length = digits
        .bytes()
        .all(|digit| digit.is_ascii_digit())
        .then(|| digits.parse::<usize>().ok())??;
    length.checked_mul(unit).and_then(|bytes| isize::try_from(bytes).ok()).map(|_| length)
}

/// Describes the elements and their bytes if the code is that of C's `long double`, or of
/// a complex number of two. Their format depends on the machine: x86 uses 80 bits of 12 or
/// 16 bytes, ARM and others use all 128 bits.
fn long_double(code: &str) -> Option<(&'static str, usize)> {
    match code {
        "f12" => Some(("a long double of x86", 12)),
        "f16" => Some(("a long double of x86 or ARM", 16)),
        "c24" => Some(("a complex number of two long doubles of x86", 24)),
        "c32" => Some(("a complex number of two long doubles of x86 or ARM", 32)),
        _ => None,
    }
}

fn unknown(text: &str, code: &str) -> Error {
    let quoted = Quoted(text);
    let unsupported = |message| Error::invalid_data(message).with_cause(Cause::Unsupported);
    if code.starts_with('O') {
        return unsupported(format!(
            "dtype {quoted} holds Python objects, which only Python can read: save the \
             array with a numeric dtype"
        ));
    }
    if let Some((elements, size)) = long_double(code) {
        return unsupported(format!(
            "dtype {quoted} is {elements}, {size} bytes: ndferry cannot give it, because Rust \
             has no such type; save the array with dtype `{}` in Python",
            if code.starts_with('c') { "c16" } else { "f8" }
        ));
    }
    let codes: Vec<_> = Scalar::ALL.iter().map(|scalar| scalar.code()).collect();
    Error::invalid_data(format!(
        "unknown dtype {quoted}: expected `<` or `>` and one of {}, M8 or m8 with a unit, \
         S, U or V with a length, \
         or a list of fields",
        codes.join(" ")
    ))
}
