//! `--array` with patterns and several names, and `info` of several files.

use std::path::Path;

use ndarray::array;
use ndferry::{AnyArray, SharedArray, array::Order, file::DumpOptions};
use serde_json::Value;
use tempfile::TempDir;

use crate::run::{ndferry, parse};

/// A `.npz` file of two layers, whose biases are those given, and of records.
fn model(folder: &TempDir, file: &str, biases: [f32; 2]) -> String {
    let path = folder.path().join(file);
    let float = |value: f32| SharedArray::from(array![value, 2.]).to_any();
    let stars = "[('id', '<u4'), ('mass', '<f4')]".parse().unwrap();
    let stars = AnyArray::from_bytes(stars, &[2], Order::C, &[0; 16]).unwrap();
    let arrays = [
        ("layers.0.bias", float(biases[0])),
        ("layers.0.weight", float(3.)),
        ("layers.1.bias", float(biases[1])),
        ("stars", stars),
    ];
    DumpOptions::new().write_npz(&path, arrays).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The names in the output of a subcommand with `--array` options.
fn selected(subcommand: &str, names: &[&str], paths: &[&str]) -> Vec<String> {
    let options = names.iter().flat_map(|name| ["--array", name]);
    let arguments = [subcommand, "--json"].into_iter().chain(options).chain(paths.iter().copied());
    let outcome = ndferry(arguments);
    assert_eq!(outcome.stderr, "");
    let json = parse(&outcome.stdout);
    let name = |row: &Value| row["array"].as_str().or(row["name"].as_str()).unwrap().to_owned();
    match &json {
        Value::Object(_) if subcommand == "info" => {
            json["arrays"].as_array().unwrap().iter().map(name).collect()
        }
        Value::Object(arrays) => arrays.keys().cloned().collect(),
        _ => json.as_array().unwrap().iter().map(name).collect(),
    }
}

#[test]
fn array_patterns_and_repeated_names_select_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = &*model(&folder, "model.npz", [0., 1.]);
    let cases: [(&[&str], &[&str]); 5] = [
        (&["layers.*.bias"], &["layers.0.bias", "layers.1.bias"]),
        (&["layers.[0]*"], &["layers.0.bias", "layers.0.weight"]),
        (&["layers.1.bias", "layers.0.bias"], &["layers.1.bias", "layers.0.bias"]),
        (&["layers.1.bias", "*bias"], &["layers.1.bias", "layers.0.bias"]),
        (&["layers.?.weight", "stars.m*"], &["layers.0.weight", "stars.mass"]),
    ];
    for (names, expected) in cases {
        for subcommand in ["stats", "show"] {
            assert_eq!(selected(subcommand, names, &[path]), expected, "{subcommand} {names:?}");
        }
        let arrays: Vec<_> = expected.iter().map(|name| name.replace(".mass", "")).collect();
        assert_eq!(selected("info", names, &[path]), arrays, "info {names:?}");
    }
    let text = ndferry(["info", path, "--array", "stars.m*", "--array", "layers.0.*"]).success();
    assert!(text.contains("mass") && text.contains("weight") && !text.contains("id"), "{text}");
    let text = ndferry(["info", path, "--array", "stars", "--array", "stars.mass"]).success();
    assert!(text.contains("mass") && text.contains("id"), "{text}");
}

#[test]
fn diff_patterns_compare_arrays_of_one_name() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = [("a.npz", [0., 1.]), ("b.npz", [0., 7.])].map(|(n, f)| model(&folder, n, f));
    let compared = selected("diff", &["*.bias", "layers.1.bias", "stars"], &[&a, &b]);
    assert_eq!(compared, ["layers.0.bias", "layers.1.bias", "stars.id", "stars.mass"]);
    assert_eq!(ndferry(["diff", "--array", "*.weight", &a, &b]).success(), "");
    let different = ndferry(["diff", "--array", "*.bias", &a, &b]);
    assert_eq!((different.code, different.stdout.lines().count()), (Some(1), 1), "{different:?}");
    // An array that only one file has is missing in the other.
    let other = folder.path().join("other.npz");
    let bias = SharedArray::from(array![0f32, 2.]).to_any();
    DumpOptions::new().write_npz(&other, [("layers.0.bias", bias)]).unwrap();
    let missing = ndferry(["diff", "--array", "*.bias", &a, other.to_str().unwrap()]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stdout.contains("layers.1.bias`: only in"), "{missing:?}");
}

#[test]
fn array_pattern_without_a_match_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = &*model(&folder, "model.npz", [0., 1.]);
    for (pattern, reason) in [
        ("*.gamma", "no array or field matches `*.gamma`"),
        ("layers.[0", "the pattern `layers.[0`: "),
        ("layers.0.bia", "did you mean `layers.0.bias`"),
    ] {
        for subcommand in ["info", "stats", "show"] {
            ndferry([subcommand, "--array", pattern, path]).assert_failed(path, reason);
        }
        let outcome = ndferry(["diff", "--array", pattern, path, path]);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains(reason), "{outcome:?}");
    }
}

#[test]
fn info_of_several_files_reports_each() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.npz", "b.npz"].map(|name| model(&folder, name, [0., 1.]));
    let absent = folder.path().join("absent.npz");
    let outcome = ndferry(["info", "--json", &a, absent.to_str().unwrap(), &b]);
    outcome.assert_failed(&absent, "");
    let paths: Vec<_> = outcome.stdout.lines().map(|line| parse(line)["path"].clone()).collect();
    assert_eq!(paths, [&*a, &*b]);
    let text = ndferry(["info", &a, &b]).success();
    let headings = text.lines().filter(|line| line.contains(".npz: npz, 4 arrays"));
    assert_eq!(headings.count(), 2, "{text}");
    assert!(text.contains(&format!("\n\n{}: ", Path::new(&b).display())), "{text}");
}
