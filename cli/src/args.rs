//! Argument groups and value parsers that several subcommands share.

use std::str::FromStr;

use clap::Args;
use ndferry::{
    DType,
    array::Order,
    file::{Format, OpenOptions, RawLayout},
};

const RAW_HEADING: &str = "Raw binary input";

/// The arrays to work on.
#[derive(Args)]
pub struct ArrayArgs {
    /// Select arrays or fields, such as 'layers.*.bias' (can be repeated)
    ///
    /// A field of records is named by its array and its path, such as model.stars.mass. In a
    /// pattern, * stands for any text, ? for one character, and brackets for one of the
    /// characters in them.
    #[arg(long = "array", value_name = "NAME")]
    pub arrays: Vec<String>,
}

/// Limits on reading.
#[derive(Args)]
pub struct LimitArgs {
    /// Decompress at most this many bytes of an array [default: 4294967296]
    #[arg(long, value_name = "BYTES", value_parser = bytes, allow_negative_numbers = true)]
    max_decompressed: Option<u64>,
}

impl LimitArgs {
    /// The options for opening a file within the limit.
    pub fn options(&self) -> OpenOptions {
        let limit = self.max_decompressed.into_iter();
        limit.fold(OpenOptions::new(), OpenOptions::max_decompressed_bytes)
    }
}

/// How to read an input file.
#[derive(Args)]
pub struct InputArgs {
    #[command(flatten)]
    raw: RawArgs,

    /// Memory order of raw binary: C (row-major) or F [default: C]
    #[arg(long, value_name = "C|F", requires = "raw", value_parser = order, help_heading = RAW_HEADING)]
    pub order: Option<Order>,
}

impl InputArgs {
    /// The layout of raw binary, or `None` if the file has a format.
    pub fn layout(&self) -> Option<RawLayout> {
        self.raw.layout(self.order)
    }
}

/// The layout of raw binary without its memory order, for which `convert` has
/// an option of its own.
#[derive(Args)]
pub struct RawArgs {
    /// Read raw binary with elements of this NumPy dtype, such as '<f8'
    #[arg(long, value_name = "DTYPE", requires = "shape", help_heading = RAW_HEADING)]
    pub raw: Option<DType>,

    /// Axis lengths, such as 33,41,25, or '' for a single element
    #[arg(long, value_name = "N,N,…", requires = "raw", allow_hyphen_values = true, help_heading = RAW_HEADING)]
    pub shape: Option<Shape>,

    /// Bytes before the first element [default: 0]
    #[arg(long, value_name = "BYTES", requires = "raw", value_parser = bytes, allow_negative_numbers = true, help_heading = RAW_HEADING)]
    pub offset: Option<u64>,
}

impl RawArgs {
    /// The layout of raw binary, or `None` if the file has a format.
    pub fn layout(&self, order: Option<Order>) -> Option<RawLayout> {
        let (dtype, shape) = self.raw.clone().zip(self.shape.clone())?;
        Some(
            RawLayout::new(dtype, shape.0)
                .order(order.unwrap_or(Order::C))
                .offset(self.offset.unwrap_or(0)),
        )
    }
}

/// The shape of an array, parsed from `33,41,25`.
#[derive(Clone)]
pub struct Shape(pub Vec<usize>);

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        // Python writes a shape of one axis as `3,`.
        let lengths = text.strip_suffix(',').unwrap_or(text).split(',');
        let length = |length: &str| match length.trim().parse() {
            Ok(length) => Ok(length),
            Err(_) => Err(format!(
                "`{length}` is not a length; expected whole numbers with commas, such as 33,41,25"
            )),
        };
        Ok(Self(lengths.map(length).collect::<Result<_, _>>()?))
    }
}

/// Parses a memory order.
pub fn order(text: &str) -> Result<Order, String> {
    match text {
        "C" | "c" => Ok(Order::C),
        "F" | "f" => Ok(Order::F),
        _ => Err("expected C (row-major) or F (column-major)".into()),
    }
}

/// Parses a number of bytes.
pub fn bytes(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a number of bytes, 0 or more".into())
}

/// The extensions of the formats that can be read, as a list in words.
pub fn readable_extensions(conjunction: &str) -> String {
    extensions(Format::all().iter(), conjunction)
}

/// The extensions of the formats that can be written, as a list in words.
pub fn writable_extensions(conjunction: &str) -> String {
    extensions(Format::all().iter().filter(|format| format.is_writable()), conjunction)
}

fn extensions<'a>(formats: impl Iterator<Item = &'a Format>, conjunction: &str) -> String {
    let extensions = formats.filter_map(|format| Some(format!(".{}", format.extension()?)));
    in_words(&extensions.collect::<Vec<_>>(), conjunction)
}

/// A list such as `a, b or c`.
fn in_words(items: &[String], conjunction: &str) -> String {
    match items {
        [items @ .., last] if !items.is_empty() => {
            format!("{} {conjunction} {last}", items.join(", "))
        }
        _ => items.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_shapes_are_whole_numbers_with_commas() {
        let shape = |text: &str| text.parse::<Shape>().map(|shape| shape.0);
        assert_eq!(shape("33,41,25"), Ok(vec![33, 41, 25]));
        assert_eq!(shape("3, 0"), Ok(vec![3, 0]));
        assert_eq!(shape("7,"), Ok(vec![7]));
        assert_eq!(shape(""), Ok(vec![]));
        for wrong in ["-1,3", ",", "3,,4", "3x4", "99999999999999999999", "1.5"] {
            let message = shape(wrong).unwrap_err();
            assert!(message.contains("expected whole numbers"), "{wrong}: {message}");
        }
    }

    #[test]
    fn usage_lists_in_words_end_with_the_conjunction() {
        let items = ["a", "b", "c"].map(String::from);
        assert_eq!(in_words(&items, "or"), "a, b or c");
        assert_eq!(in_words(&items[..1], "or"), "a");
        assert_eq!(in_words(&[], "or"), "");
    }
}
