//! Other things in place of a session's parts: links, pipes, directories, files of other users.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    processes::kill_tree,
    scene::{Kind, Scene, paths, set_mode, state},
};

/// Makes a dead session. Returns its directory, its directory for files, and a file.
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
fn attack_replaced_parts_do_not_mislead_a_sweep() {
    let scene = Scene::new();
    let own = rustix::process::geteuid().as_raw();
    let precious = scene.path().join("precious");
    fs::create_dir(&precious).unwrap();
    // A file that a sweep would remove if it followed a link.
    let name = "0123456789abcdef-0000000000.ferry";
    for name in [name, "lock", "journal", "journal.next"] {
        fs::write(precious.join(name), "precious").unwrap();
    }
    let file = precious.join(name);
    let before = state(&precious);
    // The replacement, and whether a sweep can remove the session. Links, pipes and second
    // names are removed. A session that cannot be told from a live one stays.
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
                // When the obstacle is removed, nothing is left.
                scene.actor(None, "sweep").says();
            }
            // Without its directory or lock, a session is no longer recognized, and its files
            // are not touched.
            for place in [scene.place(), scene.root()] {
                paths(&place).iter().filter(|path| path.exists()).for_each(|path| remove(path));
            }
            assert_eq!(state(&precious), before);
        }
    }
}

// S3
#[test]
fn attack_opened_directory_is_left_and_reported() {
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
