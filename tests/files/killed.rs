//! Writers that are killed, by the signal nobody survives, at random moments.

use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::{BuildHasher, Hasher},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use ndferry::{
    DumpOptions, SharedArray,
    ndarray::{Array1, Ix1},
};

use crate::{
    actor::{Actor, role, say},
    common::emulated,
};

const TARGET: &str = "NDFERRY_TEST_TARGET";

/// What is written, again and again: an array all of one number, another each time.
fn write(role: &str, path: &Path, number: f64) -> ndferry::Result<()> {
    let length = if role.contains("large") { 1 << 19 } else { 10 };
    let array = || SharedArray::from(Array1::from_elem(length, number));
    match role {
        "created" => {
            let mut array = ndferry::create::<f64, _>(path, length)?;
            array.fill(number);
            array.freeze().map(drop)
        }
        _ if path.extension().unwrap() == "npy" => DumpOptions::new().write_npy(path, &array().into()),
        _ => ndferry::dump(path, &array()),
    }
}

/// Not a test: what an [`Actor`] runs.
#[test]
fn an_actor() {
    let Some(role) = role() else { return };
    let path = env::var_os(TARGET).unwrap();
    for number in 1_u32.. {
        write(&role, path.as_ref(), number.into()).unwrap();
        if number == 1 {
            say("ready");
        }
    }
}

/// The number that a file is full of.
fn number(path: &Path) -> f64 {
    let file = ndferry::open(path).unwrap();
    file.verify().unwrap();
    let array = file.array::<f64, Ix1>().unwrap();
    assert!(array.iter().all(|&element| element == array[0]), "{}: parts of two", path.display());
    array[0]
}

// F4
#[test]
fn a_killed_writer_leaves_the_old_file_or_the_new_one_and_the_next_one_tidies_up() {
    let rounds = if emulated() { 2 } else { 15 };
    let mut left = 0;
    for (role, name) in
        [("small", "a.ferry"), ("small", "a.npy"), ("large", "a.ferry"), ("large", "a.npy"), ("created", "a.npy")]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        for round in 0..rounds {
            write(role, &path, 0.0).unwrap();
            let mut program = Command::new(env::current_exe().unwrap());
            let mut writer = Actor::start(program.env(TARGET, &path), "killed::an_actor", role);
            assert_eq!(writer.says(), "ready");
            thread::sleep(Duration::from_micros(RandomState::new().build_hasher().finish() % 5000));
            writer.kill();

            assert!(number(&path) >= 1.0, "{role} {name}, round {round}");
            let others: Vec<_> = fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|other| other != name)
                .collect();
            // Killed with its file under a name of its own, which is always the same.
            assert!(others.len() <= 1, "{others:?}");
            assert!(others.iter().all(|other| other.starts_with(".ndferry-") && other.ends_with(".tmp")), "{others:?}");
            left += others.len();

            write(role, &path, -1.0).unwrap();
            assert_eq!(number(&path), -1.0);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{others:?}");
        }
    }
    println!("{left} of {} writers left a file, which the next one removed", 5 * rounds);
}
