//! `ndferry show`: prints the values of arrays.
//!
//! [`mod@slice`] selects a part of an array without a copy, and [`edges`] the part of
//! it that is printed. [`values`] reads the elements. [`float`] and [`quote`] make
//! words of them, which [`brackets`] and [`records`] arrange like NumPy.
//! [`export`] writes JSON and CSV.

mod brackets;
mod edges;
mod export;
mod float;
mod quote;
mod records;
mod slice;
mod values;

use std::{collections::HashSet, path::PathBuf};

use clap::Args;
use ndferry::{
    AnyArray,
    file::{ArrayFile, ArrayInfo},
};

use self::{export::Cause, slice::Slice, values::Values};
use crate::{
    args::{ArrayArgs, InputArgs, LimitArgs},
    failure::{Failure, Failures, reason},
    input::{self, Selected},
    terminal::{self, Stop, Stream},
    text::{self, shorten},
};

/// Print the values of arrays like NumPy
#[derive(Args)]
#[command(
    long_about = "Print the values of arrays like NumPy\n\n\
        Arrays of more than 1000 elements are summarised: 3 elements at each end of an axis are \
        printed. Floats have at most 8 digits after the decimal point. Records are printed as a \
        table with a column for each field. Only the selected part of a mapped file is read.\n\n\
        JSON and CSV have all elements, with all digits. JSON has NaN and infinities as strings, \
        complex numbers as [real, imaginary] and records as objects; several arrays are an object \
        with their names. Time spans are numbers of their unit, and bytes of unknown meaning are \
        hexadecimal digits.",
    after_help = "\
Examples:
  ndferry show survey.npy
  ndferry show survey.npy --slice '0:3, ::2, -1'
  ndferry show model.ferry --array model.weight --slice 0 --json
  ndferry show stars.npy --array mass --csv > mass.csv
  ndferry show --raw '>i2' --shape 33,41,25 --order F --offset 352 brain.nii

Slices, in NumPy's syntax:
  2            Element 2 of an axis, which is removed
  -1           The last element
  1:5, :5, 1:  A range without its end
  ::2, ::-1    A step, which may be negative
  ...          All axes without a part of their own

Exit codes:
  0  Success
  1  A file or an array could not be printed
  2  The arguments are invalid"
)]
pub struct ShowArgs {
    /// File to read
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    arrays: ArrayArgs,

    /// Print only this part of each array, such as '0:3, ::2, -1'
    #[arg(long, value_name = "SLICE", allow_hyphen_values = true)]
    slice: Option<Slice>,

    /// Print CSV with one row on each line
    #[arg(long, conflicts_with = "json")]
    csv: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    limit: LimitArgs,

    #[command(flatten)]
    input: InputArgs,
}

/// Axes of an array that can be printed, which is also NumPy's limit.
const MAX_AXES: usize = 64;
/// Values of a record that can be printed.
const MAX_RECORD_VALUES: usize = 1 << 20;
/// Values of an array that can be printed like NumPy. A summary of many axes, or
/// of large records, can have very many.
const MAX_PRINTED: usize = 1 << 22;
/// Arrays that a message lists.
const MAX_LISTED: usize = 10;
/// Columns of a name or a dtype in a heading.
const MAX_PART_WIDTH: usize = 60;

pub fn run(args: &ShowArgs, failures: &mut Failures) -> Result<(), Failure> {
    let file = input::open(&args.file, args.limit.options(), args.input.layout())?;
    input::check_field_paths(&file)?;
    let names = &args.arrays.arrays;
    let chosen = input::select(&file, names)?;
    if names.is_empty() {
        input::unsupported(&file).for_each(|failure| failures.report(&failure));
    }
    let show = Show { file: &file, slice: args.slice.as_ref() };
    Stream::run(|out| {
        if args.csv {
            show.csv(&chosen, out)
        } else if args.json {
            show.json(&chosen, failures, out)
        } else {
            show.text(&chosen, failures, out)
        }
    })
}

/// The file, and the part of each array that is printed.
struct Show<'a> {
    file: &'a ArrayFile,
    slice: Option<&'a Slice>,
}

