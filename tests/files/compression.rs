//! Arrays that are compressed, and where arrays begin in a file.
#![cfg(all(feature = "zstd", feature = "lz4"))]

use ndferry::{
    AnyArray, SharedArray,
    array::{CopyReason, Order},
    dtype::ByteOrder,
    file::{Compression, DumpOptions, MmapMode, OpenOptions},
    ndarray::{Array1, Array2, Ix1, Ix2},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::{
    common::{bits, fixtures},
    forge,
};

const CODECS: [(Compression, &str); 3] =
    [(Compression::Zstd(1), "zstd"), (Compression::Zstd(19), "zstd"), (Compression::Lz4, "lz4")];

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Model {
    title: String,
    weight: SharedArray<f64, Ix2>,
    plain: Array2<i32>,
    mask: SharedArray<bool, Ix1>,
    none: Array1<f32>,
    numbers: Vec<u16>,
}

fn model() -> Model {
    Model {
        title: "model".into(),
        weight: SharedArray::from(
            Array2::from_shape_fn((300, 200), |(i, j)| (i * j) as f64).reversed_axes(),
        ),
        plain: Array2::from_shape_fn((100, 90), |(i, j)| (i % 5 + j) as i32),
        mask: (0..999).map(|at| at % 3 == 0).collect::<Vec<_>>().into(),
        none: Array1::zeros(0),
        numbers: (0..5000).map(|at| at / 100).collect(),
    }
}

// F10
#[test]
fn compressed_values_come_back_with_every_codec_and_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    for (compression, codec) in CODECS {
        for byte_order in [ByteOrder::Little, ByteOrder::Big] {
            DumpOptions::new()
                .compress(compression)
                .byte_order(byte_order)
                .dump(&path, &model())
                .unwrap();
            let file = OpenOptions::new().verify(true).open(&path).unwrap();
            file.verify().unwrap();
            assert_eq!(file.value::<Model>().unwrap(), model());
            for info in file.arrays() {
                assert_eq!(info.codec(), Some(codec), "{}", info.name());
                assert!(
                    info.compressed_nbytes() < info.nbytes() || info.nbytes() == 0,
                    "{}",
                    info.name()
                );
                assert_eq!(
                    (info.is_mappable(), info.copy_reason()),
                    (false, Some(CopyReason::Compressed))
                );
            }
            let weight = file.read_array::<f64, Ix2>("weight").unwrap();
            let native = byte_order.is_native();
            let why = if native { CopyReason::Compressed } else { CopyReason::ForeignByteOrder };
            assert_eq!((weight.copy_reason(), weight.strides()), (Some(why), &[1, 200][..]));
            assert_eq!(weight.source().unwrap().byte_order(), Some(byte_order));
        }
    }
}

// F10 B6
#[test]
fn every_fixture_keeps_its_bits_when_compressed_and_decompressed() {
    let folder = tempfile::tempdir().unwrap();
    let (packed, plain) = (folder.path().join("packed.ferry"), folder.path().join("plain.ferry"));
    for fixture in fixtures() {
        let options = DumpOptions::new().compress(Compression::Lz4);
        ndferry::convert(&ndferry::open(fixture.path()).unwrap(), None, &packed, &options).unwrap();
        let file = ndferry::open(&packed).unwrap();
        assert_eq!(bits(&file.read_dyn("").unwrap()), fixture.elements, "{}", fixture.file);
        ndferry::convert(&file, None, &plain, &DumpOptions::new()).unwrap();
        let file = ndferry::open(&plain).unwrap();
        assert_eq!(file.arrays()[0].codec(), None);
        assert_eq!(bits(&file.read_dyn("").unwrap()), fixture.elements, "{}", fixture.file);
    }
}

