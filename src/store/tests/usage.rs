//! How many bytes a session's files have, and had: by every process, and also once the journal has forgotten the files.

use super::*;

/// Live bytes and peak, of all roots.
fn in_all(store: &Store) -> (u64, u64) {
    let usage = store.usage().unwrap();
    (usage.live, usage.peak)
}

/// Files, live bytes and peak of each root.
fn in_each(store: &Store) -> [(usize, u64, u64); 2] {
    let usage = store.usage().unwrap();
    let roots: Vec<_> = usage.roots.iter().map(|root| (root.files, root.live, root.peak)).collect();
    roots.try_into().expect("a scene has two roots")
}

#[test]
fn bytes_are_told_live_and_at_most_in_each_root_and_in_all() {
    let scene = Scene::new();
    let store = scene.open();
    assert_eq!((in_all(&store), in_each(&store)), ((0, 0), [(0, 0, 0), (0, 0, 0)]));
    let (a, b) = (store.create(1000).unwrap(), store.create(200).unwrap());
    assert_eq!((in_all(&store), in_each(&store)), ((1200, 1200), [(2, 1200, 1200), (0, 0, 0)]));
    let data = a.path().parent().unwrap().to_owned();
    assert_eq!(store.usage().unwrap().roots[0].path, data);
    drop((a, b));
    // Where the first root cannot make a file, the second does.
    fs::remove_dir(&data).unwrap();
    let c = store.create(50).unwrap();
    assert_eq!((in_all(&store), in_each(&store)), ((50, 1200), [(0, 0, 1200), (1, 50, 50)]));
    drop(c);
    assert_eq!((in_all(&store), in_each(&store)), ((0, 1200), [(0, 0, 1200), (0, 0, 50)]));
}

#[test]
fn the_files_of_workers_count_from_when_they_are_made_until_whoever_takes_them_over_drops_them() {
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
fn the_peak_outlives_the_names_of_its_files() {
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
