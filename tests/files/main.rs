//! Files: written values are read back, in any byte order and layout.

#[path = "../common/actor.rs"]
mod actor;
mod broken;
#[cfg(all(feature = "pool", target_os = "linux"))]
mod changed;
#[path = "../common/mod.rs"]
mod common;
mod compression;
mod corpus;
mod dtypes;
mod foreign;
#[path = "../common/forge.rs"]
mod forge;
mod interop;
#[cfg(target_os = "linux")]
mod killed;
mod layouts;
mod named;
mod npz;
mod numbers;
mod safetensors;
mod sources;

use common::{bits, fixtures, folder};
use ndferry::{
    AnyArray, SharedArray,
    array::{CopyReason, Order},
    dtype::ByteOrder,
    file::{DumpOptions, RawLayout},
    ndarray::{Ix3, IxDyn},
};

#[test]
fn target_emulated_is_big_endian() {
    if common::emulated() {
        assert_eq!(1_u16.to_ne_bytes(), [0, 1]);
        assert_eq!(ByteOrder::NATIVE, ByteOrder::Big);
    }
}

// B1 B6 F8
#[test]
fn npy_fixtures_read_like_numpy() {
    for fixture in fixtures() {
        let file = ndferry::open(fixture.path()).unwrap();
        let [info] = file.arrays() else { panic!("{}: one array", fixture.file) };
        assert_eq!(info.dtype().to_string(), fixture.dtype, "{}", fixture.file);
        assert_eq!(
            (info.shape(), info.order()),
            (&*fixture.shape, fixture.order),
            "{}",
            fixture.file
        );
        let [major, minor] = fixture.npy_version;
        assert_eq!(file.version().unwrap(), format!("{major}.{minor}"), "{}", fixture.file);
        assert_eq!(bits(&file.read_dyn("").unwrap()), fixture.elements, "{}", fixture.file);
    }
}

// B2
#[test]
fn npy_arrays_are_maps_or_have_a_copy_reason() {
    for fixture in fixtures() {
        let file = ndferry::open(fixture.path()).unwrap();
        let info = &file.arrays()[0];
        let any = file.read_dyn("").unwrap();
        assert_eq!(any.copy_reason(), None, "{}: as recorded it is a map", fixture.file);
        macro_rules! check {
            ($($type:ty => $code:literal),*) => {$(
                if &fixture.dtype[1..] == $code {
                    let array = any.to_array::<$type, IxDyn>().unwrap();
                    let rule = if fixture.dtype == "|b1" {
                        Some(CopyReason::Bool)
                    } else if info.dtype().is_native() {
                        None
                    } else {
                        Some(CopyReason::ForeignByteOrder)
                    };
                    assert_eq!(array.copy_reason(), rule, "{}", fixture.file);
                    assert_eq!(info.is_mappable(), rule.is_none(), "{}", fixture.file);
                    let copy = array.subview(|view| view.reversed_axes());
                    drop(array);
                    let source = copy.source().unwrap();
                    assert_eq!(source.path(), fixture.path());
                    assert_eq!(source.offset(), info.offset());
                    assert_eq!(source.byte_order(), info.dtype().byte_order());
                }
            )*};
        }
        check!(bool => "b1", i8 => "i1", u16 => "u2", i32 => "i4", f32 => "f4", f64 => "f8", half::f16 => "f2",
            num_complex::Complex<f32> => "c8", num_complex::Complex<f64> => "c16");
    }
}

// F5 F7 B1 B6
#[test]
fn npy_and_ferry_round_trip_fixtures_in_all_orders() {
    let folder = tempfile::tempdir().unwrap();
    for fixture in fixtures() {
        let any = ndferry::open(fixture.path()).unwrap().read_dyn("").unwrap();
        for byte_order in [ByteOrder::Little, ByteOrder::Big] {
            for order in [Order::C, Order::F] {
                let options = DumpOptions::new().byte_order(byte_order).order(order);
                let (ferry, npy) = (folder.path().join("a.ferry"), folder.path().join("a.npy"));
                options.dump(&ferry, &any).unwrap();
                options.write_npy(&npy, &any).unwrap();
                for path in [&ferry, &npy] {
                    let what =
                        format!("{} as {byte_order} {order} {}", fixture.file, path.display());
                    let file = ndferry::open(path).unwrap();
                    let info = &file.arrays()[0];
                    assert_eq!(info.dtype(), &any.dtype().with_byte_order(byte_order), "{what}");
                    assert_eq!((info.shape(), info.order()), (&*fixture.shape, order), "{what}");
                    assert!(info.alignment() >= 64, "{what}");
                    assert_eq!(bits(&file.read_dyn("").unwrap()), fixture.elements, "{what}");
                    let loaded: AnyArray = ndferry::load(path).unwrap();
                    assert_eq!(bits(&loaded), fixture.elements, "{what}");
                }
            }
        }
    }
}