// F10
#[test]
fn each_array_has_its_own_compression() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let options = DumpOptions::new().compress(Compression::Zstd(3));
    options
        .clone()
        .compress_array("weight", None)
        .compress_array("numbers", Compression::Lz4)
        .dump(&path, &model())
        .unwrap();
    let file = ndferry::open(&path).unwrap();
    let codec = |name: &str| file.entry(name).unwrap().codec();
    assert_eq!(
        (codec("weight"), codec("numbers"), codec("plain")),
        (None, Some("lz4"), Some("zstd"))
    );
    assert_eq!(file.read_array::<f64, Ix2>("weight").unwrap().copy_reason(), None);
    assert_eq!(file.value::<Model>().unwrap(), model());

    let before = std::fs::read(&path).unwrap();
    let error = options.compress_array("wieght", None).dump(&path, &model()).unwrap_err();
    assert!(error.is_invalid_input() && error.message().contains("no array `wieght`"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

// F10
#[test]
fn asking_to_map_a_compressed_array_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    DumpOptions::new().compress(Compression::Lz4).dump(&path, &model()).unwrap();
    let file = OpenOptions::new().mmap_mode(MmapMode::Required).open(&path).unwrap();
    let error = file.read_array::<f64, Ix2>("weight").unwrap_err();
    assert!(error.is_invalid_input(), "{error}");
    let expected =
        "array `weight` cannot be mapped, which was required: the array is compressed in the file";
    assert_eq!(error.message(), expected);
    assert!(file.read_dyn("weight").is_err() && file.value::<Model>().is_err());
}

// F2
#[test]
fn a_flipped_bit_of_a_compressed_array_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    for (compression, _) in CODECS {
        DumpOptions::new().compress(compression).dump(&path, &model().numbers).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let info = ndferry::open(&path).unwrap().arrays()[0].clone();
        for at in info.offset()..info.offset() + info.compressed_nbytes() {
            bytes[at as usize] ^= 4;
            let file = OpenOptions::new().open_slice(&bytes).unwrap();
            assert!(file.verify().unwrap_err().to_string().contains("is damaged"));
            // Without a look at the checksum it may be anything, but no harm.
            let _ = file.value::<Vec<u16>>();
            bytes[at as usize] ^= 4;
        }
    }
}

// F1
#[test]
fn what_a_header_says_of_a_compressed_array_is_not_believed() {
    let mut bytes = Vec::new();
    for (compression, _) in CODECS {
        bytes.clear();
        DumpOptions::new()
            .compress(compression)
            .to_writer(&mut bytes, &vec![7_u8; 10_000])
            .unwrap();
        let open = |change: &dyn Fn(&mut Json)| {
            OpenOptions::new()
                .open_slice(forge::changed(&bytes, |header| change(&mut header["segments"][0])))
        };
        assert_eq!(open(&|_| {}).unwrap().value::<Vec<u8>>().unwrap(), [7; 10_000]);
        for change in [
            &(|segment: &mut Json| segment["stored"] = json!(u64::MAX)) as &dyn Fn(&mut Json),
            &|segment| segment["stored"] = json!(100_000),
            &|segment| segment["stored"] = Json::Null,
            &|segment| segment["codec"] = json!("lzma"),
            &|segment| drop(segment.as_object_mut().unwrap().remove("codec")),
            &|segment| segment["nbytes"] = json!(9999),
            &|segment| segment["shape"] = json!([u64::MAX]),
        ] {
            assert!(open(change).is_err());
        }
        // More, and less, than there is of it.
        for length in [9999_u64, 10_001, 1 << 32] {
            let file = open(&|segment| {
                segment["shape"] = json!([length]);
                segment["nbytes"] = json!(length);
            });
            let error = file.unwrap().read::<u8, Ix1>().unwrap_err().to_string();
            assert!(error.starts_with("the array: cannot be decompressed"), "{error}");
        }
        let other = if compression == Compression::Lz4 { "zstd" } else { "lz4" };
        let file = open(&|segment| segment["codec"] = json!(other)).unwrap();
        assert!(
            file.read_dyn("")
                .unwrap_err()
                .message()
                .contains(&format!("cannot be decompressed ({other}, "))
        );
    }
}

