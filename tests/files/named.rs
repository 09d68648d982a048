//! Files of named arrays, as other libraries write them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use half::bf16;
use ndferry::{
    AnyArray, DType, SharedArray,
    array::{CopyReason, Order},
    dtype::{ByteOrder, Field},
    file::{ArrayFile, DumpOptions, OpenOptions},
    ndarray::{Array2, Ix2, IxDyn, array},
};

use crate::{
    common::{bits, folder},
    dtypes, forge,
};

/// A file, and its content according to its writer.
#[derive(serde::Deserialize)]
struct Fixture {
    file: String,
    #[serde(default)]
    deflated: bool,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    arrays: Vec<Array>,
}

#[derive(serde::Deserialize)]
struct Array {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    order: Order,
    elements: Vec<String>,
}

/// Returns all fixtures of the format with their paths. A new file is tested, too.
fn fixtures(format: &str) -> Vec<(PathBuf, Fixture)> {
    let folder = folder().join(format);
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut descriptions: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    descriptions.sort();
    assert!(descriptions.len() > 2, "the fixtures are there");
    let read = |path: &PathBuf| {
        let fixture: Fixture = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        (folder.join(&fixture.file), fixture)
    };
    descriptions.iter().map(read).collect()
}

/// The formats under test.
const FORMATS: [&str; 2] = ["npz", "safetensors"];

/// The shapes and elements of all arrays by name, which no conversion may change.
pub type Content = BTreeMap<String, (Vec<usize>, Vec<String>)>;

/// Verifies a file and returns its arrays.
pub fn content(file: &ArrayFile) -> ndferry::Result<Content> {
    file.verify()?;
    let content = |info: &ndferry::file::ArrayInfo| {
        Ok((info.name().to_owned(), (info.shape().to_vec(), bits(&file.read_dyn(info.name())?))))
    };
    file.arrays().iter().map(content).collect()
}

fn described(fixture: &Fixture) -> Content {
    let described =
        |array: &Array| (array.name.clone(), (array.shape.clone(), array.elements.clone()));
    fixture.arrays.iter().map(described).collect()
}

// B1 B6 F8
#[test]
fn named_fixtures_read_like_their_library() {
    for format in FORMATS {
        for (path, fixture) in fixtures(format) {
            let file = ndferry::open(&path).unwrap();
            assert_eq!(file.format().to_string(), format);
            assert_eq!(file.metadata(), &fixture.metadata, "{}", fixture.file);
            assert_eq!(file.arrays().len(), fixture.arrays.len(), "{}", fixture.file);
            assert!(file.arrays().is_sorted_by_key(|info| info.offset()), "{}", fixture.file);
            for array in &fixture.arrays {
                let info = file.arrays().iter().find(|info| info.name() == array.name).unwrap();
                let title = format!("{} {}", fixture.file, array.name);
                assert_eq!(info.codec().is_some(), fixture.deflated, "{title}");
                assert_eq!(info.dtype().to_string(), array.dtype, "{title}");
                assert_eq!((info.shape(), info.order()), (&*array.shape, array.order), "{title}");
                assert_eq!(bits(&file.read_dyn(&array.name).unwrap()), array.elements, "{title}");
            }
        }
    }
}

// F5 F7 F8
#[test]
fn named_fixtures_convert_to_ferry_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let ferry = folder.path().join("a.ferry");
    for format in FORMATS {
        let back = folder.path().join(format!("a.{format}"));
        for (path, fixture) in fixtures(format) {
            let options = DumpOptions::new();
            ndferry::convert(&ndferry::open(&path).unwrap(), None, &ferry, &options).unwrap();
            ndferry::convert(&ndferry::open(&ferry).unwrap(), None, &back, &options).unwrap();
            assert_eq!(
                content(&ndferry::open(&back).unwrap()).unwrap(),
                described(&fixture),
                "{}",
                fixture.file
            );
            // To the same path, with metadata.
            ndferry::convert(&ndferry::open(&path).unwrap(), None, &back, &options).unwrap();
            ndferry::convert(&ndferry::open(&back).unwrap(), None, &back, &options).unwrap();
            let file = ndferry::open(&back).unwrap();
            assert_eq!(content(&file).unwrap(), described(&fixture), "{}", fixture.file);
            assert_eq!(file.metadata(), &fixture.metadata);
        }
    }
}

