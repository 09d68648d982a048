//! Forged journals, and process ids that come back.

use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    actor::skipped,
    processes::kill_tree,
    scene::{CONTAINER, Scene, set_mode, state},
};

/// Home and file of a session that an actor has.
fn begin(actor: &mut crate::actor::Actor) -> (PathBuf, PathBuf) {
    let home = PathBuf::from(actor.says());
    actor.says();
    (home, PathBuf::from(actor.says()))
}

// S3
#[test]
fn a_forged_journal_harms_no_other_session_and_nothing_else() {
    let scene = Scene::new();
    let mut alive = scene.actor(None, "session");
    let (_, file_of_another) = begin(&mut alive);
    let user = file_of_another.ancestors().nth(2).unwrap().file_name().unwrap().to_owned();
    let precious = scene.path().join("precious").join(&user).join("data-0000000000000001");
    fs::create_dir_all(&precious).unwrap();
    set_mode(precious.parent().unwrap(), 0o700);
    set_mode(&precious, 0o700);
    let name = file_of_another.file_name().unwrap();
    fs::write(precious.join(name), "precious").unwrap();
    let before = (state(&scene.path().join("precious")), file_of_another.exists());

    let line = |begin: &str, path: &Path| [begin.as_bytes(), path.as_os_str().as_bytes()].concat();
    let data_of_another = file_of_another.parent().unwrap();
    for forged in [
        line("root ", &scene.path().join("precious")),
        line("root ", &precious),
        line("root ", &file_of_another),
        line("root ", data_of_another),
        line("root ", &data_of_another.join("..")),
        line("root ", &scene.root().join("../precious")),
        b"root /\nroot /proc/self/root\nroot /dev/stdin".to_vec(),
        line("+00 ", &file_of_another),
        line("+00 ../", Path::new(data_of_another.file_name().unwrap())),
        line("+00 ", Path::new(name)),
        line("+00 ../../../", Path::new(name)),
        [b"root ".to_vec(), vec![b'/'; 100_000]].concat(),
        b"ndferry journal 1\nndferry journal 1\n+ff 0123456789abcdef-0000000000.ferry".to_vec(),
        vec![0; 1 << 20],
        vec![b'\n'; 1 << 20],
        vec![0xff; 4096],
    ] {
        let mut actor = scene.actor(None, "session");
        let (home, _) = begin(&mut actor);
        kill_tree(actor.id());
        let journal = home.join("journal");
        // Besides what is true, and instead of it.
        let truth = fs::read(&journal).unwrap();
        fs::write(&journal, [&truth[..], b"\n", &forged].concat()).unwrap();
        let said = scene.actor(None, "sweep").says();
        assert!(said.starts_with("1 dead, 1 alive, []"), "{said}");
        let mut actor = scene.actor(None, "session");
        let (home, file) = begin(&mut actor);
        kill_tree(actor.id());
        fs::write(home.join("journal"), [b"ndferry journal 1\n", &forged[..]].concat()).unwrap();
        let said = scene.actor(None, "sweep").says();
        assert!(said.starts_with("1 dead, 1 alive, []"), "{said}");
        // It has forgotten where its file is, and nothing else has gone in its place.
        fs::remove_file(&file).unwrap();
        fs::remove_dir(file.parent().unwrap()).unwrap();
        assert_eq!((state(&scene.path().join("precious")), file_of_another.exists()), before);
    }
    alive.tell("again");
    assert_eq!(alive.says(), (3 << 18).to_string());
    assert_eq!(alive.ends(), "");
}

// S3
#[test]
fn a_process_id_that_comes_back_means_nothing() {
    let test = "a_process_id_that_comes_back_means_nothing";
    let mut unshare = Command::new("unshare");
    let possible = unshare.args(CONTAINER).arg("true").stderr(Stdio::null()).status();
    if !possible.is_ok_and(|status| status.success()) {
        return skipped(test, "no process id namespaces here");
    }
    let scene = Scene::new();
    // Two containers with the same directories: in each the program has the id 1.
    let mut first = scene.first_process("session");
    let (home, file) = begin(&mut first);
    assert_eq!(scene.first_process("sweep").says(), "0 dead, 1 alive, []");
    assert!(home.exists() && file.exists(), "it lives, whoever else has its id");
    kill_tree(first.id());
    drop(first);
    let mut second = scene.first_process("session");
    let (second_home, _) = begin(&mut second);
    assert!(!home.exists() && !file.exists(), "it is dead, whoever else has its id");
    assert!(second_home.exists());
    assert_eq!(second.ends(), "");
}
