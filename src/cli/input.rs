//! Opening what the arguments name: a file of a known format, or raw binary; and one array of it, or all.

use std::path::Path;

use ndferry::{ArrayFile, ArrayInfo, OpenOptions, Order, RawLayout};

use super::{args::RawArgs, failure::Failure, text::count};

/// Opens the file at `path`: as raw binary where that is asked for, else as what it says it is.
pub fn open(path: &Path, options: &OpenOptions, raw: &RawArgs, order: Option<Order>) -> Result<ArrayFile, Failure> {
    let file = match (&raw.raw, &raw.shape) {
        (Some(dtype), Some(shape)) => RawLayout::new(dtype.clone(), shape.0.clone())
            .order(order.unwrap_or(Order::C))
            .offset(raw.offset.unwrap_or(0))
            .open(path),
        _ => options.open(path),
    };
    file.map_err(|error| Failure::of(path, &error))
}

/// The arrays of `file`: the one called `name`, or all.
pub fn select<'a>(file: &'a ArrayFile, name: Option<&str>) -> Result<Vec<&'a ArrayInfo>, Failure> {
    let Some(name) = name else {
        return Ok(file.arrays().iter().collect());
    };
    match file.arrays().iter().find(|array| array.name() == name) {
        Some(array) => Ok(vec![array]),
        None => {
            let names: Vec<_> = file.arrays().iter().map(ArrayInfo::name).collect();
            Err(Failure::new(file.path(), no_such_array(name, &names)))
        }
    }
}

/// Names that a message lists.
const LISTED: usize = 5;

fn no_such_array(name: &str, names: &[&str]) -> String {
    let found = match names {
        [] => "the file holds none".to_owned(),
        [""] => "the file holds one, which has no name".to_owned(),
        _ if names.len() <= LISTED => format!("the file holds {}", quoted(names)),
        _ => {
            let mut near = names.to_vec();
            near.sort_by_cached_key(|other| distance(name, other));
            let others = count((names.len() - LISTED) as u64, "other");
            format!("the file holds {} and {others}", quoted(&near[..LISTED]))
        }
    };
    format!("no array `{name}`: {found}")
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// How many characters have to be inserted, removed or replaced to make one name of the other (V. I. Levenshtein, 1966).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, character) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (to, &wanted) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(character != wanted);
            diagonal = row[to + 1];
            row[to + 1] = replaced.min(row[to] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_names_is_the_number_of_edits() {
        for (one, other, edits) in [("", "", 0), ("bias", "", 4), ("kitten", "sitting", 3), ("a.b", "a.c", 1)] {
            assert_eq!(distance(one, other), edits);
            assert_eq!(distance(other, one), edits);
        }
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest_ones() {
        assert_eq!(no_such_array("wieght", &["bias", "weight"]), "no array `wieght`: the file holds `bias`, `weight`");
        let names: Vec<String> = (0..100).map(|layer| format!("layers.{layer}.weight")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let message = no_such_array("layer.42.weight", &names);
        assert!(message.contains("the file holds `layers.42.weight`, "), "{message}");
        assert!(message.ends_with(" and 95 others"), "{message}");
        assert!(no_such_array("x", &[""]).contains("has no name"));
        assert!(no_such_array("x", &[]).contains("holds none"));
    }
}
