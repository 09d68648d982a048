//! With `NDFERRY_KEEP=1`, the files of a killed program stay for inspection until you request a
//! sweep.

use std::{
    io::{self, BufRead, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use ndferry::{
    SharedArray,
    ndarray::Ix1,
    store::{CleanupOptions, SessionReport, Store, cleanup},
};

use crate::{Watchdog, builder, eventually, marked};

/// A program of this test. A variable tells it what to do, and its store is in a folder of the
/// test.
struct Program {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

const ROLE: &str = "NDFERRY_TEST_ROLE";

impl Program {
    fn start(role: &str, folder: &Path, keep: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["keep::child_program", "--exact", "--ignored", "--nocapture"])
            .env(ROLE, role)
            .env("NDFERRY_DIR", folder)
            .env("NDFERRY_KEEP", keep)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    fn says(&mut self) -> String {
        let said = self.lines.by_ref().map_while(Result::ok);
        said.filter_map(|line| Some(line.split_once("program: ")?.1.to_owned()))
            .next()
            .expect("it says something")
    }

    fn ends(mut self) {
        assert!(self.process.wait().unwrap().success());
    }
}

#[test]
#[ignore = "run by the tests below"]
fn child_program() {
    match std::env::var(ROLE).as_deref() {
        Ok("opens a store") => match Store::new() {
            Ok(store) => println!("program: {}", store.session_dir().display()),
            Err(error) => println!("program: {error}"),
        },
        Ok("looks") => {
            let told = cleanup(&CleanupOptions::new().dry_run(true)).unwrap();
            println!("program: {} alive, {} dead", here(&told.alive), here(&told.dead));
        }
        Ok("sweeps") => {
            println!("program: {} dead", here(&cleanup(&CleanupOptions::new()).unwrap().dead))
        }
        Ok(role) => {
            let pool = builder().build().unwrap();
            println!("program: {}", pool.store().session_dir().display());
            let shared = SharedArray::from(vec![1.0; 1_000_000]);
            let sums = pool.with(&shared).map(sum, 0..2).unwrap();
            assert_eq!(sums, [1e6, 1e6]);
            println!("program: {}", pool.store().files().unwrap()[0].display());
            if role == "sleeps" {
                let _ = pool.with(&shared).map(sleep, 0..2);
            }
            // Closes the store on request, unless it is killed first.
            io::stdin().read_line(&mut String::new()).unwrap();
        }
        Err(_) => {}
    }
}

/// The number of sessions in this test's folder. A sweep also finds other sessions of the
/// machine.
fn here(sessions: &[SessionReport]) -> usize {
    let folder = std::fs::canonicalize(std::env::var_os("NDFERRY_DIR").unwrap()).unwrap();
    sessions.iter().filter(|session| session.home.starts_with(&folder)).count()
}

fn sum(shared: &SharedArray<f64, Ix1>, _: u32) -> f64 {
    shared.sum()
}

fn sleep(_: &SharedArray<f64, Ix1>, _: u32) {
    std::thread::sleep(Duration::from_secs(1000));
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn keep_leftovers_until_a_sweep_is_requested() {
    let _dog = Watchdog::new("keep");
    for role in ["waits", "sleeps"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let mut victim = Program::start(role, &folder, "1");
        let (home, file) = (PathBuf::from(victim.says()), PathBuf::from(victim.says()));
        victim.process.kill().unwrap();
        victim.process.wait().unwrap();
        // This includes the workers.
        eventually("the session is dead", || {
            Program::start("looks", &folder, "").says() == "0 alive, 1 dead"
        });
        let array: SharedArray<f64, Ix1> = ndferry::open(&file).unwrap().read().unwrap();
        assert_eq!(array.sum(), 1e6);
        // Another program opens a store, with the variable or without.
        for keep in ["1", "0"] {
            let next = Program::start("opens a store", &folder, keep);
            next.ends();
            assert!(home.join("journal").exists() && file.exists(), "{role}, {keep}");
        }
        assert_eq!(Program::start("sweeps", &folder, "1").says(), "1 dead");
        assert!(is_empty(&folder));
    }
}

#[test]
fn keep_nothing_of_a_closed_store() {
    let _dog = Watchdog::new("keep nothing");
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start("waits", folder.path(), "1");
    program.says();
    assert!(PathBuf::from(program.says()).exists());
    drop(program.process.stdin.take());
    program.ends();
    assert!(is_empty(folder.path()));
}

#[test]
fn keep_does_not_sweep_other_sessions() {
    let _dog = Watchdog::new("keep others");
    let folder = tempfile::tempdir().unwrap();
    let mut victim = Program::start("waits", folder.path(), "0");
    let (home, _file) = (PathBuf::from(victim.says()), victim.says());
    let journal = std::fs::read(home.join("journal")).unwrap();
    victim.process.kill().unwrap();
    victim.process.wait().unwrap();
    let workers = format!("NDFERRY_WORKER={}", victim.process.id());
    eventually("the workers have cleaned up", || is_empty(folder.path()) && marked(&workers) == 0);
    // Kill the workers too.
    let home = home.with_file_name("session-00000000000000aa");
    for path in [home.parent().unwrap(), &home] {
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .create(path)
            .unwrap();
    }
    std::fs::write(home.join("lock"), "").unwrap();
    std::fs::write(home.join("journal"), journal).unwrap();
    Program::start("opens a store", folder.path(), "1").ends();
    assert!(home.exists());
    Program::start("opens a store", folder.path(), "0").ends();
    assert!(is_empty(folder.path()));
}

#[test]
fn keep_rejects_other_values() {
    let _dog = Watchdog::new("keep what");
    let folder = tempfile::tempdir().unwrap();
    for bad in ["yes", "2", " 1"] {
        let said = Program::start("opens a store", folder.path(), bad).says();
        assert_eq!(
            said,
            format!("the environment variable NDFERRY_KEEP is {bad:?}, 0 or 1 was expected")
        );
    }
    assert!(is_empty(folder.path()));
}
