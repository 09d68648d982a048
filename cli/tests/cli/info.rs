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
        let mut expected = json!({
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
                "mappable": dtype.is_native() && dtype.scalar() != Some(ndferry::dtype::Scalar::Bool),
            }],
        });
        let array = expected["arrays"][0].as_object_mut().unwrap();
        if dtype.scalar() == Some(ndferry::dtype::Scalar::Bool) {
            array.insert("why_not_mappable".into(), "bool".into());
        } else if !dtype.is_native() {
            array.insert("why_not_mappable".into(), "byte order".into());
        }
        // As text, for the order of the keys is part of the promise.
        assert_eq!(info.to_string(), expected.to_string());
    }
}

#[test]
fn json_tells_of_a_raw_file_what_the_arguments_say() {
    let volume = volume();
    let path = volume.path.to_str().unwrap();
    let info = ndferry(
        ["info", "--json", path].map(String::from).into_iter().chain(raw_arguments(&volume)),
    )
    .json();
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
            assert_eq!(
                info["arrays"][0][key],
                fixture.description[key],
                "{key} of {}",
                fixture.path.display()
            );
        }
    }
}

#[test]
fn people_get_the_fields_of_records_below_their_array() {
    let fixture = fixtures("dtypes")
        .into_iter()
        .find(|fixture| fixture.text("file") == "nested_big.npy")
        .unwrap();
    let path = fixture.path.to_str().unwrap();
    let no =
        if cfg!(target_endian = "big") { ["", ""] } else { ["  mappable", "  no: big-endian"] };
    let all = if cfg!(target_endian = "big") { ", mappable" } else { "" };
    let expected = format!(
        "{path}: npy 1.0, 1 array, 188 B{all}\n\n\
         array        dtype     shape   size  offset  align{}\n\
         (no name)    4 fields  4      188 B     256    256{}\n\
         ├╌ id        |u1                1 B      +0\n\
         ├╌ grid      >u2       2×3     12 B      +1\n\
         ├╌ inner     2 fields          26 B     +13\n\
         ┆  ├╌ depth  >i2                2 B     +13\n\
         ┆  └╌ at     2 fields  2       24 B     +15\n\
         ┆     ├╌ x   >f4                4 B     +15\n\
         ┆     └╌ y   >f4       2        8 B     +19\n\
         └╌ end       >f8                8 B     +39\n",
        no[0], no[1]
    );
    assert_eq!(ndferry(["info", path]).success(), expected);
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
fn people_get_the_size_and_why_an_array_cannot_be_mapped() {
    let volume = volume();
    let path = volume.path.to_str().unwrap();
    let text = ndferry(["info", path].map(String::from).into_iter().chain(raw_arguments(&volume)))
        .success();
    let lines: Vec<_> = text.lines().collect();
    let [heading, "", columns, array] = lines[..] else { panic!("{text}") };
    assert!(
        heading.starts_with(&format!("{path}: raw, 1 array, 66.06 KiB (67650 bytes)")),
        "{text}"
    );
    assert!(
        columns.starts_with("dtype  shape     order       size  bytes  offset  align"),
        "{text}"
    );
    assert!(array.starts_with(">i2    33×41×25  F      66.06 KiB  67650     352     32"), "{text}");
    assert_eq!(array.ends_with("  no: big-endian"), cfg!(target_endian = "little"), "{text}");
}

/// A `.safetensors` file of zeros.
fn safetensors(path: &std::path::Path, header: &Value, nbytes: usize) {
    let mut header = header.to_string();
    header += &" ".repeat(header.len().next_multiple_of(8) - header.len());
    let bytes =
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; nbytes]].concat();
    fs::write(path, bytes).unwrap();
}

#[test]
fn people_get_a_tree_with_the_sums_of_its_branches_and_the_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let of = |dtype: &str, shape: &[usize], begin: usize, end: usize| json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]});
    let header = json!({
        "__metadata__": {"format": "pt", "note\u{1b}": "two\nlines"},
        "layers.0.weight": of("U8", &[64, 32], 0, 2048),
        "layers.0.bias": of("U8", &[64], 2048, 2112),
        "layers.1.weight": of("BOOL", &[8, 8], 2112, 2176),
        "head.weight": of("U8", &[3], 2176, 2179),
        "scale": of("U8", &[], 2179, 2180),
    });
    safetensors(&path, &header, 2180);
    let text = ndferry(["info".as_ref(), path.as_os_str()]).success();
    let offset = ndferry::open(&path).unwrap().arrays()[0].offset();
    let at = |place: u64| {
        format!("{:6}  {:5}", offset + place, 1 << (offset + place).trailing_zeros().min(12))
    };
    let expected = format!(
        "{}: safetensors, 5 arrays, 2.13 KiB (2180 bytes), 4 of 5 mappable\n\n\
         format      pt\n\
         note\\u{{1b}}  two\\nlines\n\n\
         array         dtype  shape         size  bytes  offset  align  mappable\n\
         layers               3 arrays  2.12 KiB   2176\n\
         ├─ 0                 2 arrays  2.06 KiB   2112\n\
         │  ├─ weight  |u1    64×32     2.00 KiB   2048  {}  yes\n\
         │  └─ bias    |u1    64            64 B         {}  yes\n\
         └─ 1.weight   |b1    8×8           64 B         {}  no: bool\n\
         head.weight   |u1    3              3 B         {}  yes\n\
         scale         |u1    scalar         1 B         {}  yes\n",
        path.display(),
        at(0),
        at(2048),
        at(2112),
        at(2176),
        at(2179)
    );
    assert_eq!(text, expected);
    let info = ndferry(["info".as_ref(), "--json".as_ref(), path.as_os_str()]).json();
    assert_eq!(info["metadata"], header["__metadata__"]);
    assert_eq!(info["arrays"][2]["why_not_mappable"], "bool");
}

#[test]
fn a_key_with_a_dot_is_one_step_of_a_containers_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let value = std::collections::BTreeMap::from([
        ("a.b", (array![1u8], array![2u8])),
        ("c", (array![3], array![4])),
    ]);
    ndferry::dump(&path, &value).unwrap();
    let text = ndferry(["info".as_ref(), path.as_os_str()]).success();
    let names: Vec<_> = text.lines().skip(3).map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(names, ["a\\.b", "├─ 0", "└─ 1", "c", "├─ 0", "└─ 1"], "{text}");
}
