//! Text from files, made safe to show in messages and to join into paths.

use std::fmt;

/// How many characters of a text a message shows.
const MAX_SHOWN_CHARS: usize = 60;

/// Untrusted text in a message: in backticks, escaped, and shortened.
pub(crate) struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", Escaped(self.0))
    }
}

/// Untrusted text in a message: escaped and shortened, without quotes.
pub(crate) struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, letter) in self.0.chars().enumerate() {
            match letter {
                _ if count == MAX_SHOWN_CHARS => return f.write_str("…"),
                // Quotes cannot harm a terminal.
                '\'' | '"' => write!(f, "{letter}")?,
                _ => write!(f, "{}", letter.escape_debug())?,
            }
        }
        Ok(())
    }
}

/// Escapes `name` for a path of names joined by dots.
///
/// A backslash precedes each dot and each backslash, so that no two lists of
/// names have the same path.
pub(crate) fn escape_name(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for letter in name.chars() {
        if matches!(letter, '.' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
