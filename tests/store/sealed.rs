//! Stores with memory files, without workers.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use ndferry::{dtype::ByteOrder, store::Store};

use crate::{
    actor::{say, skipped},
    place,
    processes::eventually,
    start,
};

#[test]
fn memfd_store_is_an_option() {
    let plain = Store::new().unwrap();
    let sealed = Store::memfd().unwrap();
    let both = Store::builder().memfd().byte_order(ByteOrder::Big).build().unwrap();
    assert_eq!([&plain, &sealed, &both].map(Store::is_memfd), [false, true, true]);
    assert_eq!((sealed.byte_order(), both.byte_order()), (ByteOrder::NATIVE, ByteOrder::Big));
    let home = sealed.session_dir().to_owned();
    assert!(home.join("lock").exists(), "a session like any other");
    drop(sealed);
    eventually("the session has ended", || !home.exists());
}

#[test]
fn memfd_store_rejects_roots() {
    let root = tempfile::tempdir().unwrap();
    let error = Store::builder().memfd().roots([root.path()]).build().unwrap_err();
    assert!(error.is_invalid_input() && error.to_string().contains("it takes no roots"), "{error}");
    assert!(fs::read_dir(root.path()).unwrap().next().is_none());
}

const MIB: usize = 1 << 20;

/// A control group that leaves 96 MiB to its processes.
struct Group(PathBuf);

impl Group {
    fn new() -> io::Result<Self> {
        let name = format!("ndferry-test-{}", std::process::id());
        let mut failed = io::ErrorKind::NotFound.into();
        for (hierarchy, limit) in
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
        {
            let group = Path::new(hierarchy).join(&name);
            let made = fs::create_dir(&group).map(|()| Self(group.clone()));
            match made.and_then(|made| {
                fs::write(group.join(limit), (96 * MIB).to_string()).map(|()| made)
            }) {
                Ok(group) => return Ok(group),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

// S5
#[test]
fn memfd_store_respects_the_control_group() {
    if std::env::var_os("NDFERRY_TEST_EMULATED").is_some() {
        return skipped("what_a_control_group_leaves_no_room_for", "the memory is the emulator's");
    }
    let group = match Group::new() {
        Ok(group) => group,
        Err(error) => {
            return skipped(
                "what_a_control_group_leaves_no_room_for",
                format_args!("no control group: {error}"),
            );
        }
    };
    let script = format!("echo $$ > '{}/cgroup.procs' && exec \"$@\"", group.0.display());
    let (_temp, place) = place();
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(std::env::current_exe().unwrap());
    let mut actor = start(&mut command, "limited", &place);
    let error = actor.says();
    assert!(error.starts_with("cannot hold a memory file of 2097"), "{error}");
    let error = actor.says();
    assert!(error.starts_with("cannot hold a memory file of 8"), "{error}");
    let arrays: usize = actor.says().parse().unwrap();
    assert!((4..12).contains(&arrays), "{arrays} arrays of 8 MiB in 96");
    assert_eq!(actor.ends(), "");
}

/// The role "limited": fills the little memory that is available.
pub(crate) fn with_little_memory() {
    let store = Store::memfd().unwrap();
    say(store.zeros::<u8, _>(200 * MIB).unwrap_err());
    let mut arrays = Vec::new();
    loop {
        match store.zeros::<u8, _>(8 * MIB) {
            Ok(mut array) => {
                array.fill(1);
                arrays.push(array.freeze().unwrap());
            }
            Err(error) => break say(error),
        }
    }
    assert!(arrays.iter().all(|array| array.iter().all(|&byte| byte == 1)));
    say(arrays.len());
}
