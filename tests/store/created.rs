//! Arrays that are created in files of the user, and copy-on-write arrays of files.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use ndferry::{
    SharedArray,
    array::{CopyReason, Order},
    dtype::ByteOrder,
    file::{Compression, DumpOptions, MmapMode, OpenOptions},
    ndarray::{Array, ArrayD, Axis, Dimension, Ix1, Ix2, IxDyn, ShapeBuilder, array},
};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

macro_rules! every_type {
    ($($type:ty, $make:expr;)*) => {$(
        for name in ["a.npy", "a.ferry"] {
            for shape in [&[][..], &[1], &[0], &[3, 0, 2], &[7], &[40, 1, 300], &[3, 4, 5, 2]] {
                for order in [Order::C, Order::F] {
                    let what = format!("{} {shape:?} {order} in {name}", stringify!($type));
                    let folder = tempfile::tempdir().unwrap();
                    let path = folder.path().join(name);
                    let shape = || IxDyn(shape).set_f(order == Order::F);
                    let expected: ArrayD<$type> = Array::from_shape_fn(shape(), |index: IxDyn| {
                        $make(index.slice().iter().fold(1, |number, at| (3 * number + at) % 101))
                    });
                    let mut array = ndferry::create::<$type, _>(&path, shape()).unwrap();
                    assert_eq!(*array, ArrayD::from_elem(shape(), <$type>::default()), "{what}");
                    array.assign(&expected);
                    assert_eq!(names(folder.path()), [""; 0], "{what}");
                    let frozen = array.freeze().unwrap();
                    assert_eq!((&*frozen, frozen.source().unwrap().path()), (&*expected, &*path), "{what}");
                    assert_eq!(names(folder.path()), [name], "{what}");

                    let file = ndferry::open(&path).unwrap();
                    file.verify().unwrap();
                    assert_eq!(*file.read::<$type, IxDyn>().unwrap(), expected, "{what}");
                    assert_eq!(ndferry::load::<ArrayD<$type>>(&path).unwrap(), expected, "{what}");
                    let written = folder.path().join("written").with_extension(&name[2..]);
                    let options = DumpOptions::new();
                    match name {
                        "a.npy" => options.write_npy(&written, &frozen).unwrap(),
                        _ => options.dump(&written, &frozen).unwrap(),
                    }
                    assert_eq!(fs::metadata(&path).unwrap().len() + 6 * u64::from(name == "a.ferry"),
                        fs::metadata(&written).unwrap().len(), "{what}");
                }
            }
        }
    )*};
}

// F12 F7
#[test]
fn create_publishes_a_filled_file_whole() {
    every_type! {
        bool, |number| number % 2 == 0;
        u8, |number| number as u8;
        f64, |number| number as f64 / 7.0;
        num_complex::Complex<f32>, |number| num_complex::Complex::new(number as f32, -1.0);
    }
}

// F4 F12
#[test]
fn create_keeps_the_old_file_until_freeze() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.npy", "a.ferry"] {
        let path = folder.path().join(name);
        fs::write(&path, "old").unwrap();
        let mut array = ndferry::create::<u32, _>(&path, (100, 100)).unwrap();
        array.fill(7);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(array);
        assert_eq!((fs::read(&path).unwrap(), names(folder.path()).len()), (b"old".to_vec(), 1));
        let array = ndferry::create::<u32, _>(&path, (100, 100)).unwrap().freeze().unwrap();
        assert_eq!((array.sum(), array.copy_reason()), (0, None));
        assert_eq!(names(folder.path()), [name]);
        fs::remove_file(&path).unwrap();
    }
}

// F12
#[test]
fn create_reserves_space_or_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let array = ndferry::create::<u8, _>(&path, 3 << 20).unwrap().freeze().unwrap();
    assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 3 << 20);
    drop(array);
    fs::remove_file(&path).unwrap();
    for name in ["a.npy", "a.ferry"] {
        let error = ndferry::create::<u64, _>(folder.path().join(name), 1_usize << 50).unwrap_err();
        assert!(error.is_io() && error.message().starts_with("cannot reserve "), "{error}");
        assert_eq!(error.path().unwrap(), folder.path().join(name));
    }
    assert!(ndferry::create::<u64, _>(&path, (usize::MAX, 2)).unwrap_err().is_invalid_data());
    assert!(ndferry::create::<u64, _>(folder.path().join("no/a.npy"), 3).unwrap_err().is_io());
    assert_eq!(names(folder.path()), [""; 0]);
}

