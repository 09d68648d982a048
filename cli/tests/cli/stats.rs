//! `ndferry stats`.

use std::{ffi::OsStr, fs};

use ndarray::{Array1, array};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    fixture::{Fixture, fixtures, raw_arguments, volume},
    run::{command, ndferry, parse, run},
};

const KEYS: [&str; 11] =
    ["path", "array", "dtype", "shape", "byte_order", "count", "nan", "min", "max", "mean", "std"];

/// Arguments of `stats --json` for these files.
fn stats<'a>(fixtures: impl IntoIterator<Item = &'a Fixture>) -> Vec<&'a OsStr> {
    let paths = fixtures.into_iter().map(|fixture| fixture.path.as_os_str());
    ["stats", "--json"].map(OsStr::new).into_iter().chain(paths).collect()
}

/// Mean and standard deviation may differ in the last digits; nothing else may.
#[track_caller]
fn assert_figures(row: &Value, expected: &Value) {
    for key in ["count", "nan", "min", "max"] {
        assert_eq!(row[key], expected[key], "{key} of {row}");
    }
    for key in ["mean", "std"] {
        match (row[key].as_f64(), expected[key].as_f64()) {
            (Some(found), Some(exact)) => {
                assert!(
                    (found - exact).abs() <= 1e-12 * exact.abs(),
                    "{key} of {row}, not {exact}"
                );
            }
            _ => assert_eq!(row[key], expected[key], "{key} of {row}"),
        }
    }
}

// B1
#[test]
fn the_figures_of_every_fixture_are_those_of_numpy() {
    let fixtures = fixtures("npy");
    let real: Vec<_> = fixtures.iter().filter(|fixture| fixture.stats().is_some()).collect();
    let rows = ndferry(stats(real.iter().copied())).json();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), real.len());
    for (row, fixture) in rows.iter().zip(real) {
        let keys: Vec<_> = row.as_object().unwrap().keys().collect();
        assert_eq!(keys, KEYS);
        assert_eq!((&row["path"], &row["array"]), (&json!(fixture.path), &json!("")));
        for key in ["dtype", "shape", "byte_order"] {
            assert_eq!(row[key], fixture.description[key], "{key} of {row}");
        }
        assert_figures(row, fixture.stats().unwrap());
    }
}

#[test]
fn complex_arrays_are_refused_each_with_its_reason() {
    let fixtures = fixtures("npy");
    let complex: Vec<_> = fixtures.iter().filter(|fixture| fixture.stats().is_none()).collect();
    assert!(!complex.is_empty());
    let outcome = ndferry(stats(complex.iter().copied()));
    assert_eq!(outcome.code, Some(1));
    let rows = parse(&outcome.stdout);
    assert_eq!(rows.as_array().unwrap().len(), complex.len());
    assert_eq!((&rows[0]["left_out"], &rows[0]["min"]), (&json!("complex numbers"), &Value::Null));
    assert_eq!(outcome.stderr.lines().count(), complex.len(), "{}", outcome.stderr);
    for (line, fixture) in outcome.stderr.lines().zip(complex) {
        assert!(line.starts_with(&format!("ndferry: {}: ", fixture.path.display())), "{line}");
        assert!(line.contains("complex"), "{line}");
    }
}

// B1
#[test]
fn every_field_that_holds_numbers_has_the_figures_of_numpy() {
    for fixture in fixtures("dtypes") {
        let outcome = ndferry(stats([&fixture]));
        let (rows, columns) = (parse(&outcome.stdout), fixture.columns());
        let rows = rows.as_array().unwrap();
        let (rows, left_out): (Vec<_>, Vec<_>) =
            rows.iter().partition(|row| row["left_out"].is_null());
        let names = |row: &&Value| row["array"].as_str().unwrap().to_owned();
        let expected: Vec<_> = columns.iter().map(|column| column.name).collect();
        assert_eq!(
            rows.iter().map(names).collect::<Vec<_>>(),
            expected,
            "{}",
            fixture.path.display()
        );
        for (row, column) in rows.iter().zip(&columns) {
            assert_eq!(
                (&row["dtype"], &row["shape"]),
                (&column.described["dtype"], &column.described["shape"]),
                "{row}"
            );
            assert_figures(row, &column.described["stats"]);
        }
        // Of what is left out nothing is wrong, unless all is.
        let wrong = if rows.is_empty() { left_out.len() } else { 0 };
        assert_eq!(
            (outcome.code, outcome.stderr.lines().count()),
            (Some(i32::from(wrong > 0)), wrong),
            "{outcome:?}"
        );
        assert!(
            outcome.stderr.lines().all(|line| line.ends_with("of which there are no figures")),
            "{outcome:?}"
        );
        assert!(!columns.is_empty() || !left_out.is_empty(), "{}", fixture.path.display());
    }
}

