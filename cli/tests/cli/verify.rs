//! `ndferry verify`.

use std::{fs, path::Path};

use ndarray::array;
use serde_json::json;

use crate::{
    fixture::fixtures,
    forge::{Member, bytes, npy, npy_of, zip},
    run::{ndferry, parse},
};

/// Writes a file of three arrays, and returns their names, offsets and sizes.
fn sample(path: &Path) -> Vec<(String, u64, u64)> {
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

/// The word that `verify` prints for a file, which is that of the JSON, and the exit code.
#[track_caller]
fn verdict(path: &Path, content: &[u8]) -> (String, i32) {
    fs::write(path, content).unwrap();
    let outcome = ndferry(["verify".as_ref(), path.as_os_str()]);
    let line = outcome.stdout.strip_prefix(&format!("{}: ", path.display())).unwrap();
    let word = line.trim_end().split([',', ';']).next().unwrap().to_owned();
    let json = ndferry(["verify".as_ref(), "--json".as_ref(), path.as_os_str()]);
    assert_eq!(parse(&json.stdout)[0]["verdict"], word.as_str());
    assert_eq!((json.code, &json.stderr), (outcome.code, &outcome.stderr));
    (word, outcome.code.unwrap())
}

#[test]
fn verify_member_gets_the_word_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (one, all) = (folder.path().join("a.npy"), folder.path().join("a.npz"));
    let of = |dtype: &str, elements: &[u8]| npy_of(dtype, "(2,)", elements);
    for (content, word, code) in [
        (of("'|u1'", &[1, 2]), "sound", 0),
        (of("'|O'", b"pickled"), "unsupported", 2),
        (of("[('a', '|O')]", b"pickled"), "unsupported", 2),
        (of("'<f16'", &[0; 32]), "unsupported", 2),
        (of("'>f16'", &[0; 32]), "unsupported", 2),
        (of("'<c32'", &[0; 64]), "unsupported", 2),
        (npy(9, b"{}", &[]), "unsupported", 2),
        (npy(3, b"{}", &[]), "damaged", 1),
        (of("'<q8'", &[0; 16]), "damaged", 1),
        (of("'|b1'", &[1, 2]), "damaged", 1),
        (of("'<f8'", &[0; 15]), "damaged", 1),
        (b"\x93NUMPY\x01".to_vec(), "damaged", 1),
    ] {
        let shown = String::from_utf8_lossy(&content).into_owned();
        assert_eq!(verdict(&one, &content), (word.to_owned(), code), "{shown}");
        for member in
            [Member::stored("a.npy", content.clone()).deflated(), Member::stored("a.npy", content)]
        {
            let content = zip(&[Member::new("b.npy", &[1]), member]);
            assert_eq!(verdict(&all, &content), (word.to_owned(), code), "{shown} in .npz");
        }
    }
}

#[test]
fn verify_reports_the_worst_word_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let whole = || Member::new("a.npy", &[1]);
    let objects = || Member::stored("o.npy", npy_of("'|O'", "(1,)", b"pickled"));
    let text = || Member::stored("notes.txt", b"some more text".to_vec());
    let damaged = || Member { crc: 0, ..Member::new("d.npy", &[2]) };
    let encrypted = || Member { flags: 1, ..Member::new("e.npy", &[2]) };
    let unknown = || Member { method: 14, ..Member::new("m.npy", &[2]) };
    for (members, word, code) in [
        (vec![whole()], "sound", 0),
        (vec![whole(), text()], "unsupported", 2),
        (vec![whole(), encrypted()], "unsupported", 2),
        (vec![whole(), unknown()], "unsupported", 2),
        (vec![objects(), damaged(), text()], "damaged", 1),
    ] {
        assert_eq!(verdict(&path, &zip(&members)), (word.to_owned(), code));
    }
    for content in
        [&b""[..], b"some text", b"\x1f\x8b\x08", &zip(&[Member::stored("a/data.pkl", vec![b'.'])])]
    {
        assert_eq!(verdict(&path, content), ("not an array file".to_owned(), 1));
    }
    // The problem itself has the word of the member.
    fs::write(&path, zip(&[text()])).unwrap();
    let json = parse(&ndferry(["verify".as_ref(), "--json".as_ref(), path.as_os_str()]).stdout);
    assert_eq!(json[0]["problems"][0]["verdict"], "not an array file");
}

#[test]
fn verify_and_info_report_trailing_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let array = bytes(&[1, 2, 3]);
    for (behind, told, format) in [
        (&*array, "131 bytes follow the array: another .npy array", json!("npy")),
        (b"xy", "2 bytes follow the array", json!(null)),
        (b"x", "1 byte follows the array", json!(null)),
        (b"PK\x05\x06", "4 bytes follow the array: a .npz file", json!("npz")),
    ] {
        fs::write(&path, [&*array, behind].concat()).unwrap();
        let run = |options: &[&str]| ndferry(options.iter().copied().chain(path.to_str()));
        let line = format!("{}: sound, 1 array, 0 checksums; {told}\n", path.display());
        assert_eq!(run(&["verify"]).success(), line);
        let info = run(&["info"]).success();
        assert!(info.ends_with(&format!("\n\n{told}\n")), "{info}");
        let expected = json!({"nbytes": behind.len(), "format": format});
        assert_eq!(run(&["verify", "--json"]).json()[0]["trailing"], expected);
        assert_eq!(run(&["info", "--json"]).json()["trailing"], expected);
    }
    fs::write(&path, &array).unwrap();
    let info = ndferry(["info".as_ref(), "--json".as_ref(), path.as_os_str()]).json();
    assert_eq!(info.get("trailing"), None);
}
