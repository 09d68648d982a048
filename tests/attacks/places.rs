//! Paths that lead elsewhere: links, directories, pipes, devices, and files that change while
//! they are mapped.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::{fs::symlink, process::ExitStatusExt},
    path::Path,
    process::Command,
};

use ndferry::{
    SharedArray,
    file::{DumpOptions, MmapMode, OpenOptions, RawLayout},
    ndarray::Ix1,
};

use crate::{
    actor::{Actor, emulated, role, say, wait_to_be_told},
    scene::pipe,
};

fn array() -> SharedArray<f64, Ix1> {
    SharedArray::from(vec![1.0; 100_000])
}

type Writer = fn(&Path) -> ndferry::Result<()>;

/// Every way to write a file, with the name of the file.
fn writers() -> [(&'static str, Writer); 5] {
    [
        ("a.ferry", |path| ndferry::dump(path, &array())),
        ("a.npy", |path| DumpOptions::new().write_npy(path, array())),
        ("a.npz", |path| DumpOptions::new().write_npz(path, [("a", array())])),
        ("a.safetensors", |path| {
            DumpOptions::new().write_safetensors(path, [("a", array())], &BTreeMap::new())
        }),
        ("created.ferry", |path| ndferry::create::<f64, _>(path, 10)?.freeze().map(drop)),
    ]
}

// F4
#[test]
fn attack_output_link_is_followed_to_files_only() {
    for (name, write) in writers() {
        let folder = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join(name), folder.path().join("file"));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        write(&link).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), file, "{name}: the link stays");
        assert!(ndferry::open(&file).is_ok(), "{name}: and what it names was replaced");
        fs::remove_file(&link).unwrap();

        // Another name of the old file keeps the old content, because existing files are never
        // written to.
        fs::write(&file, "old").unwrap();
        fs::hard_link(&file, &link).unwrap();
        write(&link).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "old", "{name}");
        assert!(ndferry::open(&link).is_ok(), "{name}");
        fs::remove_file(&link).unwrap();

        for target in ["nowhere", name, ".", "/dev/full"] {
            symlink(target, &link).unwrap();
            let error = write(&link).unwrap_err();
            assert_eq!(error.path(), Some(&*link), "{name}, a link to {target}: {error}");
            assert_eq!(
                fs::read_link(&link).unwrap(),
                Path::new(target),
                "{name}, a link to {target}"
            );
            fs::remove_file(&link).unwrap();
        }
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "{name}: nothing else was made"
        );
    }
}

// F4
#[test]
fn attack_output_replaces_only_files() {
    for (name, write) in writers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let refused = |what: &str| {
            let error = write(&path).unwrap_err();
            assert!(error.is_invalid_data() && error.to_string().contains(what), "{name}: {error}");
        };
        fs::create_dir(&path).unwrap();
        refused("directory");
        fs::remove_dir(&path).unwrap();
        pipe(&path);
        refused("pipe");
        fs::remove_file(&path).unwrap();
        let error = write(&folder.path().join("missing").join(name)).unwrap_err();
        assert!(error.is_io() && error.to_string().contains("missing"), "{name}: {error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{name}");
    }
}

// F1 F3
#[test]
fn attack_input_that_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    pipe(&fifo);
    let link = folder.path().join("link");
    symlink(&fifo, &link).unwrap();
    let circle = folder.path().join("circle");
    symlink(&circle, &circle).unwrap();
    let raw = || RawLayout::new("<f8".parse().unwrap(), [1]);
    for (path, what) in [
        (folder.path(), "directory"),
        (&fifo, "pipe"),
        (&link, "pipe"),
        (&circle, "symbolic links"),
        (Path::new("/dev/zero"), "device"),
        (Path::new("/dev/null"), "device"),
        (Path::new("/proc/self/mem"), ""),
        (Path::new("/proc/self/status"), ""),
    ] {
        for mapping in [MmapMode::Auto, MmapMode::Required, MmapMode::Never] {
            let options = || OpenOptions::new().mmap_mode(mapping);
            for error in
                [options().open(path).unwrap_err(), options().raw(raw()).open(path).unwrap_err()]
            {
                assert!(error.to_string().contains(what) && error.path() == Some(path), "{error}");
            }
        }
    }
}

const TARGET: &str = "NDFERRY_TEST_TARGET";

/// Not a test: the body of processes started by an [`Actor`]. Opens a file, and sums its array
/// on request.
#[test]
fn actor_body() {
    let Some(role) = role() else { return };
    let mapping = if role == "forbidden" { MmapMode::Never } else { MmapMode::Auto };
    let path = env::var_os(TARGET).unwrap();
    let array =
        OpenOptions::new().mmap_mode(mapping).open(path).unwrap().read::<f64, Ix1>().unwrap();
    say(array.len());
    wait_to_be_told();
    say(array.sum());
}

// F1
#[test]
fn attack_shrinking_file_harms_only_mapped_readers() {
    for (mapping, survives) in [("allowed", false), ("forbidden", true)] {
        for extension in ["npy", "ferry", "safetensors"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a").with_extension(extension);
            match extension {
                "npy" => DumpOptions::new().write_npy(&path, array()).unwrap(),
                "ferry" => ndferry::dump(&path, &array()).unwrap(),
                _ => DumpOptions::new()
                    .write_safetensors(&path, [("a", array())], &BTreeMap::new())
                    .unwrap(),
            }
            let mut command = Command::new(env::current_exe().unwrap());
            let mut reader =
                Actor::start(command.env(TARGET, &path), "places::actor_body", mapping);
            assert_eq!(reader.says(), "100000");
            fs::File::options().write(true).open(&path).unwrap().set_len(8192).unwrap();
            reader.tell("now");
            if survives {
                assert_eq!(reader.says(), "100000", "{extension}");
            } else if !emulated() {
                // This is the documented limit of opening a file.
                assert_eq!(reader.may_say(), None, "{extension}");
                assert_eq!(reader.wait().signal(), Some(7), "{extension}: SIGBUS");
            }
            let error = ndferry::open(&path).unwrap_err().to_string();
            assert!(error.contains("truncated"), "{error}");
        }
    }
}
