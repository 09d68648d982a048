//! Death at any moment: a sweep removes everything of the session, and nothing else.

use std::{
    os::unix::fs::{PermissionsExt, symlink},
    sync::atomic::{AtomicBool, Ordering},
};

use super::*;

// S1
#[test]
fn sweep_after_the_openers_death_waits_for_its_last_lock() {
    let scene = Scene::new();
    let places = scene.places().homes;
    let store = scene.open();
    // Like a process that was forked and has not executed its program yet.
    let copy = lock::SessionLock::join(store.0.home().dir()).unwrap().unwrap();
    store.leave();
    sweep::before_opening(&places);
    assert!(store.session_dir().exists(), "a session that is held was removed");
    let released = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        drop(copy);
    });
    sweep::after(&places, std::process::id(), WATCHDOG);
    released.join().unwrap();
    assert_eq!(scene.left(), Vec::<PathBuf>::new());
}

#[test]
fn sweep_after_a_death_does_not_wait_for_others() {
    let scene = Scene::new();
    let store = scene.open();
    sweep::after(&scene.places().homes, std::process::id() + 1, WATCHDOG);
    assert!(store.session_dir().exists());
}

#[test]
fn sweep_leaves_nothing_after_death_at_any_step() {
    // S3
    type Step = (&'static str, fn(&Path, &Path));
    const FILE: &str = "0123456789abcdef-0000000000.ferry";
    let steps: [Step; 17] = [
        ("the user's directory", |_, _| {}),
        ("the home", |home, _| make(home)),
        ("the lock", |home, _| append(home, "lock", "")),
        ("an empty journal", |home, _| append(home, "journal", "")),
        ("half a journal", |home, _| {
            append(home, "journal", "ndferry journal 1\nroot /t");
        }),
        ("the journal", |home, data| {
            let root = data.ancestors().nth(2).unwrap().display();
            append(home, "journal", &format!("\nroot {root}"));
        }),
        ("a directory for files", |_, data| {
            make(data.parent().unwrap());
            make(data);
        }),
        ("a name registered", |home, _| {
            append(home, "journal", &format!("\n+00 {FILE}"));
        }),
        ("a file", |_, data| append(data, FILE, "bytes")),
        ("half a record", |home, _| append(home, "journal", "\n+00 0123456789ab")),
        ("half a new journal", |home, _| {
            append(home, "journal.next", "ndferry jou");
        }),
        ("a file removed", |_, data| remove(data, FILE)),
        ("the directory removed", |_, data| fs::remove_dir(data).unwrap()),
        ("the user's removed", |_, data| {
            fs::remove_dir(data.parent().unwrap()).unwrap();
        }),
        ("the new journal removed", |home, _| remove(home, "journal.next")),
        ("the journal removed", |home, _| remove(home, "journal")),
        ("the lock removed", |home, _| remove(home, "lock")),
    ];
    for last in 0..steps.len() {
        let scene = Scene::new();
        let places = scene.places();
        let user = Private::make_of_user(&places.homes[0]).unwrap();
        let home = user.path.join("session-00000000000000aa");
        let data = Private::path_of_user(&places.roots[0]).join("data-00000000000000aa");
        for (_, step) in &steps[..=last] {
            step(&home, &data);
        }
        let dry = CleanupOptions::new().dry_run(true).cleanup_in(&places.homes);
        let before = scene.left();
        let swept = scene.sweep();
        let name = steps[last].0;
        assert!(swept.failures.is_empty(), "{name}: {:?}", swept.failures);
        assert_eq!(scene.left(), <[PathBuf; 0]>::default(), "{name}");
        assert!(!before.is_empty(), "{name}: a dry run removes nothing");
        assert_eq!(dry.dead.len(), swept.dead.len(), "{name}");
        assert_eq!(dry.nbytes(), swept.nbytes(), "{name}");
    }
}

fn make(path: &Path) {
    sys::dir::make(path).unwrap();
}

fn append(dir: &Path, name: &str, text: &str) {
    let mut file = fs::File::options();
    let mut file = file.append(true).create(true).open(dir.join(name)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn remove(dir: &Path, name: &str) {
    fs::remove_file(dir.join(name)).unwrap();
}

#[test]
fn sweep_keeps_live_sessions_and_removes_dead_ones() {
    // S1, S3
    let scene = Scene::new();
    let mut actor = scene.actor("live");
    let (home, file) = (PathBuf::from(actor.says()), PathBuf::from(actor.says()));
    let before = scene.left();
    let swept = scene.sweep();
    assert!(swept.dead.is_empty() && swept.failures.is_empty(), "{swept:?}");
    assert_eq!(swept.alive[0].home, home);
    assert_eq!((&swept.alive[0].files[0], swept.alive[0].nbytes), (&file, 1000));
    assert_eq!(scene.left(), before);
    actor.kill();
    assert_eq!(scene.left(), before, "nobody has swept yet");
    let swept = scene.sweep();
    assert_eq!((swept.dead[0].home.as_path(), swept.nbytes()), (home.as_path(), 1000));
    assert_eq!(scene.left(), <[PathBuf; 0]>::default());
}

#[test]
fn sweep_leaves_nothing_after_kills_at_any_moment() {
    // S1, S3
    let scene = Scene::new();
    for round in 0..20 {
        let role = ["busy", "restless"][round % 2];
        let mut actor = scene.actor(role);
        actor.says();
        let moment = sys::random::number().unwrap() % 20_000;
        thread::sleep(Duration::from_micros(moment));
        actor.kill();
        let swept = scene.sweep();
        assert!(swept.failures.is_empty(), "{role}: {:?}", swept.failures);
        assert_eq!(scene.left(), <[PathBuf; 0]>::default(), "{role} killed after {moment} µs");
    }
}

#[test]
fn sweep_concurrently_shares_the_work() {
    // S3
    let scene = Scene::new();
    let mut actor = scene.actor("many");
    actor.says();
    actor.kill();
    let swept: Vec<_> = thread::scope(|scope| {
        let sweepers: Vec<_> = (0..4).map(|_| scope.spawn(|| scene.sweep())).collect();
        sweepers.into_iter().map(|sweeper| sweeper.join().unwrap()).collect()
    });
    assert_eq!(swept.iter().map(|swept| swept.dead.len()).sum::<usize>(), 30);
    assert!(swept.iter().all(|swept| swept.failures.is_empty()), "{swept:?}");
    assert_eq!(scene.left(), <[PathBuf; 0]>::default());
}

#[test]
fn sweep_does_not_disturb_new_sessions() {
    // S3
    for taken in [false, true] {
        let scene = Scene::new();
        if taken {
            // The places are open to all users, and have been used.
            for place in scene.places().homes.iter().chain(&scene.places().roots) {
                fs::set_permissions(place, fs::Permissions::from_mode(0o777)).unwrap();
                fs::write(Private::path_of_user(place), "").unwrap();
            }
        }
        let before = scene.left();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let store = scene.open();
                        let file = store.create(10).unwrap();
                        assert!(file.path().exists() && store.session_dir().join("lock").exists());
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..1000 {
                    let swept = scene.sweep();
                    assert!(taken || swept.failures.is_empty(), "{:?}", swept.failures);
                }
            });
        });
        assert_eq!(scene.left(), before);
    }
}

