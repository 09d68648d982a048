//! The current and largest number of bytes in a session's files, by all processes, also after
//! the journal was compacted.

use super::*;

/// Current bytes and peak of all roots.
fn in_all(store: &Store) -> (u64, u64) {
    let usage = store.usage().unwrap();
    (usage.live, usage.peak)
}

/// Files, current bytes and peak of each root.
fn in_each(store: &Store) -> [(usize, u64, u64); 2] {
    let usage = store.usage().unwrap();
    let roots: Vec<_> = usage.roots.iter().map(|root| (root.files, root.live, root.peak)).collect();
    roots.try_into().expect("a scene has two roots")
}

#[test]
fn usage_reports_current_and_peak_bytes() {
    let scene = Scene::new();
    let store = scene.open();
    assert_eq!((in_all(&store), in_each(&store)), ((0, 0), [(0, 0, 0), (0, 0, 0)]));
    let (a, b) = (store.create(1000).unwrap(), store.create(200).unwrap());
    assert_eq!((in_all(&store), in_each(&store)), ((1200, 1200), [(2, 1200, 1200), (0, 0, 0)]));
    let data = a.path().parent().unwrap().to_owned();
    assert_eq!(store.usage().unwrap().roots[0].path, data);
    drop((a, b));
    // The first root cannot create a file, so the second does.
    fs::remove_dir(&data).unwrap();
    let c = store.create(50).unwrap();
    assert_eq!((in_all(&store), in_each(&store)), ((50, 1200), [(0, 0, 1200), (1, 50, 50)]));
    drop(c);
    assert_eq!((in_all(&store), in_each(&store)), ((0, 1200), [(0, 0, 1200), (0, 0, 50)]));
}

#[test]
fn usage_includes_files_of_workers() {
    let scene = Scene::new();
    let store = scene.open();
    let _mine = store.create(5).unwrap();
    let mut worker = scene.actor("worker");
    worker.tell(store.session_dir().display());
    let adopted = store.adopt(Path::new(&worker.says())).unwrap();
    assert_eq!(in_all(&store), (35, 35), "the worker has made files of 10 and 20 bytes");
    drop(adopted);
    assert_eq!(in_all(&store), (25, 35));
    worker.kill();
    store.reap(WORKER).unwrap();
    assert_eq!(in_all(&store), (5, 35));
}

#[test]
fn usage_peak_survives_struck_names() {
    let scene = Scene::new();
    let store = scene.open();
    drop(store.create(1 << 20).unwrap());
    let kept = store.create(7).unwrap();
    for _ in 0..1000 {
        store.create(100).unwrap();
    }
    let journal = fs::metadata(store.session_dir().join("journal")).unwrap().len();
    assert!(journal < 1000 * 40, "the journal has been compacted: it has {journal} bytes");
    assert_eq!((in_all(&store), in_each(&store)), ((7, 1 << 20), [(1, 7, 1 << 20), (0, 0, 0)]));
    drop(kept);
}
