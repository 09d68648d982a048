//! What to say of a name that no array has, and of arrays that none was named of.

use strsim::levenshtein as distance;

use super::ArrayInfo;
use crate::{Error, dtype::Quoted};

/// Names that a message lists.
const LISTED: usize = 5;
/// Bytes of a name that somebody may have mistyped.
const TYPED: usize = 1000;

/// None of `arrays` is called `name`: the nearest names are listed.
pub(super) fn unknown(name: &str, arrays: &[ArrayInfo]) -> Error {
    Error::invalid_input(no_such(name, arrays.iter().map(ArrayInfo::name).collect()))
}

/// Which of several `arrays` is meant has not been said.
pub(super) fn unsaid(arrays: &[ArrayInfo]) -> Error {
    let names = listed(arrays.iter().map(ArrayInfo::name).collect());
    Error::invalid_input(format!("holds {} arrays, name one of them: {names}", arrays.len()))
}

fn no_such(name: &str, mut names: Vec<&str>) -> String {
    let found = match &*names {
        [] => "none".to_owned(),
        [""] => "one, which has no name".to_owned(),
        _ => {
            if names.len() > LISTED {
                // Names beyond any that somebody types are not measured.
                let measured = |other: &str| name.len().max(other.len()) <= TYPED;
                names.sort_by_cached_key(|other| {
                    if measured(other) { distance(name, other) } else { usize::MAX }
                });
            }
            listed(names)
        }
    };
    format!("no array {}: the file holds {found}", Quoted(name))
}

fn listed(names: Vec<&str>) -> String {
    let first: Vec<_> = names.iter().take(LISTED).map(|name| Quoted(name).to_string()).collect();
    let first = first.join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => first,
        1 => format!("{first} and 1 other"),
        more => format!("{first} and {more} others"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_names_is_the_number_of_edits() {
        for (one, other, edits) in
            [("", "", 0), ("bias", "", 4), ("kitten", "sitting", 3), ("a.b", "a.c", 1)]
        {
            assert_eq!(distance(one, other), edits);
            assert_eq!(distance(other, one), edits);
        }
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest_ones() {
        let message = no_such("wieght", vec!["bias", "weight"]);
        assert_eq!(message, "no array `wieght`: the file holds `bias`, `weight`");
        let names: Vec<String> = (0..100).map(|layer| format!("layers.{layer}.weight")).collect();
        let message = no_such("layer.42.weight", names.iter().map(String::as_str).collect());
        assert!(message.contains("the file holds `layers.42.weight`, "), "{message}");
        assert!(message.ends_with(" and 95 others"), "{message}");
        // Quadratic in millions of letters, this would not end.
        let long = "n".repeat(1 << 22);
        assert!(no_such(&long, vec![&long; 10]).len() < 1000);
        assert!(no_such("x", vec![""]).contains("has no name"));
        assert!(no_such("x", vec![]).contains("holds none"));
    }
}
