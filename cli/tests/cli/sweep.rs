//! `ndferry sweep`.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    busy::Busy,
    run::{Outcome, command, parse, run},
};

/// A run of the command with `store` as the place; what others on this machine have left may be met as well.
fn sweep(store: &Path, options: &[&str]) -> Outcome {
    let mut command = command(["sweep"].iter().chain(options));
    command.env("NDFERRY_DIR", store).env("TMPDIR", store);
    run(command)
}

/// The lines said about `store`.
fn lines(store: &Path, options: &[&str]) -> Vec<String> {
    let said = sweep(store, options).success();
    let here = |line: &&str| line.contains(store.to_str().unwrap());
    said.lines().filter(here).map(str::to_owned).collect()
}

/// The sessions in `store`, as JSON has them.
fn sessions(store: &Path, options: &[&str]) -> Vec<Value> {
    let told = parse(&sweep(store, &[options, &["--json"]].concat()).success());
    assert_eq!(told["dry_run"], options.contains(&"--dry-run"));
    let here = |session: &&Value| Path::new(session["home"].as_str().unwrap()).starts_with(store);
    told["sessions"].as_array().unwrap().iter().filter(here).cloned().collect()
}

#[test]
fn what_a_killed_program_left_is_told_and_removed_and_a_living_one_is_left_alone() {
    // Without symbolic links, as it will be told.
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().canonicalize().unwrap();
    let busy = Busy::start(&store);
    assert_eq!(lines(&store, &[]), [""; 0]);
    let [alive] = &lines(&store, &["--dry-run"])[..] else { panic!("one session lives") };
    assert!(alive.contains("  alive  "), "{alive}");

    busy.kill();
    let [dead] = &lines(&store, &["--dry-run"])[..] else { panic!("one session was killed") };
    assert!(dead.contains("  dead  "), "{dead}");
    assert_ne!(fs::read_dir(&store).unwrap().count(), 0, "a dry run removes nothing");
    let [removed] = &lines(&store, &[])[..] else { panic!("one session was killed") };
    let id = dead.split(' ').next().unwrap();
    assert!(removed.starts_with(&format!("removed session {id}: ")), "{removed}");
    assert_eq!(fs::read_dir(&store).unwrap().count(), 0);
    assert_eq!(lines(&store, &[]), [""; 0]);
    assert_eq!(lines(&store, &["--dry-run"]), [""; 0]);
}

#[test]
fn programs_are_told_the_state_the_size_and_the_age_of_every_session() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().canonicalize().unwrap();
    let busy = Busy::start(&store);
    let [alive] = &sessions(&store, &["--dry-run"])[..] else { panic!("one session lives") };
    assert_eq!((&alive["state"], &alive["keep"]), (&"alive".into(), &false.into()));
    assert!(alive["age"].as_f64().unwrap() < 1000.0, "{alive}");
    // A file as the run would have made one.
    let id = alive["id"].as_str().unwrap();
    let data = Path::new(alive["home"].as_str().unwrap()).with_file_name(format!("data-{id}"));
    let made = alive["directories"].as_array().unwrap().contains(&data.to_str().unwrap().into());
    if !made {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().mode(0o700).create(&data).unwrap();
    }
    fs::write(data.join("0123456789abcdef-0000000000.ferry"), [0; 1000]).unwrap();
    let known = alive["nbytes"].as_u64().unwrap() + 1000;

    busy.kill();
    for (options, state) in
        [(&["--dry-run"][..], "dead"), (&["--dry-run"], "dead"), (&[], "removed")]
    {
        let [session] = &sessions(&store, options)[..] else { panic!("one session was killed") };
        assert_eq!((&session["id"], &session["state"]), (&id.into(), &state.into()));
        assert_eq!(session["nbytes"], known, "{session}");
        assert!(
            session["directories"].as_array().unwrap().contains(&data.to_str().unwrap().into()),
            "{session}"
        );
    }
    assert_eq!(sessions(&store, &["--dry-run"]), <[Value; 0]>::default());
}
