//! What the fuzz targets begin with, through the same functions, without a fuzzer.

use std::{fs, path::Path};

#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// The files of a target, each with its name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

// F1
#[test]
fn every_target_takes_what_it_should_and_refuses_the_rest() {
    for (name, target) in targets::TARGETS {
        let files = corpus(name);
        for (file, bytes) in &files {
            // By its name, a file is one that is right, or one that is wrong.
            assert_eq!(target(bytes), !file.starts_with("bad-"), "{name}/{file}");
        }
        let bad = files.iter().filter(|(file, _)| file.starts_with("bad-")).count();
        assert!(bad > 0 && bad < files.len(), "{name} has files of both kinds");
    }
}

// F1 F2
#[test]
fn no_target_panics_at_what_is_cut_or_changed() {
    for (name, target) in targets::TARGETS {
        for (_, bytes) in corpus(name) {
            // Of long files some places, a few of each part.
            let step = bytes.len() / 200 + 1;
            for at in (0..bytes.len()).step_by(step) {
                target(&bytes[..at]);
                let mut changed = bytes.clone();
                for change in [0x01, 0x80, 0xff] {
                    changed[at] = bytes[at] ^ change;
                    target(&changed);
                }
            }
        }
    }
}
