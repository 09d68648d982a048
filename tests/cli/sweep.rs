//! `ndferry sweep`.

use std::{fs, path::Path};

use crate::{
    busy::Busy,
    run::{command, run},
};

/// What is said of the sessions in `store`; others on this machine may be met as well.
fn sweep(store: &Path, options: &[&str]) -> Vec<String> {
    let mut command = command(["sweep"].iter().chain(options));
    command.env("NDFERRY_DIR", store).env("TMPDIR", store);
    let said = run(command).success();
    let here = |line: &&str| line.contains(store.to_str().unwrap());
    said.lines().filter(here).map(str::to_owned).collect()
}

#[test]
fn what_a_killed_program_left_is_told_and_removed_and_a_living_one_is_left_alone() {
    // Without symbolic links, as it will be told.
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().canonicalize().unwrap();
    let busy = Busy::start(&store);
    assert_eq!(sweep(&store, &[]), [""; 0]);

    busy.kill();
    let said = sweep(&store, &["--dry-run"]);
    let [planned] = &said[..] else { panic!("one session was killed: {said:?}") };
    assert!(planned.starts_with("would remove session "), "{planned}");
    assert_ne!(fs::read_dir(&store).unwrap().count(), 0, "a dry run removes nothing");
    let removed = planned.replace("would remove", "removed");
    assert_eq!(sweep(&store, &[]), [removed]);
    assert_eq!(fs::read_dir(&store).unwrap().count(), 0);
    assert_eq!(sweep(&store, &[]), [""; 0]);
}
