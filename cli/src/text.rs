//! Text for people: names of unknown origin made harmless, counts and sizes made readable.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

use serde::Serialize;

/// Text on one line, whatever is in it: what would break the line, move the cursor or turn the direction of writing is
/// escaped.
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
    // Line and paragraph separator, and the marks that turn or embed a direction of writing.
    character.is_control() || matches!(character, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Characters of a name that a message has, at most.
const NAME: usize = 120;

/// A message about an array, which may have no name.
pub fn of_array(name: &str, message: &str) -> String {
    if name.is_empty() {
        message.to_owned()
    } else {
        format!("array `{}`: {message}", brief(name, NAME))
    }
}

/// Text on one line of at most `most` characters: what is longer loses its middle.
pub fn brief(text: &str, most: usize) -> String {
    // Shortened first, so that nothing is made of what is not shown; and again, because escapes are longer than what they stand for.
    let shown = OneLine(&shortened(text, most)).to_string();
    match shortened(&shown, most) {
        Cow::Borrowed(_) => shown,
        Cow::Owned(short) => short,
    }
}

/// The beginning and the end of a text that is longer than `most` characters.
fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.chars().nth(most).is_none() {
        return text.into();
    }
    let (before, after) = (most / 2, (most - 1) / 2);
    let head = text.char_indices().nth(before).map_or(text, |(at, _)| &text[..at]);
    let tail = match after.checked_sub(1).and_then(|after| text.char_indices().rev().nth(after)) {
        Some((at, _)) => &text[at..],
        None => "",
    };
    format!("{head}…{tail}").into()
}

/// A shape as it is given on the command line, with `×` between the lengths; a 0-d array is a scalar. Of many axes the first and the last.
pub fn shape(lengths: &[usize]) -> String {
    const ENDS: usize = 4;

    let joined =
        |lengths: &[usize]| lengths.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
    match lengths.len() {
        0 => "scalar".into(),
        axes if axes > 3 * ENDS => {
            format!(
                "{}×…×{} ({axes} axes)",
                joined(&lengths[..ENDS]),
                joined(&lengths[axes - ENDS..])
            )
        }
        _ => joined(lengths),
    }
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
    fn what_is_too_long_keeps_both_its_ends() {
        for (text, most, shown) in [
            ("short", 5, "short"),
            ("shorter", 5, "sh…er"),
            ("shorter", 6, "sho…er"),
            ("naïve 数字", 7, "naï… 数字"),
            ("ab", 1, "…"),
            ("\n\n\n\n", 6, "\\n\\…\\n"),
        ] {
            assert_eq!(brief(text, most), shown);
        }
    }

    #[test]
    fn numbers_are_said_as_people_say_them() {
        assert_eq!(shape(&[33, 41, 25]), "33×41×25");
        assert_eq!(shape(&[]), "scalar");
        assert_eq!(shape(&[2; 40]), "2×2×2×2×…×2×2×2×2 (40 axes)");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(0, "file"), "0 files");
    }
}
