//! What is told of each array: JSON for programs, a table and drawings for people.

use std::path::Path;

use ndferry::DType;
use serde::Serialize;

use super::{column::Column, histogram::Histogram, summary::Summary};
use crate::{
    failure::Failure,
    info::byte_order,
    table::{
        Align::{Left, Right},
        Table,
    },
    text::{self, OneLine, brief},
    value::{Figure, Value},
};

/// One array with its figures. The fields before the last are those of the JSON, in its order.
#[derive(Serialize)]
pub struct Row {
    path: String,
    array: String,
    dtype: DType,
    shape: Vec<usize>,
    byte_order: &'static str,
    count: u64,
    nan: Option<u64>,
    min: Figure,
    max: Figure,
    mean: Figure,
    std: Figure,
    /// What its elements are, where they have no figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<&'static str>,
    #[serde(skip)]
    histogram: Option<Histogram>,
}

impl Row {
    /// A column that has no figures, for what its elements are.
    pub fn left_out(path: &Path, column: Column, what: &'static str) -> Self {
        let lengths = || column.shape.iter().map(|&length| length as u64);
        let count = if lengths().any(|length| length == 0) {
            0
        } else {
            lengths().fold(1, u64::saturating_mul)
        };
        let left_out = Some(what);
        Self { count, nan: None, left_out, ..Self::new(path, column, Summary::default(), None) }
    }

    /// Why it has no figures, where it has none.
    pub fn failure(&self) -> Option<Failure> {
        let (what, dtype) = (self.left_out?, self.dtype.to_string());
        let message =
            format!("holds {what} ({}), of which there are no figures", brief(&dtype, DTYPE));
        Some(Failure::new(&self.path, text::of_array(&self.array, &message)))
    }

    pub fn new(
        path: &Path,
        column: Column,
        summary: Summary,
        histogram: Option<Histogram>,
    ) -> Self {
        Self {
            path: path.display().to_string(),
            byte_order: byte_order(&column.dtype),
            array: column.name,
            dtype: column.dtype,
            shape: column.shape,
            count: summary.count(),
            nan: Some(summary.nan),
            min: Figure(summary.min()),
            max: Figure(summary.max()),
            mean: Figure(summary.mean().map(Value::Float)),
            std: Figure(summary.deviation().map(Value::Float)),
            left_out: None,
            histogram,
        }
    }
}

/// Characters of a dtype in a message, at most.
const DTYPE: usize = 60;

/// A table, beneath it the histograms there are and what was left out, for a terminal of `width` columns if there is one.
pub fn table(all: &[Row], width: Option<usize>) -> String {
    let rows: Vec<_> = all.iter().filter(|row| row.left_out.is_none()).collect();
    let rows = &*rows;
    let exact = figures(rows, |value| value);
    // Several arrays are there to be compared, so digits go before the table does.
    let short = (rows.len() > 1 && !exact.fits(width)).then(|| figures(rows, Value::shortened));
    let table = short.filter(|short| short.fits(width)).unwrap_or(exact);
    let drawn: Vec<_> =
        rows.iter().filter_map(|row| Some((row, row.histogram.as_ref()?))).collect();
    let height = if drawn.len() > MANY { 1 } else { 3 };
    let drawings = drawn.into_iter().map(|(row, histogram)| drawing(row, histogram, height));
    let left_out = if rows.is_empty() { String::new() } else { left_out(all) };
    table.render(width) + &drawings.collect::<String>() + &left_out
}

