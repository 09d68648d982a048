//! Files of other formats are named, and the error says what to do with them.

use std::fs;

use ndferry::{
    Error, Result,
    array::Order,
    file::{ArrayFile, Format, MmapMode, OpenOptions},
};

use crate::forge::{Nifti, fits, foreign};

fn open(bytes: &[u8]) -> Result<ArrayFile> {
    OpenOptions::new().open_slice(bytes)
}

/// The error for a file of another format.
#[track_caller]
fn refused(opened: Result<ArrayFile>) -> Error {
    let error = opened.map(drop).unwrap_err();
    assert!(error.is_invalid_data() && error.is_foreign_format(), "{error}");
    assert!(!error.is_unsupported() && error.message().len() < 1000, "{error}");
    error
}

#[test]
fn foreign_formats_are_named_with_advice() {
    for (bytes, expected) in foreign() {
        let message = refused(open(&bytes)).message();
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

// F1
#[test]
fn foreign_formats_cut_anywhere_are_refused() {
    let nifti_2 = Nifti { version: 2, magic: b"n+2", slope: 2.0, ..Nifti::default() }.header();
    let image = fits(&["BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 3", "NAXIS2  = 4"]);
    let samples = foreign().into_iter().map(|(bytes, _)| bytes);
    for bytes in samples.chain([nifti_2, image]) {
        for length in 0..=bytes.len() {
            let start = &bytes[..length];
            let error = open(start).map(drop).unwrap_err();
            assert!(error.is_invalid_data() && error.message().len() < 1000, "{error}");
            assert!(Format::detect(start).is_err() || bytes.starts_with(b"PK"));
        }
    }
}

#[test]
fn foreign_formats_are_named_from_a_reader() {
    for (bytes, expected) in [
        (&b"\x1f\x8b\x08 and more"[..], "a gzip file"),
        (b"\x80\x04\x95\x05\0\0\0\0\0\0\0]\x94.", "a Python pickle"),
        (&fits(&[]), "a FITS file"),
    ] {
        let message = refused(OpenOptions::new().open_reader(bytes)).message();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn foreign_tests_accept_no_other_text() {
    for text in [
        "hello.",
        "Na.",
        "Key.",
        "(Key)",
        "category\nname\nprice\n",
        "(lambda x: x)",
        "I am\n.",
        "Values\np1\np2\n",
        "cat\ndog\npig\n",
        "{\"weight_map\": 3}",
        "{\"a\": {}}",
        "<?xml version=\"1.0\"?><VTKFile/>",
        "BZh9 but no block",
        "SIMPLE = T",
        "1.5,2.5,3.5\n",
    ] {
        let message = refused(open(text.as_bytes())).message();
        assert!(message.starts_with("not an array file: it begins with bytes"), "{message}");
    }
}

/// Checks that the advice for `header` contains `expected`, and that a file with this header
/// can be read with the arguments in it.
#[track_caller]
fn assert_advice(header: &[u8], expected: &str) {
    let message = refused(open(header)).message();
    assert!(message.contains(expected), "{message}");
    let Some((_, call)) = message.split_once("`--raw '") else { return };
    let (dtype, rest) = call.split_once("' --shape ").unwrap();
    let (shape, rest) = rest.split_once(" --order ").unwrap();
    let (order, rest) = rest.split_once(" --offset ").unwrap();
    let offset = rest.split('`').next().unwrap().parse().unwrap();
    let shape: Vec<usize> = shape.split(',').map(|length| length.parse().unwrap()).collect();
    let layout = ndferry::file::RawLayout::new(dtype.parse().unwrap(), shape)
        .order(if order == "F" { Order::F } else { Order::C })
        .offset(offset);
    let bytes = [header, &[0; 1 << 20]].concat();
    let file = OpenOptions::new().raw(layout).open_slice(bytes).unwrap();
    assert_eq!(file.arrays()[0].offset(), offset);
}

#[test]
fn foreign_nifti_header_gives_raw_arguments() {
    let one = Nifti::default();
    let two = Nifti { version: 2, magic: b"n+2", offset: 544.0, ..one };
    for (header, expected) in [
        (
            one,
            "a NIfTI-1 image: read its elements as raw binary with `--raw '<i2' --shape 33,41,25 \
             --order F --offset 352` (in Rust, with `RawLayout`)",
        ),
        (Nifti { is_big: true, ..one }, "`--raw '>i2' --shape 33,41,25 --order F --offset 352`"),
        (two, "`--raw '<i2' --shape 33,41,25 --order F --offset 544`"),
        (Nifti { is_big: true, datatype: 64, ..two }, "`--raw '>f8' --shape 33,41,25 "),
        (Nifti { datatype: 2, axes: &[1, 7], ..one }, "`--raw '|u1' --shape 7 --order F "),
        (Nifti { datatype: 1792, ..one }, "'<c16'"),
        (
            Nifti { datatype: 128, ..one },
            r#"--raw '[("r", "|u1"), ("g", "|u1"), ("b", "|u1")]' --shape"#,
        ),
        (
            Nifti { magic: b"ni1", offset: 0.0, ..one },
            "read the .img file beside it as raw binary with `--raw '<i2' --shape 33,41,25 \
             --order F --offset 0`",
        ),
        (
            Nifti { version: 2, magic: b"ni2", offset: 0.0, ..one },
            "read the .img file beside it as raw binary",
        ),
        (
            Nifti { slope: 0.1, inter: -3.0, ..one },
            "; each value is then an element × 0.1 + -3 (scl_slope, scl_inter)",
        ),
        (Nifti { slope: 2.5, ..two }, "× 2.5 + 0 (scl_slope"),
        (Nifti { datatype: 1536, ..one }, "elements that ndferry does not support"),
        (Nifti { axes: &[9, 1], ..one }, "load it with nibabel"),
        (Nifti { axes: &[2, 5, -1], ..one }, "load it with nibabel"),
        (Nifti { offset: 0.0, ..one }, "load it with nibabel"),
        (Nifti { offset: f32::NAN, ..one }, "load it with nibabel"),
        (Nifti { offset: 352.5, ..one }, "load it with nibabel"),
    ] {
        assert_advice(&header.header(), expected);
    }
    // A slope of zero means that the values are not scaled.
    for header in [one, Nifti { slope: 0.0, inter: 5.0, ..one }] {
        assert!(!refused(open(&header.header())).message().contains("scl_slope"));
    }
}

#[test]
fn foreign_nifti_advice_fits_the_fixture() {
    let path = crate::common::folder().join("nifti/anatomical.nii");
    let message = refused(ndferry::open(&path)).to_string();
    assert!(message.starts_with(&format!("{}: cannot read", path.display())), "{message}");
    assert!(message.contains("`--raw '>i2' --shape 33,41,25 --order F --offset 352`"), "{message}");
}

#[test]
fn foreign_fits_header_gives_raw_arguments() {
    let axes = ["NAXIS   =                    2", "NAXIS1  = 4 / columns", "NAXIS2  = 3 / rows"];
    let with = |bitpix: &str, more: &[&str]| {
        let bitpix = format!("BITPIX  = {bitpix}");
        fits(&[&[&*bitpix], &axes[..], more].concat())
    };
    let long = vec!["COMMENT SIMPLE text"; 40];
    for (header, expected) in [
        (
            with("-32", &[]),
            "a FITS file: read its primary image, with the axes NAXIS2 to NAXIS1, as raw binary \
             with `--raw '>f4' --shape 3,4 --order C --offset 2880`",
        ),
        (with("8", &[]), "'|u1'"),
        (with("64", &[]), "'>i8'"),
        (with("-64", &long), "`--raw '>f8' --shape 3,4 --order C --offset 5760`"),
        (
            with("16", &["BZERO   =              32768.0 / unsigned", "BSCALE  = 1.0"]),
            "; each value is then an element × 1 + 32768 (BSCALE, BZERO)",
        ),
        (with("16", &["BSCALE  = 2.5D-1"]), "× 0.25 + 0 (BSCALE"),
        (with("17", &[]), "load it with astropy"),
        (with("16", &["BSCALE  = 'text'"]), "load it with astropy"),
        (fits(&["BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 0"]), "its primary image is empty"),
        (fits(&["BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 9"]), "read its primary image as raw"),
        (fits(&["BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = -9"]), "load it with astropy"),
        (fits(&["BITPIX  = 8", "NAXIS   = 999"]), "load it with astropy"),
        (fits(&[])[..80].to_vec(), "its header is incomplete or unusual"),
    ] {
        assert_advice(&header, expected);
    }
    let unscaled = with("16", &["BSCALE  = 1.0", "BZERO   = 0"]);
    assert!(!refused(open(&unscaled)).message().contains("BSCALE"));
}

#[test]
fn foreign_zarr_store_is_recognized_by_its_files() {
    let folder = tempfile::tempdir().unwrap();
    for (name, file) in [("one", ".zarray"), ("two", ".zgroup"), ("three", "zarr.json")] {
        let store = folder.path().join(name);
        fs::create_dir(&store).unwrap();
        let unknown = ndferry::open(&store).map(drop).unwrap_err();
        assert!(unknown.message().contains("is a directory") && !unknown.is_foreign_format());
        fs::write(store.join(file), "{}").unwrap();
        for mode in [MmapMode::Auto, MmapMode::Never] {
            let error = refused(OpenOptions::new().mmap_mode(mode).open(&store));
            assert!(error.message().starts_with("cannot read a zarr store: "), "{error}");
            assert_eq!(error.path(), Some(&*store));
        }
        let message = refused(ndferry::open(store.join(file))).message();
        assert!(message.starts_with("cannot read the metadata of a zarr store: "), "{message}");
    }
}

#[test]
fn foreign_shard_index_names_few_files() {
    let entry = |at: usize| format!(r#""t{at}":"model-{at:05}.safetensors""#);
    let entries: Vec<_> = (1..=20).map(entry).collect();
    let index = format!(r#"{{"weight_map":{{{}}}}}"#, entries.join(","));
    let message = refused(open(index.as_bytes())).message();
    assert!(message.contains("`model-00001.safetensors`, `model-00002.safetensors`"), "{message}");
    assert!(message.ends_with(" and 15 others; open these"), "{message}");
    // An index with too many names is text like any other.
    let long = format!(r#"{{"weight_map":{{"a":"{}"}}}}"#, "n".repeat(2 << 20));
    assert!(refused(open(long.as_bytes())).message().contains("it begins with bytes"));
}

#[test]
fn npy_trailing_bytes_are_counted_and_named() {
    let mut one = Vec::new();
    let array = crate::forge::bytes(&[1, 2, 3]);
    for (behind, nbytes, format) in [
        (&b""[..], 0, None),
        (b"x", 1, None),
        (&*array, 131, Some(Format::Npy)),
        (&array[..5], 5, None),
    ] {
        one.clear();
        one.extend_from_slice(&array);
        one.extend_from_slice(behind);
        let file = open(&one).unwrap();
        assert_eq!((file.trailing_nbytes(), file.trailing_format()), (nbytes, format));
        assert_eq!(file.read_dyn("").unwrap().shape(), [3]);
        file.verify().unwrap();
    }
    let raw = ndferry::file::RawLayout::new("|u1".parse().unwrap(), [2]);
    let raw = OpenOptions::new().raw(raw).open_slice(&b"abc"[..]).unwrap();
    assert_eq!((raw.trailing_nbytes(), raw.trailing_format()), (0, None));
}

/// A part of the message of each dtype that Rust cannot represent.
#[test]
fn dtype_without_rust_type_is_unsupported() {
    for (dtype, reason) in [
        ("|O", "Python objects"),
        ("<f16", "dtype `<f16` is a long double of x86 or ARM, 16 bytes: ndferry cannot give it"),
        (">f16", "16 bytes: ndferry cannot give it"),
        ("<f12", "a long double of x86, 12 bytes: ndferry cannot give it"),
        ("<c32", "a complex number of two long doubles of x86 or ARM, 32 bytes"),
        ("[('a', '<f16')]", "field `a`: dtype `<f16` is a long double"),
    ] {
        let error = dtype.parse::<ndferry::DType>().unwrap_err();
        assert!(error.is_unsupported() && error.message().contains(reason), "{error}");
    }
    assert!(!"<q8".parse::<ndferry::DType>().unwrap_err().is_unsupported());
}
