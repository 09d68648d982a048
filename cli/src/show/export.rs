//! Values for other programs: JSON and CSV.

use std::io::{IsTerminal, stdout};

use ndferry::{AnyArray, DType, dtype::Field};

use super::{
    float, quote,
    records::{self, part},
    values::Values,
};
use crate::{
    failure::reason,
    input,
    terminal::{Stop, Stream},
    text::{self, OneLine},
    time::Time,
};

/// Values that are converted to text at once.
const MAX_BLOCK_LEN: usize = 1 << 14;
/// Values and lists without any bytes in the file that can be written. A small
/// file can have very many.
const MAX_LEN_WITHOUT_BYTES: usize = 1 << 22;

/// An output format.
#[derive(Clone, Copy)]
enum Format {
    /// Each item of the outermost of these axes is a line. For a terminal, texts
    /// are escaped.
    Csv { axes: usize, escapes: bool },
    /// Each item of a list of at least this many axes is on a line of its own.
    Json { min_axes: usize },
}

/// A failure to write an array: the reason, or the end of the output.
pub enum Cause {
    Array(String),
    Output(Stop),
}

impl From<Stop> for Cause {
    fn from(stop: Stop) -> Self {
        Self::Output(stop)
    }
}

impl From<ndferry::Error> for Cause {
    fn from(error: ndferry::Error) -> Self {
        Self::Array(reason(&error))
    }
}

/// Writes an array as nested JSON lists. Records become objects.
pub fn json(array: &AnyArray, out: &mut Stream) -> Result<(), Cause> {
    check_without_bytes(array)?;
    let is_table = array.dtype().fields().is_some();
    list(array, Format::Json { min_axes: if is_table { 1 } else { 2 } }, out)
}

/// Writes an array as CSV, with one row for each line. Records have a header.
pub fn csv(array: &AnyArray, out: &mut Stream) -> Result<(), Cause> {
    // Other programs get the texts as they are.
    let escapes = stdout().is_terminal();
    let (shape, is_table) = (array.shape(), array.dtype().fields().is_some());
    let (found, max) = (shape.len(), if is_table { 1 } else { 2 });
    if found > max {
        let (kind, axes) = if is_table { ("records", "1 axis") } else { ("values", "2 axes") };
        return Err(Cause::Array(format!(
            "cannot write CSV of {kind} with shape {}: expected at most {axes}, found {found}; \
             select a part with --slice",
            text::shape(shape)
        )));
    }
    if is_table {
        let mut headings = Vec::new();
        collect_headings(array.dtype(), "", &mut headings);
        let headings: Vec<_> = headings.iter().map(|heading| csv_text(heading, escapes)).collect();
        out.write(&headings.join(","))?;
        out.write("\n")?;
    }
    if array.is_empty() {
        return Ok(());
    }
    check_without_bytes(array)?;
    list(array, Format::Csv { axes: shape.len(), escapes }, out)?;
    Ok(out.write("\n")?)
}

fn check_without_bytes(array: &AnyArray) -> Result<(), Cause> {
    let found = lists_and_values(array.shape());
    if array.nbytes() > 0 || found <= MAX_LEN_WITHOUT_BYTES {
        return Ok(());
    }
    Err(Cause::Array(format!(
        "cannot write {found} values or lists of 0 bytes, expected at most \
         {MAX_LEN_WITHOUT_BYTES}; use --slice"
    )))
}

/// The name of each CSV column of records: the path of a field, and the index
/// in brackets if the field is an array.
fn collect_headings(dtype: &DType, path: &str, headings: &mut Vec<String>) {
    let Some(fields) = dtype.fields() else {
        headings.push(path.to_owned());
        return;
    };
    for field in fields {
        let path = input::join_path(path, &field.escaped_name());
        for at in 0..field.shape().iter().product() {
            let index = records::index(at, field.shape());
            collect_headings(field.dtype(), &format!("{path}{index}"), headings);
        }
    }
}

/// Writes an array in blocks, so that its text is never in memory as a whole.
fn list(array: &AnyArray, format: Format, out: &mut Stream) -> Result<(), Cause> {
    let shape = array.shape();
    let max = (MAX_BLOCK_LEN / records::values_in(array.dtype()).max(1)).max(1);
    let Some(&length) = shape.first().filter(|_| lists_and_values(shape) > max) else {
        let values = texts(array, format).map_err(Cause::Array)?;
        return Ok(out.write(&nest(shape, &values, format))?);
    };
    let [open, close, between] = format.list(shape.len());
    out.write(open)?;
    let inner = lists_and_values(&shape[1..]);
    let rows = (max / inner.max(1)).max(1);
    for start in (0..length).step_by(rows) {
        let end = length.min(start + rows);
        if start > 0 {
            out.write(between)?;
        }
        if inner > max {
            list(&array.index_axis(0, start)?, format, out)?;
            continue;
        }
        let values = texts(&array.slice_axis(0, start..end)?, format).map_err(Cause::Array)?;
        let size = values.len() / (end - start);
        let row = |at: usize| nest(&shape[1..], &values[at * size..][..size], format);
        out.write(&(0..end - start).map(row).collect::<Vec<_>>().join(between))?;
    }
    Ok(out.write(close)?)
}

