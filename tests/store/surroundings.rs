//! Environments like those of containers: little or no room, read-only file systems, and limits
//! on memory.
//!
//! Errors never hide the true cause or arrive as a signal. They name the path, the bytes needed
//! and the bytes free.

use std::{
    env,
    fmt::Display,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use ndferry::{Pool, SharedArray, ndarray::Ix1, store::Store};

use crate::actor::{Actor, emulated, say, skipped, wait_to_be_told};

/// Directories for files, separated by colons.
const ROOTS: &str = "NDFERRY_TEST_ROOTS";

/// An unused user id.
const NOBODY: u32 = 64_003;

type Bytes = SharedArray<u8, Ix1>;

/// Shares arrays of requested sizes with a worker, keeps them, and reports how many arrived or
/// the error, and where the files are.
pub fn share() {
    let mut builder = Store::builder();
    if let Some(roots) = env::var_os(ROOTS) {
        builder = builder.roots(env::split_paths(&roots));
    }
    let store = match builder.build() {
        Ok(store) => store,
        Err(error) => return say(error),
    };
    say(store.session_dir().display());
    let pool = Pool::builder()
        .workers(1)
        .mmap_threshold(1000)
        .test_entry("worker")
        .store(&store)
        .build()
        .unwrap();
    let (mut kept, mut collected) = (Vec::new(), Vec::new());
    loop {
        let told = wait_to_be_told();
        let (what, nbytes) = told.split_once(' ').unwrap_or((&told, "0"));
        let nbytes: usize = nbytes.parse().unwrap();
        let arrived: Result<u64, String> = match what {
            "keep" | "send" => {
                let array = Bytes::from(vec![1; nbytes]);
                let sum =
                    |array: &Bytes, _: u8| array.iter().map(|&byte| u64::from(byte)).sum::<u64>();
                let arrived = pool.with(&array).map(sum, [0]).map(|sums| sums[0]);
                if what == "keep" {
                    kept.push(array);
                }
                arrived.map_err(|error| error.to_string())
            }
            "return" | "collect" => {
                let made = pool.map(|nbytes: usize| Bytes::from(vec![1; nbytes]), [nbytes]);
                let arrived =
                    made.as_ref().map(|made| made[0].iter().map(|&byte| u64::from(byte)).sum());
                let arrived = arrived.map_err(ToString::to_string);
                collected.extend(made.into_iter().flatten().filter(|_| what == "collect"));
                arrived
            }
            _ => break,
        };
        match arrived {
            Ok(sum) => say(sum),
            Err(error) => say(error.replace('\n', " ")),
        }
        let files: Vec<_> =
            store.files().unwrap().iter().map(|path| path.display().to_string()).collect();
        say(files.join(" "));
    }
}

/// A directory with a temporary directory and another one in it, both writable by all users.
struct Scene {
    dir: tempfile::TempDir,
    /// Whether the program runs as an unprivileged user.
    as_nobody: bool,
}

impl Scene {
    /// Yields the current user, and an unprivileged one if possible.
    fn of_all_users() -> impl Iterator<Item = Self> {
        let is_root = rustix::process::geteuid().is_root();
        [false, true].into_iter().filter(move |&nobody| is_root || !nobody).map(|as_nobody| {
            let dir = tempfile::tempdir().unwrap();
            let scene = Self { dir, as_nobody };
            let for_all = fs::Permissions::from_mode(0o1777);
            fs::set_permissions(scene.dir.path(), for_all.clone()).unwrap();
            for dir in [scene.temp(), scene.other()] {
                fs::create_dir(&dir).unwrap();
                fs::set_permissions(dir, for_all.clone()).unwrap();
            }
            let own = env::current_exe().unwrap();
            if fs::hard_link(&own, scene.program()).is_err() {
                fs::copy(&own, scene.program()).unwrap();
            }
            scene
        })
    }

    fn path(&self) -> PathBuf {
        fs::canonicalize(self.dir.path()).unwrap()
    }

    fn temp(&self) -> PathBuf {
        self.path().join("temp")
    }

    fn other(&self) -> PathBuf {
        self.path().join("other")
    }

    fn program(&self) -> PathBuf {
        self.path().join("program")
    }

    /// Runs the program after `script` has prepared its environment. At the end, the program
    /// lists the remaining files of `/dev/shm` and both directories as complaints. Returns
    /// `None`, and reports it, if the environment is not available.
    fn program_after(&self, test: &str, script: &str, roots: &[PathBuf]) -> Option<Actor> {
        let is_root = rustix::process::geteuid().is_root();
        let namespace =
            if is_root { &["--mount"][..] } else { &["--mount", "--user", "--map-root-user"] };
        let mut check = Command::new("unshare");
        let possible = check.args(namespace).arg("true").stderr(Stdio::null()).status();
        if !possible.is_ok_and(|status| status.success()) {
            skipped(test, "no mount namespaces here");
            return None;
        }
        let user = format!("setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups");
        let user = if self.as_nobody { user.as_str() } else { "" };
        // The machine's own directories also contain files of others.
        let own =
            if script.contains("tmpfs /dev/shm") { "/dev/shm temp other" } else { "temp other" };
        let script = format!(
            "set -e; cd '{}'; {script}\n{user} \"$@\"; find {own} -path '*ndferry-*' >&2",
            self.path().display()
        );
        let mut command = Command::new("unshare");
        command.args(namespace).args(["sh", "-c", &script, "sh"]).arg(self.program());
        command.env("TMPDIR", self.temp()).env("NDFERRY_DIR", "");
        if !roots.is_empty() {
            command.env(ROOTS, env::join_paths(roots).unwrap());
        }
        Some(Actor::start(&mut command, "actor_body", "share"))
    }
}

/// Sends a command to the program. Returns the number of arrived arrays or the error, and the
/// files.
fn does(actor: &mut Actor, what: impl Display) -> (String, String) {
    actor.tell(what);
    (actor.says(), actor.says())
}

/// Fills a file system, as the actor sees it, to the last byte.
fn fill(actor: &Actor, dir: &Path) -> PathBuf {
    let path = PathBuf::from(format!("/proc/{}/root{}/filling", actor.id(), dir.display()));
    let mut file = fs::File::create(&path).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    path
}

const SMALL_MEMORY: &str = "mount -t tmpfs -o size=64k,mode=1777 tmpfs /dev/shm";
const SMALL_TEMP: &str = "mount -t tmpfs -o size=64k,mode=1777 tmpfs temp";

// S5
#[test]
fn container_small_shared_memory_uses_temp_directory() {
    let test = "container_small_shared_memory_uses_temp_directory";
    for scene in Scene::of_all_users() {
        let Some(mut actor) = scene.program_after(test, SMALL_MEMORY, &[]) else { return };
        assert!(actor.says().starts_with(scene.temp().to_str().unwrap()), "the home");
        let (sum, files) = does(&mut actor, "keep 10000");
        assert_eq!(sum, "10000");
        assert!(files.starts_with("/dev/shm/ndferry-"), "{files}");
        for what in ["keep 1000000", "collect 1000000"] {
            let (sum, files) = does(&mut actor, what);
            assert_eq!(sum, "1000000", "{what}");
            assert!(files.contains("/temp/ndferry-"), "{files}");
        }
        for _ in 0..10 {
            assert_eq!(does(&mut actor, "keep 10000").0, "10000");
        }
        assert_eq!(actor.ends(), "");
    }
}

// S5
#[test]
fn container_without_room_reports_missing_bytes() {
    let test = "container_without_room_reports_missing_bytes";
    let script = format!("{SMALL_MEMORY}; {SMALL_TEMP}");
    for scene in Scene::of_all_users() {
        let Some(mut actor) = scene.program_after(test, &script, &[]) else { return };
        actor.says();
        for what in ["send 1000000", "return 1000000"] {
            let (error, _) = does(&mut actor, what);
            for part in [
                "/temp/ndferry-",
                "/dev/shm/ndferry-",
                "cannot hold a file of 10",
                " bytes are free",
            ] {
                assert!(error.contains(part), "{what}: {part} in {error}");
            }
            assert_eq!(does(&mut actor, "send 10000").0, "10000");
        }
        // Continues until both are full, which is an error. When the filler is removed, there
        // is room again.
        let errors: Vec<_> = (0..10)
            .map(|_| does(&mut actor, "keep 20000").0)
            .filter(|said| said != "20000")
            .collect();
        assert!(
            !errors.is_empty() && errors.iter().all(|error| error.contains("bytes are free")),
            "{errors:?}"
        );
        assert_eq!(actor.ends(), "");
    }
}

// S5
#[test]
fn container_full_by_others_keeps_existing_files() {
    let test = "container_full_by_others_keeps_existing_files";
    for scene in Scene::of_all_users() {
        let Some(mut actor) = scene.program_after(test, SMALL_TEMP, &[scene.temp()]) else {
            return;
        };
        let home = actor.says();
        assert!(home.starts_with(scene.temp().to_str().unwrap()), "{home}");
        assert_eq!(does(&mut actor, "keep 10000").0, "10000");
        let filling = fill(&actor, &scene.temp());
        let (error, files) = does(&mut actor, "send 10000");
        assert!(error.contains("/temp/ndferry-") && error.contains("free"), "{error}");
        assert_eq!(files.split(' ').count(), 1, "what was not made is not named: {files}");
        fs::remove_file(filling).unwrap();
        assert_eq!(does(&mut actor, "send 10000").0, "10000");
        assert_eq!(actor.ends(), "");
    }
}

// S2, S5
#[test]
fn container_journal_write_error_is_reported() {
    let test = "container_journal_write_error_is_reported";
    for scene in Scene::of_all_users() {
        let Some(mut actor) = scene.program_after(test, SMALL_TEMP, &[scene.other()]) else {
            return;
        };
        let home = actor.says();
        assert!(home.starts_with(scene.temp().to_str().unwrap()), "{home}");
        assert_eq!(does(&mut actor, "send 10000").0, "10000");
        let filling = fill(&actor, &scene.temp());
        // The journal can still use the rest of its last page.
        let error = (0..200)
            .map(|_| does(&mut actor, "send 10000").0)
            .find(|said| said != "10000")
            .unwrap();
        for part in [&*format!("{home}/journal: "), "cannot register a file", "No space left"] {
            assert!(error.contains(part), "{part} in {error}");
        }
        fs::remove_file(filling).unwrap();
        let (sum, files) = does(&mut actor, "send 10000");
        assert_eq!((sum.as_str(), files.split(' ').count()), ("10000", 1), "{files}");
        assert_eq!(actor.ends(), "");
    }
}

// S5
#[test]
fn container_write_error_names_the_disk() {
    let test = "container_write_error_names_the_disk";
    if emulated() {
        return skipped(
            test,
            "a signal that is ignored is not ignored by what an emulated program starts",
        );
    }
    // Limits the size of a file to 200 blocks of 512 bytes.
    let script = "trap '' XFSZ; ulimit -f 200";
    for scene in Scene::of_all_users() {
        let Some(mut actor) = scene.program_after(test, script, &[scene.other(), scene.temp()])
        else {
            return;
        };
        actor.says();
        for what in ["send 1000000", "return 1000000"] {
            let (error, files) = does(&mut actor, what);
            for part in ["/temp/ndferry-", "/other/ndferry-", "File too large"] {
                assert!(error.contains(part), "{what}: {part} in {error}");
            }
            assert_eq!(files, "", "what has failed is gone");
            assert_eq!(does(&mut actor, "send 10000").0, "10000");
        }
        assert_eq!(actor.ends(), "");
    }
}

// S5
#[test]
fn container_uses_either_directory_or_names_both() {
    let test = "without_shared_memory_or_temp_directory_the_other_serves";
    let without_memory = "mkdir -p dev; for device in null zero random urandom; do \
                          touch dev/$device; mount --bind /dev/$device dev/$device; done; mount --rbind dev /dev";
    let read_only = |dir: &str| format!("mount -t tmpfs -o ro,mode=1777 tmpfs {dir}");
    let read_only_temp = read_only("temp");
    for scene in Scene::of_all_users() {
        let temp = scene.temp().display().to_string();
        for (script, home, root) in [
            (without_memory, &*temp, &*temp),
            (&read_only("/dev/shm"), &temp, &temp),
            (&read_only_temp, "/dev/shm/", "/dev/shm/"),
        ] {
            let Some(mut actor) = scene.program_after(test, script, &[]) else { return };
            let said = actor.says();
            assert!(said.starts_with(home), "{script}: {said}");
            let (sum, files) = does(&mut actor, "keep 100000");
            assert_eq!(sum, "100000", "{script}");
            assert!(files.starts_with(root), "{script}: {files}");
            assert_eq!(does(&mut actor, "return 100000").0, "100000", "{script}");
            assert_eq!(actor.ends(), "");
        }
        let both = format!("{without_memory}; {read_only_temp}");
        let Some(mut actor) = scene.program_after(test, &both, &[]) else { return };
        let error = actor.says();
        assert!(
            error.contains("/temp/ndferry-") && error.contains("Read-only file system"),
            "{error}"
        );
        assert_eq!(actor.ends(), "");
    }
}

/// A control group with a memory limit, removed at the end of the test.
struct Group(PathBuf);

impl Group {
    fn new(limit: u64) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let of = |controller: &str| {
            let line = own.lines().find(|line| {
                line.split(':').nth(1).unwrap().split(',').any(|one| one == controller)
            })?;
            Some(line.split(':').nth(2).unwrap().trim_start_matches('/').to_owned())
        };
        let mut candidates = Vec::new();
        if let Some(own) = of("") {
            let at =
                ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(|at| Path::new(at).join(&own));
            candidates.extend(at.map(|at| (at, "memory.max")));
        }
        if let Some(own) = of("memory") {
            candidates
                .push((Path::new("/sys/fs/cgroup/memory").join(own), "memory.limit_in_bytes"));
        }
        candidates.into_iter().find_map(|(parent, file)| {
            let group = Self(parent.join(format!("ndferry-test-room-{}", std::process::id())));
            fs::create_dir(&group.0).ok()?;
            let limited = group.0.join(file).exists()
                && fs::write(group.0.join(file), limit.to_string()).is_ok();
            limited.then_some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes may still be leaving.
        for _ in 0..1000 {
            if fs::remove_dir(&self.0).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

// S5
#[test]
fn container_memory_limit_moves_files_to_disk() {
    let test = "container_memory_limit_moves_files_to_disk";
    if emulated() {
        return skipped(test, "the emulator's own memory would count");
    }
    let Some(group) = Group::new(128 << 20) else {
        return skipped(test, "no control group for memory can be made here");
    };
    for scene in Scene::of_all_users() {
        // The temporary directory must be on a disk, because one in memory counts as well.
        let script = format!("echo $$ > '{}/cgroup.procs'", group.0.display());
        let Some(mut actor) = scene.program_after(test, &script, &[]) else { return };
        actor.says();
        let mut files = String::new();
        for _ in 0..10 {
            let (sum, now) = does(&mut actor, format_args!("collect {}", 16 << 20));
            assert_eq!(sum, (16 << 20).to_string());
            files = now;
        }
        let in_memory = files.split(' ').filter(|file| file.starts_with("/dev/shm/")).count();
        assert!((1..10).contains(&in_memory), "{files}");
        assert_eq!(actor.ends(), "");
    }
}
