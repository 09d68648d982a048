//! The environment of the attempts: a directory that all users can write to, and its users.

use std::{
    env,
    ffi::CString,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown},
        net::UnixListener,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use ndferry::{Pool, SharedArray, ndarray::Ix1, store::Store};

use crate::actor::{self, Actor, say, skipped, wait_to_be_told};

/// Unused user ids.
pub const VICTIM: u32 = 64_001;
pub const ATTACKER: u32 = 64_002;

const ACTOR: &str = "scene::actor_body";
const ROOT: &str = "NDFERRY_TEST_PLACE";

pub struct Scene {
    temp: tempfile::TempDir,
    program: PathBuf,
}

impl Scene {
    /// Returns `None`, and reports it, if this process cannot act as other users.
    pub fn of_users(test: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skipped(test, "only root can be other users");
            return None;
        }
        Some(Self::new())
    }

    pub fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let program = temp.path().join("program");
        let own = env::current_exe().unwrap();
        // Other users may not be able to reach the build directory.
        if fs::hard_link(&own, &program).is_err() {
            fs::copy(&own, &program).unwrap();
        }
        set_mode(temp.path(), 0o755);
        let scene = Self { temp, program };
        for place in [scene.place(), scene.root()] {
            fs::create_dir(&place).unwrap();
            set_mode(&place, 0o1777);
        }
        scene
    }

    /// Returns a place that all users can write to, for sessions and files.
    pub fn place(&self) -> PathBuf {
        self.path().join("place")
    }

    /// Returns another one, for files only.
    pub fn root(&self) -> PathBuf {
        self.path().join("root")
    }

    /// Returns the whole environment's path without symbolic links.
    pub fn path(&self) -> PathBuf {
        fs::canonicalize(self.temp.path()).unwrap()
    }

    /// Starts a process of this or another user.
    pub fn actor(&self, user: impl Into<Option<u32>>, role: &str) -> Actor {
        self.actor_by(Command::new(&self.program), user, role)
    }

    /// Starts a process with an empty umask.
    pub fn careless_actor(&self, user: impl Into<Option<u32>>, role: &str) -> Actor {
        let mut shell = Command::new("sh");
        shell.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(&self.program);
        self.actor_by(shell, user, role)
    }

    /// Starts the first process of a container.
    pub fn first_process(&self, role: &str) -> Actor {
        let mut unshare = Command::new("unshare");
        unshare.args(CONTAINER).arg(&self.program);
        self.actor_by(unshare, None, role)
    }

    fn actor_by(&self, mut command: Command, user: impl Into<Option<u32>>, role: &str) -> Actor {
        if let Some(user) = user.into() {
            command.uid(user).gid(user);
        }
        command.env("NDFERRY_DIR", self.place()).env(ROOT, self.root()).env("TMPDIR", self.place());
        Actor::start(&mut command, ACTOR, role)
    }

    /// Creates something that belongs to `owner`.
    pub fn make(&self, path: &Path, owner: u32, kind: Kind) {
        match kind {
            Kind::Dir(mode) => {
                fs::create_dir(path).unwrap();
                set_mode(path, mode);
            }
            Kind::File => fs::write(path, "in the way").unwrap(),
            Kind::Pipe => pipe(path),
            Kind::Socket => drop(UnixListener::bind(path).unwrap()),
            Kind::LinkTo(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            // A hard link keeps its owner.
            Kind::HardLinkTo(target) => return fs::hard_link(target, path).unwrap(),
        }
        lchown(path, Some(owner), Some(owner)).unwrap();
    }
}

/// The command that starts the first process of a container.
pub const CONTAINER: [&str; 6] =
    ["--user", "--map-root-user", "--pid", "--mount-proc", "--fork", "--kill-child"];