// F1
#[test]
fn a_compressed_array_is_one_frame_and_nothing_else() {
    for (compression, codec) in CODECS {
        let mut bytes = Vec::new();
        DumpOptions::new()
            .compress(compression)
            .checksums(false)
            .to_writer(&mut bytes, &vec![7_u8; 10_000])
            .unwrap();
        let info = OpenOptions::new().open_slice(&bytes).unwrap().arrays()[0].clone();
        let frame = bytes[info.offset() as usize..][..info.compressed_nbytes() as usize].to_vec();
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        for (title, stored, length) in [
            ("twice", [&*frame, &*frame].concat(), 20_000),
            ("skippable before", [&*skippable, &*frame].concat(), 10_000),
            ("skippable after", [&*frame, &*skippable].concat(), 10_000),
            ("a byte after", [&*frame, &[0]].concat(), 10_000),
            ("cut", frame[..frame.len() - 1].to_vec(), 10_000),
        ] {
            let segment = format!(
                r#"[{{"name":"","dtype":"|u1","shape":[{length}],"order":"C","offset":64,"nbytes":{length},"codec":"{codec}","stored":{}}}]"#,
                stored.len()
            );
            let file = OpenOptions::new()
                .open_slice(forge::container(&[0xd4, 1, 0], &segment, &stored))
                .unwrap();
            let error = file.read_dyn("").expect_err(title).to_string();
            assert!(error.contains("cannot be decompressed"), "{title}, {codec}: {error}");
        }
    }
}

// F1
#[test]
fn nothing_is_decompressed_beyond_the_limit() {
    let mut bytes = Vec::new();
    let value = [vec![7_u8; 10_000], vec![8; 10_000]];
    DumpOptions::new().compress(Compression::Zstd(3)).to_writer(&mut bytes, &value).unwrap();
    let open = |limit| OpenOptions::new().max_decompressed_bytes(limit).open_slice(&bytes).unwrap();
    assert_eq!(open(20_000).value::<[Vec<u8>; 2]>().unwrap(), value);
    assert!(open(10_000).read_dyn("0").is_ok());
    for error in [open(9_999).read_dyn("1").unwrap_err(), open(9_999).verify().unwrap_err()] {
        assert!(
            error.is_invalid_input() && error.message().contains("beyond the limit of 9999"),
            "{error}"
        );
    }
    let error = open(19_999).value::<[Vec<u8>; 2]>().unwrap_err();
    assert!(error.message().contains("20000 bytes when decompressed"), "{error}");
    let huge = forge::changed(&bytes, |header| {
        header["segments"][0]["shape"] = json!([1_u64 << 50]);
        header["segments"][0]["nbytes"] = json!(1_u64 << 50);
    });
    let file = OpenOptions::new().open_slice(huge).unwrap();
    assert!(file.read_dyn("0").unwrap_err().message().contains("beyond the limit of 4294967296"));
}

// F5
#[test]
fn arrays_begin_where_they_are_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let value = model();
    for alignment in (6..=21).map(|power| 1_u64 << power) {
        for options in [DumpOptions::new(), DumpOptions::new().compress(Compression::Lz4)] {
            options.alignment(alignment).dump(&path, &value).unwrap();
            let file = ndferry::open(&path).unwrap();
            for info in file.arrays() {
                assert_eq!(info.offset() % alignment, 0, "{} at {}", info.name(), info.offset());
                assert!(
                    info.codec().is_some() || info.nbytes() < 65_536 || info.offset() % 4096 == 0
                );
            }
            assert_eq!(file.value::<Model>().unwrap(), value);
        }
    }
}

#[test]
fn options_that_cannot_be_are_errors_that_say_so_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (options, reason) in [
        (DumpOptions::new().alignment(0), "an alignment of 0 bytes"),
        (DumpOptions::new().alignment(32), "an alignment of 32 bytes"),
        (DumpOptions::new().alignment(100), "a power of two from 64 to 2097152 was expected"),
        (DumpOptions::new().alignment(4 << 20), "an alignment of 4194304 bytes"),
        (DumpOptions::new().compress(Compression::Zstd(0)), "zstd has no level 0"),
        (DumpOptions::new().compress_array("", Compression::Zstd(23)), "zstd has no level 23"),
    ] {
        let refused =
            [options.dump(path("a.ferry"), &model()), options.to_writer(Vec::new(), &model())];
        for error in refused.map(Result::unwrap_err) {
            assert!(error.is_invalid_input() && error.message().contains(reason), "{error}");
        }
    }
    let array: AnyArray = model().weight.into();
    for options in [
        DumpOptions::new().compress(Compression::Lz4),
        DumpOptions::new().compress_array("", Compression::Lz4),
        DumpOptions::new().alignment(4096),
    ] {
        let error = options.order(Order::C).write_npy(path("a.npy"), &array).unwrap_err();
        assert!(
            error.is_invalid_input() && error.message().contains("a .npy file is never compressed"),
            "{error}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
