//! Rows under headings, aligned; turned into a list of fields where the terminal is too narrow for them.

use super::text::brief;

/// Columns of the terminal that a cell takes, at most.
const WIDEST: usize = 120;

/// A table in the making.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

struct Column {
    heading: &'static str,
    align: Align,
}

/// To which side of its column a cell goes.
#[derive(Clone, Copy)]
pub enum Align {
    Left,
    Right,
}

impl Table {
    /// A table with these headings and no rows.
    pub fn new(columns: impl IntoIterator<Item = (&'static str, Align)>) -> Self {
        let columns = columns.into_iter().map(|(heading, align)| Column { heading, align });
        Self { columns: columns.collect(), rows: Vec::new() }
    }

    /// Adds a row; what is in it is made to fit one line, and shortened where it is long.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<_> = cells.into_iter().map(|cell| brief(&cell, WIDEST)).collect();
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// Whether the table stays one on a terminal of `width` columns, if there is one.
    pub fn fits(&self, width: Option<usize>) -> bool {
        let widths = self.widths();
        let needed = widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1);
        width.is_none_or(|width| needed <= width)
    }

    /// The table as text, for a terminal of `width` columns if there is one. Nothing where there are no rows.
    pub fn render(&self, width: Option<usize>) -> String {
        if self.rows.is_empty() {
            String::new()
        } else if self.fits(width) {
            self.as_grid(&self.widths())
        } else {
            self.as_fields()
        }
    }

    fn widths(&self) -> Vec<usize> {
        let widest = |(at, column): (usize, &Column)| {
            let cells = self.rows.iter().map(|row| length(&row[at]));
            cells.fold(length(column.heading), usize::max)
        };
        self.columns.iter().enumerate().map(widest).collect()
    }

    fn as_grid(&self, widths: &[usize]) -> String {
        let headings: Vec<_> = self.columns.iter().map(|column| column.heading.to_owned()).collect();
        let mut text = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let cells = row.iter().zip(&self.columns).zip(widths);
            let cells: Vec<_> = cells.map(|((cell, column), &width)| pad(cell, column.align, width)).collect();
            text += cells.join(GAP).trim_end();
            text += "\n";
        }
        text
    }

    fn as_fields(&self) -> String {
        let headings = self.columns.iter().map(|column| length(column.heading));
        let width = headings.max().unwrap_or(0);
        let field = |(cell, column): (&String, &Column)| {
            let line = pad(column.heading, Align::Left, width) + GAP + cell;
            line.trim_end().to_owned() + "\n"
        };
        let rows: Vec<String> =
            self.rows.iter().map(|row| row.iter().zip(&self.columns).map(field).collect()).collect();
        rows.join("\n")
    }
}

const GAP: &str = "  ";

fn pad(text: &str, align: Align, width: usize) -> String {
    match align {
        Align::Left => format!("{text:<width$}"),
        Align::Right => format!("{text:>width$}"),
    }
}

/// Columns of the terminal, were every character one wide.
fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([("name", Align::Left), ("count", Align::Right)]);
        table.row(["short".into(), "12345678".into()]);
        table.row(["a\nlonger one".into(), "1".into()]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let expected = "name              count\n\
                        short          12345678\n\
                        a\\nlonger one         1\n";
        assert_eq!(table().render(None), expected);
        assert_eq!(table().render(Some(80)), table().render(None));
    }

    #[test]
    fn what_is_too_wide_becomes_a_list_of_fields() {
        let expected = "name   short\n\
                        count  12345678\n\
                        \n\
                        name   a\\nlonger one\n\
                        count  1\n";
        assert_eq!(table().render(Some(20)), expected);
    }

    #[test]
    fn one_long_cell_does_not_make_every_row_as_long() {
        let mut table = table();
        table.row(["long".repeat(100_000), "2".into()]);
        let text = table.render(None);
        assert!(text.lines().all(|line| line.chars().count() <= WIDEST + GAP.len() + 8), "{text}");
        assert!(text.contains("longlong…onglong"), "{text}");
    }

    #[test]
    fn no_rows_no_headings() {
        assert_eq!(Table::new([("name", Align::Left)]).render(None), "");
    }
}
