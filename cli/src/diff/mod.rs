//! `ndferry diff`: compares the arrays of two files.
//!
//! Arrays are read in tiles ([`tiles`]), so that arrays larger than memory can
//! be compared in any two memory orders.

mod compare;
mod distance;
mod pair;
mod tiles;

use std::{borrow::Cow, collections::HashMap, path::PathBuf};

use clap::Args;
use ndferry::{
    AnyArray, DType,
    dtype::{DTypeKind, Field},
    file::{ArrayFile, ArrayInfo},
};
use serde::Serialize;

use self::{compare::Difference, pair::Pair};
use crate::{
    args::{self, ArrayArgs, InputArgs, LimitArgs},
    failure::{Failure, Failures},
    input::{self, Selected},
    terminal,
    text::{self, OneLine, shorten},
    time,
    value::{Figure, Value},
};

/// Compare the arrays of two files
#[derive(Args)]
#[command(
    long_about = "Compare the arrays of two files\n\n\
        The files may differ in format, byte order and memory order. Arrays are compared by \
        name. Escapes in the names of .ferry files are ignored if the formats differ. If each \
        file has one array, the names may differ. NaN equals NaN, and 0 equals -0. For elements \
        that differ, the output has the index and the values of the first, and the largest \
        difference: absolute, and relative to the larger value. Nothing is printed if all arrays \
        are the same. Only arrays are compared, not other values in .ferry files.",
    after_help = "\
Examples:
  ndferry diff survey.npy survey.ferry
  ndferry diff --array model.weight monday.ferry tuesday.ferry
  ndferry diff --raw '<f4' --shape 640,480 sensor.dat sensor.npy

Exit codes:
  0  All arrays are the same
  1  An array differs or is missing
  2  The files could not be compared, or the arguments are invalid"
)]
pub struct DiffArgs {
    /// First file (`--raw` options apply to this file)
    #[arg(value_name = "A")]
    a: PathBuf,

    #[arg(value_name = "B", help = format!("Second file: {}", args::readable_extensions("or")))]
    b: PathBuf,

    #[command(flatten)]
    arrays: ArrayArgs,

    /// Treat NaN as different from NaN, and NaT from NaT
    #[arg(long)]
    nan_differs: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    limit: LimitArgs,

    #[command(flatten)]
    input: InputArgs,
}

/// Columns of a dtype, a shape, an index or a value in a message.
const MAX_PART_WIDTH: usize = 160;

pub fn run(args: &DiffArgs, failures: &mut Failures) -> Result<(), Failure> {
    match rows(args) {
        Ok(rows) => {
            if rows.iter().any(|row| row.verdict != Verdict::Same) {
                failures.answer_no();
            }
            let lines = || rows.iter().filter_map(|row| row.line(args)).collect();
            terminal::print(&if args.json { text::json(&rows) } else { lines() })
        }
        Err(failure) => {
            failures.report_unanswered(&failure);
            Ok(())
        }
    }
}

/// The comparison of two arrays of one name, in the layout of the JSON.
#[derive(Serialize)]
struct Row {
    array: String,
    verdict: Verdict,
    /// The dtype and the shape in A and in B, `null` for a missing array.
    dtype: [Option<DType>; 2],
    shape: [Option<Vec<usize>>; 2],
    /// The number of elements that differ, and how many of those are NaN in
    /// one file only.
    different: u64,
    nan: u64,
    /// The index and the values of the first difference in C order.
    first: Option<Vec<usize>>,
    values: Option<[String; 2]>,
    /// The largest differences without NaN.
    absolute: Figure,
    relative: Figure,
}

/// The first reason that applies why two arrays are not the same.
#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Same,
    Missing,
    Dtype,
    Shape,
    Values,
}

fn rows(args: &DiffArgs) -> Result<Vec<Row>, Failure> {
    let a = input::open(&args.a, args.limit.options(), args.input.layout())?;
    let b = input::open(&args.b, args.limit.options(), None)?;
    [&a, &b].into_iter().try_for_each(input::check_field_paths)?;
    let names = &args.arrays.arrays;
    let pairs = if names.is_empty() {
        if let Some(failure) = [&a, &b].into_iter().flat_map(input::unsupported).next() {
            return Err(failure);
        }
        pairs(&a, &b)
    } else {
        selected(&a, &b, names)?
    };
    let mut rows = Vec::new();
    for pair in pairs {
        match &pair {
            [Some(one), Some(other)] if !same_type(&one.dtype, &other.dtype) => {
                rows.push(Row::new(&pair, Verdict::Dtype));
            }
            [Some(one), Some(other)] if one.shape != other.shape => {
                rows.push(Row::new(&pair, Verdict::Shape))
            }
            [Some(one), Some(other)] => {
                let whole = Row::new(&pair, Verdict::Same);
                Pair::new(&one.read(&a)?, &other.read(&b)?)
                    .and_then(|pair| compare_all(whole, &pair, args.nan_differs, &mut rows))
                    .map_err(|message| {
                        Failure::new(a.path(), text::of_array(&one.name, &message))
                    })?;
            }
            _ => rows.push(Row::new(&pair, Verdict::Missing)),
        }
    }
    Ok(rows)
}

