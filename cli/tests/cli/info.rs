//! `ndferry info`.

use std::fs;

use ndarray::array;
use serde::Serialize;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::{
    fixture::{fixtures, raw_arguments, volume},
    forge::{Member, zip},
    run::ndferry,
};

#[derive(Serialize)]
struct Model {
    weight: ndarray::Array2<f64>,
    bias: Vec<f32>,
}

#[test]
fn info_json_describes_every_npy_fixture() {
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
        // Compared as text, because the order of the keys is guaranteed.
        assert_eq!(info.to_string(), expected.to_string());
    }
}

#[test]
fn info_json_describes_raw_binary() {
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
fn info_json_has_aligned_arrays_of_ferry_files() {
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
fn info_json_has_dtypes_of_records_like_numpy() {
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
fn info_lists_the_fields_of_records() {
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
fn info_reads_raw_records() {
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
fn info_shows_size_and_reason_for_copying() {
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

/// Writes a `.safetensors` file of zeros.
fn safetensors(path: &std::path::Path, header: &Value, nbytes: usize) {
    let mut header = header.to_string();
    header += &" ".repeat(header.len().next_multiple_of(8) - header.len());
    let bytes =
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; nbytes]].concat();
    fs::write(path, bytes).unwrap();
}

#[test]
fn info_shows_a_tree_with_sums_and_metadata() {
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
fn info_keeps_escaped_dots_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let value = std::collections::BTreeMap::from([
        ("a.b", (array![1u8], array![2u8])),
        ("c", (array![3], array![4])),
    ]);
    ndferry::dump(&path, &value).unwrap();
    let text = ndferry(["info".as_ref(), path.as_os_str()]).success();
    assert_eq!(names(&text), ["a\\.b", "├─ 0", "└─ 1", "c", "├─ 0", "└─ 1"], "{text}");
}

/// The flag of a zip member whose name is UTF-8.
const UTF8: u16 = 1 << 11;

/// Writes a `.npz` file of bytes.
fn npz(path: &std::path::Path, names: &[&str]) {
    let member =
        |name: &&str| Member { flags: UTF8, ..Member::new(&format!("{name}.npy"), &[1, 2, 3]) };
    fs::write(path, zip(&names.iter().map(member).collect::<Vec<_>>())).unwrap();
}

// A terminal shows these names in fewer or more columns than they have characters.
#[test]
fn info_columns_line_up_with_wide_and_combining_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.npz");
    let names = ["plain", "数字数字", "e\u{301}tude\u{301}", "👩‍🚀.❤\u{fe0f}", "👩‍🚀.한글"];
    npz(&path, &names);
    let text = ndferry(["info".as_ref(), path.as_os_str()]).success();
    let start = |line: &str, part: &str| line[..line.find(part).unwrap()].width();
    let mut rows = text.lines().skip(2);
    let dtype = start(rows.next().unwrap(), "dtype");
    for line in rows.filter(|line| line.contains("|u1")) {
        assert_eq!(start(line, "|u1"), dtype, "{text}");
    }
    assert_eq!(text.matches("|u1").count(), names.len(), "{text}");
}

#[test]
fn info_array_shows_one_array_or_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stars.ferry");
    let dtype = "[('id', '<u4'), ('at', [('x', '<f4'), ('y', '<f4')])]".parse().unwrap();
    let order = ndferry::array::Order::C;
    let stars = ndferry::AnyArray::from_bytes(dtype, &[2], order, &[0; 24]).unwrap();
    let other =
        ndferry::AnyArray::from_bytes("<f8".parse().unwrap(), &[1], order, &[0; 8]).unwrap();
    let arrays = std::collections::BTreeMap::from([("other", other), ("stars", stars)]);
    ndferry::dump(&path, &arrays).unwrap();
    let info = |options: &[&str]| ndferry(["info", path.to_str().unwrap()].iter().chain(options));
    for (name, expected) in [
        ("other", &["other"][..]),
        ("stars", &["stars", "├╌ id", "└╌ at", "   ├╌ x", "   └╌ y"]),
        ("stars.at.y", &["stars", "└╌ at", "   └╌ y"]),
    ] {
        let text = info(&["--array", name]).success();
        assert!(text.contains(": ferry 1, 1 of 2 arrays, "), "{text}");
        assert_eq!(names(&text), expected, "{text}");
    }
    let all = info(&["--json"]).json();
    for name in ["stars", "stars.at"] {
        let one = info(&["--json", "--array", name]).json();
        assert_eq!(one["arrays"], json!([all["arrays"][1]]));
    }
    info(&["--array", "stars.at.z"]).assert_failed(&path, "array `stars`: has no field `z`");
    info(&["--array", "staars"]).assert_failed(&path, "`stars`");
}

/// The names in a listing, with their tree lines.
fn names(text: &str) -> Vec<String> {
    let rows = text.lines().skip(3);
    let name = |line: &str| {
        let name = line.trim_start();
        let indent = &line[..line.len() - name.len()];
        format!("{indent}{}", name.split("  ").next().unwrap())
    };
    rows.map(name).collect()
}
