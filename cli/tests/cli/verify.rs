//! `ndferry verify`.

use std::fs;

use ndarray::array;
use serde_json::json;

use crate::{
    fixture::fixtures,
    run::{ndferry, parse},
};

/// A container of three arrays, its arrays' names and places.
fn sample(path: &std::path::Path) -> Vec<(String, u64, u64)> {
    ndferry::dump(path, &(array![1.5, 2.5], array![true, false], vec![7_u16; 9000])).unwrap();
    let file = ndferry::open(path).unwrap();
    file.arrays()
        .iter()
        .map(|info| (info.name().to_owned(), info.offset(), info.nbytes()))
        .collect()
}

#[test]
fn sound_files_are_said_to_be() {
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
fn everything_that_is_damaged_is_told_of_every_file_and_where() {
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
        let expected = format!(
            "ndferry: {broken}: array `{name}` is damaged: the checksum of its {nbytes} bytes from byte {offset} on is "
        );
        assert!(line.starts_with(&expected), "{line}");
    }
    assert!(lines.len() == 3 && lines[2].contains("truncated"), "{lines:?}");

    let outcome = ndferry(["verify", "--json", &names[0]]);
    let rows = parse(&outcome.stdout);
    assert_eq!((&rows[0]["verdict"], outcome.code), (&json!("damaged"), Some(1)));
    assert_eq!(rows[0]["problems"][1]["array"], "2");
    assert_eq!(rows[0]["problems"][1]["offset"], arrays[2].1);
}

#[test]
fn a_bool_that_is_none_is_found_without_a_checksum() {
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
    ndferry(["verify".as_ref(), path.as_os_str()])
        .assert_failed(&path, &format!("the array is bool, and byte {last} of the file is 2"));
}

#[test]
fn what_cannot_be_read_is_trouble_and_what_is_no_array_file_is_not_sound() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, text) = (folder.path().join("missing.npy"), folder.path().join("text.npy"));
    fs::write(&text, "text").unwrap();
    let outcome = ndferry(["verify".as_ref(), missing.as_os_str(), text.as_os_str()]);
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(2), 2), "{outcome:?}");
    let expected = format!("{}: unreadable\n{}: damaged\n", missing.display(), text.display());
    assert_eq!(outcome.stdout, expected);
    ndferry(["verify".as_ref(), text.as_os_str()]).assert_failed(&text, "none of .ferry");
}

#[test]
fn what_is_no_regular_file_cannot_be_read_and_so_is_not_damaged() {
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