#[test]
fn raw_volume_has_the_measured_statistics() {
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder().join("nifti/anatomical.json")).unwrap())
            .unwrap();
    let layout = RawLayout::new(">i2".parse().unwrap(), [33, 41, 25]).order(Order::F).offset(352);
    let file = layout.open(folder().join("nifti/anatomical.nii")).unwrap();
    let volume: SharedArray<i16, Ix3> = file.read().unwrap();
    let stats = &expected["stats"];
    assert_eq!(i64::from(*volume.iter().min().unwrap()), stats["min"].as_i64().unwrap());
    assert_eq!(i64::from(*volume.iter().max().unwrap()), stats["max"].as_i64().unwrap());
    let mean = volume.iter().map(|&value| f64::from(value)).sum::<f64>() / volume.len() as f64;
    assert!((mean / stats["mean"].as_f64().unwrap() - 1.0).abs() < 1e-12);
}

#[test]
fn convert_keeps_the_value_and_may_replace_input() {
    use std::collections::BTreeMap;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let value: BTreeMap<String, Vec<f64>> =
        [("a".into(), vec![1.0; 500]), ("b".into(), vec![2.0; 3])].into_iter().collect();
    ndferry::dump(&path, &value).unwrap();
    let foreign = ByteOrder::NATIVE.opposite();
    let file = ndferry::open(&path).unwrap();
    ndferry::convert(&file, None, &path, &DumpOptions::new().byte_order(foreign)).unwrap();
    let file = ndferry::open(&path).unwrap();
    assert_eq!(file.arrays()[0].dtype().byte_order(), Some(foreign));
    assert_eq!(file.value::<BTreeMap<String, Vec<f64>>>().unwrap(), value);

    let npy = folder.path().join("a.npy");
    ndferry::convert(&file, Some("a"), &npy, &DumpOptions::new()).unwrap();
    assert_eq!(ndferry::open(&npy).unwrap().arrays()[0].shape(), [500]);
    let missing = ndferry::convert(&file, Some("c"), &npy, &DumpOptions::new()).unwrap_err();
    assert!(missing.to_string().ends_with("no array is named `c`; did you mean `a`?"), "{missing}");
    assert!(
        ndferry::convert(&file, None, folder.path().join("a.txt"), &DumpOptions::new())
            .unwrap_err()
            .is_invalid_input()
    );
}

// F7
// F2
#[test]
fn convert_refuses_damaged_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let array = || SharedArray::from(vec![1.5; 1000]);
    ndferry::dump(path("a.ferry"), &[array()]).unwrap();
    DumpOptions::new().write_npz(path("a.npz"), [("a", array())]).unwrap();
    let flags = SharedArray::from(vec![true; 1000]);
    DumpOptions::new().write_npy(path("a.npy"), flags.to_any()).unwrap();
    DumpOptions::new()
        .write_safetensors(path("a.safetensors"), [("a", flags)], &Default::default())
        .unwrap();
    for name in ["a.ferry", "a.npz", "a.npy", "a.safetensors"] {
        let mut bytes = std::fs::read(path(name)).unwrap();
        let info = ndferry::open(path(name)).unwrap().arrays()[0].clone();
        bytes[info.offset() as usize + 500] ^= 0x10;
        broken::write(&path(name), &bytes);
        let file = ndferry::open(path(name)).unwrap();
        for out in ["out.ferry", "out.npy", "out.npz", "out.safetensors"] {
            for one in [None, Some(info.name())] {
                let error =
                    ndferry::convert(&file, one, path(out), &DumpOptions::new()).unwrap_err();
                assert!(
                    error.is_invalid_data() && error.path() == Some(&path(name)),
                    "{name} to {out}: {error}"
                );
                assert!(!path(out).exists(), "{name} to {out}");
            }
        }
    }
}

#[test]
fn ferry_equal_content_makes_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let value = (vec![1.0; 1000], "text");
    std::fs::create_dir(folder.path().join("b")).unwrap();
    let (one, other) = (folder.path().join("a.ferry"), folder.path().join("b/a.ferry"));
    ndferry::dump(&one, &value).unwrap();
    ndferry::dump(&other, &value).unwrap();
    assert_eq!(std::fs::read(one).unwrap(), std::fs::read(other).unwrap());
}
