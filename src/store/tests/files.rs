//! Files in a session: created, registered, handed over, and removed with the process
//! responsible for them.

use std::{
    collections::HashSet,
    os::unix::fs::{FileExt, PermissionsExt},
};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn session_is_private_and_leaves_nothing() {
    // S4
    let scene = Scene::new();
    let store = scene.open();
    let file = store.create(12345).unwrap();
    let data = file.path().parent().unwrap();
    for dir in
        [store.session_dir(), store.session_dir().parent().unwrap(), data, data.parent().unwrap()]
    {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
    for file in
        [&store.session_dir().join("lock"), &store.session_dir().join("journal"), file.path()]
    {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    assert_eq!(file.file().metadata().unwrap().len(), 12345);
    assert_eq!(store.files().unwrap(), [file.path()]);
    let path = file.path().to_owned();
    drop(file);
    assert!(!path.exists() && store.files().unwrap().is_empty());
    let _kept = store.create(1).unwrap();
    drop(store);
    assert_eq!(scene.left(), <[PathBuf; 0]>::default());
}

#[test]
fn session_registers_files_before_creating_them() {
    // S2
    let scene = Scene::new();
    let store = scene.open();
    let data = store.create(1).unwrap().path().parent().unwrap().to_owned();
    fs::remove_dir(&data).unwrap();
    // The first root cannot create the file, but the journal has its name. The second root
    // creates one.
    let file = store.create(1).unwrap();
    let journal = fs::read_to_string(store.session_dir().join("journal")).unwrap();
    let records: Vec<_> = journal.lines().skip(4).map(|line| &line[..4]).collect();
    assert_eq!(records, ["+00 ", "-00 ", "+00 ", "-00 ", "+01 "]);
    assert_eq!(store.files().unwrap(), [file.path()]);
    // A file that cannot be registered is not created.
    fs::remove_file(store.session_dir().join("journal")).unwrap();
    let error = store.create(1).unwrap_err();
    assert!(error.to_string().contains("journal: cannot register"), "{error}");
    assert_eq!(fs::read_dir(file.path().parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn session_registry_names_all_existing_files() {
    // S2
    let scene = Scene::new();
    let mut actor = scene.actor("busy");
    let home = PathBuf::from(actor.says());
    let id = name::SessionId::of_home(home.file_name().unwrap()).unwrap();
    let data = Private::path_of_user(&scene.places().roots[0]).join(id.data());
    let home = sys::dir::Dir::open(&home).unwrap();
    let mut seen = 0;
    while seen < 20_000 {
        let there: Vec<_> = fs::read_dir(&data).into_iter().flatten().flatten().collect();
        let live = journal::contents(&home).unwrap().live;
        let named: HashSet<_> = live.iter().map(|(entry, _)| entry.name.to_string()).collect();
        for file in there {
            seen += 1;
            let name = file.file_name().into_string().unwrap();
            // It may have been removed and struck meanwhile.
            assert!(named.contains(&name) || !file.path().exists(), "{name} is named");
        }
    }
    actor.kill();
    // A registered file that was never created is not an error.
    let journal = home.open_log(journal::NAME).unwrap().unwrap();
    (&journal).write_all(b"\n+00 0123456789abcdef-0123456789.ferry 0000000000000001").unwrap();
    let never_made = data.join("0123456789abcdef-0123456789.ferry");
    assert!(
        journal::contents(&home)
            .unwrap()
            .live
            .iter()
            .any(|(entry, _)| never_made.ends_with(entry.name.to_string()))
    );
    assert!(scene.sweep().failures.is_empty());
    assert_eq!(scene.left(), <[PathBuf; 0]>::default());
}

#[test]
fn session_is_removed_by_the_last_member() {
    // S1
    let scene = Scene::new();
    let store = scene.open();
    let mut worker = scene.actor("worker");
    worker.tell(store.session_dir().display());
    let path = PathBuf::from(worker.says());
    assert_eq!(store.files().unwrap().len(), 2);

    let adopted = store.adopt(&path).unwrap();
    let mut bytes = [0; 9];
    adopted.file().read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"from afar");
    let other = scene.open();
    assert!(other.adopt(&path).unwrap_err().is_invalid_data(), "another session's file");
    drop(other);

    let home = store.session_dir().to_owned();
    drop(store);
    assert!(
        home.exists() && !path.exists(),
        "the worker is still in; the parent's own files are gone"
    );
    worker.tell("");
    assert_eq!(worker.says(), "true", "after leaving nothing is made");
    assert_eq!(scene.left(), <[PathBuf; 0]>::default());
    drop(adopted);
    assert!(
        Store::join(&home, ByteOrder::NATIVE, false, WORKER)
            .unwrap_err()
            .to_string()
            .contains("has ended")
    );
}

#[test]
fn session_reaps_files_of_killed_workers() {
    let scene = Scene::new();
    let store = scene.open();
    let mine = store.create(5).unwrap();
    let mut worker = scene.actor("worker");
    worker.tell(store.session_dir().display());
    let adopted = store.adopt(Path::new(&worker.says())).unwrap();
    assert_eq!(store.files().unwrap().len(), 3);
    worker.kill();
    store.reap(WORKER).unwrap();
    let mut expected = [mine.path(), adopted.path()];
    expected.sort();
    let mut left = store.files().unwrap();
    left.sort();
    assert_eq!(left, expected);
}

#[test]
fn session_left_writes_nothing_to_the_journal() {
    // S1, S3
    let scene = Scene::new();
    let store = scene.open();
    let other = Store::join(store.session_dir(), ByteOrder::NATIVE, false, WORKER).unwrap();
    let files: Vec<_> = (0..200).map(|_| store.create(1).unwrap()).collect();
    let paths: Vec<_> = files.iter().map(|file| file.path().to_owned()).collect();
    store.leave();
    let journal = store.session_dir().join("journal");
    let before = fs::read(&journal).unwrap();
    drop(files);
    drop(store);
    assert!(paths.iter().all(|path| !path.exists()), "its files are still its own to remove");
    assert!(fs::read(&journal).unwrap() == before);
    drop(other);
    assert_eq!(scene.left(), <[PathBuf; 0]>::default());
}

#[test]
fn session_failed_join_leaves_nothing() {
    // S1
    let scene = Scene::new();
    let user = Private::make_of_user(&scene.places().homes[0]).unwrap();
    let home = user.path.join("session-00000000000000aa");
    sys::dir::make(&home).unwrap();
    fs::write(home.join("lock"), "").unwrap();
    let error = Store::join(&home, ByteOrder::NATIVE, false, WORKER).unwrap_err();
    assert!(error.to_string().contains("cannot open the journal"), "{error}");
    assert_eq!(scene.left(), <[PathBuf; 0]>::default());
}

#[test]
fn session_waits_for_the_lock_of_a_dying_process() {
    // S1
    let scene = Scene::new();
    let store = scene.open();
    let lock = fs::File::open(store.session_dir().join("lock")).unwrap();
    assert!(sys::lock::try_shared(&lock).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| store.leave_with_the_dying(WATCHDOG));
        // Until it has left, and found the lock held.
        while store.create(1).is_ok() {}
        drop(lock);
    });
    assert_eq!(scene.left(), <[PathBuf; 0]>::default());
}

#[test]
fn session_left_while_creating_files_leaves_none() {
    // S1
    for _ in 0..20 {
        let scene = Scene::new();
        let store = scene.open();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut files = Vec::new();
                    while let Ok(file) = store.create(100) {
                        files.push(file);
                    }
                });
            }
            while store.files().unwrap().len() < 10 {}
            store.leave();
            assert_eq!(scene.left(), <[PathBuf; 0]>::default());
        });
        drop(store);
        assert_eq!(scene.left(), <[PathBuf; 0]>::default());
    }
}

#[test]
fn session_full_root_falls_through_to_the_next() {
    // S5
    let scene = Scene::new();
    let script = format!(
        "mount -t tmpfs -o size=64k,mode=700 tmpfs '{}/one' && exec \"$@\"",
        scene.path().display()
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    let permitted =
        unshare.arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !permitted {
        return actor::skipped("a_full_root_passes_a_file_on", "no mount namespaces here");
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    let mut actor = Actor::start(
        command.arg(env::current_exe().unwrap()).env(PLACE, scene.path()),
        ACTOR,
        "small",
    );
    for _ in 0..3 {
        assert_eq!(actor.says(), "true");
    }
    let error = actor.says();
    for part in [
        "/two/ndferry-",
        "/one/ndferry-",
        "cannot hold a file of 1125899906842624 bytes",
        "bytes are free",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(!error.contains("Permission"), "{error}");
}
