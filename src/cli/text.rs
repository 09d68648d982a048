//! Text for people: names of unknown origin made harmless, counts and sizes made readable.

use std::fmt::{self, Write};

use serde::Serialize;

/// Text on one line, whatever is in it: what would break the line, move the cursor or turn the direction of writing is
/// escaped.
pub struct OneLine<'a>(pub &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            if is_disruptive(character) { write!(f, "{}", character.escape_debug()) } else { f.write_char(character) }
        })
    }
}

fn is_disruptive(character: char) -> bool {
    // Line and paragraph separator, and the marks that turn or embed a direction of writing.
    character.is_control() || matches!(character, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// A shape as it is given on the command line, with `×` between the lengths; a 0-d array is a scalar.
pub fn shape(lengths: &[usize]) -> String {
    if lengths.is_empty() {
        return "scalar".into();
    }
    let lengths: Vec<_> = lengths.iter().map(usize::to_string).collect();
    lengths.join("×")
}

/// How many there are, in words: `1 file`, `2 files`.
pub fn count(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// A list with an object on each line, as JSON.
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
    fn text_of_any_origin_stays_on_one_line() {
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
    fn numbers_are_said_as_people_say_them() {
        assert_eq!(shape(&[33, 41, 25]), "33×41×25");
        assert_eq!(shape(&[]), "scalar");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(0, "file"), "0 files");
    }
}
