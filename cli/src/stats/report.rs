//! The output: JSON, or a table with histograms.

use std::path::Path;

use ndferry::DType;
use serde::Serialize;

use super::{column::Column, histogram::Histogram, summary::Summary};
use crate::{
    failure::Failure,
    info::byte_order,
    table::Table,
    text::{
        self,
        Align::{Left, Right},
        OneLine, shorten,
    },
    value::{Figure, Value},
};

/// The statistics of one column, in the layout of the JSON.
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
    /// The kind of elements, if they have no statistics.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<&'static str>,
    #[serde(skip)]
    histogram: Option<Histogram>,
}

impl Row {
    /// The row of a column without statistics.
    pub fn skipped(path: &Path, column: Column, kind: &'static str) -> Self {
        let lengths = || column.shape.iter().map(|&length| length as u64);
        let count = if lengths().any(|length| length == 0) {
            0
        } else {
            lengths().fold(1, u64::saturating_mul)
        };
        let left_out = Some(kind);
        Self { count, nan: None, left_out, ..Self::new(path, column, Summary::default(), None) }
    }

    /// The failure to compute statistics, if the row was skipped.
    pub fn failure(&self) -> Option<Failure> {
        let (kind, dtype) = (self.left_out?, self.dtype.to_string());
        let dtype = shorten(&dtype, MAX_PART_WIDTH);
        let message = format!("cannot compute statistics of {kind} ({dtype})");
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

/// Columns of a name or a dtype in a message.
const MAX_PART_WIDTH: usize = 60;
/// Columns of the title of a histogram without a terminal.
const MAX_TITLE_WIDTH: usize = 200;
/// Skipped columns of a file that are named.
const MAX_SKIPPED_LISTED: usize = 10;
/// More histograms than this are drawn on one line each.
const MAX_TALL_HISTOGRAMS: usize = 4;

/// The table, then the histograms and the skipped columns, for a terminal of
/// `columns` if there is one.
pub fn table(all: &[Row], columns: Option<usize>) -> String {
    let rows: Vec<_> = all.iter().filter(|row| row.left_out.is_none()).collect();
    let rows = &*rows;
    let exact = statistics(rows, |value| value);
    // Several rows are easier to compare in a table, even with fewer digits.
    let short =
        (rows.len() > 1 && !exact.fits(columns)).then(|| statistics(rows, Value::shortened));
    let table = short.filter(|short| short.fits(columns)).unwrap_or(exact);
    let drawn: Vec<_> =
        rows.iter().filter_map(|row| Some((row, row.histogram.as_ref()?))).collect();
    let height = if drawn.len() > MAX_TALL_HISTOGRAMS { 1 } else { 3 };
    let drawings =
        drawn.into_iter().map(|(row, histogram)| drawing(row, histogram, height, columns));
    let skipped = if rows.is_empty() { String::new() } else { skipped(all) };
    table.render(columns) + &drawings.collect::<String>() + &skipped
}

/// One line for each file with skipped columns.
fn skipped(rows: &[Row]) -> String {
    let files = rows.chunk_by(|one, other| one.path == other.path);
    let lines = files.filter_map(|rows| {
        let mut skipped = rows.iter().filter_map(|row| {
            let kind = row.left_out?;
            Some(if row.array.is_empty() {
                kind.to_owned()
            } else {
                format!("{} ({kind})", shorten(&row.array, MAX_PART_WIDTH))
            })
        });
        let listed: Vec<_> = skipped.by_ref().take(MAX_SKIPPED_LISTED).collect();
        let others = match skipped.count() {
            0 => String::new(),
            more => format!(" and {}", text::count(more as u64, "other")),
        };
        (!listed.is_empty()).then(|| {
            format!("skipped in {}: {}{others}\n", OneLine(&rows[0].path), listed.join(", "))
        })
    });
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// The table of rows. Numbers are converted by `shown`.
fn statistics(rows: &[&Row], shown: fn(Value) -> Value) -> Table {
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
            figure.0.map_or_else(|| "-".to_owned(), |value| shown(value).to_string())
        };
        let figures = [&row.min, &row.max, &row.mean, &row.std].map(figure);
        table.row(about.chain(counts).chain(figures));
    }
    table
}

/// A histogram of `height` lines between its title and the ends of its range.
fn drawing(row: &Row, histogram: &Histogram, height: usize, columns: Option<usize>) -> String {
    let title = [row.path.as_str(), row.array.as_str()].join(" ");
    let lines = histogram.draw(height);
    let bars: String = lines.iter().map(|line| format!("  {}\n", line.trim_end())).collect();
    let title = shorten(title.trim_end(), columns.unwrap_or(MAX_TITLE_WIDTH));
    format!("\n{title}\n{bars}  {}\n", histogram.axis())
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
    fn stats_json_has_one_row_on_each_line() {
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
    fn stats_table_loses_digits_before_columns() {
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