/// The number of elements of an array of this shape. If it has none, the number
/// of empty lists that it is written as.
fn lists_and_values(shape: &[usize]) -> usize {
    shape
        .iter()
        .take_while(|&&length| length > 0)
        .fold(1, |all, &length| all.saturating_mul(length))
}

/// Joins the texts of the elements of an array of this shape.
fn nest(shape: &[usize], texts: &[String], format: Format) -> String {
    let Some((&length, inner)) = shape.split_first() else { return texts[0].clone() };
    let [open, close, between] = format.list(shape.len());
    let size = texts.len().checked_div(length).unwrap_or(0);
    let items = if inner.is_empty() {
        texts.join(between)
    } else {
        let item = |at: usize| nest(inner, &texts[at * size..][..size], format);
        (0..length).map(item).collect::<Vec<_>>().join(between)
    };
    format!("{open}{items}{close}")
}

/// The text of each element, in C order. `Err` has the reason why they cannot be
/// read.
fn texts(array: &AnyArray, format: Format) -> Result<Vec<String>, String> {
    let Some(fields) = array.dtype().fields() else {
        return Ok(format.texts(&Values::read(std::slice::from_ref(array))?));
    };
    let mut records = vec![Vec::new(); array.len()];
    for field in fields {
        let parts = texts(&part(array, field)?, format)?;
        let size = field.shape().iter().product::<usize>();
        for (at, record) in records.iter_mut().enumerate() {
            record.extend(format.field(field, &parts[at * size..][..size]));
        }
    }
    Ok(records.into_iter().map(|parts| format.record(&parts)).collect())
}

impl Format {
    /// The texts around and between the items of the outermost of `axes` axes.
    fn list(self, axes: usize) -> [&'static str; 3] {
        match (self, axes) {
            (Self::Json { min_axes }, _) if axes < min_axes => ["[", "]", ", "],
            (Self::Json { .. }, _) => ["[", "]", ",\n"],
            (Self::Csv { axes: all, .. }, axes) if axes < all => ["", "", ","],
            (Self::Csv { .. }, _) => ["", "", "\n"],
        }
    }

    /// The text of a field of one record, or nothing for a field without values.
    fn field(self, field: &Field, texts: &[String]) -> Option<String> {
        match self {
            Self::Json { .. } => {
                let in_one_line = Self::Json { min_axes: usize::MAX };
                let name = serde_json::Value::from(field.name());
                Some(format!("{name}: {}", nest(field.shape(), texts, in_one_line)))
            }
            Self::Csv { .. } => (!texts.is_empty()).then(|| texts.join(",")),
        }
    }

    fn record(self, parts: &[String]) -> String {
        match self {
            Self::Json { .. } => format!("{{{}}}", parts.join(", ")),
            Self::Csv { .. } => parts.join(","),
        }
    }

    fn texts(self, values: &Values) -> Vec<String> {
        match self {
            Self::Csv { escapes, .. } => csv_texts(values, escapes),
            Self::Json { .. } => json_texts(values),
        }
    }
}

fn json_texts(values: &Values) -> Vec<String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let number = |value: f64, float| match value {
        _ if value.is_nan() => quoted("NaN"),
        f64::INFINITY => quoted("Infinity"),
        f64::NEG_INFINITY => quoted("-Infinity"),
        _ => float::scalar(value, float),
    };
    match values {
        Values::Bool(values) => values.iter().map(bool::to_string).collect(),
        Values::Integer(_) => values.scalars(),
        Values::Float(values, float) => values.iter().map(|&value| number(value, *float)).collect(),
        Values::Complex(values, float) => {
            let pair = |&[real, imaginary]: &[f64; 2]| {
                format!("[{}, {}]", number(real, *float), number(imaginary, *float))
            };
            values.iter().map(pair).collect()
        }
        Values::Time(values) => {
            let text = |time: &Time| match time.is_nat() || time.is_datetime() {
                true => quoted(&time.to_string()),
                false => time.count().to_string(),
            };
            values.iter().map(text).collect()
        }
        Values::Bytes(values) => values.iter().map(|value| quoted(&plain(value))).collect(),
        Values::Text(values) => values.iter().map(|value| quoted(value)).collect(),
        Values::Void(values) => {
            values.iter().map(|value| quoted(&quote::hexadecimal(value))).collect()
        }
        Values::Empty(count) => vec!["{}".to_owned(); *count],
    }
}

fn csv_texts(values: &Values, escapes: bool) -> Vec<String> {
    match values {
        Values::Time(values) => {
            let text = |time: &Time| match time.is_nat() || time.is_datetime() {
                true => time.to_string(),
                false => time.count().to_string(),
            };
            values.iter().map(text).collect()
        }
        Values::Bytes(values) => {
            values.iter().map(|value| csv_text(&plain(value), escapes)).collect()
        }
        Values::Text(values) => values.iter().map(|value| csv_text(value, escapes)).collect(),
        Values::Void(values) => values.iter().map(|value| quote::hexadecimal(value)).collect(),
        Values::Empty(count) => vec![String::new(); *count],
        _ => values.scalars(),
    }
}

/// A byte string as text. If it is not UTF-8, its bytes are escaped.
fn plain(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

/// A text as a cell of CSV, in quotes if necessary.
fn csv_text(text: &str, escapes: bool) -> String {
    let escaped = escapes.then(|| OneLine(text).to_string());
    let text = escaped.as_deref().unwrap_or(text);
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
