//! Records: their fields, and their table.

use ndferry::{AnyArray, DType, dtype::Field};

use super::{edges, values::Values};
use crate::{
    failure::reason,
    input,
    table::Table,
    text::Align::{Left, Right},
};

/// The number of values in an element.
pub fn values_in(dtype: &DType) -> usize {
    let Some(fields) = dtype.fields() else { return 1 };
    let of_field = |field: &Field| {
        let lengths = field.shape().iter();
        lengths.fold(values_in(field.dtype()), |all, &length| all.saturating_mul(length))
    };
    fields.iter().map(of_field).fold(0, usize::saturating_add)
}

/// The array of a field. `Err` has the reason why it cannot be read.
pub fn part(array: &AnyArray, field: &Field) -> Result<AnyArray, String> {
    array.field(&field.escaped_name()).map_err(|error| reason(&error))
}

/// The index of the element number `at` in C order, such as `[0, 3]`. An array
/// without axes has an empty index.
pub fn index(at: usize, shape: &[usize]) -> String {
    if shape.is_empty() {
        return String::new();
    }
    let mut rest = at;
    let mut index: Vec<_> = shape
        .iter()
        .rev()
        .map(|&length| {
            let position = rest % length;
            rest /= length;
            position.to_string()
        })
        .collect();
    index.reverse();
    format!("[{}]", index.join(", "))
}

/// The table of records, for a terminal of `columns` if there is one. Records of
/// several axes have a column with their index. `Err` has the reason why they
/// cannot be read.
pub fn table(array: &AnyArray, columns: Option<usize>) -> Result<String, String> {
    let shape = array.shape();
    let is_summarised = edges::is_summarised(array.len());
    let blocks = match is_summarised {
        true => edges::blocks(array, shape.len()).map_err(|error| reason(&error))?,
        false => vec![array.clone()],
    };
    let positions = positions(shape, is_summarised);
    let mut fields = Vec::new();
    let records = Records { axes: shape.len(), count: positions.len() };
    records.collect(&blocks, "", &mut fields)?;
    let has_index = shape.len() > 1;
    let index_heading = has_index.then(|| ("index".to_owned(), Left));
    let headings = fields.iter().map(|column| (column.name.clone(), column.align));
    let mut table = Table::new(index_heading.into_iter().chain(headings));
    let width = usize::from(has_index) + fields.len();

    let mut cells: Vec<_> = fields.into_iter().map(|column| column.cells.into_iter()).collect();
    let mut expected = 0;
    for at in positions {
        if at > expected {
            table.row(vec!["...".to_owned(); width]);
        }
        expected = at + 1;
        let index = has_index.then(|| index(at, shape));
        let cells = cells.iter_mut().map(|cells| cells.next().unwrap_or_default());
        table.row(index.into_iter().chain(cells));
    }
    Ok(table.render(columns))
}

/// The positions in C order of the records that are printed.
fn positions(shape: &[usize], is_summarised: bool) -> Vec<usize> {
    if !is_summarised {
        return (0..shape.iter().product()).collect();
    }
    shape.iter().fold(vec![0], |outer, &length| {
        let within = |at: usize| edges::indices(length).map(move |inner| at * length + inner);
        outer.into_iter().flat_map(within).collect()
    })
}

/// A column of the table.
struct Column {
    name: String,
    align: crate::text::Align,
    cells: Vec<String>,
}

/// The records that are printed.
struct Records {
    axes: usize,
    count: usize,
}

impl Records {
    /// Adds the columns of all fields without fields of their own. `blocks` are
    /// the arrays of a field.
    fn collect(
        &self,
        blocks: &[AnyArray],
        path: &str,
        columns: &mut Vec<Column>,
    ) -> Result<(), String> {
        let fields = blocks.first().and_then(|block| block.dtype().fields());
        for field in fields.into_iter().flatten() {
            let path = input::join_path(path, &field.escaped_name());
            let parts: Vec<_> =
                blocks.iter().map(|block| part(block, field)).collect::<Result<_, _>>()?;
            if field.dtype().fields().is_some_and(|fields| !fields.is_empty()) {
                self.collect(&parts, &path, columns)?;
                continue;
            }
            let values = Values::read(&parts)?;
            let align = if values.is_number() { Right } else { Left };
            let (words, shape) = (values.words(), &parts[0].shape()[self.axes..]);
            let size: usize = shape.iter().product();
            let cell = |at: usize| list(shape, &words[at * size..][..size]);
            columns.push(Column { name: path, align, cells: (0..self.count).map(cell).collect() });
        }
        Ok(())
    }
}

/// The words of an array in a field, in brackets for each of its axes.
fn list(shape: &[usize], words: &[String]) -> String {
    fn nest(shape: &[usize], words: &[String], is_summarised: bool) -> String {
        let Some((&length, inner)) = shape.split_first() else { return words[0].clone() };
        let size = words.len().checked_div(length).unwrap_or(0);
        let item = |at: usize| nest(inner, &words[at * size..][..size], is_summarised);
        let mut items: Vec<_> = if is_summarised {
            edges::indices(length).map(item).collect()
        } else {
            (0..length).map(item).collect()
        };
        if is_summarised && edges::is_long(length) {
            items.insert(edges::EDGE, "...".to_owned());
        }
        format!("[{}]", items.join(", "))
    }
    nest(shape, words, edges::is_summarised(words.len()))
}