// F5
#[test]
fn create_honours_or_rejects_options() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let new = DumpOptions::new;
    new().alignment(1 << 16).create::<f32, _>(path("a.ferry"), (300, 3)).unwrap().freeze().unwrap();
    assert_eq!(ndferry::open(path("a.ferry")).unwrap().arrays()[0].offset(), 1 << 16);
    new().checksums(false).create::<f32, _>(path("a.ferry"), 3).unwrap().freeze().unwrap();
    assert!(!ndferry::open(path("a.ferry")).unwrap().arrays()[0].has_checksum());
    fs::remove_file(path("a.ferry")).unwrap();
    for (name, options, reason) in [
        ("a.txt", new(), "the extension `.txt` is not one of .ferry, .npy"),
        ("a.npy", new().alignment(4096), "`.npy` output does not support an alignment"),
        ("a.ferry", new().alignment(3), "found 3"),
        (
            "a.ferry",
            new().compress(Compression::Lz4),
            "does not support compression; convert the file afterwards",
        ),
        (
            "a.ferry",
            new().byte_order(ByteOrder::NATIVE.opposite()),
            "-endian byte order; convert the file afterwards",
        ),
        ("a.ferry", new().order(Order::F), "does not support F order; set the order in the shape"),
    ] {
        let error = options.create::<f32, _>(path(name), 3).unwrap_err();
        assert!(error.is_invalid_input() && error.message().contains(reason), "{error}");
        assert_eq!(error.path().unwrap(), path(name));
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

// F12 F3
#[test]
fn copy_on_write_does_not_change_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let values =
        SharedArray::from(Array::from_shape_fn((300, 40).f(), |(i, j)| (i * 40 + j) as i32));
    for name in ["a.npy", "a.ferry"] {
        let path = folder.path().join(name);
        match name {
            "a.npy" => DumpOptions::new().write_npy(&path, &values).unwrap(),
            _ => ndferry::dump(&path, &values).unwrap(),
        }
        let before = fs::read(&path).unwrap();
        let file = OpenOptions::new().verify(name == "a.ferry").open(&path).unwrap();
        let mut array = file.copy_on_write::<i32, Ix2>(&file.arrays()[0]).unwrap();
        assert_eq!((&*array, array.strides()), (&*values, &[1, 300][..]));
        array.column_mut(3).fill(-1);
        array[(299, 39)] = 5;
        let other = file.copy_on_write::<i32, IxDyn>(&file.arrays()[0]).unwrap();
        assert_eq!(*other, values.to_owned().into_dyn());
        drop(file);
        assert_eq!((array[(7, 3)], array[(7, 4)], array[(299, 39)]), (-1, values[(7, 4)], 5));
        assert_eq!(array.source().path(), path);
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

// F12
#[test]
fn copy_on_write_copies_only_written_pages() {
    if crate::actor::emulated() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let mut large = ndferry::create::<u8, _>(&path, 64 << 20).unwrap();
    large.fill(1);
    drop(large.freeze().unwrap());
    let file = ndferry::open(&path).unwrap();
    let mut array = file.copy_on_write::<u8, Ix1>(&file.arrays()[0]).unwrap();
    for page in array.axis_chunks_iter_mut(Axis(0), 1 << 20) {
        page.into_iter().next().into_iter().for_each(|first| *first = 2);
    }
    assert_eq!(array.iter().map(|&element| u64::from(element)).sum::<u64>(), (64 << 20) + 64);
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let own = maps.split(path.to_str().unwrap()).skip(1).filter_map(|map| {
        let line = map.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
        line.trim().split(' ').next()?.parse::<u64>().ok()
    });
    let own: u64 = own.sum();
    assert!((64..=64 * 64).contains(&own), "{own} KiB of its own");
}

#[test]
fn copy_on_write_rejects_unmappable_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    let refused = |options: &OpenOptions, why: CopyReason| {
        let file = options.open(&path).unwrap();
        let error = file.copy_on_write::<f64, Ix1>(&file.arrays()[0]).unwrap_err();
        assert!(
            error.is_invalid_input() && error.message().ends_with(&format!("copy-on-write: {why}")),
            "{error}"
        );
    };
    let open = OpenOptions::new();
    let value = array![1.5, 2.5];
    DumpOptions::new().byte_order(ByteOrder::NATIVE.opposite()).dump(&path, &value).unwrap();
    refused(&open, CopyReason::ForeignByteOrder);
    ndferry::dump(&path, &array![true]).unwrap();
    refused(&open, CopyReason::Bool);
    if cfg!(feature = "lz4") {
        DumpOptions::new().compress(Compression::Lz4).dump(&path, &value).unwrap();
        refused(&open, CopyReason::Compressed);
    }
    ndferry::dump(&path, &value).unwrap();
    refused(&open.clone().mmap_mode(MmapMode::Never), CopyReason::Read);
    let file = ndferry::open(&path).unwrap();
    assert!(
        file.copy_on_write::<f32, Ix1>(&file.arrays()[0])
            .unwrap_err()
            .to_string()
            .contains("expected f32")
    );
    assert!(
        file.copy_on_write::<f64, Ix2>(&file.arrays()[0])
            .unwrap_err()
            .to_string()
            .contains("expected 2")
    );
    let other = ndferry::open(&path).unwrap();
    assert!(file.copy_on_write::<f64, Ix1>(&other.arrays()[0]).unwrap_err().is_invalid_input());
}