fn write(path: &Path, arrays: &[(&str, AnyArray)]) {
    let options = DumpOptions::new();
    let arrays = arrays.iter().map(|(name, array)| (*name, array));
    match path.extension().unwrap().to_str().unwrap() {
        "npz" => options.write_npz(path, arrays),
        "safetensors" => options.write_safetensors(path, arrays, &BTreeMap::new()),
        other => panic!("{other}"),
    }
    .unwrap();
}

fn any(values: Array2<f32>) -> AnyArray {
    SharedArray::from(values).into()
}

// F9
#[test]
fn named_file_loads_as_map_or_struct() {
    #[derive(serde::Deserialize)]
    struct Layer {
        weight: SharedArray<f32, Ix2>,
        #[serde(rename = "bias.0")]
        bias: Array2<f32>,
    }

    let folder = tempfile::tempdir().unwrap();
    for format in FORMATS {
        let path = folder.path().join(format!("a.{format}"));
        let (weight, bias) = (array![[1.0f32, 2.0], [3.0, 4.0]], array![[0.5f32]]);
        write(&path, &[("weight", any(weight.clone())), ("bias.0", any(bias.clone()))]);
        let map: BTreeMap<String, SharedArray<f32, Ix2>> = ndferry::load(&path).unwrap();
        assert_eq!(map["weight"].to_owned(), weight);
        let layer: Layer = ndferry::load(&path).unwrap();
        assert_eq!((layer.weight.to_owned(), layer.bias), (weight, bias));
        let error = ndferry::load::<SharedArray<f32, Ix2>>(&path).unwrap_err().to_string();
        assert!(error.contains(": read as a map from names to arrays: "), "{error}");
        if ndferry::dtype::ByteOrder::NATIVE == ndferry::dtype::ByteOrder::Little {
            assert_eq!(layer.weight.copy_reason(), None, "{format}");
        }
    }
}

// F8
#[test]
fn named_arrays_need_unique_names() {
    #[derive(serde::Serialize)]
    struct Twice {
        a: BTreeMap<&'static str, Array2<f32>>,
        #[serde(rename = "a.b")]
        other: Array2<f32>,
    }

    let folder = tempfile::tempdir().unwrap();
    for format in FORMATS {
        let (ferry, path) =
            (folder.path().join("a.ferry"), folder.path().join(format!("a.{format}")));
        ndferry::dump(&ferry, &array![[1.0f32]]).unwrap();
        ndferry::convert(&ndferry::open(&ferry).unwrap(), None, &path, &DumpOptions::new())
            .unwrap();
        assert_eq!(
            ndferry::open(&path).unwrap().read_array::<f32, Ix2>("arr_0").unwrap()[(0, 0)],
            1.0
        );

        let old = std::fs::read(&path).unwrap();
        ndferry::dump(&ferry, &Twice { a: [("b", array![[1.0]])].into(), other: array![[2.0]] })
            .unwrap();
        let error =
            ndferry::convert(&ndferry::open(&ferry).unwrap(), None, &path, &DumpOptions::new())
                .unwrap_err();
        assert!(error.to_string().contains("two arrays are named `a.b`"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), old);

        // In a `.ferry` file dots within a key are escaped.
        ndferry::dump(&ferry, &BTreeMap::from([("a.b", array![[3.0f32]])])).unwrap();
        assert_eq!(ndferry::open(&ferry).unwrap().arrays()[0].name(), r"a\.b");
        ndferry::convert(&ndferry::open(&ferry).unwrap(), None, &path, &DumpOptions::new())
            .unwrap();
        assert_eq!(ndferry::open(&path).unwrap().arrays()[0].name(), "a.b");
        ndferry::convert(&ndferry::open(&path).unwrap(), None, &ferry, &DumpOptions::new())
            .unwrap();
        assert_eq!(ndferry::open(&ferry).unwrap().arrays()[0].name(), r"a\.b");
    }
}

