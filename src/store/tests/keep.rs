//! Sessions that are kept after their death until a cleanup is requested.

use super::*;

/// Opens a session that is to be kept.
fn open(scene: &Scene) -> Store {
    Store(Session::begin(&scene.places(), true).unwrap(), MANNER)
}

#[test]
fn keep_closed_session_leaves_nothing() {
    let scene = Scene::new();
    let store = open(&scene);
    let _file = store.create(10).unwrap();
    let worker = Store::join(store.session_dir(), ByteOrder::NATIVE, false, WORKER).unwrap();
    let _handed_over = worker.create(20).unwrap().hand_over();
    worker.leave();
    drop(worker);
    assert_eq!(store.files().unwrap().len(), 2, "a worker that goes takes nothing along");
    drop(store);
    assert_eq!(scene.left(), <[PathBuf; 0]>::default());
}

#[test]
fn keep_files_of_a_killed_program() {
    let scene = Scene::new();
    let mut program = scene.actor("kept");
    let (home, file) = (PathBuf::from(program.says()), PathBuf::from(program.says()));
    let worker = Store::join(&home, ByteOrder::NATIVE, false, WORKER).unwrap();
    let mine = worker.create(20).unwrap();
    program.kill();
    worker.leave();
    drop(worker);
    drop(mine);
    let left = scene.left();
    assert!(left.contains(&file) && left.contains(&home.join("journal")), "{left:?}");
    sweep::before_opening(&scene.places().homes);
    assert_eq!(scene.left(), left);
    let told = CleanupOptions::new().dry_run(true).cleanup_in(&scene.places().homes);
    assert_eq!((told.dead[0].keep, told.dead[0].files.len(), told.nbytes()), (true, 2, 1020));
    assert_eq!(scene.left(), left);
    let swept = scene.sweep();
    assert!(swept.failures.is_empty() && swept.dead[0].keep, "{swept:?}");
    assert_eq!(scene.left(), <[PathBuf; 0]>::default());
}

#[test]
fn keep_closed_session_can_be_swept() {
    // The closing process records the end before it unlocks, because it may die, or another
    // process may sweep, right after.
    let scene = Scene::new();
    let mut program = scene.actor("kept");
    let home = PathBuf::from(program.says());
    program.kill();
    let dir = Dir::open(&home).unwrap();
    Journal::open(&dir, false).unwrap().end(&dir).unwrap();
    sweep::before_opening(&scene.places().homes);
    assert_eq!(scene.left(), <[PathBuf; 0]>::default());
}

#[test]
fn keep_survives_journal_compaction() {
    let scene = Scene::new();
    let store = open(&scene);
    for _ in 0..1000 {
        store.create(1).unwrap();
    }
    assert!(journal::contents(&Dir::open(store.session_dir()).unwrap()).unwrap().keep);
}
