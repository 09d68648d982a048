//! Shared atomics, without workers.

use std::sync::atomic::Ordering::Relaxed;

use ndferry::store::{SharedAtomics, Store};

#[test]
fn atomics_clones_share_any_number_of_integers() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    let store = Store::new().unwrap();
    for length in [0, 1, 511, 512, 513, 100_000] {
        let atomics = store.atomics(length).unwrap();
        check(&atomics);
        assert_eq!(atomics.len(), length);
        let clone = atomics.clone();
        atomics.iter().for_each(|word| _ = word.fetch_add(3, Relaxed));
        assert!(clone.iter().all(|word| word.load(Relaxed) == 3));
    }
    let error = store.atomics(usize::MAX).unwrap_err();
    assert!(
        error.is_invalid_input() && error.to_string().contains("more than memory can address"),
        "{error}"
    );
    let error = store.atomics(1 << 48).unwrap_err().to_string();
    assert!(error.contains("cannot hold a memory file of 2251799813685248 bytes"), "{error}");
    assert_eq!(format!("{:?}", store.atomics(2).unwrap()), "Atomics([0, 0])");
}

#[test]
fn atomics_cannot_be_stored_in_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("atomics.ferry");
    let atomics = Store::new().unwrap().atomics(1).unwrap();
    let expected = "shared atomics are passed to the tasks of a pool and back, and nowhere else: a file cannot hold them";
    let error = ndferry::dump(&path, &(1, &atomics)).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert!(!path.exists());
    assert_eq!(serde_json::to_string(&atomics).unwrap_err().to_string(), expected);
    ndferry::dump(&path, &0).unwrap();
    let error = ndferry::load::<SharedAtomics>(&path).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}
