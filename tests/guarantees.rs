//! `docs/guarantees.md` lists what ndferry promises, each promise with an id. These tests check
//! that tests and benchmarks name these ids, and no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

#[path = "common/sources.rs"]
mod sources;

use sources::{root, sources};

const FOLDERS: [&str; 4] = ["src", "tests", "benches", "cli"];

fn document() -> String {
    fs::read_to_string(root().join("docs/guarantees.md")).unwrap()
}

/// The words of `line` that look like an id, such as `F11`.
fn ids(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| {
        let digits = word.strip_prefix(['F', 'B', 'S', 'P', 'E', 'G', 'X']).unwrap_or("");
        (1..=2).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// The ids in the comments of a source. A comment names ids if it contains nothing else (`// F1
/// F8`), starts with them (`/// X8: tasks of a millisecond`), or has them in parentheses (`//!
/// Hangs (P9).`).
fn ids_in_comments(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in source.lines() {
        let Some((_, comment)) = line.split_once("//") else { continue };
        let comment = comment.trim_start_matches(['/', '!']).trim();
        let start = comment.split(':').next();
        let bracketed = comment.split('(').skip(1).filter_map(|rest| rest.split(')').next());
        for text in start.into_iter().chain(bracketed) {
            let mut words = text.split([' ', ',']).filter(|word| !word.is_empty());
            if words.all(|word| ids(word).next() == Some(word)) {
                found.extend(ids(text).map(String::from));
            }
        }
    }
    found
}

/// The files in which comments name each id.
fn named() -> BTreeMap<String, BTreeSet<String>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        sources(&root().join(folder), &mut files);
    }
    let mut named = BTreeMap::<_, BTreeSet<_>>::new();
    for file in files {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        for id in ids_in_comments(&fs::read_to_string(&file).unwrap()) {
            named.entry(id).or_default().insert(path.clone());
        }
    }
    named
}

/// Each promise in the document: its id and its text.
fn promises() -> Vec<(String, String)> {
    let document = document();
    let items = document.split("\n- **").skip(1);
    let promise = |item: &str| {
        let (id, text) = item.split_once(".**").unwrap();
        let text = text.split("\n\n").next().unwrap();
        let words: Vec<_> = text.split_whitespace().collect();
        (id.to_owned(), words.join(" "))
    };
    items.map(promise).collect()
}

#[test]
fn guarantees_each_has_a_test_or_benchmark_that_names_it() {
    let (named, promises) = (named(), promises());
    assert!(promises.len() > 60, "{} promises", promises.len());
    let missing: Vec<_> =
        promises.iter().map(|(id, _)| id).filter(|id| !named.contains_key(*id)).collect();
    assert!(missing.is_empty(), "named by no test or benchmark: {missing:?}");
}

#[test]
fn guarantees_include_every_id_that_a_comment_names() {
    let known: BTreeSet<_> = promises().into_iter().map(|(id, _)| id).collect();
    for (id, files) in named() {
        assert!(known.contains(&id), "{id} is not in docs/guarantees.md, but in {files:?}");
    }
}

#[test]
fn guarantees_list_files_that_name_their_id() {
    let named = named();
    for (id, text) in promises() {
        let shown = text
            .split_once("Shown by")
            .unwrap_or_else(|| panic!("{id} does not say what shows it"))
            .1;
        for path in shown.split('`').skip(1).step_by(2).filter(|path| path.ends_with(".rs")) {
            let listed = named.get(&id).is_some_and(|files| files.contains(path));
            assert!(listed, "{path} is listed for {id}, but does not name it in a comment");
        }
    }
}

#[test]
fn guarantees_ids_are_read_from_comments_alone() {
    let source = "// F1 F8\n//! Hangs (P9), and more (see F2).\n/// B1 is prose.\n/// X7, E1: cold.\nlet f = F7; // S3";
    let found: Vec<_> = ids_in_comments(source).into_iter().collect();
    assert_eq!(found, ["E1", "F1", "F8", "P9", "S3", "X7"]);
}
