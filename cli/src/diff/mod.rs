//! `ndferry diff`: whether two files hold the same arrays, and where they differ.
//!
//! Arrays are gone through tile by tile ([`tiles`]), so that those larger than memory can be compared, in any two memory orders.

mod compare;
mod distance;
mod pair;
mod tiles;
mod time;

use std::{borrow::Cow, collections::HashMap};

use ndferry::{
    AnyArray, DType,
    dtype::{DTypeKind, Field},
    file::{ArrayFile, ArrayInfo},
};
use serde::Serialize;

use self::{compare::Difference, pair::Pair};
use super::{
    args::DiffArgs,
    failure::{Failure, Failures},
    input::{self, Found},
    terminal,
    text::{self, OneLine, brief},
    value::{Figure, Value},
};

/// Characters of a dtype, a shape, an index or a value in a line, at most.
const PART: usize = 160;

pub fn run(args: &DiffArgs, failures: &mut Failures) -> Result<(), Failure> {
    match rows(args) {
        Ok(rows) => {
            if rows.iter().any(|row| row.verdict != Verdict::Same) {
                failures.deny();
            }
            let lines = || rows.iter().filter_map(|row| row.line(args)).collect();
            terminal::print(&if args.json { text::json(&rows) } else { lines() })
        }
        Err(failure) => {
            failures.trouble(&failure);
            Ok(())
        }
    }
}

/// What was found of two arrays of one name, as the JSON has it.
#[derive(Serialize)]
struct Row {
    array: String,
    verdict: Verdict,
    /// Of the array in A and in B; `null` where there is none.
    dtype: [Option<DType>; 2],
    shape: [Option<Vec<usize>>; 2],
    /// How many elements differ, and of how many of them just one is NaN.
    different: u64,
    nan: u64,
    /// The first that differ, in C order.
    first: Option<Vec<usize>>,
    values: Option<[String; 2]>,
    /// The largest differences of those that are not NaN.
    absolute: Figure,
    relative: Figure,
}

/// What keeps two arrays from being the same: the first that applies.
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
    [&a, &b].into_iter().try_for_each(input::check_paths)?;
    let pairs = match &args.array {
        Some(name) => vec![[Some(Part::called(&a, name)?), Some(Part::called(&b, name)?)]],
        None => {
            if let Some(failure) = [&a, &b].into_iter().flat_map(input::unreadable).next() {
                return Err(failure);
            }
            pairs(&a, &b)
        }
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

/// What is compared: an array, or a field of one.
struct Part<'a> {
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    info: &'a ArrayInfo,
    field: Option<String>,
}

impl<'a> Part<'a> {
    fn of(info: &'a ArrayInfo) -> Self {
        let (name, dtype, shape) =
            (info.name().to_owned(), info.dtype().clone(), info.shape().to_vec());
        Self { name, dtype, shape, info, field: None }
    }

    fn called(file: &'a ArrayFile, name: &str) -> Result<Self, Failure> {
        match input::find(file, name)? {
            Found::Array(info) => Ok(Self::of(info)),
            Found::Field(info, path) => {
                let part = Self { name: name.to_owned(), field: Some(path), ..Self::of(info) };
                let read = part.read(file)?;
                Ok(Self { dtype: read.dtype().clone(), shape: read.shape().to_vec(), ..part })
            }
        }
    }

    fn read(&self, file: &ArrayFile) -> Result<AnyArray, Failure> {
        let whole = file.read_entry(self.info);
        let part = match &self.field {
            None => whole,
            Some(path) => whole.and_then(|array| array.field(path)),
        };
        part.map_err(|error| Failure::of(file.path(), &error))
    }
}

