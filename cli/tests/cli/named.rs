//! Every subcommand over files of named arrays.

use std::{collections::BTreeMap, path::PathBuf};

use ndarray::array;
use ndferry::AnyArray;
use serde_json::Value;

use crate::{
    fixture::{Fixture, fixtures},
    run::ndferry,
};

/// Formats, each with the fixture that has most in it.
const FILES: [(&str, &str); 3] =
    [("npz", "stored.npz"), ("npz", "deflated.npz"), ("safetensors", "every.safetensors")];

fn fixture(format: &str, file: &str) -> Fixture {
    fixtures(format).into_iter().find(|fixture| fixture.text("file") == file).unwrap()
}

fn described(fixture: &Fixture) -> &Vec<Value> {
    fixture.description["arrays"].as_array().unwrap()
}

fn output(folder: &tempfile::TempDir, name: &str) -> (PathBuf, String) {
    let path = folder.path().join(name);
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

// F8
#[test]
fn info_tells_of_every_array() {
    for (format, file) in FILES {
        let fixture = fixture(format, file);
        let info = ndferry(["info", "--json", fixture.path.to_str().unwrap()]).json();
        assert_eq!((&info["format"], &info["version"]), (&format.into(), &Value::Null));
        let told = info["arrays"].as_array().unwrap();
        assert_eq!(told.len(), described(&fixture).len());
        for array in described(&fixture) {
            let told = told.iter().find(|told| told["name"] == array["name"]).unwrap();
            for key in ["dtype", "shape", "order"] {
                assert_eq!(told[key], array[key], "{told}");
            }
        }
    }
}

// F8
#[test]
fn stats_of_a_file_are_those_of_its_arrays_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    for (format, file) in FILES {
        let fixture = fixture(format, file);
        let path = fixture.path.to_str().unwrap();
        let rows = ndferry(["stats", "--json", path]).json();
        let figures = rows.as_array().unwrap().iter().filter(|row| row["left_out"].is_null());
        let has_figures = |array: &&Value| !array["dtype"].as_str().unwrap().contains('c');
        assert_eq!(figures.count(), described(&fixture).iter().filter(has_figures).count());
        assert_eq!(rows.as_array().unwrap().len(), described(&fixture).len());

        let (_, ferry) = output(&folder, "one.ferry");
        for array in described(&fixture).iter().filter(has_figures).step_by(9) {
            let name = array["name"].as_str().unwrap();
            ndferry(["convert", path, &ferry, "--array", name]).success();
            let one = ndferry(["stats", "--json", &ferry]).json();
            let rows = rows.as_array().unwrap();
            let of_many = rows
                .iter()
                .find(|row| row["array"] == array["name"])
                .expect("a row for each array");
            for key in ["count", "nan", "min", "max", "mean", "std"] {
                assert_eq!(one[0][key], of_many[key], "{key} of {name}");
            }
        }
    }
}

// F1
#[test]
fn what_is_larger_than_the_limit_is_not_decompressed() {
    let fixture = fixture("npz", "deflated.npz");
    let path = fixture.path.to_str().unwrap();
    let array = ["--array", "f8_big_3d_c"];
    for (limit, refused) in [("191", true), ("192", false)] {
        let limit = ["--limit", limit];
        let outcome = ndferry(["stats", "--json", path].iter().chain(&array).chain(&limit));
        if refused {
            outcome.assert_failed(
                path,
                "array `f8_big_3d_c`: 192 bytes when decompressed, beyond the limit of 191",
            );
        } else {
            assert_eq!(outcome.json()[0]["count"], 24);
        }
    }
}

// F8
#[test]
fn convert_takes_all_or_one_and_says_what_a_format_cannot_hold() {
    let folder = tempfile::tempdir().unwrap();
    for (format, file) in FILES {
        let fixture = fixture(format, file);
        let path = fixture.path.to_str().unwrap();
        let ((all, all_text), (npy, npy_text)) =
            (output(&folder, "all.ferry"), output(&folder, "one.npy"));
        ndferry(["convert", path, &all_text]).success();
        let value: std::collections::BTreeMap<String, AnyArray> = ndferry::load(&all).unwrap();
        assert_eq!(value.len(), described(&fixture).len());
        let (_, back) = output(&folder, &format!("back.{format}"));
        ndferry(["convert", &all_text, &back]).success();
        let count = |path: &str| ndferry::open(path).unwrap().arrays().len();
        assert_eq!(count(&back), count(path));

        let some = described(&fixture)[0]["name"].as_str().unwrap();
        ndferry(["convert", path, &npy_text, "--array", some]).success();
        assert_eq!(ndferry::open(&npy).unwrap().arrays().len(), 1);
        let outcome = ndferry(["convert", path, &npy_text]);
        outcome.assert_failed(path, "a .npy file holds one: name it");
    }
    let every = fixture("safetensors", "every.safetensors");
    let (npy, text) = output(&folder, "brain.npy");
    let outcome = ndferry(["convert", every.path.to_str().unwrap(), &text, "--array", "bf2.3d"]);
    outcome.assert_failed(&npy, "NumPy has no type for `<bf2`");
    assert!(!npy.exists());
}

// F8
#[test]
fn diff_finds_an_array_by_its_name_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    for (format, file) in FILES {
        let fixture = fixture(format, file);
        let given = fixture.path.to_str().unwrap();
        let (_, ferry) = output(&folder, "a.ferry");
        let (_, back) = output(&folder, &format!("a.{format}"));
        ndferry(["convert", given, &ferry]).success();
        ndferry(["convert", &ferry, &back]).success();
        for [a, b] in [[given, &ferry], [&ferry, given], [&ferry, &back], [given, &back]] {
            assert_eq!(ndferry(["diff", a, b]).success(), "", "{a} {b}");
        }
    }
    // Keys with dots of their own, which a container's names escape.
    let tensors =
        BTreeMap::from([("layers.0.weight", array![1.0f32]), ("layers.0.bias", array![2.0])]);
    let (ferry, ferry_text) = output(&folder, "b.ferry");
    let (_, other) = output(&folder, "b.safetensors");
    ndferry::dump(&ferry, &tensors).unwrap();
    ndferry(["convert", &ferry_text, &other]).success();
    for array in [&[][..], &["--array", "layers.0.weight"]] {
        let paths = [&*other, &ferry_text];
        assert_eq!(ndferry(["diff"].iter().chain(&paths).chain(array)).success(), "");
    }
    ndferry::dump(
        &ferry,
        &BTreeMap::from([("layers.0.weight", array![1.0f32]), ("layers.0.bias", array![3.0])]),
    )
    .unwrap();
    let outcome = ndferry(["diff", &other, &ferry_text]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stdout.starts_with("array `layers.0.bias`: 1 of 1 elements differ"),
        "{outcome:?}"
    );
}