/// An array or a field of an array, to be compared.
struct Part<'a> {
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    selected: Selected<'a>,
}

impl<'a> Part<'a> {
    fn of(info: &'a ArrayInfo) -> Self {
        let (name, dtype, shape) =
            (info.name().to_owned(), info.dtype().clone(), info.shape().to_vec());
        Self { name, dtype, shape, selected: Selected::array(info) }
    }

    fn selected(file: &ArrayFile, selected: Selected<'a>) -> Result<Self, Failure> {
        if selected.field.is_none() {
            return Ok(Self::of(selected.array));
        }
        let read = selected.read(file)?;
        let (dtype, shape) = (read.dtype().clone(), read.shape().to_vec());
        Ok(Self { name: selected.name(), dtype, shape, selected })
    }

    fn read(&self, file: &ArrayFile) -> Result<AnyArray, Failure> {
        self.selected.read(file)
    }
}

/// The name of an array or field without the escapes of the file's format.
fn unescaped(file: &ArrayFile, selected: &Selected<'_>) -> String {
    let array = file.unescaped_name(selected.array);
    selected.field.as_deref().map_or(array.to_string(), |path| input::join_path(&array, path))
}

/// Pairs what `names` select in two files. A pattern pairs arrays and fields of one name.
fn selected<'a>(
    a: &'a ArrayFile,
    b: &'a ArrayFile,
    names: &[String],
) -> Result<Vec<[Option<Part<'a>>; 2]>, Failure> {
    let mut pairs = Vec::new();
    for name in names {
        let [of_a, mut of_b] = [input::matching(a, name)?, input::matching(b, name)?];
        if of_a.is_empty() && of_b.is_empty() {
            return Err(input::no_match(a, name));
        }
        for one in of_a {
            let is_same = |other: &Selected<'_>| {
                !input::is_pattern(name) || unescaped(b, other) == unescaped(a, &one)
            };
            let other = of_b.iter().position(is_same);
            let other = other.map(|at| Part::selected(b, of_b.remove(at))).transpose()?;
            pairs.push([Some(Part::selected(a, one)?), other]);
        }
        for other in of_b {
            pairs.push([None, Some(Part::selected(b, other)?)]);
        }
    }
    Ok(pairs)
}

/// Adds the row of two arrays of one type and shape, or a row for each field.
fn compare_all(
    row: Row,
    pair: &Pair,
    nan_differs: bool,
    rows: &mut Vec<Row>,
) -> Result<(), String> {
    // Records of 0 bytes cannot differ, however many fields they have.
    let dtype = pair.one().dtype();
    let Some(fields) = dtype.fields().filter(|fields| !fields.is_empty() && dtype.item_size() > 0)
    else {
        rows.push(row.with(compare::compare(pair, nan_differs)?, pair));
        return Ok(());
    };
    for field in fields.iter() {
        let step = field.escaped_name();
        let part = pair.field(&step)?;
        let array = input::join_path(&row.array, &step);
        let row = Row {
            array,
            dtype: [part.one(), part.other()].map(|part| Some(part.dtype().clone())),
            shape: [Some(part.shape()), Some(part.shape())],
            ..Row::new(&[None, None], Verdict::Same)
        };
        compare_all(row, &part, nan_differs, rows)?;
    }
    Ok(())
}

/// Whether two dtypes have the same type. Byte orders and the offsets of fields
/// may differ.
fn same_type(one: &DType, other: &DType) -> bool {
    match (one.fields(), other.fields()) {
        (Some(these), Some(those)) => {
            let same = |(this, that): (&Field, &Field)| {
                this.name() == that.name()
                    && this.shape() == that.shape()
                    && same_type(this.dtype(), that.dtype())
            };
            these.len() == those.len() && these.iter().zip(those.iter()).all(same)
        }
        _ => one.kind() == other.kind(),
    }
}

