//! Roots that run out of space, before a file is started and while it is written.

use std::io;

use ndarray::Ix1;

use super::*;
use crate::{AnyArray, SharedArray};

#[test]
fn root_full_while_writing_restarts_in_the_next() {
    // S5
    for kind in [
        io::ErrorKind::StorageFull,
        io::ErrorKind::QuotaExceeded,
        io::ErrorKind::OutOfMemory,
        io::ErrorKind::Other,
    ] {
        let scene = Scene::new();
        let store = scene.open();
        let one = scene.path().join("one");
        let mut tried = Vec::new();
        let (file, written) = store
            .0
            .fill(9, |temp| {
                tried.push(temp.path().to_owned());
                temp.file().write_all_at(b"some", 0).unwrap();
                if temp.path().starts_with(&one) {
                    return Err(Error::io("cannot write", kind));
                }
                temp.file().write_all_at(b"all of it", 0).unwrap();
                Ok(tried.len())
            })
            .unwrap();
        assert_eq!((written, tried.last().unwrap().as_path()), (2, file.path()), "{kind}");
        assert!(file.path().starts_with(scene.path().join("two")) && !tried[0].exists(), "{kind}");
        assert_eq!(fs::read(file.path()).unwrap(), b"all of it");
        assert_eq!(store.files().unwrap(), [file.path()]);
    }
}

#[test]
fn root_errors_report_missing_bytes() {
    // S5
    let scene = Scene::new();
    let store = scene.open();
    let full = |_: &TempFile| Err::<(), _>(Error::io("cannot write", io::ErrorKind::StorageFull));
    let error = store.0.fill(1234, full).unwrap_err();
    assert_eq!(error.io_kind(), Some(io::ErrorKind::StorageFull));
    for part in
        ["/two/ndferry-", "/one/ndferry-", "cannot hold a file of 1234 bytes", "bytes are free"]
    {
        assert!(error.to_string().contains(part), "{part} in {error}");
    }
    // An error that is not a root's fault stops the search.
    let mut tried = 0;
    let wrong = store.0.fill(1, |_| {
        tried += 1;
        Err::<(), _>(Error::invalid_data("is not what it should be"))
    });
    assert!(wrong.unwrap_err().is_invalid_data());
    assert_eq!((tried, store.files().unwrap().len()), (1, 0));
}

#[test]
fn root_array_file_has_its_recorded_length() {
    let scene = Scene::new();
    let store = scene.open();
    for length in [0, 1, 1000, 100_000, 1_000_000] {
        let array = SharedArray::from((0..length).map(f64::from).collect::<Vec<_>>());
        let any: AnyArray = array.clone().into();
        let placed = store.write(&any).unwrap();
        let read: SharedArray<f64, Ix1> = crate::open(placed.path()).unwrap().read().unwrap();
        assert_eq!(read, array);
    }
}
