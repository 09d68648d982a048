//! Forged journals, and reused process ids.

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

/// Returns the session's directory and a file of an actor.
fn begin(actor: &mut crate::actor::Actor) -> (PathBuf, PathBuf) {
    let home = PathBuf::from(actor.says());
    actor.says();
    (home, PathBuf::from(actor.says()))
}

// S3
#[test]
fn attack_forged_journal_harms_no_other_session() {
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
        // Add the forged entries to the true ones, and replace the true ones.
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
        // Without its entry, only this file is left.
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
fn attack_reused_process_id_has_no_effect() {
    let test = "attack_reused_process_id_has_no_effect";
    let mut unshare = Command::new("unshare");
    let possible = unshare.args(CONTAINER).arg("true").stderr(Stdio::null()).status();
    if !possible.is_ok_and(|status| status.success()) {
        return skipped(test, "no process id namespaces here");
    }
    let scene = Scene::new();
    // Two containers share directories. In each of them, the program has process id 1.
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
