//! `ndferry info`.

use std::fs;

use ndarray::array;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    fixture::{fixtures, raw_arguments, volume},
    run::ndferry,
};

#[derive(Serialize)]
struct Model {
    weight: ndarray::Array2<f64>,
    bias: Vec<f32>,
}

#[test]
fn json_tells_of_every_fixture_what_numpy_wrote() {
    for fixture in fixtures("npy") {
        let path = fixture.path.to_str().unwrap();
        let info = ndferry(["info", "--json", path]).json();
        let (dtype, described) = (fixture.dtype(), &fixture.description);
        let nbytes = dtype.item_size() * fixture.elements().len();
        let offset = fs::metadata(path).unwrap().len() as usize - nbytes;
        let version = &described["npy_version"];
        let expected = json!({
            "path": path,
            "format": "npy",
            "version": format!("{}.{}", version[0], version[1]),
            "arrays": [{
                "name": "",
                "dtype": described["dtype"],
                "shape": described["shape"],
                "order": described["order"],
                "byte_order": described["byte_order"],
                "offset": offset,
                "nbytes": nbytes,
                "alignment": 1 << offset.trailing_zeros().min(12),
                "mappable": dtype.is_native() && dtype.scalar() != Some(ndferry::Scalar::Bool),
            }],
        });
        // As text, for the order of the keys is part of the promise.
        assert_eq!(info.to_string(), expected.to_string());
    }
}

#[test]
fn json_tells_of_a_raw_file_what_the_arguments_say() {
    let volume = volume();
    let path = volume.path.to_str().unwrap();
    let info = ndferry(["info", "--json", path].map(String::from).into_iter().chain(raw_arguments(&volume))).json();
    assert_eq!(info["format"], "raw");
    assert_eq!(info["version"], Value::Null);
    assert_eq!(info["arrays"][0]["order"], "F");
    assert_eq!(info["arrays"][0]["byte_order"], "big");
    assert_eq!(info["arrays"][0]["offset"], 352);
    assert_eq!(info["arrays"][0]["nbytes"], 33 * 41 * 25 * 2);
}

// F5
#[test]
fn json_tells_of_every_array_of_a_container_and_all_are_aligned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.ferry");
    let model = Model { weight: array![[1.0, 2.0], [3.0, 4.0]], bias: vec![0.5; 1000] };
    ndferry::dump(&path, &model).unwrap();
    let info = ndferry(["info".as_ref(), "--json".as_ref(), path.as_os_str()]).json();
    assert_eq!((&info["format"], &info["version"]), (&json!("ferry"), &json!("1")));
    let arrays = info["arrays"].as_array().unwrap();
    let names: Vec<_> = arrays.iter().map(|array| array["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["weight", "bias"]);
    for array in arrays {
        assert!(array["alignment"].as_u64().unwrap() >= 64, "{array}");
        assert_eq!(array["mappable"], true, "{array}");
    }
}

#[test]
fn json_tells_the_fields_of_records_as_numpy_does() {
    for fixture in fixtures("dtypes") {
        let info = ndferry(["info", "--json", fixture.path.to_str().unwrap()]).json();
        for key in ["dtype", "shape", "order", "byte_order"] {
            assert_eq!(info["arrays"][0][key], fixture.description[key], "{key} of {}", fixture.path.display());
        }
    }
}

#[test]
fn people_get_the_fields_of_records_below_the_table() {
    let fixture = fixtures("dtypes").into_iter().find(|fixture| fixture.text("file") == "nested_big.npy").unwrap();
    let text = ndferry(["info", fixture.path.to_str().unwrap()]).success();
    let lines: Vec<_> = text.lines().skip(2).map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(lines[0][..4], ["4", "fields", "4", "C"], "{text}");
    assert_eq!(lines[3], ["field", "dtype", "shape", "byte", "order", "offset", "bytes"], "{text}");
    assert_eq!(lines[5], ["grid", ">u2", "2×3", "big", "1", "12"], "{text}");
    assert_eq!(lines[8], ["at", "2", "fields", "2", "big", "15", "24"], "{text}");
    assert_eq!(lines[10], ["y", ">f4", "2", "big", "19", "8"], "{text}");
    assert!(text.contains("\n    y "), "{text}");
}

#[test]
fn raw_records_are_described_by_the_list_of_their_fields() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stars.raw");
    fs::write(&path, [0; 36]).unwrap();
    let path = path.to_str().unwrap();
    let raw = ["--raw", "[('id', '<u4'), ('at', '>f4', (2,))]", "--shape", "3"];
    let info = ndferry(["info", "--json", path].into_iter().chain(raw)).json();
    assert_eq!(info["arrays"][0]["dtype"], json!([["id", "<u4"], ["at", ">f4", [2]]]));
    let rows = ndferry(["stats", "--json", path].into_iter().chain(raw)).json();
    assert_eq!(
        (&rows[1]["array"], &rows[1]["count"], &rows[1]["byte_order"]),
        (&json!("at"), &json!(6), &json!("big"))
    );
}

#[test]
fn people_get_a_table() {
    let volume = volume();
    let path = volume.path.to_str().unwrap();
    let text = ndferry(["info", path].map(String::from).into_iter().chain(raw_arguments(&volume))).success();
    let lines: Vec<_> = text.lines().collect();
    let [heading, columns, array] = lines[..] else { panic!("{text}") };
    assert_eq!(heading, format!("{path}: raw, 1 array"));
    assert!(columns.contains("dtype  shape     order"), "{text}");
    assert!(array.contains(">i2    33×41×25  F      big"), "{text}");
}