// B1 F8
#[test]
fn named_formats_write_or_refuse_each_dtype() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (npz, safetensors) = (path("a.npz"), path("a.safetensors"));
    for fixture in dtypes::fixtures() {
        let array = fixture.any();
        for byte_order in [ByteOrder::Little, ByteOrder::Big] {
            let options = DumpOptions::new().byte_order(byte_order);
            options.write_npz(&npz, [("a", &array)]).unwrap();
            let file = ndferry::open(&npz).unwrap();
            file.verify().unwrap();
            // The member has the same bytes as a .npy file of the array.
            let [plain, member] = [path("plain.npy"), path("member.npy")];
            options.write_npy(&plain, &array).unwrap();
            DumpOptions::new().write_npy(&member, file.read_dyn("a").unwrap()).unwrap();
            assert_eq!(
                std::fs::read(member).unwrap(),
                std::fs::read(plain).unwrap(),
                "{}",
                fixture.file
            );
        }
        if array.dtype().scalar().is_none() {
            let error = DumpOptions::new().write_safetensors(
                &safetensors,
                [("a", &array)],
                &BTreeMap::new(),
            );
            let error = error.unwrap_err();
            let reason = "array `a`: the `.safetensors` format has no dtype `";
            assert!(
                error.is_invalid_input() && error.to_string().contains(reason),
                "{}: {error}",
                fixture.file
            );
            assert!(error.to_string().len() < 300 && !safetensors.exists(), "{error}");
        }
    }
}

// F8
#[test]
fn npy_and_npz_refuse_bf16_in_fields() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let field = Field::new("weight", DType::of::<bf16>(), 0);
    let inner = DType::structured(vec![field], 2).unwrap();
    let record = DType::structured(vec![Field::new("inner", inner, 2)], 4).unwrap();
    let records = AnyArray::from_bytes(record, &[1], Order::C, &[0; 4]).unwrap();
    let options = DumpOptions::new();
    for error in [
        options.write_npy(path("a.npy"), &records).unwrap_err(),
        options.write_npz(path("a.npz"), [("a", &records)]).unwrap_err(),
        options.write_npy(path("a.npy"), SharedArray::from(vec![bf16::ONE])).unwrap_err(),
        ndferry::create::<bf16, _>(path("a.npy"), 3).map(drop).unwrap_err(),
    ] {
        assert!(
            error.is_invalid_input() && error.to_string().contains("NumPy has no dtype `"),
            "{error}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    options.dump(path("a.ferry"), &records).unwrap();
    let back = ndferry::open(path("a.ferry")).unwrap().read_dyn("").unwrap();
    assert_eq!(bits(&back.field("inner.weight").unwrap()), ["0000"]);
}

// F4
#[test]
fn options_of_ferry_are_refused_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let array = any(array![[1.0f32]]);
    for (options, reason) in [
        (
            DumpOptions::new().compress_array("a", None),
            "compression; write a `.ferry` file instead",
        ),
        (DumpOptions::new().alignment(4096), "an alignment; write a `.ferry` file instead"),
        (
            DumpOptions::new().min_segment_bytes(1),
            "a minimum segment size; write a `.ferry` file instead",
        ),
        (
            DumpOptions::new().checksums(false),
            "omitting checksums; write a `.ferry`, `.npy` or `.safetensors` file instead",
        ),
    ] {
        for format in FORMATS {
            let path = folder.path().join(format!("a.{format}"));
            let written = match format {
                "npz" => options.write_npz(&path, [("a", &array)]),
                // The format has no checksums that could be omitted.
                _ if reason.contains("checksum") => continue,
                _ => options.write_safetensors(&path, [("a", &array)], &BTreeMap::new()),
            };
            let error = written.unwrap_err();
            assert!(error.is_invalid_input() && error.path() == Some(&path), "{error}");
            assert!(
                error.to_string().contains(&format!("`.{format}` output does not support "))
                    && error.to_string().contains(reason),
                "{error}"
            );
            assert!(!path.exists());
        }
    }
}

