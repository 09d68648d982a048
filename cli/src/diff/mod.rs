//! `ndferry diff`: compares the arrays of two files.
//!
//! Arrays are read in tiles ([`tiles`]), so that arrays larger than memory can
//! be compared in any two memory orders.

mod compare;
mod distance;
mod pair;
mod tiles;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

use clap::Args;
use ndferry::{
    DType,
    dtype::{DTypeKind, Field},
    file::ArrayFile,
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
    if names.is_empty() {
        if let Some(failure) = [&a, &b].into_iter().flat_map(input::unsupported).next() {
            return Err(failure);
        }
    }
    let mut rows = Vec::new();
    for [of_a, of_b] in pairs(&a, &b, names)? {
        let pair = [Part::of(&a, of_a)?, Part::of(&b, of_b)?];
        match &pair {
            [Some(one), Some(other)] if !same_type(&one.dtype, &other.dtype) => {
                rows.push(Row::new(&pair, Verdict::Dtype));
            }
            [Some(one), Some(other)] if one.shape != other.shape => {
                rows.push(Row::new(&pair, Verdict::Shape))
            }
            [Some(one), Some(other)] => {
                let whole = Row::new(&pair, Verdict::Same);
                Pair::new(&one.selected.read(&a)?, &other.selected.read(&b)?)
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
    fn of(file: &ArrayFile, selected: Option<Selected<'a>>) -> Result<Option<Self>, Failure> {
        let Some(selected) = selected else { return Ok(None) };
        let (dtype, shape) = match selected.field {
            None => (selected.array.dtype().clone(), selected.array.shape().to_vec()),
            Some(_) => {
                let read = selected.read(file)?;
                (read.dtype().clone(), read.shape().to_vec())
            }
        };
        Ok(Some(Self { name: selected.name(), dtype, shape, selected }))
    }
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

/// What is compared: in A and in B, `None` if it is missing there.
type Both<'a> = [Option<Selected<'a>>; 2];

/// Pairs all arrays of two files, or what `names` select, each pair once. If each file has one
/// array, the names of the arrays do not matter.
fn pairs<'a>(
    a: &'a ArrayFile,
    b: &'a ArrayFile,
    names: &[String],
) -> Result<Vec<Both<'a>>, Failure> {
    if names.is_empty() {
        let [mut of_a, mut of_b] = [input::select(a, names)?, input::select(b, names)?];
        return Ok(match (of_a.len(), of_b.len()) {
            (1, 1) => vec![[of_a.pop(), of_b.pop()]],
            _ => pairs_by_name([a, b], [of_a, of_b]),
        });
    }
    let (mut pairs, mut seen) = (Vec::new(), HashSet::new());
    for name in names {
        let [mut of_a, mut of_b] = [input::matching(a, name)?, input::matching(b, name)?];
        if of_a.is_empty() && of_b.is_empty() {
            return Err(input::no_match(a, name));
        }
        let found = match input::is_pattern(name) {
            true => pairs_by_name([a, b], [of_a, of_b]),
            false => vec![[of_a.pop(), of_b.pop()]],
        };
        let id = |pair: &Both<'a>| pair.each_ref().map(|one| one.as_ref().map(Selected::id));
        pairs.extend(found.into_iter().filter(|pair| seen.insert(id(pair))));
    }
    Ok(pairs)
}

/// Pairs what was selected in two files by name. Arrays that share a name are paired in their
/// order.
fn pairs_by_name<'a>(
    files: [&'a ArrayFile; 2],
    [of_a, of_b]: [Vec<Selected<'a>>; 2],
) -> Vec<Both<'a>> {
    // Only one of two formats may escape names.
    let unescaped = files[0].format() != files[1].format();
    let [numbered_a, numbered_b] =
        [(files[0], of_a), (files[1], of_b)].map(|(file, all)| numbered(file, all, unescaped));
    let mut of_b: HashMap<_, _> = numbered_b.iter().cloned().collect();
    let mut pairs: Vec<_> =
        numbered_a.into_iter().map(|(key, one)| [Some(one), of_b.remove(&key)]).collect();
    let left = numbered_b.into_iter().filter(|(key, _)| of_b.contains_key(key));
    pairs.extend(left.map(|(_, other)| [None, Some(other)]));
    pairs
}

/// What was selected in a file, each with its name and its number among those of that name.
fn numbered<'a>(
    file: &ArrayFile,
    all: Vec<Selected<'a>>,
    unescaped: bool,
) -> Vec<((String, usize), Selected<'a>)> {
    let mut seen = HashMap::new();
    let number = |selected: Selected<'a>| {
        let name = match unescaped {
            true => selected.name_in(&file.unescaped_name(selected.array)),
            false => selected.name(),
        };
        let before = seen.entry(name.clone()).or_insert(0);
        *before += 1;
        ((name, *before), selected)
    };
    all.into_iter().map(number).collect()
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
