//! Texts and bytes in quotes, with the escapes of Python.

use std::fmt::Write;

/// A text as Python's `repr` has it.
pub fn text(text: &str) -> String {
    let quote = quote(text.contains('\''), text.contains('"'));
    let mut quoted = String::from(quote);
    for character in text.chars() {
        match character {
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            '\\' => quoted += "\\\\",
            _ if character == quote => quoted.extend(['\\', character]),
            _ if is_printable(character) => quoted.push(character),
            '\0'..='\u{ff}' => push(&mut quoted, format_args!("\\x{:02x}", character as u32)),
            '\u{100}'..='\u{ffff}' => {
                push(&mut quoted, format_args!("\\u{:04x}", character as u32))
            }
            _ => push(&mut quoted, format_args!("\\U{:08x}", character as u32)),
        }
    }
    quoted + quote.encode_utf8(&mut [0; 4])
}

/// Bytes as Python's `repr` has them.
pub fn bytes(bytes: &[u8]) -> String {
    let quote = quote(bytes.contains(&b'\''), bytes.contains(&b'"'));
    let mut quoted = format!("b{quote}");
    for &byte in bytes {
        match byte {
            b'\n' => quoted += "\\n",
            b'\r' => quoted += "\\r",
            b'\t' => quoted += "\\t",
            b'\\' => quoted += "\\\\",
            _ if char::from(byte) == quote => quoted.extend(['\\', quote]),
            b' '..=b'~' => quoted.push(byte.into()),
            _ => push(&mut quoted, format_args!("\\x{byte:02x}")),
        }
    }
    quoted.push(quote);
    quoted
}

/// Bytes of unknown meaning as NumPy prints them.
pub fn void(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("\\x{byte:02X}"));
    format!("b'{}'", digits.collect::<String>())
}

/// Bytes of unknown meaning as hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn quote(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

/// Whether a character is visible, or a space.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return matches!(character, ' '..='~');
    }
    // After another character, `escape_debug` keeps marks that combine with it.
    let pair: String = ['a', character].iter().collect();
    pair.escape_debug().nth(1) == Some(character)
}

fn push(text: &mut String, escape: std::fmt::Arguments<'_>) {
    text.write_fmt(escape).expect("a string can be written to");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn show_quotes_and_escapes_equal_python() {
        for (value, quoted) in [
            ("abc", "'abc'"),
            ("it's", "\"it's\""),
            ("'\"", "'\\'\"'"),
            ("a\n\t\\\u{7f}\u{1b}", "'a\\n\\t\\\\\\x7f\\x1b'"),
            ("µm e\u{301} 数", "'µm e\u{301} 数'"),
            ("\u{a0}\u{202e}\u{e000}\u{10fffe}", "'\\xa0\\u202e\\ue000\\U0010fffe'"),
        ] {
            assert_eq!(text(value), quoted);
        }
        assert_eq!(bytes(b"it's\0\xff"), "b\"it's\\x00\\xff\"");
        assert_eq!(void(b"z\0"), "b'\\x7A\\x00'");
        assert_eq!(hexadecimal(b"a\0"), "6100");
    }
}