/// What was left out of each file, a line each.
fn left_out(rows: &[Row]) -> String {
    let files = rows.chunk_by(|one, other| one.path == other.path);
    let lines = files.filter_map(|rows| {
        let mut left_out = rows.iter().filter_map(|row| {
            let what = row.left_out?;
            Some(if row.array.is_empty() {
                what.to_owned()
            } else {
                format!("{} ({what})", brief(&row.array, DTYPE))
            })
        });
        let listed: Vec<_> = left_out.by_ref().take(LISTED).collect();
        let others = match left_out.count() {
            0 => String::new(),
            more => format!(" and {}", text::count(more as u64, "other")),
        };
        (!listed.is_empty()).then(|| {
            format!("left out of {}: {}{others}\n", OneLine(&rows[0].path), listed.join(", "))
        })
    });
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// Of a file so many that are left out are named.
const LISTED: usize = 10;

/// The table of all rows, with figures as `told`.
fn figures(rows: &[&Row], told: fn(Value) -> Value) -> Table {
    let named = rows.iter().any(|row| !row.array.is_empty());
    let name = named.then_some(("array", Left));
    let about = [("path", Left)].into_iter().chain(name).chain([("dtype", Left), ("shape", Left)]);
    let figures = ["count", "nan", "min", "max", "mean", "std"].map(|heading| (heading, Right));
    let mut table = Table::new(about.chain(figures));
    for row in rows {
        let name = named.then(|| row.array.clone());
        let about = [row.path.clone()].into_iter().chain(name);
        let about = about.chain([row.dtype.to_string(), text::shape(&row.shape)]);
        let counts = [row.count, row.nan.unwrap_or(0)].map(|count| count.to_string());
        let figure = |figure: &Figure| {
            figure.0.map_or_else(|| "-".to_owned(), |value| told(value).to_string())
        };
        let figures = [&row.min, &row.max, &row.mean, &row.std].map(figure);
        table.row(about.chain(counts).chain(figures));
    }
    table
}

/// Beyond so many histograms each is drawn on one line.
const MANY: usize = 4;

/// A histogram of `height` lines: above it what it is of, below it where it begins and ends.
fn drawing(row: &Row, histogram: &Histogram, height: usize) -> String {
    let title = [row.path.as_str(), row.array.as_str()].join(" ");
    let lines = histogram.drawn(height);
    let bars: String = lines.iter().map(|line| format!("  {}\n", line.trim_end())).collect();
    format!("\n{}\n{bars}  {}\n", OneLine(title.trim_end()), histogram.axis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(array: &str, min: Value) -> Row {
        Row {
            path: "a.ferry".into(),
            array: array.into(),
            dtype: "<f8".parse().unwrap(),
            shape: vec![3, 4],
            byte_order: "little",
            count: 12,
            nan: Some(12),
            min: Figure(Some(min)),
            max: Figure(Some(Value::Float(f64::INFINITY))),
            mean: Figure(Some(Value::Float(f64::NAN))),
            std: Figure(None),
            left_out: None,
            histogram: None,
        }
    }

    #[test]
    fn json_has_an_object_on_each_line_and_words_for_what_json_has_not() {
        let rows = [row("x", Value::Integer(u64::MAX.into())), row("", Value::Float(0.1))];
        let text = text::json(&rows);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[3]), (4, "[", "]"));
        assert_eq!(
            lines[1].trim(),
            r#"{"path":"a.ferry","array":"x","dtype":"<f8","shape":[3,4],"byte_order":"little","count":12,"nan":12,"min":18446744073709551615,"max":"inf","mean":"nan","std":null},"#
        );
        assert_eq!(text::json::<Row>(&[]), "[]\n");
    }

    #[test]
    fn a_table_loses_digits_before_it_loses_its_columns() {
        let third = Value::Float(1.0 / 3.0);
        let rows = [row("x", third), row("y", third)];
        let wide = table(&rows, Some(80));
        assert!(wide.contains("0.3333333333333333") && wide.lines().count() == 3, "{wide}");
        let narrow = table(&rows, Some(70));
        assert!(narrow.contains(" 0.3333333 ") && narrow.lines().count() == 3, "{narrow}");
        let narrower = table(&rows, Some(40));
        assert!(narrower.contains("min    0.3333333333333333\n"), "{narrower}");
        let alone = table(&rows[..1], Some(70));
        assert!(alone.contains("min    0.3333333333333333\n"), "{alone}");
    }
}
