//! Something else in place of what a session is made of: links, pipes, directories, other people's files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    processes::kill_tree,
    scene::{Kind, Scene, paths, set_mode, state},
};

/// A dead session: its home, its directory for files, a file.
fn dead(scene: &Scene) -> (PathBuf, PathBuf, PathBuf) {
    let mut actor = scene.actor(None, "session");
    let home = PathBuf::from(actor.says());
    actor.says();
    let file = PathBuf::from(actor.says());
    kill_tree(actor.id());
    (home, file.parent().unwrap().into(), file)
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
}

// S3
#[test]
fn nothing_put_in_the_place_of_a_part_leads_a_sweep_out_of_the_session() {
    let scene = Scene::new();
    let own = rustix::process::geteuid().as_raw();
    let precious = scene.path().join("precious");
    fs::create_dir(&precious).unwrap();
    // What a sweep removes by name is there, so that it would go if a link were followed.
    let name = "0123456789abcdef-0000000000.ferry";
    for name in [name, "lock", "journal", "journal.next"] {
        fs::write(precious.join(name), "precious").unwrap();
    }
    let file = precious.join(name);
    let before = state(&precious);
    // What stands there, and whether a sweep can do with it: a link, a pipe or a second name goes; a session that cannot be
    // told from a living one stays.
    let links = [Kind::LinkTo(&precious), Kind::LinkTo(&file), Kind::Pipe, Kind::Socket];
    for (part, kinds, goes) in [
        ("home", &links[..], false),
        ("data", &links, false),
        ("lock", &links, false),
        ("journal", &links, false),
        ("journal.next", &links, true),
        ("file", &links, false),
        ("file", &[Kind::HardLinkTo(&file)], true),
        ("journal", &[Kind::HardLinkTo(&file)], true),
        ("lock", &[Kind::HardLinkTo(&file)], true),
        ("lock", &[Kind::Dir(0o700)], false),
        ("journal", &[Kind::Dir(0o700)], false),
        ("file", &[Kind::Dir(0o700)], false),
    ] {
        for &kind in kinds {
            let (home, data, file) = dead(&scene);
            let path = match part {
                "home" => home.clone(),
                "data" => data,
                "file" => file,
                name => home.join(name),
            };
            if path.exists() {
                remove(&path);
            }
            scene.make(&path, own, kind);
            let said = scene.actor(None, "sweep").says();
            assert_eq!(state(&precious), before, "{part}: {said}");
            if goes {
                assert_eq!(said, "1 dead, 0 alive, []", "{part}");
            } else {
                assert!(
                    said.starts_with("0 dead, 0 alive, [") && !said.ends_with("[]"),
                    "{part}: {said}"
                );
                fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).unwrap();
                // With what was in the way gone, nothing is left to be afraid of.
                scene.actor(None, "sweep").says();
            }
            // Without its home or its lock a session is not a session's any more: nobody's files are touched.
            for place in [scene.place(), scene.root()] {
                paths(&place).iter().filter(|path| path.exists()).for_each(|path| remove(path));
            }
            assert_eq!(state(&precious), before);
        }
    }
}

// S3
#[test]
fn files_in_a_directory_that_was_opened_to_others_are_left_and_not_forgotten() {
    let scene = Scene::new();
    let (home, data, file) = dead(&scene);
    let user = data.parent().unwrap();
    set_mode(user, 0o755);
    for _ in 0..2 {
        let said = scene.actor(None, "sweep").says();
        assert!(said.starts_with("0 dead, 0 alive, [") && said.contains("has mode 0755"), "{said}");
        assert!(home.join("lock").exists() && home.join("journal").exists() && file.exists());
    }
    set_mode(user, 0o700);
    assert_eq!(scene.actor(None, "sweep").says(), "1 dead, 0 alive, []");
    assert!(paths(&scene.place()).is_empty() && paths(&scene.root()).is_empty());
}
