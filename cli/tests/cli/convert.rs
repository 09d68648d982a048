//! `ndferry convert`.

use std::{fs, path::Path};

use ndarray::{Array2, ShapeBuilder, array};
use ndferry::{array::Order, dtype::ByteOrder};
use serde::{Deserialize, Serialize};

use crate::{
    fixture::{elements_of, fixtures, raw_arguments, volume},
    run::ndferry,
};

#[track_caller]
fn convert(from: &Path, to: &Path, options: &[&str]) {
    let paths = [from.to_str().unwrap(), to.to_str().unwrap()];
    let printed = ndferry(["convert"].iter().chain(&paths).chain(options)).success();
    assert_eq!(printed, "");
}

/// Byte order and memory order of a file's only array.
fn orders(path: &Path) -> (Option<ByteOrder>, Order) {
    let file = ndferry::open(path).unwrap();
    (file.arrays()[0].dtype().byte_order(), file.arrays()[0].order())
}

// B1, B6, F7
#[test]
fn every_fixture_goes_through_both_formats_and_all_orders_with_its_bits_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    for fixture in fixtures("npy") {
        let title = fixture.path.display();
        let byte_order = |wanted| fixture.dtype().byte_order().and(Some(wanted));
        let several_axes = fixture.order() == Order::F;

        let big = file("big.ferry");
        convert(&fixture.path, &big, &["--byte-order", "big", "--order", "F"]);
        assert_eq!(elements_of(&big), fixture.elements(), "{title}");
        assert_eq!(orders(&big).0, byte_order(ByteOrder::Big), "{title}");

        let little = file("little.npy");
        convert(&big, &little, &["--byte-order", "little", "--order", "C"]);
        assert_eq!(elements_of(&little), fixture.elements(), "{title}");
        assert_eq!(orders(&little), (byte_order(ByteOrder::Little), Order::C), "{title}");

        let kept = file("kept.ferry");
        convert(&fixture.path, &kept, &[]);
        assert_eq!(elements_of(&kept), fixture.elements(), "{title}");
        assert_eq!(orders(&kept).0, fixture.dtype().byte_order(), "{title}");
        assert!(!several_axes || orders(&kept).1 == Order::F, "{title}");

        let back = file("back.npy");
        convert(&kept, &back, &[]);
        assert_eq!(elements_of(&back), fixture.elements(), "{title}");
        assert_eq!(orders(&back), (fixture.dtype().byte_order(), fixture.order()), "{title}");
    }
}

// B1 F8
#[test]
fn records_are_converted_field_by_field_and_back_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    for fixture in fixtures("dtypes") {
        let data = |path: &Path| {
            let file = ndferry::open(path).unwrap();
            let info = &file.arrays()[0];
            let start = info.offset() as usize;
            fs::read(path).unwrap()[start..start + info.nbytes() as usize].to_vec()
        };
        let (big, back) = (file("big.ferry"), file("back.npy"));
        convert(&fixture.path, &big, &["--byte-order", "big", "--order", "F"]);
        let (_, order) = orders(&big);
        let turned = ndferry::open(&big).unwrap().arrays()[0].dtype().clone();
        assert!(!turned.is_mixed() && turned.byte_order() != Some(ByteOrder::Little), "{turned}");
        assert_eq!(order, Order::F);
        let original = ndferry::open(&fixture.path).unwrap().arrays()[0].dtype().clone();
        let Some(byte_order) = original.byte_order() else {
            continue;
        };
        convert(
            &big,
            &back,
            &["--byte-order", &byte_order.to_string(), "--order", fixture.text("order")],
        );
        assert_eq!(ndferry::open(&back).unwrap().arrays()[0].dtype(), &original);
        assert!(data(&back) == data(&fixture.path), "{}, padding included", fixture.path.display());
    }
}

