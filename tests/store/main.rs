//! The effects of a store on the file system and on other programs.
//!
//! The environment determines where a store is, and a test cannot kill its own process. Most
//! tests therefore start this test program again, with a variable that tells it what to do.
#![cfg(target_os = "linux")]

#[path = "../common/actor.rs"]
mod actor;
mod atomics;
mod born;
mod created;
#[path = "../common/processes.rs"]
mod processes;
mod sealed;
mod surroundings;

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use actor::{Actor, role, say, wait_to_be_told};
use ndferry::{
    dtype::ByteOrder,
    store::{CleanupOptions, CleanupReport, SessionReport, Store, cleanup},
};

/// Workers of this test program run this test.
#[test]
fn worker() {
    ndferry::init();
}

/// Not a test: the body of processes started by an [`Actor`].
#[test]
fn actor_body() {
    let Some(role) = role() else { return };
    let told = |sweep: ndferry::Result<CleanupReport>| match sweep {
        Ok(swept) => {
            let homes = |sessions: &[SessionReport]| {
                sessions.iter().map(|session| session.home.clone()).collect()
            };
            let [dead, alive]: [Vec<_>; 2] = [homes(&swept.dead), homes(&swept.alive)];
            format!("dead {dead:?}, alive {alive:?}, failures {:?}", swept.failures)
        }
        Err(error) => error.to_string(),
    };
    match role.as_str() {
        // Opens a store, reports where it is or why it failed, and waits.
        "open" => {
            let store = Store::new();
            match &store {
                Ok(store) => say(store.session_dir().display()),
                Err(error) => say(error),
            }
            wait_to_be_told();
        }
        "dry run" => say(told(cleanup(&CleanupOptions::new().dry_run(true)))),
        "sweep" => say(told(ndferry::store::cleanup(&ndferry::store::CleanupOptions::new()))),
        "share" => surroundings::share(),
        // Opens and drops stores.
        "restless" => {
            for _ in 0..200 {
                let store = Store::new().unwrap();
                assert!(store.session_dir().join("lock").exists());
            }
            say("done");
        }
        "born" => born::in_a_small_root(),
        "limited" => sealed::with_little_memory(),
        other => panic!("no such part: {other}"),
    }
}

/// Starts an actor with `NDFERRY_DIR`.
fn play(role: &str, dir: impl AsRef<OsStr>) -> Actor {
    start(&mut Command::new(env::current_exe().unwrap()), role, dir)
}

fn start(command: &mut Command, role: &str, dir: impl AsRef<OsStr>) -> Actor {
    Actor::start(command.env("NDFERRY_DIR", dir), "actor_body", role)
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(temp.path()).unwrap();
    (temp, path)
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn store_dropped_leaves_and_prints_nothing() {
    // S9
    let (_temp, place) = place();
    let mut actor = play("open", &place);
    let home = PathBuf::from(actor.says());
    assert!(
        home.starts_with(&place) && home.join("lock").exists() && home.join("journal").exists()
    );
    assert!(processes::descendants(actor.id()).is_empty(), "no process is there to clean up");
    assert_eq!(actor.ends(), "");
    assert!(is_empty(&place));
}

#[test]
fn store_modes_do_not_depend_on_the_umask() {
    // S4
    for umask in ["000", "022", "077", "177"] {
        let (_temp, place) = place();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask} && exec \"$@\""), "sh"]);
        let mut actor = start(shell.arg(env::current_exe().unwrap()), "open", &place);
        let home = PathBuf::from(actor.says());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&home), 0o700, "umask {umask}");
        assert_eq!(mode(home.parent().unwrap()), 0o700, "umask {umask}");
        assert_eq!(mode(&home.join("lock")), 0o600, "umask {umask}");
        assert_eq!(mode(&home.join("journal")), 0o600, "umask {umask}");
    }
}

