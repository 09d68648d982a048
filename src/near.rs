//! Suggestions for mistyped names.

use std::fmt::Write as _;

use crate::dtype::Quoted;

/// The most names that a message suggests.
const MAX_SUGGESTED: usize = 3;
/// The most names that a message lists.
const MAX_LISTED: usize = 5;
/// Longer names are not compared, because comparing takes quadratic time.
const MAX_COMPARED_LEN: usize = 200;

/// Returns the end of a message about the unknown name `word`.
///
/// This is "; did you mean `x`?" if some `names` are close to `word`, or
/// otherwise a list of the names that exist. It is empty without names.
pub(crate) fn hint<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    match suggestion(word, names.iter().copied()) {
        Some(suggestion) => format!("; {suggestion}"),
        None if names.is_empty() => String::new(),
        None => format!("; available: {}", list(&names)),
    }
}

/// Returns "did you mean `x`?" if some `names` are close to `word`.
pub(crate) fn suggestion<'n>(
    word: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<String> {
    let close: Vec<_> = nearest(word, names).into_iter().map(quoted).collect();
    (!close.is_empty()).then(|| format!("did you mean {}?", close.join(" or ")))
}

/// Lists the first names, and the number of the others.
pub(crate) fn list(names: &[&str]) -> String {
    let first: Vec<_> = names.iter().take(MAX_LISTED).map(|name| quoted(name)).collect();
    let mut list = first.join(", ");
    match names.len().saturating_sub(MAX_LISTED) {
        0 => {}
        1 => list.push_str(" and 1 other"),
        more => write!(list, " and {more} others").expect("a string takes any text"),
    }
    list
}

fn quoted(name: &str) -> String {
    Quoted(name).to_string()
}

/// Returns the names that need few edits to become `word`, nearest first.
fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let mut close: Vec<_> = names
        .into_iter()
        .filter(|name| !name.is_empty() && word.len().max(name.len()) <= MAX_COMPARED_LEN)
        .map(|name| (distance(word, name), name))
        .filter(|(edits, name)| {
            *edits <= (word.chars().count().max(name.chars().count()) / 3).max(1)
        })
        .collect();
    close.sort_unstable();
    close.dedup();
    close.into_iter().take(MAX_SUGGESTED).map(|(_, name)| name).collect()
}

/// Counts the edits between two words: insertions, deletions, replacements, and
/// exchanges of neighbouring letters (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let mut previous = None;
    for (at, letter) in one.chars().enumerate() {
        let mut row = vec![at + 1];
        for (to, &target) in other.iter().enumerate() {
            let replaced = last[to] + usize::from(letter != target);
            let mut edits = replaced.min(last[to + 1] + 1).min(row[to] + 1);
            if to > 0 && previous == Some(target) && other[to - 1] == letter {
                edits = edits.min(before[to - 1] + 1);
            }
            row.push(edits);
        }
        before = std::mem::replace(&mut last, row);
        previous = Some(letter);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_distance_counts_edits() {
        for (one, other, edits) in [
            ("", "", 0),
            ("bias", "", 4),
            ("kitten", "sitting", 3),
            ("a.b", "a.c", 1),
            ("wieght", "weight", 1),
            ("größe", "größen", 1),
        ] {
            assert_eq!(distance(one, other), edits, "{one} {other}");
            assert_eq!(distance(other, one), edits, "{other} {one}");
        }
    }

    #[test]
    fn near_hint_suggests_or_lists() {
        let names = ["mean", "median", "maximum"];
        let many: Vec<_> = (0..9).map(|number| format!("node{number}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let cases: [(&str, &[&str], &str); 5] = [
            ("maen", &names, "; did you mean `mean`?"),
            ("medain", &names, "; did you mean `median` or `mean`?"),
            ("zzzzzzzz", &names, "; available: `mean`, `median`, `maximum`"),
            (
                "zzzzzzzz",
                &many,
                "; available: `node0`, `node1`, `node2`, `node3`, `node4` and 4 others",
            ),
            ("mean", &[], ""),
        ];
        for (word, names, expected) in cases {
            assert_eq!(hint(word, names.iter().copied()), expected, "{word}");
        }
    }

    // Comparing names of millions of letters would not end.
    #[test]
    fn near_hint_does_not_compare_long_names() {
        let long = "n".repeat(1 << 22);
        let names = [long.as_str(); 10];
        assert!(hint(&long, names).len() < 1000);
    }
}