#[test]
fn native_is_the_order_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("a.npy"), folder.path().join("b.npy"));
    let foreign = if cfg!(target_endian = "big") { "little" } else { "big" };
    fs::copy(
        &fixtures("npy")
            .iter()
            .find(|fixture| fixture.dtype().byte_order().is_some())
            .unwrap()
            .path,
        &input,
    )
    .unwrap();
    convert(&input, &output, &["--byte-order", foreign]);
    assert_eq!(orders(&output).0, Some(ByteOrder::NATIVE.opposite()));
    convert(&output, &output, &["--byte-order", "native"]);
    assert_eq!(orders(&output).0, Some(ByteOrder::NATIVE), "a file can be converted in place");
    assert_eq!(elements_of(&output), elements_of(&input));
}

#[test]
fn a_raw_volume_keeps_its_orders() {
    let volume = volume();
    let folder = tempfile::tempdir().unwrap();
    for name in ["volume.npy", "volume.ferry"] {
        let output = folder.path().join(name);
        let raw = raw_arguments(&volume);
        convert(&volume.path, &output, &raw.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(orders(&output), (Some(ByteOrder::Big), Order::F));
        let info = ndferry::open(&output).unwrap();
        assert_eq!(info.arrays()[0].shape(), [33, 41, 25]);
        let offset = info.arrays()[0].offset() as usize;
        let (from, to) = (fs::read(&volume.path).unwrap(), fs::read(&output).unwrap());
        let length = 33 * 41 * 25 * 2;
        assert!(from[352..352 + length] == to[offset..offset + length], "{name}");
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Model {
    name: String,
    weight: Array2<f64>,
    bias: Vec<f32>,
}

// F9
#[test]
fn a_container_keeps_its_value_and_gives_up_one_array_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let model = Model {
        name: "survey".into(),
        weight: array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        bias: vec![0.5; 1000],
    };
    ndferry::dump(file("model.ferry"), &model).unwrap();

    convert(&file("model.ferry"), &file("big.ferry"), &["--byte-order", "big", "--order", "F"]);
    let big = ndferry::open(file("big.ferry")).unwrap();
    for array in big.arrays() {
        assert_eq!(array.dtype().byte_order(), Some(ByteOrder::Big), "{}", array.name());
    }
    assert_eq!(ndferry::load::<Model>(file("big.ferry")).unwrap(), model);

    convert(&file("model.ferry"), &file("weight.npy"), &["--array", "weight"]);
    let weight = ndferry::open(file("weight.npy")).unwrap().read::<f64, ndarray::Ix2>().unwrap();
    assert_eq!(*weight, model.weight);
    convert(&file("model.ferry"), &file("bias.ferry"), &["--array", "bias"]);
    let bias = ndferry::open(file("bias.ferry")).unwrap().read::<f32, ndarray::Ix1>().unwrap();
    assert_eq!(bias.to_vec(), model.bias);

    let run = |options: &[&str]| {
        let paths = ["model.ferry", "none.npy"].map(|name| file(name).to_str().unwrap().to_owned());
        let outcome = ndferry(
            ["convert"]
                .into_iter()
                .chain(paths.iter().map(String::as_str))
                .chain(options.iter().copied()),
        );
        assert!(!file("none.npy").exists());
        outcome
    };
    run(&[]).assert_failed(file("model.ferry"), "2 arrays");
    run(&["--array", "wieght"]).assert_failed(file("model.ferry"), "`weight`");
}

// F10
#[cfg(all(feature = "zstd", feature = "lz4"))]
#[test]
fn compressed_files_are_written_told_of_read_and_decompressed() {
    let volume = volume();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let raw = raw_arguments(&volume);
    let raw: Vec<_> = raw.iter().map(String::as_str).collect();
    convert(&volume.path, &file("plain.ferry"), &[&raw[..], &["--align", "65536"]].concat());
    assert_eq!(ndferry::open(file("plain.ferry")).unwrap().arrays()[0].offset(), 65536);
    let stats = |name: &str| {
        let mut rows = ndferry(["stats", "--json", file(name).to_str().unwrap()]).json();
        rows[0]["path"].take();
        rows
    };
    for codec in ["zstd", "zstd:9", "lz4"] {
        convert(&file("plain.ferry"), &file("packed.ferry"), &["--compress", codec]);
        let info = ndferry(["info", "--json", file("packed.ferry").to_str().unwrap()]).json();
        let array = &info["arrays"][0];
        assert_eq!(array["codec"].as_str().unwrap(), codec.split(':').next().unwrap());
        // The volume is noise to lz4.
        assert!(codec == "lz4" || array["stored"].as_u64() < array["nbytes"].as_u64(), "{array}");
        assert_eq!(array["mappable"], false);
        let table = ndferry(["info", file("packed.ferry").to_str().unwrap()]).success();
        let stored = indicatif::BinaryBytes(array["stored"].as_u64().unwrap());
        assert!(
            table.contains(&format!(
                "  {} {stored}  no: compressed\n",
                array["codec"].as_str().unwrap()
            )),
            "{table}"
        );
        assert!(table.contains(&format!(", compressed to {stored}\n")), "{table}");
        assert_eq!(stats("packed.ferry"), stats("plain.ferry"));
        convert(&file("packed.ferry"), &file("back.npy"), &[]);
        let same = ndferry([
            "diff",
            file("packed.ferry").to_str().unwrap(),
            file("back.npy").to_str().unwrap(),
        ]);
        assert_eq!(same.success(), "");
    }
    for command in [&["stats"][..], &["convert", "--compress", "lz4"]] {
        let out = file("none.ferry");
        let out = (command[0] == "convert").then_some(out.to_str().unwrap());
        let packed = file("packed.ferry");
        let within = ["--limit", "1000", packed.to_str().unwrap()];
        ndferry(command.iter().copied().chain(within).chain(out))
            .assert_failed(&packed, "beyond the limit of 1000");
    }
    // Not looked at is not damaged.
    let outcome = ndferry(["verify", "--limit", "1000", file("packed.ferry").to_str().unwrap()]);
    assert!(
        outcome.code == Some(2) && outcome.stderr.contains("beyond the limit of 1000"),
        "{outcome:?}"
    );
    let arguments =
        [file("plain.ferry"), file("none.npy")].map(|path| path.to_str().unwrap().to_owned());
    let outcome = ndferry(
        ["convert", "--compress", "lz4"].into_iter().chain(arguments.iter().map(String::as_str)),
    );
    outcome.assert_failed(file("none.npy"), "a .npy file is never compressed");
    assert!(!file("none.npy").exists() && !file("none.ferry").exists());
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_an_old_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.ferry");
    ndferry::dump(&input, &Array2::<f64>::zeros((2, 3).f())).unwrap();
    let nowhere = folder.path().join("no-such-folder").join("out.npy");
    let outcome = ndferry(["convert".as_ref(), input.as_os_str(), nowhere.as_os_str()]);
    outcome.assert_failed(&nowhere, "");

    let old = folder.path().join("old.npy");
    fs::write(&old, "old").unwrap();
    let broken = folder.path().join("broken.npy");
    fs::write(&broken, "broken").unwrap();
    ndferry(["convert".as_ref(), broken.as_os_str(), old.as_os_str()]).assert_failed(&broken, "");
    assert_eq!(fs::read_to_string(&old).unwrap(), "old");
}

#[cfg(target_os = "linux")]
#[test]
fn paths_need_not_be_text() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let folder = tempfile::tempdir().unwrap();
    let fixture = &fixtures("npy")[0].path;
    let paths =
        [&b"c\xFF.npy"[..], b"\xFE.ferry"].map(|name| folder.path().join(OsStr::from_bytes(name)));
    ndferry(["convert".as_ref(), fixture.as_os_str(), paths[0].as_os_str()]).success();
    ndferry(["convert".as_ref(), paths[0].as_os_str(), paths[1].as_os_str()]).success();
    ndferry(["diff".as_ref(), fixture.as_os_str(), paths[1].as_os_str()]).success();
}
