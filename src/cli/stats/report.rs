//! What is told of each array: JSON for programs, a table and drawings for people.

use std::path::Path;

use ndferry::DType;
use serde::Serialize;

use super::{column::Column, histogram::Histogram, summary::Summary};
use crate::cli::{
    info::byte_order,
    table::{
        Align::{Left, Right},
        Table,
    },
    text::{self, OneLine},
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
    nan: u64,
    min: Figure,
    max: Figure,
    mean: Figure,
    std: Figure,
    #[serde(skip)]
    histogram: Option<Histogram>,
}

impl Row {
    pub fn new(path: &Path, column: Column, summary: Summary, histogram: Option<Histogram>) -> Self {
        Self {
            path: path.display().to_string(),
            byte_order: byte_order(&column.dtype),
            array: column.name,
            dtype: column.dtype,
            shape: column.shape,
            count: summary.count(),
            nan: summary.nan,
            min: Figure(summary.min()),
            max: Figure(summary.max()),
            mean: Figure(summary.mean().map(Value::Float)),
            std: Figure(summary.deviation().map(Value::Float)),
            histogram,
        }
    }
}

/// A table, and beneath it the histograms there are, for a terminal of `width` columns if there is one.
pub fn table(rows: &[Row], width: Option<usize>) -> String {
    let exact = figures(rows, |value| value);
    // Several arrays are there to be compared, so digits go before the table does.
    let short = (rows.len() > 1 && !exact.fits(width)).then(|| figures(rows, Value::shortened));
    let table = short.filter(|short| short.fits(width)).unwrap_or(exact);
    let drawn: Vec<_> = rows.iter().filter_map(|row| Some((row, row.histogram.as_ref()?))).collect();
    let height = if drawn.len() > MANY { 1 } else { 3 };
    let drawings = drawn.into_iter().map(|(row, histogram)| drawing(row, histogram, height));
    table.render(width) + &drawings.collect::<String>()
}

/// The table of all rows, with figures as `told`.
fn figures(rows: &[Row], told: fn(Value) -> Value) -> Table {
    let named = rows.iter().any(|row| !row.array.is_empty());
    let name = named.then_some(("array", Left));
    let about = [("path", Left)].into_iter().chain(name).chain([("dtype", Left), ("shape", Left)]);
    let figures = ["count", "nan", "min", "max", "mean", "std"].map(|heading| (heading, Right));
    let mut table = Table::new(about.chain(figures));
    for row in rows {
        let name = named.then(|| row.array.clone());
        let about = [row.path.clone()].into_iter().chain(name);
        let about = about.chain([row.dtype.to_string(), text::shape(&row.shape)]);
        let counts = [row.count, row.nan].map(|count| count.to_string());
        let figure = |figure: &Figure| figure.0.map_or_else(|| "-".to_owned(), |value| told(value).to_string());
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
            nan: 12,
            min: Figure(Some(min)),
            max: Figure(Some(Value::Float(f64::INFINITY))),
            mean: Figure(Some(Value::Float(f64::NAN))),
            std: Figure(None),
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