#[test]
fn fields_of_many_records_are_summarised_in_blocks_and_fields_of_an_array_named_by_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stars.ferry");
    let dtype = "[('id', '>u4'), ('at', [('x.y', '<f4', (3,)), ('name', '|S1')])]".parse().unwrap();
    let record =
        |at: u32| [&at.to_be_bytes()[..], &[(at as f32).to_le_bytes(); 3].concat(), b"n"].concat();
    let bytes: Vec<u8> = (0..200_000).flat_map(record).collect();
    let stars = ndferry::AnyArray::from_bytes(dtype, &[400, 500], ndferry::array::Order::F, &bytes)
        .unwrap();
    ndferry::dump(&path, &std::collections::BTreeMap::from([("stars", stars)])).unwrap();
    let rows = ndferry(["stats", "--json", "--workers", "2", path.to_str().unwrap()]).json();
    let expected =
        [("stars.id", json!(199_999), 200_000), ("stars.at.x\\.y", json!(199_999.0), 600_000)];
    assert_eq!(rows.as_array().unwrap().len(), expected.len() + 1);
    let name = json!({
        "path": path, "array": "stars.at.name", "dtype": "|S1", "shape": [400, 500], "byte_order": "none",
        "count": 200_000, "nan": null, "min": null, "max": null, "mean": null, "std": null,
        "left_out": "strings of bytes",
    });
    assert_eq!(rows[2], name);
    for (row, (name, max, count)) in rows.as_array().unwrap().iter().zip(expected) {
        assert_eq!(
            (&row["array"], &row["max"], &row["count"]),
            (&json!(name), &max, &json!(count))
        );
        assert_eq!(row["mean"], 99_999.5, "{row}");
    }
    assert_eq!(rows[1]["shape"], json!([400, 500, 3]));

    let chosen = |name: &str| ndferry(["stats", "--json", path.to_str().unwrap(), "--array", name]);
    assert_eq!(chosen("stars").json(), rows);
    assert_eq!(chosen("stars.id").json(), json!([rows[0]]));
    assert_eq!(chosen("stars.at").json(), json!([rows[1], rows[2]]));
    chosen("stars.at.name")
        .assert_failed(&path, "array `stars.at.name`: holds strings of bytes (|S1), of which");
    let unknown = "no array or field `stars.at.x`: the file holds `stars.at`, ";
    chosen("stars.at.x").assert_failed(&path, unknown);
    let table = ndferry(["stats", path.to_str().unwrap()]).success();
    let expected =
        format!("\n\nleft out of {}: stars.at.name (strings of bytes)\n", path.display());
    assert!(table.ends_with(&expected), "{table}");
}

#[test]
fn a_real_big_endian_volume_has_its_reference_values() {
    let volume = volume();
    let arguments =
        [vec!["stats".into(), volume.path.to_str().unwrap().to_owned()], raw_arguments(&volume)]
            .concat();
    let table = ndferry(&arguments).success();
    for figure in ["33825", "-610", "30393", "8401.066725794532", "2526.6561133919117"] {
        assert!(table.split_whitespace().any(|cell| cell == figure), "{figure} in {table}");
    }
    let rows = ndferry([arguments, vec!["--json".into()]].concat()).json();
    assert_figures(&rows[0], volume.stats().unwrap());
}

#[test]
fn the_figures_do_not_depend_on_the_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("waves.ferry");
    ndferry::dump(&path, &Array1::from_shape_fn(300_000, |at| 1e6 + (at as f64).sin())).unwrap();
    let arguments = ["stats", "--json", path.to_str().unwrap()];
    let one = ndferry(arguments.into_iter().chain(["--workers", "1"])).success();
    let three = ndferry(arguments.into_iter().chain(["--workers", "3"])).success();
    let mut by_environment = command(arguments);
    by_environment.env("NDFERRY_WORKERS", "2");
    assert_eq!(one, three);
    assert_eq!(one, run(by_environment).success());
    assert_eq!(parse(&one)[0]["count"], 300_000);
}

