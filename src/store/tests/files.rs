//! Files in a session: made, registered, handed over, and gone with whoever had to delete them.

use std::os::unix::fs::{FileExt, PermissionsExt};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_session_is_private_and_leaves_nothing() {
    // S4
    let scene = Scene::new();
    let store = scene.open();
    let file = store.create(12345).unwrap();
    let data = file.path().parent().unwrap();
    for dir in [store.home(), store.home().parent().unwrap(), data, data.parent().unwrap()] {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
    for file in [&store.home().join("lock"), &store.home().join("journal"), file.path()] {
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
fn a_file_is_registered_before_it_is_made() {
    // S2
    let scene = Scene::new();
    let store = scene.open();
    let data = store.create(1).unwrap().path().parent().unwrap().to_owned();
    fs::remove_dir(&data).unwrap();
    // The first root cannot make the file; the journal has heard of it all the same, and the second root makes one.
    let file = store.create(1).unwrap();
    let journal = fs::read_to_string(store.home().join("journal")).unwrap();
    let records: Vec<_> = journal.lines().skip(3).map(|line| &line[..4]).collect();
    assert_eq!(records, ["+00 ", "-00 ", "+00 ", "-00 ", "+01 "]);
    assert_eq!(store.files().unwrap(), [file.path()]);
    // What cannot be registered is not made.
    fs::remove_file(store.home().join("journal")).unwrap();
    let error = store.create(1).unwrap_err();
    assert!(error.to_string().contains("journal: cannot register"), "{error}");
    assert_eq!(fs::read_dir(file.path().parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_worker_shares_the_session_and_the_last_to_leave_takes_it_along() {
    // S1
    let scene = Scene::new();
    let store = scene.open();
    let mut worker = scene.actor("worker");
    worker.tell(store.home().display());
    let path = PathBuf::from(worker.says());
    assert_eq!(store.files().unwrap().len(), 2);

    let adopted = store.adopt(&path).unwrap();
    let mut bytes = [0; 9];
    adopted.file().read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"from afar");
    let other = scene.open();
    assert!(other.adopt(&path).unwrap_err().is_invalid(), "another session's file");
    drop(other);

    let home = store.home().to_owned();
    drop(store);
    assert!(home.exists() && !path.exists(), "the worker is still in; the parent's own files are gone");
    worker.tell("");
    assert_eq!(worker.says(), "true", "after leaving nothing is made");
    assert_eq!(scene.left(), <[PathBuf; 0]>::default());
    drop(adopted);
    assert!(Store::join(&home, ByteOrder::NATIVE, WORKER).unwrap_err().to_string().contains("has ended"));
}

#[test]
fn what_a_killed_worker_had_not_handed_over_is_reaped() {
    let scene = Scene::new();
    let store = scene.open();
    let mine = store.create(5).unwrap();
    let mut worker = scene.actor("worker");
    worker.tell(store.home().display());
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
fn leaving_in_the_middle_of_making_files_leaves_none() {
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
fn a_full_root_passes_a_file_on_and_the_last_one_says_what_is_missing() {
    // S5
    let scene = Scene::new();
    let script = format!("mount -t tmpfs -o size=64k,mode=700 tmpfs '{}/one' && exec \"$@\"", scene.path().display());
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    let permitted = unshare.arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !permitted {
        // Past the harness, which would hide it.
        let _ = writeln!(io::stderr(), "SKIPPED a_full_root_passes_a_file_on: no mount namespaces here");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    command.arg(env::current_exe().unwrap());
    command.args(["--exact", "store::tests::an_actor", "--nocapture"]);
    let mut actor = Actor::start(command.env(ROLE, "small").env(PLACE, scene.path()));
    for _ in 0..3 {
        assert_eq!(actor.says(), "true");
    }
    let error = actor.says();
    for part in ["/two/ndferry-", "/one/ndferry-", "cannot hold a file of 1125899906842624 bytes", "bytes are free"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(!error.contains("Permission"), "{error}");
}
