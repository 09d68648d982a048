//! Writers that are killed, by the signal nobody survives, at random moments.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    env, fs,
    hash::{BuildHasher, Hasher},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use ndferry::{
    AnyArray, SharedArray,
    file::DumpOptions,
    ndarray::{Array1, Ix1},
};

use crate::{
    actor::{Actor, role, say},
    common::emulated,
};

const TARGET: &str = "NDFERRY_TEST_TARGET";

/// An array with a number, and of no two elements alike, so that a good part of it is left by compression.
fn array(role: &str, number: f64) -> AnyArray {
    let length = match role {
        "small" => 10,
        "zstd" | "lz4" => 1 << 14,
        _ => 1 << 16,
    };
    SharedArray::from(Array1::from_shape_fn(length, |at| number + fraction(at))).into()
}

fn fraction(at: usize) -> f64 {
    f64::from((at as u32).wrapping_mul(0x9e37_79b9)) / 2_f64.powi(32)
}

fn write(role: &str, path: &Path, array: &AnyArray) -> ndferry::Result<()> {
    let options = DumpOptions::new();
    match (role, path.extension().unwrap().to_str().unwrap()) {
        ("created", _) => {
            let array = array.to_array::<f64, Ix1>()?;
            let mut created = ndferry::create::<f64, _>(path, array.len())?;
            created.assign(&array);
            created.freeze().map(drop)
        }
        ("zstd" | "lz4", _) => options.compress(role.parse()?).dump(path, array),
        (_, "npy") => options.write_npy(path, array),
        (_, "npz") => options.write_npz(path, [("a", array.clone())]),
        (_, "safetensors") => {
            options.write_safetensors(path, [("a", array.clone())], &BTreeMap::new())
        }
        (_, _) => options.dump(path, array),
    }
}

/// Not a test: what an [`Actor`] runs. It writes two arrays in turn, again and again.
#[test]
fn an_actor() {
    let Some(role) = role() else { return };
    let path = env::var_os(TARGET).unwrap();
    let arrays = [1.0, 2.0].map(|number| array(&role, number));
    write(&role, path.as_ref(), &arrays[0]).unwrap();
    say("ready");
    for array in arrays.iter().cycle().skip(1) {
        write(&role, path.as_ref(), array).unwrap();
    }
}

/// The number of the array that a file holds.
fn number(path: &Path) -> f64 {
    let file = ndferry::open(path).unwrap();
    file.verify().unwrap();
    let array = file.read::<f64, Ix1>().unwrap();
    let whole = array.iter().enumerate().all(|(at, &element)| element == array[0] + fraction(at));
    assert!(whole, "{}: parts of two", path.display());
    array[0]
}

// F4
#[test]
fn a_killed_writer_leaves_the_old_file_or_the_new_one_and_the_next_one_tidies_up() {
    let rounds = if emulated() { 2 } else { 15 };
    let (mut left, mut new) = (0, 0);
    let writers = [
        ("small", "a.ferry"),
        ("small", "a.npy"),
        ("small", "a.npz"),
        ("small", "a.safetensors"),
        ("large", "a.ferry"),
        ("large", "a.npy"),
        ("large", "a.npz"),
        ("large", "a.safetensors"),
        ("created", "a.npy"),
        ("created", "a.ferry"),
        #[cfg(feature = "zstd")]
        ("zstd", "a.ferry"),
        #[cfg(feature = "lz4")]
        ("lz4", "a.ferry"),
    ];
    for (role, name) in writers {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let [before, after] = [0.0, -1.0].map(|number| array(role, number));
        for round in 0..rounds {
            write(role, &path, &before).unwrap();
            let mut program = Command::new(env::current_exe().unwrap());
            let mut writer = Actor::start(program.env(TARGET, &path), "killed::an_actor", role);
            assert_eq!(writer.says(), "ready");
            thread::sleep(Duration::from_micros(RandomState::new().build_hasher().finish() % 5000));
            writer.kill();

            let found = number(&path);
            assert!(found >= 1.0, "{role} {name}, round {round}");
            new += usize::from(found == 2.0);
            let others: Vec<_> = fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|other| other != name)
                .collect();
            // Killed with its file under a name of its own, which is always the same.
            assert!(others.len() <= 1, "{others:?}");
            assert!(
                others
                    .iter()
                    .all(|other| other.starts_with(".ndferry-") && other.ends_with(".tmp")),
                "{others:?}"
            );
            left += others.len();

            write(role, &path, &after).unwrap();
            assert_eq!(number(&path), -1.0);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{others:?}");
        }
    }
    let all = writers.len() * rounds;
    println!(
        "{left} of {all} writers left a file, which the next one removed; {new} had written the second array last"
    );
}