/// The row of two arrays of one type and shape, or one for each field.
fn compare_all(
    row: Row,
    pair: &Pair,
    nan_differs: bool,
    rows: &mut Vec<Row>,
) -> Result<(), String> {
    // Without bytes nothing can differ, however many fields there are.
    let dtype = pair.one().dtype();
    let Some(fields) = dtype.fields().filter(|fields| !fields.is_empty() && dtype.item_size() > 0)
    else {
        rows.push(row.with(compare::compare(pair, nan_differs)?, pair));
        return Ok(());
    };
    for field in fields.iter() {
        let step = field.escaped_name();
        let part = pair.field(&step)?;
        let array = input::joined(&row.array, &step);
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

/// Whether elements are of one type: in whatever byte order, each field in its own, and wherever fields of the same names lie.
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

/// The arrays of two files that are to be compared: by name, those of one name in their order; an only array with an only
/// array, whatever their names.
fn pairs<'a>(a: &'a ArrayFile, b: &'a ArrayFile) -> Vec<[Option<Part<'a>>; 2]> {
    if let ([one], [other]) = (a.arrays(), b.arrays()) {
        return vec![[Some(Part::of(one)), Some(Part::of(other))]];
    }
    // Of two formats but one may know escaped names.
    let plain = a.format() != b.format();
    let mut of_b: HashMap<_, _> = numbered(b, plain).collect();
    let mut pairs: Vec<_> =
        numbered(a, plain).map(|(key, one)| [Some(one), of_b.remove(&key)]).collect();
    pairs.extend(
        numbered(b, plain)
            .filter(|(key, _)| of_b.contains_key(key))
            .map(|(_, other)| [None, Some(other)]),
    );
    pairs.into_iter().map(|pair| pair.map(|info| info.map(Part::of))).collect()
}

/// The arrays of a file, each with its name and how many of that name were before it.
fn numbered(
    file: &ArrayFile,
    plain: bool,
) -> impl Iterator<Item = ((Cow<'_, str>, usize), &ArrayInfo)> {
    let mut seen = HashMap::new();
    file.arrays().iter().map(move |info| {
        let name = if plain { file.unescaped_name(info) } else { info.name().into() };
        let before = seen.entry(name.clone()).or_insert(0);
        *before += 1;
        ((name, *before), info)
    })
}

impl Row {
    /// Arrays whose elements were not compared.
    fn new(pair: &[Option<Part<'_>>; 2], verdict: Verdict) -> Self {
        let told = pair.each_ref();
        Self {
            array: pair
                .iter()
                .flatten()
                .map(|part| &part.name)
                .find(|name| !name.is_empty())
                .cloned()
                .unwrap_or_default(),
            verdict,
            dtype: told.map(|part| part.as_ref().map(|part| part.dtype.clone())),
            shape: told.map(|part| part.as_ref().map(|part| part.shape.clone())),
            different: 0,
            nan: 0,
            first: None,
            values: None,
            absolute: Figure(None),
            relative: Figure(None),
        }
    }

    /// With what was found when the elements were compared.
    fn with(self, found: Difference, pair: &Pair) -> Self {
        let (first, values) =
            found.first.map(|(place, values)| (pair.index(&place), values)).unzip();
        Self {
            verdict: if found.different == 0 { Verdict::Same } else { Verdict::Values },
            different: found.different,
            nan: found.nan,
            first,
            values,
            absolute: Figure(found.absolute),
            // To when counting began a distance of two datetimes has no relation.
            relative: Figure(
                found
                    .relative
                    .filter(|_| !matches!(pair.one().dtype().kind(), DTypeKind::DateTime(_))),
            ),
            ..self
        }
    }

    /// What people are told; nothing where there is no difference.
    fn line(&self, args: &DiffArgs) -> Option<String> {
        let both =
            |of: &dyn Fn(usize) -> String| [0, 1].map(|at| brief(&of(at), PART)).join(" and ");
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
            Verdict::Values => self.told_values(),
        };
        Some(format!("{}\n", OneLine(&text::of_array(&self.array, &message))))
    }

    fn told_values(&self) -> String {
        let total: usize = self.shape[0].iter().flatten().product();
        let mut text = format!("{} of {total} elements differ", self.different);
        if let (Some(index), Some([one, other])) = (&self.first, &self.values) {
            let (index, [one, other]) =
                (format!("{index:?}"), [one, other].map(|value| brief(value, PART)));
            text += &format!(", first at {}: {one} and {other}", brief(&index, PART));
        }
        let dtype = self.dtype[0].as_ref();
        let span = |absolute| match (absolute, dtype) {
            (Value::Integer(count), Some(dtype)) => time::span(dtype, count),
            _ => None,
        };
        if self.nan > 0 {
            let nan = if span(Value::Integer(0)).is_some() { "NaT" } else { "NaN" };
            text += &format!("; with {nan}: {}", self.nan);
        }
        if let Some(absolute) = self.absolute.0 {
            text +=
                &format!("; at most by {}", span(absolute).unwrap_or_else(|| absolute.to_string()));
        }
        if let Some(relative) = self.relative.0 {
            text += &format!(", relative {relative}");
        }
        text
    }
}