#[test]
fn store_open_removes_killed_sessions() {
    // S1
    let (_temp, place) = place();
    let mut actor = play("open", &place);
    let home = PathBuf::from(actor.says());
    actor.kill();
    assert!(home.exists());
    let dry = play("dry run", &place).says();
    let (dead, alive) = dry.split_once(", alive ").unwrap();
    assert!(
        dead.contains(home.to_str().unwrap()) && !alive.contains(home.to_str().unwrap()),
        "{dry}"
    );
    assert!(home.exists());
    let mut next = play("open", &place);
    next.says();
    assert!(!home.exists());
    assert_eq!(next.ends(), "");
    assert!(is_empty(&place));
}

#[test]
fn store_open_keeps_live_sessions() {
    // S3
    let (_temp, place) = place();
    let mut actor = play("open", &place);
    let home = PathBuf::from(actor.says());
    let swept = play("sweep", &place).says();
    let (dead, alive) = swept.split_once(", alive ").unwrap();
    assert!(
        alive.contains(home.to_str().unwrap()) && !dead.contains(home.to_str().unwrap()),
        "{swept}"
    );
    assert!(home.join("lock").exists() && home.join("journal").exists());
    actor.ends();
    assert!(is_empty(&place));
}

#[test]
fn store_concurrent_programs_do_not_interfere() {
    // S3
    let (_temp, place) = place();
    let mut actors: Vec<_> = (0..4).map(|_| play("restless", &place)).collect();
    for actor in &mut actors {
        assert_eq!(actor.says(), "done");
    }
    for actor in actors {
        assert_eq!(actor.ends(), "");
    }
    assert!(is_empty(&place));
}

#[test]
fn store_error_names_an_unusable_directory() {
    let (_temp, place) = place();
    let file = place.join("file");
    fs::write(&file, "").unwrap();
    let missing = place.join("no/such");
    let new = place.join("new");
    for (dir, expected) in [
        (file.as_path(), "is not a directory"),
        (&missing, "cannot make the directory"),
        (Path::new("/proc/sys"), "/ndferry-"),
    ] {
        let error = play("open", dir).says();
        assert!(error.starts_with(dir.to_str().unwrap()) && error.contains(expected), "{error}");
    }
    let home = play("open", &new).says();
    assert!(Path::new(&home).starts_with(&new), "{home}");
}

#[test]
fn store_without_temp_directory_uses_shared_memory() {
    let mut command = Command::new(env::current_exe().unwrap());
    let mut actor = start(command.env("TMPDIR", "/proc/sys"), "open", "");
    let home = actor.says();
    assert!(home.starts_with("/dev/shm/ndferry-"), "{home}");
    assert_eq!(actor.ends(), "");
    processes::eventually("the session has ended", || !Path::new(&home).exists());
}

#[test]
fn store_builder_checks_roots() {
    let (_temp, place) = place();
    let file = place.join("file");
    fs::write(&file, "").unwrap();
    let broken = place.join("line\nbreak");
    fs::create_dir(&broken).unwrap();
    for (roots, expected) in [
        (vec![], "a store needs a root"),
        (vec![place.clone(), file], "is not a directory"),
        (vec![broken], "line break"),
        (vec![place.join("no/such")], "cannot make the directory"),
    ] {
        let error = Store::builder().roots(roots).build().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let many = (0..257).map(|number| place.join(number.to_string()));
    let error = Store::builder().roots(many).build().unwrap_err();
    assert!(error.to_string().contains("at most 256 roots, and 257 were named"), "{error}");
    let store = Store::builder().roots([&place, &place]).build().unwrap();
    assert!(!store.session_dir().starts_with(&place));
}

#[test]
fn store_lives_as_long_as_its_last_clone() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    let store = Store::builder().byte_order(ByteOrder::Big).build().unwrap();
    check(&store);
    let clone = store.clone();
    let home = store.session_dir().to_owned();
    drop(store);
    assert!(home.exists());
    assert_eq!(clone.byte_order(), ByteOrder::Big);
    assert!(clone.files().unwrap().is_empty());
    drop(clone);
    // The sweep of another test may have claimed the session at once, and is removing it.
    processes::eventually("the session has ended", || !home.exists());
}