#[test]
fn sweep_without_locks_removes_nothing() {
    // S3
    let scene = Scene::new();
    let mut dead = scene.actor("live");
    let home = dead.says();
    dead.kill();
    let before = scene.left();
    let mut lockless = scene.actor("lockless");
    let expected = format!(
        "0 1 {home}: cannot tell whether the session lives: cannot lock: Operation not supported"
    );
    let said = lockless.says();
    assert!(said.replace("Io: ", "").starts_with(&expected), "{said}");
    let error = lockless.says();
    assert!(error.contains("/lock: cannot make and lock: Operation not supported"), "{error}");
    lockless.ends();
    assert_eq!(scene.left(), before);
}

#[test]
fn sweep_dry_run_disturbs_no_session() {
    // S3
    let scene = Scene::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    CleanupOptions::new().dry_run(true).cleanup_in(&scene.places().homes);
                }
            });
        }
        // An observer between the end of a session and its removal never makes it look dead and
        // remain.
        let left = (0..500).map(|_| {
            drop(scene.open());
            scene.left()
        });
        let left = left.take_while(Vec::is_empty).count();
        done.store(true, Ordering::Relaxed);
        assert_eq!(left, 500, "sessions that left nothing");
    });
}

#[test]
fn sweep_leaves_foreign_files_alone() {
    // S3
    let scene = Scene::new();
    let precious = scene.path().join("precious");
    fs::create_dir(&precious).unwrap();
    let name = "0123456789abcdef-0000000000.ferry";
    fs::write(precious.join(name), "precious").unwrap();
    let mut actor = scene.actor("live");
    actor.says();
    let data = PathBuf::from(actor.says()).parent().unwrap().to_owned();
    actor.kill();

    // A link in place of a file, a file with another kind of name, and a link in place of a
    // session.
    symlink(precious.join(name), data.join(name)).unwrap();
    fs::write(data.join("notes.txt"), "mine").unwrap();
    let user = Private::make_of_user(&scene.places().homes[0]).unwrap();
    symlink(&precious, user.path.join("session-0000000000000001")).unwrap();
    let swept = scene.sweep();
    let failures: Vec<_> = swept.failures.iter().map(ToString::to_string).collect();
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(failures.iter().any(|failure| failure.contains("is a symbolic link")), "{failures:?}");
    assert!(
        failures.iter().any(|failure| failure.contains("cannot remove, with what else is in it"))
    );
    assert_eq!(fs::read_to_string(precious.join(name)).unwrap(), "precious");
    assert!(data.join("notes.txt").exists());

    // When they are removed, the session can be removed too.
    fs::remove_file(data.join(name)).unwrap();
    fs::remove_file(data.join("notes.txt")).unwrap();
    fs::remove_file(user.path.join("session-0000000000000001")).unwrap();
    assert!(scene.sweep().failures.is_empty());
    assert_eq!(scene.left(), <[PathBuf; 0]>::default());
}