#[derive(Clone, Copy)]
pub enum Kind<'p> {
    Dir(u32),
    File,
    Pipe,
    Socket,
    LinkTo(&'p Path),
    HardLinkTo(&'p Path),
}

pub fn pipe(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Lists everything below, the deepest last, with its metadata.
pub fn listing(path: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let inner = metadata.is_dir().then(|| listing(&entry.path()));
        found.push((entry.path(), metadata));
        found.extend(inner.into_iter().flatten());
    }
    found
}

pub fn paths(path: &Path) -> Vec<PathBuf> {
    listing(path).into_iter().map(|(path, _)| path).collect()
}

/// Returns the state of everything below, for a later comparison.
pub fn state(path: &Path) -> Vec<String> {
    let mut state: Vec<_> = listing(path)
        .iter()
        .map(|(path, found)| {
            let text = if found.is_file() {
                fs::read_to_string(path).unwrap_or_default()
            } else {
                String::new()
            };
            let kind = (found.is_dir(), found.is_symlink(), found.file_type().is_fifo());
            format!("{} {kind:?} {:o} {} {text}", path.display(), found.mode(), found.uid())
        })
        .collect();
    state.sort();
    state
}

/// Not a test: the body of processes started by an [`Actor`].
#[test]
fn actor_body() {
    let Some(role) = actor::role() else { return };
    let root = PathBuf::from(env::var_os(ROOT).unwrap());
    let open = || Store::builder().roots([&root]).build().unwrap();
    match role.as_str() {
        // Opens a session with a worker and a file, reports where it is, and waits.
        "session" => {
            let store = open();
            say(store.session_dir().display());
            let pool =
                Pool::builder().workers(1).test_entry("worker").store(&store).build().unwrap();
            let shared = SharedArray::from(vec![1.0; 1 << 18]);
            let sum = |shared: &SharedArray<f64, Ix1>, times: f64| times * shared.sum();
            say(pool.with(&shared).map(sum, [2.0]).unwrap()[0]);
            say(store.files().unwrap()[0].display());
            loop {
                let what = wait_to_be_told();
                if what != "again" {
                    break;
                }
                let another = SharedArray::from(vec![1.0; 1 << 18]);
                match pool.with(&another).map(sum, [3.0]) {
                    Ok(sums) => say(sums[0]),
                    Err(error) => say(error.to_string().replace('\n', " ")),
                }
            }
        }
        // Creates files on request, in the program and in its worker, and reports their paths.
        "late" => {
            let store = open();
            say(store.session_dir().display());
            let pool =
                Pool::builder().workers(1).test_entry("worker").store(&store).build().unwrap();
            loop {
                let ones = |_: u32| SharedArray::from(vec![1.0; 1 << 18]);
                let sum = |ones: &SharedArray<f64, Ix1>, times: f64| times * ones.sum();
                let (ones, sum) = match wait_to_be_told().as_str() {
                    "program" => {
                        let ones = ones(0);
                        let sum = pool.with(&ones).map(sum, [2.0]).unwrap()[0];
                        (ones, sum)
                    }
                    "worker" => {
                        let ones = pool.map(ones, [0]).unwrap().remove(0);
                        let sum = 2.0 * ones.sum();
                        (ones, sum)
                    }
                    _ => break,
                };
                say(sum);
                say(format!("{:?}", store.files().unwrap()));
                drop(ones);
            }
        }
        // Reports the result of a cleanup.
        "sweep" => {
            let swept = ndferry::store::cleanup(&ndferry::store::CleanupOptions::new()).unwrap();
            say(format!(
                "{} dead, {} alive, {:?}",
                swept.dead.len(),
                swept.alive.len(),
                swept.failures
            ));
        }
        // Creates sessions and files until told to end.
        "busy" => {
            say("begins");
            let told = std::thread::spawn(wait_to_be_told);
            while !told.is_finished() {
                let store = open();
                let pool = Pool::builder()
                    .workers(1)
                    .mmap_threshold(0)
                    .test_entry("worker")
                    .store(&store)
                    .build()
                    .unwrap();
                for round in 0..20_u32 {
                    let shared = SharedArray::from(vec![round; 100]);
                    pool.with(&shared)
                        .map(|shared: &SharedArray<u32, Ix1>, i: usize| shared[i], [0])
                        .unwrap();
                }
            }
        }
        // Tries to read everything until told to end.
        "spy" => {
            say("begins");
            let told = std::thread::spawn(wait_to_be_told);
            let (mut seen, mut read) = (0, Vec::new());
            while !told.is_finished() {
                for place in [env::var_os("NDFERRY_DIR").unwrap().into(), root.clone()] {
                    for dir in fs::read_dir(place).unwrap().flatten() {
                        seen += 1;
                        if let Ok(entries) = fs::read_dir(dir.path()) {
                            read.push(dir.path());
                            read.extend(entries.flatten().map(|entry| entry.path()));
                        }
                        // Paths that can be guessed.
                        read.extend(
                            [dir.path().join("lock"), dir.path().join("../x")]
                                .into_iter()
                                .filter(|p| p.exists()),
                        );
                    }
                }
            }
            say(seen > 0);
            say(format!("{read:?}"));
        }
        // Replaces everything in the place that it can.
        "thief" => {
            for place in [env::var_os("NDFERRY_DIR").unwrap().into(), root.clone()] {
                let mut taken = Vec::new();
                for dir in fs::read_dir(place).unwrap().flatten() {
                    let path = dir.path();
                    let away = path.with_file_name("away");
                    let attempts = [
                        fs::remove_dir(&path).is_ok(),
                        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).is_ok(),
                        fs::write(path.join("planted"), "").is_ok(),
                        fs::rename(&path, away).is_ok(),
                    ];
                    if attempts[3] {
                        fs::create_dir(&path).unwrap();
                        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
                    }
                    taken.push(attempts);
                }
                say(format!("{taken:?}"));
            }
        }
        other => panic!("no such part: {other}"),
    }
}
