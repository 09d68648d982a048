//! What a store does to the file system and to other programs, as a user of the library sees it.
//!
//! Where a store stands is chosen by the environment, and a program that is killed cannot be a test: so most of these
//! tests are played by this test program started again, told by a variable which part to play.
#![cfg(target_os = "linux")]

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use ndferry::{ByteOrder, SessionReport, Store, Sweep, Sweeper};

const ROLE: &str = "NDFERRY_TEST_ROLE";

/// Longer than anything here takes; then whatever hangs is killed.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Not a test: what [`Actor`] runs.
#[test]
fn an_actor() {
    let Ok(role) = env::var(ROLE) else { return };
    thread::spawn(|| {
        thread::sleep(WATCHDOG);
        std::process::abort();
    });
    let told = |sweep: ndferry::Result<Sweep>| match sweep {
        Ok(swept) => {
            let homes = |sessions: &[SessionReport]| sessions.iter().map(|session| session.home.clone()).collect();
            let [dead, alive]: [Vec<_>; 2] = [homes(&swept.dead), homes(&swept.alive)];
            format!("dead {dead:?}, alive {alive:?}, failures {:?}", swept.failures)
        }
        Err(error) => error.to_string(),
    };
    match role.as_str() {
        // Opens a store, says where it is or why it is not, and lives until told otherwise.
        "open" => {
            let store = Store::new();
            match &store {
                Ok(store) => say(store.home().display()),
                Err(error) => say(error),
            }
            wait_to_be_told();
        }
        "dry run" => say(told(Sweeper::new().dry_run(true).sweep())),
        "sweep" => say(told(ndferry::sweep())),
        // Opens and drops.
        "restless" => {
            for _ in 0..200 {
                let store = Store::new().unwrap();
                assert!(store.home().join("lock").exists());
            }
            say("done");
        }
        other => panic!("no such part: {other}"),
    }
}

fn say(what: impl std::fmt::Display) {
    println!("actor: {what}");
    io::stdout().flush().unwrap();
}

fn wait_to_be_told() {
    io::stdin().read_line(&mut String::new()).unwrap();
}

/// This program again, killed when the test is done with it.
struct Actor {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Actor {
    fn new(role: &str, dir: impl AsRef<OsStr>) -> Self {
        Self::start(&mut Command::new(env::current_exe().unwrap()), role, dir)
    }

    fn start(command: &mut Command, role: &str, dir: impl AsRef<OsStr>) -> Self {
        let command = command.args(["--exact", "an_actor", "--nocapture"]);
        let command = command.env(ROLE, role).env("NDFERRY_DIR", dir);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    /// What it says next, the test harness's own words left out.
    fn says(&mut self) -> String {
        let mut lines = self.said.by_ref().lines().map_while(Result::ok);
        let said = lines.find_map(|line| Some(line.split_once("actor: ")?.1.to_owned()));
        said.unwrap_or_else(|| panic!("the actor has nothing to say but: {}", self.complaints()))
    }

    fn complaints(&mut self) -> String {
        let mut complaints = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        complaints
    }

    /// Lets it end in its own way; what it has written to stderr.
    fn ends(mut self) -> String {
        drop(self.child.stdin.take());
        let complaints = self.complaints();
        io::copy(&mut self.said, &mut io::sink()).unwrap();
        assert!(self.child.wait().unwrap().success(), "{complaints}");
        complaints
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(temp.path()).unwrap();
    (temp, path)
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

fn user_dir(place: &Path) -> PathBuf {
    // What is made here belongs to the user whose directory it would be.
    place.join(format!("ndferry-{}", fs::metadata(place).unwrap().uid()))
}

/// Says, past the harness that would hide it, that a test could not be done here.
fn skipped(name: &str, why: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED {name}: {why}");
}

#[test]
fn a_store_goes_without_a_trace_or_a_word() {
    // S9
    let (_temp, place) = place();
    let mut actor = Actor::new("open", &place);
    let home = PathBuf::from(actor.says());
    assert!(home.starts_with(&place) && home.join("lock").exists() && home.join("journal").exists());
    assert_eq!(actor.ends(), "");
    assert!(is_empty(&place));
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    // S4
    for umask in ["000", "022", "077"] {
        let (_temp, place) = place();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask} && exec \"$@\""), "sh"]);
        let mut actor = Actor::start(shell.arg(env::current_exe().unwrap()), "open", &place);
        let home = PathBuf::from(actor.says());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&home), 0o700, "umask {umask}");
        assert_eq!(mode(home.parent().unwrap()), 0o700, "umask {umask}");
        assert_eq!(mode(&home.join("lock")), 0o600, "umask {umask}");
        assert_eq!(mode(&home.join("journal")), 0o600, "umask {umask}");
    }
}

