//! Files that are changed between opening them and handing their arrays to a worker.

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

use ndferry::{
    Pool, SharedArray,
    file::{DumpOptions, MmapMode, OpenOptions},
    ndarray::{Array1, Ix1},
};

/// The entry of worker processes, not a test.
#[test]
fn changed_worker() {
    ndferry::init();
}

const LENGTH: usize = 1000;

/// A change of the file at a path.
type Change = fn(&Path);

/// Writes a file that was last modified a minute ago. The time of modification may have a
/// resolution of some milliseconds.
fn write(path: &Path) {
    let array = SharedArray::from(Array1::from_elem(LENGTH, 1.5));
    DumpOptions::new().write_npy(path, array.to_any()).unwrap();
    let minute_ago = SystemTime::now() - Duration::from_secs(60);
    File::options().append(true).open(path).unwrap().set_modified(minute_ago).unwrap();
}

fn sum(array: &SharedArray<f64, Ix1>, _: u8) -> f64 {
    array.sum()
}

// F3
#[test]
fn changed_file_is_an_error_when_sent_to_a_worker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let pool = Pool::builder()
        .workers(1)
        .mmap_threshold(0)
        .test_entry("changed::changed_worker")
        .build()
        .unwrap();
    let read = |mode| {
        write(&path);
        let file = OpenOptions::new().mmap_mode(mode).open(&path).unwrap();
        file.read::<f64, Ix1>().unwrap()
    };
    let total = 1.5 * LENGTH as f64;
    let array = read(MmapMode::Required);
    assert_eq!(pool.with(&array).map(sum, [0]).unwrap(), [total]);

    let length = fs::metadata(&path).unwrap().len();
    let truncated = |path: &Path| {
        File::options().write(true).open(path).unwrap().set_len(200).unwrap();
    };
    let rewritten = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let changes: [(Change, &str); 3] =
        [(truncated, "changed"), (rewritten, "changed"), (write, "replaced")];
    for (change, name) in changes {
        let expected = format!("was {name} after it was opened: expected {length} bytes, ");
        let array = read(MmapMode::Required);
        change(&path);
        let error = pool.with(&array).map(sum, [0]).unwrap_err().to_string();
        assert!(error.contains(&expected) && error.contains(", found "), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        let error = pool.map(total_of, [array]).unwrap_err().to_string();
        assert!(error.contains(&expected), "{error}");

        // A file that was read instead of mapped is not affected.
        let array = read(MmapMode::Never);
        change(&path);
        assert_eq!(pool.with(&array).map(sum, [0]).unwrap(), [total]);
    }

    // A removed file still exists for the worker.
    let array = read(MmapMode::Required);
    fs::remove_file(&path).unwrap();
    assert_eq!(pool.with(&array).map(sum, [0]).unwrap(), [total]);
}

fn total_of(array: SharedArray<f64, Ix1>) -> f64 {
    array.sum()
}

// F3: freezing completes the file, which must not count as a change.
#[test]
fn changed_created_file_is_sent_after_freeze() {
    let folder = tempfile::tempdir().unwrap();
    let pool = Pool::builder()
        .workers(1)
        .mmap_threshold(0)
        .test_entry("changed::changed_worker")
        .build()
        .unwrap();
    for name in ["a.npy", "a.ferry"] {
        let mut array = ndferry::create::<f64, _>(folder.path().join(name), LENGTH).unwrap();
        array.fill(1.5);
        let array = array.freeze().unwrap();
        assert_eq!(pool.with(&array).map(sum, [0]).unwrap(), [1.5 * LENGTH as f64], "{name}");
    }
}