impl Show<'_> {
    /// Reads the selected part of an array.
    fn read(&self, chosen: &Selected<'_>) -> Result<AnyArray, Failure> {
        let mut array = chosen.read(self.file)?;
        if let Some(slice) = self.slice {
            array = slice.of(&array).map_err(|reason| self.failure(chosen, &reason))?;
        }
        let (axes, values) = (array.shape().len(), records::values_in(array.dtype()));
        let unprintable = if axes > MAX_AXES {
            format!("cannot print {axes} axes, expected at most {MAX_AXES}; use --slice")
        } else if values > MAX_RECORD_VALUES {
            format!(
                "cannot print records of {values} values, expected at most {MAX_RECORD_VALUES}; \
                 choose a field with --array"
            )
        } else {
            return Ok(array);
        };
        Err(self.failure(chosen, &unprintable))
    }

    fn failure(&self, chosen: &Selected<'_>, message: &str) -> Failure {
        Failure::new(self.file.path(), text::of_array(&chosen.name(), message))
    }

    /// The failure of an array, or the end of the output.
    fn stop(&self, chosen: &Selected<'_>, cause: Cause) -> Stop {
        match cause {
            Cause::Array(message) => self.failure(chosen, &message).into(),
            Cause::Output(stop) => stop,
        }
    }

    /// Writes each array like NumPy. Several have their names as headings.
    fn text(
        &self,
        chosen: &[Selected<'_>],
        failures: &mut Failures,
        out: &mut Stream,
    ) -> Result<(), Stop> {
        let mut is_first = true;
        for one in chosen {
            let printed = self.read(one).and_then(|array| {
                let text = printed(&array).map_err(|reason| self.failure(one, &reason))?;
                Ok((heading(one, &array), text))
            });
            match printed {
                Ok((heading, text)) => {
                    if chosen.len() > 1 {
                        out.write(if is_first { "" } else { "\n" })?;
                        out.write(&heading)?;
                    }
                    out.write(&text)?;
                    is_first = false;
                }
                Err(failure) => failures.report(&failure),
            }
        }
        Ok(())
    }

    fn csv(&self, chosen: &[Selected<'_>], out: &mut Stream) -> Result<(), Stop> {
        let [only] = chosen else {
            let listed = chosen.iter().take(MAX_LISTED);
            let listed: Vec<_> =
                listed.map(|one| format!("`{}`", shorten(&one.name(), MAX_PART_WIDTH))).collect();
            let found = match chosen.len() {
                0 => "found none".to_owned(),
                count => {
                    let more = if count > MAX_LISTED { ", …" } else { "" };
                    format!("found {count}; choose one with --array: {}{more}", listed.join(", "))
                }
            };
            let message = format!("cannot write CSV: expected one array, {found}");
            return Err(Failure::new(self.file.path(), message).into());
        };
        export::csv(&self.read(only)?, out).map_err(|cause| self.stop(only, cause))
    }

    /// Writes the only array as nested lists, or an object with several.
    fn json(
        &self,
        chosen: &[Selected<'_>],
        failures: &mut Failures,
        out: &mut Stream,
    ) -> Result<(), Stop> {
        if let [only] = chosen {
            export::json(&self.read(only)?, out).map_err(|cause| self.stop(only, cause))?;
            return out.write("\n");
        }
        out.write("{")?;
        let mut is_first = true;
        let mut seen = HashSet::new();
        let names = self.file.arrays().iter().map(ArrayInfo::name);
        let doubled: HashSet<_> = names.filter(|name| !seen.insert(*name)).collect();
        for one in chosen {
            // An object cannot have two arrays of the same name.
            let unique = match doubled.contains(one.array.name()) {
                true => self.file.entry(one.array.name()).map(drop),
                false => Ok(()),
            };
            let array = unique
                .map_err(|error| Failure::of(self.file.path(), &error))
                .and_then(|()| self.read(one));
            match array {
                Ok(array) => {
                    let name = serde_json::Value::from(&*one.name());
                    out.write(if is_first { "" } else { ",\n" })?;
                    out.write(&format!("{name}: "))?;
                    export::json(&array, out).map_err(|cause| self.stop(one, cause))?;
                    is_first = false;
                }
                Err(failure) => failures.report(&failure),
            }
        }
        out.write("}\n")
    }
}

/// The name, the dtype and the shape of an array that is printed.
fn heading(chosen: &Selected<'_>, array: &AnyArray) -> String {
    let [name, dtype] =
        [&chosen.name(), &array.dtype().to_string()].map(|text| shorten(text, MAX_PART_WIDTH));
    format!("{name}: {dtype} {}\n", text::shape(array.shape()))
}

/// An array as text. `Err` has the reason why it cannot be printed.
fn printed(array: &AnyArray) -> Result<String, String> {
    let shape = array.shape();
    let is_summarised = edges::is_summarised(array.len());
    let count = if is_summarised { edges::count(shape) } else { array.len() };
    let values = count.saturating_mul(records::values_in(array.dtype()).max(1));
    if values > MAX_PRINTED {
        return Err(format!(
            "cannot print {values} values, expected at most {MAX_PRINTED}; use --slice"
        ));
    }
    if array.is_empty() {
        return Ok("[]\n".to_owned());
    }
    if array.dtype().fields().is_some_and(|fields| !fields.is_empty()) {
        return records::table(array, terminal::width());
    }
    let blocks = match is_summarised {
        true => edges::blocks(array, shape.len()).map_err(|error| reason(&error))?,
        false => vec![array.clone()],
    };
    let values = Values::read(&blocks)?;
    let words = if shape.is_empty() { values.scalars() } else { values.words() };
    Ok(brackets::nest(shape, words, is_summarised) + "\n")
}
