//! `ndferry verify`.

use std::fs;

use ndarray::array;
use serde_json::json;

use crate::{
    fixture::fixtures,
    run::{ndferry, parse},
};

/// Writes a file of three arrays, and returns their names, offsets and sizes.
fn sample(path: &std::path::Path) -> Vec<(String, u64, u64)> {
    ndferry::dump(path, &(array![1.5, 2.5], array![true, false], vec![7_u16; 9000])).unwrap();
    let file = ndferry::open(path).unwrap();
    file.arrays()
        .iter()
        .map(|info| (info.name().to_owned(), info.offset(), info.nbytes()))
        .collect()
}

#[test]
fn verify_reports_sound_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ferry");
    sample(&path);
    let npy = &fixtures("npy")[0].path;
    let printed = ndferry(["verify".as_ref(), path.as_os_str(), npy.as_os_str()]).success();
    let expected = format!(
        "{}: sound, 3 arrays, 3 checksums\n{}: sound, 1 array, 0 checksums\n",
        path.display(),
        npy.display()
    );
    assert_eq!(printed, expected);
    let rows = ndferry(["verify".as_ref(), "--json".as_ref(), path.as_os_str()]).json();
    let path = path.to_str().unwrap();
    assert_eq!(
        rows,
        json!([{"path": path, "verdict": "sound", "format": "ferry", "arrays": 3, "checksums": 3, "problems": []}])
    );
}

// F2
#[test]
fn verify_reports_every_damaged_array_with_its_offset() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let arrays = sample(&file("whole.ferry"));
    let whole = fs::read(file("whole.ferry")).unwrap();
    let mut broken = whole.clone();
    for (_, offset, nbytes) in [&arrays[0], &arrays[2]] {
        broken[(offset + nbytes - 1) as usize] ^= 0x80;
    }
    fs::write(file("broken.ferry"), broken).unwrap();
    fs::write(file("cut.ferry"), &whole[..whole.len() - 1]).unwrap();

    let names = ["broken.ferry", "whole.ferry", "cut.ferry"]
        .map(|name| file(name).to_str().unwrap().to_owned());
    let outcome = ndferry(["verify"].into_iter().chain(names.iter().map(String::as_str)));
    let [broken, whole, cut] = &names;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert_eq!(
        outcome.stdout,
        format!("{broken}: damaged\n{whole}: sound, 3 arrays, 3 checksums\n{cut}: damaged\n")
    );
    let lines: Vec<_> = outcome.stderr.lines().collect();
    for (line, (name, offset, nbytes)) in lines.iter().zip([&arrays[0], &arrays[2]]) {
        let expected = format!("ndferry: {broken}: array `{name}`: damaged: expected checksum ");
        let place = format!(" in {nbytes} bytes from byte {offset}");
        assert!(line.starts_with(&expected) && line.ends_with(&place), "{line}");
    }
    assert!(lines.len() == 3 && lines[2].contains("truncated"), "{lines:?}");

    let outcome = ndferry(["verify", "--json", &names[0]]);
    let rows = parse(&outcome.stdout);
    assert_eq!((&rows[0]["verdict"], outcome.code), (&json!("damaged"), Some(1)));
    assert_eq!(rows[0]["problems"][1]["array"], "2");
    assert_eq!(rows[0]["problems"][1]["offset"], arrays[2].1);
}

#[test]
fn verify_finds_invalid_bools_without_checksums() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let fixtures = fixtures("npy");
    let bools = fixtures
        .iter()
        .find(|fixture| fixture.dtype().to_string() == "|b1" && !fixture.elements().is_empty());
    let mut bytes = fs::read(&bools.unwrap().path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] = 2;
    fs::write(&path, bytes).unwrap();
    ndferry(["verify".as_ref(), path.as_os_str()]).assert_failed(
        &path,
        &format!("invalid bool: expected 0 or 1, found 2 at byte {last} of the file"),
    );
}

#[test]
fn verify_distinguishes_unreadable_files_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, text) = (folder.path().join("missing.npy"), folder.path().join("text.npy"));
    fs::write(&text, "text").unwrap();
    let outcome = ndferry(["verify".as_ref(), missing.as_os_str(), text.as_os_str()]);
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(2), 2), "{outcome:?}");
    let expected =
        format!("{}: unreadable\n{}: not an array file\n", missing.display(), text.display());
    assert_eq!(outcome.stdout, expected);
    ndferry(["verify".as_ref(), text.as_os_str()])
        .assert_failed(&text, "not an array file: it begins with bytes [74, 65, 78, 74]");
}

#[test]
fn verify_reports_pipes_and_devices_as_unreadable() {
    use rustix::fs::{CWD, Mode, mkfifoat};

    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.npy");
    mkfifoat(CWD, &pipe, Mode::RWXU).unwrap();
    for (path, reason) in [
        (folder.path(), "a directory"),
        (&pipe, "a pipe (FIFO)"),
        ("/dev/zero".as_ref(), "a device"),
    ] {
        let outcome = ndferry(["verify".as_ref(), path.as_os_str()]);
        let expected = format!(
            "ndferry: {}: cannot be read: is {reason}, not a regular file\n",
            path.display()
        );
        assert_eq!((outcome.code, &outcome.stderr), (Some(2), &expected));
        assert_eq!(outcome.stdout, format!("{}: unreadable\n", path.display()));
        let outcome = ndferry(["verify".as_ref(), "--json".as_ref(), path.as_os_str()]);
        assert_eq!(parse(&outcome.stdout)[0]["verdict"], "unreadable");
    }
}
