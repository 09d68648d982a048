//! Text for people: escaped, shortened and padded to terminal columns, and
//! counts and shapes in words.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

use ndferry::file::ArrayFile;
use serde::Serialize;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Displays text on one line. Control characters, line separators and marks
/// that change the writing direction are escaped.
pub struct OneLine<'a>(pub &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            if is_disruptive(character) {
                write!(f, "{}", character.escape_debug())
            } else {
                f.write_char(character)
            }
        })
    }
}

fn is_disruptive(character: char) -> bool {
    // The ranges hold line separators and marks for the writing direction.
    character.is_control() || matches!(character, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Columns that a terminal needs for text on one line.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The side of a column that text is aligned to.
#[derive(Clone, Copy)]
pub enum Align {
    Left,
    Right,
}

/// Fills text with spaces up to `columns`.
pub fn pad(text: &str, align: Align, columns: usize) -> String {
    let spaces = " ".repeat(columns.saturating_sub(width(text)));
    match align {
        Align::Left => format!("{text}{spaces}"),
        Align::Right => format!("{spaces}{text}"),
    }
}

/// Escapes text, and replaces the middle by `…` if it needs more than `columns`.
pub fn shorten(text: &str, columns: usize) -> String {
    // Shortened first, so that a long text is not escaped as a whole. Escapes
    // are longer than the characters, so the result is shortened again.
    let shown = OneLine(&without_middle(text, columns)).to_string();
    match without_middle(&shown, columns) {
        Cow::Borrowed(_) => shown,
        Cow::Owned(short) => short,
    }
}

/// Replaces the start of text by `…` if it needs more than `columns`.
pub fn shorten_start(text: &str, columns: usize) -> String {
    if fits(text, columns) {
        return text.to_owned();
    }
    format!("…{}", end(text, columns - 1))
}

fn without_middle(text: &str, columns: usize) -> Cow<'_, str> {
    if fits(text, columns) {
        return text.into();
    }
    format!("{}…{}", start(text, columns / 2), end(text, (columns - 1) / 2)).into()
}

fn fits(text: &str, columns: usize) -> bool {
    start(text, columns).len() == text.len()
}

/// The longest start of `text` within `columns`.
fn start(text: &str, columns: usize) -> &str {
    &text[..fitting(text.graphemes(true), columns)]
}

/// The longest end of `text` within `columns`.
fn end(text: &str, columns: usize) -> &str {
    // Finding boundaries from the end can be slow, so only the bytes that can
    // fit are searched.
    let mut from = text.len().saturating_sub(columns * MAX_COLUMN_LEN);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let text = &text[from..];
    &text[text.len() - fitting(text.graphemes(true).rev(), columns)..]
}

/// Bytes of the first of these grapheme clusters that fit in `columns`.
fn fitting<'a>(graphemes: impl Iterator<Item = &'a str>, columns: usize) -> usize {
    let mut used = 0;
    let fits = |grapheme: &&str| {
        // A cluster without a width, or with very many marks, counts as well.
        used += width(grapheme).max(1).max(grapheme.len() / MAX_COLUMN_LEN);
        used <= columns
    };
    graphemes.take_while(fits).map(str::len).sum()
}

/// Bytes of a grapheme cluster that are accepted for each of its columns. The
/// longest emoji have about 40 bytes in two columns.
const MAX_COLUMN_LEN: usize = 32;

/// Columns of a name in a message.
const MAX_NAME_WIDTH: usize = 120;

/// A message about an array, which may have no name.
pub fn of_array(name: &str, message: &str) -> String {
    if name.is_empty() {
        message.to_owned()
    } else {
        format!("array `{}`: {message}", shorten(name, MAX_NAME_WIDTH))
    }
}

/// A shape such as `33×41×25`, or `scalar`. Of many axes only the first and the
/// last are listed.
pub fn shape(lengths: &[usize]) -> String {
    const LISTED_AT_EACH_END: usize = 4;

    let joined =
        |lengths: &[usize]| lengths.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
    match lengths.len() {
        0 => "scalar".into(),
        axes if axes > 3 * LISTED_AT_EACH_END => {
            format!(
                "{}×…×{} ({axes} axes)",
                joined(&lengths[..LISTED_AT_EACH_END]),
                joined(&lengths[axes - LISTED_AT_EACH_END..])
            )
        }
        _ => joined(lengths),
    }
}