#[test]
fn a_killed_programs_session_goes_when_the_next_store_opens() {
    // S1
    let (_temp, place) = place();
    let mut actor = Actor::new("open", &place);
    let home = PathBuf::from(actor.says());
    actor.kill();
    assert!(home.exists());
    let dry = Actor::new("dry run", &place).says();
    let (dead, alive) = dry.split_once(", alive ").unwrap();
    assert!(dead.contains(home.to_str().unwrap()) && !alive.contains(home.to_str().unwrap()), "{dry}");
    assert!(home.exists());
    let mut next = Actor::new("open", &place);
    next.says();
    assert!(!home.exists());
    assert_eq!(next.ends(), "");
    assert!(is_empty(&place));
}

#[test]
fn a_living_programs_session_is_left_alone() {
    // S3
    let (_temp, place) = place();
    let mut actor = Actor::new("open", &place);
    let home = PathBuf::from(actor.says());
    let swept = Actor::new("sweep", &place).says();
    let (dead, alive) = swept.split_once(", alive ").unwrap();
    assert!(alive.contains(home.to_str().unwrap()) && !dead.contains(home.to_str().unwrap()), "{swept}");
    assert!(home.join("lock").exists() && home.join("journal").exists());
    actor.ends();
    assert!(is_empty(&place));
}

#[test]
fn programs_that_come_and_go_do_not_get_in_each_others_way() {
    // S3
    let (_temp, place) = place();
    let mut actors: Vec<_> = (0..4).map(|_| Actor::new("restless", &place)).collect();
    for actor in &mut actors {
        assert_eq!(actor.says(), "done");
    }
    for actor in actors {
        assert_eq!(actor.ends(), "");
    }
    assert!(is_empty(&place));
}

#[test]
fn a_place_that_cannot_be_used_is_named() {
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
        let error = Actor::new("open", dir).says();
        assert!(error.starts_with(dir.to_str().unwrap()) && error.contains(expected), "{error}");
    }
    let home = Actor::new("open", &new).says();
    assert!(Path::new(&home).starts_with(&new), "{home}");
}

#[test]
fn without_a_temp_directory_the_home_is_in_memory() {
    let mut command = Command::new(env::current_exe().unwrap());
    let mut actor = Actor::start(command.env("TMPDIR", "/proc/sys"), "open", "");
    let home = actor.says();
    assert!(home.starts_with("/dev/shm/ndferry-"), "{home}");
    assert_eq!(actor.ends(), "");
    assert!(!Path::new(&home).exists());
}

#[test]
fn nothing_is_followed_and_nobody_elses_directory_is_used() {
    // S3
    let (_temp, place) = place();
    let user = user_dir(&place);
    let target = place.join("target");
    fs::create_dir(&target).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o700)).unwrap();
    symlink(&target, &user).unwrap();
    let error = Actor::new("open", &place).says();
    assert!(error.contains("is a symbolic link"), "{error}");
    assert!(is_empty(&target));
    fs::remove_file(&user).unwrap();

    fs::create_dir(&user).unwrap();
    fs::set_permissions(&user, fs::Permissions::from_mode(0o755)).unwrap();
    let error = Actor::new("open", &place).says();
    assert!(error.contains("has mode 0755, where 0700 was expected"), "{error}");

    fs::set_permissions(&user, fs::Permissions::from_mode(0o700)).unwrap();
    if chown(&user, Some(12345), None).is_err() {
        return skipped("nobody_elses_directory_is_used", "only root can give a directory away");
    }
    let error = Actor::new("open", &place).says();
    assert!(error.contains("belongs to user 12345"), "{error}");
    assert!(is_empty(&user));
}

#[test]
fn another_users_session_is_never_swept() {
    // S3
    let (_temp, place) = place();
    let mut actor = Actor::new("open", &place);
    let home = PathBuf::from(actor.says());
    actor.kill();
    if chown(&home, Some(12345), None).is_err() {
        return skipped("another_users_session_is_never_swept", "only root can give a directory away");
    }
    let swept = Actor::new("sweep", &place).says();
    assert!(swept.contains("belongs to user 12345"), "{swept}");
    assert!(home.join("lock").exists() && home.join("journal").exists());
}

#[test]
fn the_roots_of_a_store_are_checked_when_it_is_built() {
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
    assert!(!store.home().starts_with(&place));
}

#[test]
fn a_store_lives_as_long_as_its_last_clone() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    let store = Store::builder().byte_order(ByteOrder::Big).build().unwrap();
    check(&store);
    let clone = store.clone();
    let home = store.home().to_owned();
    drop(store);
    assert!(home.exists());
    assert_eq!(clone.byte_order(), ByteOrder::Big);
    assert!(clone.files().unwrap().is_empty());
    drop(clone);
    assert!(!home.exists());
}
