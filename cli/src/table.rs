//! Aligned tables, which become lists of fields or lose columns on a narrow
//! terminal. Widths are terminal columns.

use crate::text::{Align, pad, shorten, width};

/// Columns of one cell.
const MAX_CELL_WIDTH: usize = 120;
/// Width that the first cell of a row is cut to before columns are removed.
const SHORT_NAME_WIDTH: usize = 24;
/// Width that the first cell of a row has on any terminal.
const MIN_NAME_WIDTH: usize = 16;
/// Characters that the branches of a tree are drawn with.
const TREE_LINES: &str = " │├└─╌┆";
/// Space between two columns.
const GAP: &str = "  ";

/// A table of text.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

struct Column {
    heading: String,
    align: Align,
}

impl Table {
    /// A table with these headings and no rows. Headings are escaped, and shortened
    /// if they are long.
    pub fn new<H: AsRef<str>>(columns: impl IntoIterator<Item = (H, Align)>) -> Self {
        let columns = columns.into_iter().map(|(heading, align)| Column {
            heading: shorten(heading.as_ref(), MAX_CELL_WIDTH),
            align,
        });
        Self { columns: columns.collect(), rows: Vec::new() }
    }

    /// Adds a row. Cells are escaped, and shortened if they are long.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<_> = cells.into_iter().map(|cell| shorten(&cell, MAX_CELL_WIDTH)).collect();
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// Whether the table fits a terminal of `columns`, if there is one.
    pub fn fits(&self, columns: Option<usize>) -> bool {
        let widths = self.widths();
        let needed = widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1);
        columns.is_none_or(|columns| needed <= columns)
    }

    /// The table as text. If it does not fit the terminal, every row becomes a
    /// list of fields. Without rows the text is empty.
    pub fn render(&self, columns: Option<usize>) -> String {
        if self.rows.is_empty() {
            String::new()
        } else if self.fits(columns) {
            self.as_grid(&self.widths())
        } else {
            self.as_fields()
        }
    }

    /// The table as text with one line for each row. Empty columns are removed.
    /// If the table does not fit the terminal, the first cell of each row is
    /// shortened, except for the lines of a tree. If that does not suffice, the
    /// `spare` columns are removed, from the first to the last.
    pub fn render_lines(mut self, columns: Option<usize>, spare: &[&str]) -> String {
        let is_empty = |at: usize| self.rows.iter().all(|row| row[at].is_empty());
        let empty: Vec<_> = (0..self.columns.len()).filter(|&at| is_empty(at)).collect();
        empty.into_iter().rev().for_each(|at| self.remove(at));
        for spare in spare.iter().filter(|_| columns.is_some()) {
            let at = self.columns.iter().position(|column| column.heading == *spare);
            let cut =
                self.widths().first().map_or(0, |&name| name.saturating_sub(SHORT_NAME_WIDTH));
            if let (false, Some(at)) = (self.fits(columns.map(|columns| columns + cut)), at) {
                self.remove(at);
            }
        }
        let mut widths = self.widths();
        if let Some(columns) = columns {
            let others = widths[1..].iter().map(|width| width + GAP.len()).sum();
            let room = columns.saturating_sub(others).max(MIN_NAME_WIDTH);
            widths[0] = widths[0].min(room);
            for row in self.rows.iter_mut().filter(|row| width(&row[0]) > room) {
                let name = row[0].find(|letter| !TREE_LINES.contains(letter));
                let (lines, name) = row[0].split_at(name.unwrap_or(row[0].len()));
                let room = room.saturating_sub(width(lines)).max(MIN_NAME_WIDTH / 2);
                row[0] = lines.to_owned() + &shorten(name, room);
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
            let cells = self.rows.iter().map(|row| width(&row[at]));
            cells.fold(width(&column.heading), usize::max)
        };
        self.columns.iter().enumerate().map(widest).collect()
    }

    fn as_grid(&self, widths: &[usize]) -> String {
        let headings: Vec<_> = self.columns.iter().map(|column| column.heading.clone()).collect();
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
        let headings = self.columns.iter().map(|column| width(&column.heading));
        let widest = headings.max().unwrap_or(0);
        let field = |(cell, column): (&String, &Column)| {
            let line = pad(&column.heading, Align::Left, widest) + GAP + cell;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Align::{Left, Right};

    fn table() -> Table {
        let mut table = Table::new([("name", Left), ("count", Right)]);
        table.row(["short".into(), "12345678".into()]);
        table.row(["a\nlonger one".into(), "1".into()]);
        table
    }

    #[test]
    fn table_columns_are_as_wide_as_their_widest_cell() {
        let expected = "name              count\n\
                        short          12345678\n\
                        a\\nlonger one         1\n";
        assert_eq!(table().render(None), expected);
        assert_eq!(table().render(Some(80)), table().render(None));
    }

    // The second column begins at the same terminal column in every row.
    #[test]
    fn table_of_wide_and_combining_text_lines_up() {
        let names = ["name", "数字数字", "e\u{301}a\u{308}", "👩‍🚀 ❤\u{fe0f}", "한글", "ｗｉｄｅ"];
        let mut table = Table::new([("name", Left), ("count", Right), ("note", Left)]);
        for name in names {
            table.row([name.into(), "12".into(), "!".into()]);
        }
        for text in [table.render(None), table.render_lines(Some(40), &[])] {
            let mut lines = text.lines();
            let heading = lines.next().unwrap();
            let start = width(&heading[..heading.find("note").unwrap()]);
            assert_eq!(lines.clone().count(), names.len());
            for line in lines {
                assert_eq!(width(&line[..line.find('!').unwrap()]), start, "{text}");
            }
        }
    }

    #[test]
    fn table_too_wide_becomes_a_list_of_fields() {
        let expected = "name   short\n\
                        count  12345678\n\
                        \n\
                        name   a\\nlonger one\n\
                        count  1\n";
        assert_eq!(table().render(Some(20)), expected);
    }

    #[test]
    fn table_shortens_one_long_cell() {
        let mut table = table();
        table.row(["long".repeat(100_000), "2".into()]);
        let text = table.render(None);
        assert!(text.lines().all(|line| width(line) <= MAX_CELL_WIDTH + GAP.len() + 8), "{text}");
        assert!(text.contains("longlong…onglong"), "{text}");
    }

    #[test]
    fn table_on_a_narrow_terminal_shortens_names_then_drops_columns() {
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
        let render = |columns| table().render_lines(columns, &["most", "more"]);
        let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let whole = lines(render(None));
        assert_eq!(whole[0], format!("{:37}size  more  most", "name"));
        assert_eq!(
            whole[2],
            format!("{:37} 4 B  no       2", "├─ a.name.of.many.letters.and.steps")
        );
        assert_eq!(render(Some(53)), render(None));
        assert_eq!(lines(render(Some(45)))[2], "├─ a.name.of.ma…s.and.steps   4 B  no       2");
        assert_eq!(lines(render(Some(40)))[2], "├─ a.name.of.ma…rs.and.steps   4 B  no");
        assert_eq!(lines(render(Some(30)))[2], "├─ a.name.of.….and.steps   4 B");
        assert_eq!(lines(render(Some(5)))[3], "└─ b               8 B");
        let widest = |columns| lines(render(Some(columns))).iter().map(|line| width(line)).max();
        assert!((22..60).all(|columns| widest(columns) <= Some(columns)));
    }

    #[test]
    fn table_without_rows_is_empty() {
        assert_eq!(Table::new([("name", Left)]).render(None), "");
    }
}