#[test]
fn nothing_is_left_behind() {
    let store = tempfile::tempdir().unwrap();
    let volume = volume();
    let mut command = command(["stats"]);
    command.arg(&volume.path).args(raw_arguments(&volume)).env("NDFERRY_DIR", store.path());
    run(command).success();
    assert_eq!(fs::read_dir(store.path()).unwrap().count(), 0);
}

#[test]
fn what_is_wrong_with_one_file_does_not_keep_others_from_being_done() {
    let fixtures = fixtures("npy");
    let good: Vec<_> =
        fixtures.iter().filter(|fixture| fixture.stats().is_some()).take(2).collect();
    let paths = [good[0].path.as_os_str(), "no-such-file.npy".as_ref(), good[1].path.as_os_str()];
    let outcome = ndferry(["stats", "--json"].map(OsStr::new).into_iter().chain(paths));
    outcome.assert_failed("no-such-file.npy", "");
    let rows = parse(&outcome.stdout);
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!(rows[1]["path"], json!(good[1].path));

    let outcome = ndferry([OsStr::new("stats")].into_iter().chain(paths));
    outcome.assert_failed("no-such-file.npy", "");
    assert_eq!(outcome.stdout.lines().count(), 3, "headings and two rows: {}", outcome.stdout);
}

#[derive(Serialize)]
struct Model {
    weight: ndarray::Array2<i64>,
    bias: Vec<f32>,
    phase: Vec<num_complex::Complex<f64>>,
}

#[test]
fn every_array_of_a_container_has_a_row_and_one_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.ferry");
    let model = Model {
        weight: array![[1, i64::MAX], [i64::MIN, 4]],
        bias: vec![0.5; 1000],
        phase: vec![num_complex::Complex::new(0.0, 1.0); 100],
    };
    ndferry::dump(&path, &model).unwrap();
    let arguments = ["stats", "--json", path.to_str().unwrap()];

    let rows = ndferry(arguments).json();
    let names: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| row["array"].as_str().unwrap()).collect();
    assert_eq!(names, ["weight", "bias", "phase"]);
    assert_eq!((&rows[2]["left_out"], &rows[2]["count"]), (&json!("complex numbers"), &json!(100)));
    ndferry(arguments.into_iter().chain(["--array", "phase"]))
        .assert_failed(&path, "array `phase`: holds complex numbers");
    assert_eq!((&rows[0]["min"], &rows[0]["max"]), (&json!(i64::MIN), &json!(i64::MAX)));
    assert_eq!((&rows[1]["mean"], &rows[1]["std"]), (&json!(0.5), &json!(0.0)));

    let rows = ndferry(arguments.into_iter().chain(["--array", "bias"])).json();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["array"], "bias");
    let table = ndferry(["stats", path.to_str().unwrap(), "--array", "bias"]).success();
    assert!(
        table.lines().next().unwrap().split_whitespace().any(|heading| heading == "array"),
        "{table}"
    );

    let outcome = ndferry(arguments.into_iter().chain(["--array", "wieght"]));
    outcome.assert_failed(&path, "`weight`");
    assert_eq!(parse(&outcome.stdout), json!([]));
}

#[test]
fn a_file_that_says_bool_and_is_not_fails_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bool.raw");
    fs::write(&path, [0, 1, 2]).unwrap();
    let outcome = ndferry([
        "stats".as_ref(),
        path.as_os_str(),
        "--raw".as_ref(),
        "|b1".as_ref(),
        "--shape".as_ref(),
        "3".as_ref(),
    ]);
    outcome.assert_failed(&path, "neither 0 nor 1");
}

// B2
#[cfg(target_os = "linux")]
#[test]
fn the_workers_map_the_file_they_summarise() {
    let store = tempfile::tempdir().unwrap();
    let busy = crate::busy::Busy::start(store.path());
    assert_eq!(busy.workers().len(), 2);
}