/// Pairs the arrays of two files by name. Arrays that share a name are paired in
/// their order. If each file has one array, the names do not matter.
fn pairs<'a>(a: &'a ArrayFile, b: &'a ArrayFile) -> Vec<[Option<Part<'a>>; 2]> {
    if let ([one], [other]) = (a.arrays(), b.arrays()) {
        return vec![[Some(Part::of(one)), Some(Part::of(other))]];
    }
    // Only one of two formats may escape names.
    let unescaped = a.format() != b.format();
    let mut of_b: HashMap<_, _> = numbered(b, unescaped).collect();
    let mut pairs: Vec<_> =
        numbered(a, unescaped).map(|(key, one)| [Some(one), of_b.remove(&key)]).collect();
    pairs.extend(
        numbered(b, unescaped)
            .filter(|(key, _)| of_b.contains_key(key))
            .map(|(_, other)| [None, Some(other)]),
    );
    pairs.into_iter().map(|pair| pair.map(|info| info.map(Part::of))).collect()
}

/// The arrays of a file, each with its name and its number among the arrays of
/// that name.
fn numbered(
    file: &ArrayFile,
    unescaped: bool,
) -> impl Iterator<Item = ((Cow<'_, str>, usize), &ArrayInfo)> {
    let mut seen = HashMap::new();
    file.arrays().iter().map(move |info| {
        let name = if unescaped { file.unescaped_name(info) } else { info.name().into() };
        let before = seen.entry(name.clone()).or_insert(0);
        *before += 1;
        ((name, *before), info)
    })
}

impl Row {
    /// The row of arrays whose elements were not compared.
    fn new(pair: &[Option<Part<'_>>; 2], verdict: Verdict) -> Self {
        let parts = pair.each_ref();
        Self {
            array: pair
                .iter()
                .flatten()
                .map(|part| &part.name)
                .find(|name| !name.is_empty())
                .cloned()
                .unwrap_or_default(),
            verdict,
            dtype: parts.map(|part| part.as_ref().map(|part| part.dtype.clone())),
            shape: parts.map(|part| part.as_ref().map(|part| part.shape.clone())),
            different: 0,
            nan: 0,
            first: None,
            values: None,
            absolute: Figure(None),
            relative: Figure(None),
        }
    }

    /// Adds the result of comparing the elements.
    fn with(self, found: Difference, pair: &Pair) -> Self {
        let (first, values) =
            found.first.map(|(position, values)| (pair.index(&position), values)).unzip();
        Self {
            verdict: if found.different == 0 { Verdict::Same } else { Verdict::Values },
            different: found.different,
            nan: found.nan,
            first,
            values,
            absolute: Figure(found.absolute),
            // Datetimes count from an arbitrary zero, so they have no relative
            // difference.
            relative: Figure(
                found
                    .relative
                    .filter(|_| !matches!(pair.one().dtype().kind(), DTypeKind::DateTime(_))),
            ),
            ..self
        }
    }

    /// A line for people, if there is a difference.
    fn line(&self, args: &DiffArgs) -> Option<String> {
        let both = |of: &dyn Fn(usize) -> String| {
            [0, 1].map(|at| shorten(&of(at), MAX_PART_WIDTH)).join(" and ")
        };
        let message = match self.verdict {
            Verdict::Same => return None,
            Verdict::Missing => {
                let holder = if self.dtype[0].is_some() { &args.a } else { &args.b };
                format!("only in {}", holder.display())
            }
            Verdict::Dtype => {
                let dtype =
                    |at: usize| self.dtype[at].as_ref().map(DType::to_string).unwrap_or_default();
                format!("different dtypes, {}", both(&dtype))
            }
            Verdict::Shape => {
                let shape =
                    |at: usize| self.shape[at].as_deref().map(text::shape).unwrap_or_default();
                format!("different shapes, {}", both(&shape))
            }
            Verdict::Values => self.values_line(),
        };
        Some(format!("{}\n", OneLine(&text::of_array(&self.array, &message))))
    }

    fn values_line(&self) -> String {
        let total: usize = self.shape[0].iter().flatten().product();
        let mut text = format!("{} of {total} elements differ", self.different);
        if let (Some(index), Some([one, other])) = (&self.first, &self.values) {
            let (index, [one, other]) =
                (format!("{index:?}"), [one, other].map(|value| shorten(value, MAX_PART_WIDTH)));
            text += &format!(", first at {}: {one} and {other}", shorten(&index, MAX_PART_WIDTH));
        }
        let dtype = self.dtype[0].as_ref();
        let as_time = |absolute| match (absolute, dtype) {
            (Value::Integer(count), Some(dtype)) => time::difference(dtype, count),
            _ => None,
        };
        if self.nan > 0 {
            let nan = if as_time(Value::Integer(0)).is_some() { "NaT" } else { "NaN" };
            text += &format!("; with {nan}: {}", self.nan);
        }
        if let Some(absolute) = self.absolute.0 {
            text += &format!(
                "; at most by {}",
                as_time(absolute).unwrap_or_else(|| absolute.to_string())
            );
        }
        if let Some(relative) = self.relative.0 {
            text += &format!(", relative {relative}");
        }
        text
    }
}