#[test]
fn sweep_ignores_forged_journal_entries() {
    // S3
    let scene = Scene::new();
    let elsewhere =
        Private::make_of_user(&place::find_or_make(&scene.path().join("elsewhere")).unwrap())
            .unwrap();
    let other = elsewhere.path.join("data-00000000000000bb");
    make(&other);
    fs::write(other.join("0123456789abcdef-0000000000.ferry"), "another session's").unwrap();
    let user = Private::make_of_user(&scene.places().homes[0]).unwrap();
    let home = user.path.join("session-00000000000000aa");
    make(&home);
    fs::write(home.join("lock"), "").unwrap();
    let root = scene.path().join("elsewhere");
    let journal = format!(
        "ndferry journal 1\nroot {}\nroot /etc/passwd\nroot //\nroot {}/../..\n+00 ../../../x\n{}",
        root.display(),
        other.display(),
        "\u{1}garbage\n".repeat(1000)
    );
    fs::write(home.join("journal"), journal).unwrap();
    let swept = scene.sweep();
    assert_eq!(scene.left(), <[PathBuf; 0]>::default(), "{swept:?}");
    assert!(other.join("0123456789abcdef-0000000000.ferry").exists());

    make(&user.path);
    make(&home);
    fs::write(home.join("lock"), "").unwrap();
    fs::write(home.join("journal"), "ndferry journal 2\n").unwrap();
    let swept = scene.sweep();
    assert!(swept.failures[0].to_string().contains("another version"), "{swept:?}");
    assert!(home.exists());
}