/// A number with its noun: `1 file`, `2 files`.
pub fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The bytes after the array of a `.npy` file.
#[derive(Serialize)]
pub struct Trailing {
    nbytes: u64,
    /// The format that the bytes begin with.
    format: Option<String>,
}

impl Trailing {
    pub fn of(file: &ArrayFile) -> Option<Self> {
        let (nbytes, format) = (file.trailing_nbytes(), file.trailing_format());
        let format = format.map(|format| format.to_string());
        (nbytes > 0).then_some(Self { nbytes, format })
    }
}

impl fmt::Display for Trailing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let follow = if self.nbytes == 1 { "follows" } else { "follow" };
        write!(f, "{} {follow} the array", count(self.nbytes, "byte"))?;
        match self.format.as_deref() {
            Some("npy") => f.write_str(": another .npy array"),
            Some(format) => write!(f, ": a .{format} file"),
            None => Ok(()),
        }
    }
}

/// A JSON list with one object on each line.
pub fn json<T: Serialize>(rows: &[T]) -> String {
    let object = |row| serde_json::to_string(row).expect("strings and numbers are JSON");
    let objects: Vec<_> = rows.iter().map(object).collect();
    match objects.join(",\n  ") {
        none if none.is_empty() => "[]\n".to_owned(),
        objects => format!("[\n  {objects}\n]\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_escapes_what_would_disturb_a_terminal() {
        for (text, shown) in [
            ("plain, 'quoted', naïve, 数", "plain, 'quoted', naïve, 数"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[2J\u{9b}2J\u{7f}", "\\u{1b}[2J\\u{9b}2J\\u{7f}"),
            ("a\u{2028}b\u{202e}c", "a\\u{2028}b\\u{202e}c"),
        ] {
            assert_eq!(OneLine(text).to_string(), shown);
        }
    }

    #[test]
    fn text_too_long_keeps_both_ends() {
        for (text, columns, shown) in [
            ("short", 5, "short"),
            ("shorter", 5, "sh…er"),
            ("shorter", 6, "sho…er"),
            ("naïve 数字", 10, "naïve 数字"),
            ("naïve 数字", 9, "naïv…数字"),
            ("naïve 数字", 7, "naï…字"),
            ("ab", 1, "…"),
            ("\n\n\n\n", 6, "\\n\\…\\n"),
            // Combining marks and emoji are not torn apart.
            ("e\u{301}e\u{301}e\u{301}e\u{301}", 4, "e\u{301}e\u{301}e\u{301}e\u{301}"),
            ("e\u{301}e\u{301}e\u{301}e\u{301}", 3, "e\u{301}…e\u{301}"),
            ("👩‍🚀👩‍🚀👩‍🚀", 6, "👩‍🚀👩‍🚀👩‍🚀"),
            ("👩‍🚀👩‍🚀👩‍🚀", 5, "👩‍🚀…👩‍🚀"),
        ] {
            assert_eq!(shorten(text, columns), shown);
            assert!(width(shown) <= columns, "{shown}");
        }
    }

    // A name from a file can hold any number of invisible characters.
    #[test]
    fn text_of_many_marks_is_shortened() {
        for text in
            ["a", "\u{301}", "\u{200b}", "e\u{301}", "🇩🇪", "数"].map(|part| part.repeat(1 << 20))
        {
            let short = shorten(&text, 60);
            assert!(short.len() <= 60 * MAX_COLUMN_LEN && width(&short) <= 60, "{short}");
        }
        let marked = format!("a{}b", "\u{301}".repeat(1 << 20));
        let short = shorten(&marked, 60);
        assert!(
            short.starts_with('…') && short.ends_with('b') && short.len() < 60 * MAX_COLUMN_LEN
        );
    }

    #[test]
    fn text_is_padded_to_columns() {
        for text in ["abcd", "数字", "e\u{301}bcd", "a👩‍🚀d"] {
            assert_eq!(width(text), 4);
            assert_eq!(pad(text, Align::Left, 6), format!("{text}  "));
            assert_eq!(pad(text, Align::Right, 6), format!("  {text}"));
            assert_eq!(pad(text, Align::Right, 3), text);
        }
    }

    #[test]
    fn text_of_shapes_and_counts_reads_naturally() {
        assert_eq!(shape(&[33, 41, 25]), "33×41×25");
        assert_eq!(shape(&[]), "scalar");
        assert_eq!(shape(&[2; 40]), "2×2×2×2×…×2×2×2×2 (40 axes)");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(0, "file"), "0 files");
    }
}