// F1
#[test]
fn named_arrays_are_verified_if_they_have_checksums() {
    let scratch = tempfile::tempdir().unwrap();
    let verified = |path: &Path| OpenOptions::new().verify(true).open(path).unwrap();
    for file in ["stored.npz", "deflated.npz"] {
        let file = verified(&folder().join("npz").join(file));
        assert!(
            file.arrays().iter().all(|info| info.has_checksum() && file.read_entry(info).is_ok())
        );
    }
    let path = scratch.path().join("a.npz");
    write(&path, &[("a", any(array![[1.0]])), ("b", any(array![[2.0]]))]);
    let at = ndferry::open(&path).unwrap().entry("b").unwrap().offset() as usize;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at] ^= 1;
    let damaged = scratch.path().join("damaged.npz");
    std::fs::write(&damaged, bytes).unwrap();
    let file = verified(&damaged);
    assert!(file.read_dyn("a").is_ok());
    let error = file.read_dyn("b").unwrap_err().to_string();
    assert!(error.contains("array `b`: damaged: expected CRC-32 "), "{error}");
    assert_eq!(file.check().filter_map(|(info, _)| Some(info?.name())).collect::<Vec<_>>(), ["b"]);

    let error = verified(&folder().join("safetensors/numpy.safetensors"));
    let error = error.read_entry(&error.arrays()[0]).unwrap_err();
    assert!(
        error.is_invalid_input()
            && error.to_string().contains("the file contains no checksum of it"),
        "{error}"
    );
}

// B2
#[test]
fn named_native_aligned_arrays_are_maps() {
    for format in FORMATS {
        for (path, fixture) in fixtures(format) {
            let file = ndferry::open(&path).unwrap();
            for info in file.arrays().iter().filter(|info| info.dtype().to_string().ends_with("f8"))
            {
                let array = file.read_array::<f64, IxDyn>(info.name()).unwrap();
                let expected = match info {
                    _ if !info.dtype().is_native() => Some(CopyReason::ForeignByteOrder),
                    _ if info.codec().is_some() => Some(CopyReason::Compressed),
                    _ if info.alignment() < 8 => Some(CopyReason::Misaligned),
                    _ => None,
                };
                assert_eq!(array.copy_reason(), expected, "{} {}", fixture.file, info.name());
                assert_eq!(
                    info.is_mappable(),
                    expected.is_none(),
                    "{} {}",
                    fixture.file,
                    info.name()
                );
                assert_eq!(array.source().unwrap().offset(), info.offset());
            }
        }
    }
}

// F1
#[test]
fn named_scrambled_files_never_panic() {
    // Reproducible numbers: splitmix64 (G. Steele, D. Lea, C. Flood, 2014).
    let mut state = 0_u64;
    let mut draw = move |below: usize| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) % below as u64) as usize
    };
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("a");
    let files =
        ["npz/streamed_deflated.npz", "npz/positional.npz", "safetensors/numpy.safetensors"];
    for whole in files.map(|file| std::fs::read(folder().join(file)).unwrap()) {
        let mut refused = 0;
        for _ in 0..1000 {
            let mut bytes = whole.clone();
            for _ in 0..=draw(4) {
                // An extreme number, or another part of the file.
                let at = draw(bytes.len() - 8);
                match draw(4) {
                    0 => bytes[at] = draw(256) as u8,
                    1 => bytes[at..at + 4].fill(0xFF),
                    2 => bytes[at..at + 1 + draw(8)].fill(0),
                    _ => {
                        let from = draw(whole.len() - 8);
                        let piece = &whole[from..whole.len().min(from + draw(64))];
                        bytes.splice(at..at, piece.iter().copied());
                    }
                }
            }
            crate::broken::write(&path, &bytes);
            let read = ndferry::open(&path).and_then(|file| {
                file.verify()?;
                file.arrays().iter().try_for_each(|info| file.read_dyn(info.name()).map(drop))
            });
            refused += usize::from(read.is_err_and(|error| error.is_invalid_data()));
        }
        assert!(refused > 500, "{refused} of 1000 refused");
    }
}

