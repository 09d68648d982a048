//! Rows under headings, aligned; turned into a list of fields where the terminal is too narrow for them.

use super::text::brief;

/// Columns of the terminal that a cell takes, at most.
const WIDEST: usize = 120;

/// Columns of the terminal that the first column of a table is cut to before others are left out; and that it is given in any case.
const SHORT: usize = 24;
const NARROWEST: usize = 16;
/// What the lines of a tree are drawn with.
const LINES: &str = " │├└─╌┆";

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

    /// The table as text whose rows stay rows: without the columns that have nothing in them; on a terminal that is too narrow with less of
    /// what is in the first column, where lines that a cell begins with are kept, and without those columns called `spare` for which
    /// there would still be no room, the first of them first.
    pub fn squeezed(mut self, width: Option<usize>, spare: &[&str]) -> String {
        let empty = |at: usize| self.rows.iter().all(|row| row[at].is_empty());
        let empty: Vec<_> = (0..self.columns.len()).filter(|&at| empty(at)).collect();
        empty.into_iter().rev().for_each(|at| self.remove(at));
        for spare in spare.iter().filter(|_| width.is_some()) {
            let at = self.columns.iter().position(|column| column.heading == *spare);
            let given_up = self.widths().first().map_or(0, |&first| first.saturating_sub(SHORT));
            if let (false, Some(at)) = (self.fits(width.map(|width| width + given_up)), at) {
                self.remove(at);
            }
        }
        let mut widths = self.widths();
        if let Some(width) = width {
            let others = widths[1..].iter().map(|width| width + GAP.len()).sum();
            let room = width.saturating_sub(others).max(NARROWEST);
            widths[0] = widths[0].min(room);
            for row in self.rows.iter_mut().filter(|row| length(&row[0]) > room) {
                let lines = row[0].find(|letter| !LINES.contains(letter)).unwrap_or(row[0].len());
                let (lines, rest) = row[0].split_at(lines);
                let room = room.saturating_sub(length(lines)).max(NARROWEST / 2);
                row[0] = lines.to_owned() + &brief(rest, room);
            }
        }
        self.as_grid(&widths)
    }

    fn remove(&mut self, column: usize) {
        self.columns.remove(column);
        self.rows.iter_mut().for_each(|row| drop(row.remove(column)));
    }

    fn widths(&self) -> Vec<usize> {
        let widest = |(at, column): (usize, &Column)| {
            let cells = self.rows.iter().map(|row| length(&row[at]));
            cells.fold(length(column.heading), usize::max)
        };
        self.columns.iter().enumerate().map(widest).collect()
    }

    fn as_grid(&self, widths: &[usize]) -> String {
        let headings: Vec<_> =
            self.columns.iter().map(|column| column.heading.to_owned()).collect();
        let mut text = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let cells = row.iter().zip(&self.columns).zip(widths);
            let cells: Vec<_> =
                cells.map(|((cell, column), &width)| pad(cell, column.align, width)).collect();
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
        let rows: Vec<String> = self
            .rows
            .iter()
            .map(|row| row.iter().zip(&self.columns).map(field).collect())
            .collect();
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
    use super::{
        Align::{Left, Right},
        *,
    };

    fn table() -> Table {
        let mut table = Table::new([("name", Left), ("count", Right)]);
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
    fn a_narrow_terminal_takes_from_the_names_and_then_spare_columns() {
        let columns =
            [("name", Left), ("none", Left), ("size", Right), ("more", Left), ("most", Right)];
        let table = || {
            let mut table = Table::new(columns);
            let row = |cells: [&str; 5]| cells.map(String::from);
            table.row(row(["all", "", "12 B", "yes", "1"]));
            table.row(row(["├─ a.name.of.many.letters.and.steps", "", "4 B", "no", "2"]));
            table.row(row(["└─ b", "", "8 B", "", "3"]));
            table
        };
        let squeezed = |width| table().squeezed(width, &["most", "more"]);
        let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let whole = lines(squeezed(None));
        assert_eq!(whole[0], format!("{:37}size  more  most", "name"));
        assert_eq!(
            whole[2],
            format!("{:37} 4 B  no       2", "├─ a.name.of.many.letters.and.steps")
        );
        assert_eq!(squeezed(Some(53)), squeezed(None));
        assert_eq!(lines(squeezed(Some(45)))[2], "├─ a.name.of.ma…s.and.steps   4 B  no       2");
        assert_eq!(lines(squeezed(Some(40)))[2], "├─ a.name.of.ma…rs.and.steps   4 B  no");
        assert_eq!(lines(squeezed(Some(30)))[2], "├─ a.name.of.….and.steps   4 B");
        assert_eq!(lines(squeezed(Some(5)))[3], "└─ b               8 B");
        let widest = |width| lines(squeezed(Some(width))).iter().map(|line| length(line)).max();
        assert!((22..60).all(|width| widest(width) <= Some(width)));
    }

    #[test]
    fn no_rows_no_headings() {
        assert_eq!(Table::new([("name", Left)]).render(None), "");
    }
}