#[test]
fn convert_refuses_what_it_would_lose() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let weight = SharedArray::from(array![0.5f32, 1.5]).to_any();
    let options = DumpOptions::new();
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    options.write_safetensors(path("a.safetensors"), [("w", weight.clone())], &metadata).unwrap();
    options.write_npy(path("a.npy"), weight).unwrap();
    let twice = fs::read(path("a.npy")).unwrap().repeat(2);
    fs::write(path("twice.npy"), twice).unwrap();
    options.dump(path("value.ferry"), &(("title", 7), array![1.5], [(); 0])).unwrap();
    let convert = |from: &str, to: &str, options: &DumpOptions| {
        ndferry::convert(&ndferry::open(path(from)).unwrap(), None, path(to), options)
    };

    // Metadata passes through `.ferry` files.
    convert("a.safetensors", "a.ferry", &options).unwrap();
    convert("a.ferry", "b.ferry", &options).unwrap();
    convert("b.ferry", "b.safetensors", &options).unwrap();
    for name in ["a.ferry", "b.ferry", "b.safetensors"] {
        assert_eq!(*ndferry::open(path(name)).unwrap().metadata(), metadata, "{name}");
    }
    for (from, to, lost) in [
        ("twice.npy", "out.npy", "the 136 bytes after the array"),
        ("twice.npy", "out.ferry", "the 136 bytes after the array"),
        ("twice.npy", "out.npz", "the 136 bytes after the array"),
        ("a.safetensors", "out.npz", "the metadata (1 key)"),
        ("b.ferry", "out.npy", "the metadata (1 key)"),
        ("value.ferry", "out.npz", "3 values that are not in an array, such as `0.0` (a string)"),
        ("value.ferry", "out.safetensors", "3 values that are not in an array"),
    ] {
        let error = convert(from, to, &options).unwrap_err();
        assert!(error.is_invalid_input() && error.to_string().contains(lost), "{to}: {error}");
        assert!(error.to_string().starts_with(path(from).to_str().unwrap()), "{error}");
        assert!(!path(to).exists());
        convert(from, to, &options.clone().allow_loss(true)).unwrap();
        assert_eq!(ndferry::open(path(to)).unwrap().arrays().len(), 1);
        fs::remove_file(path(to)).unwrap();
    }
    // If you name an array, you ask for nothing else.
    let file = ndferry::open(path("twice.npy")).unwrap();
    ndferry::convert(&file, Some(""), path("one.npy"), &options).unwrap();
}

#[test]
fn ferry_metadata_has_unique_keys_and_texts() {
    let open = |metadata: &str| {
        let segments = format!(r#"[],"metadata":{metadata}"#);
        OpenOptions::new().open_slice(forge::container(&[0xc0], &segments, &[]))
    };
    assert_eq!(open(r#"{"k":"1"}"#).unwrap().metadata()["k"], "1");
    for (metadata, expected) in [
        (r#"{"k":"1","k":"2"}"#, "duplicate key `k`"),
        (r#"{"k":1}"#, "expected a string"),
        ("[]", "expected an object of strings"),
        (r#"{"k":"1"},"metadata":{}"#, "duplicate field `metadata`"),
    ] {
        let error = open(metadata).unwrap_err().to_string();
        assert!(error.contains(expected), "{metadata}: {error}");
    }
}
