//! Other users cannot read, replace, predict or block a session.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::{
    processes::kill_tree,
    scene::{ATTACKER, Kind, Scene, VICTIM, listing, paths, set_mode, state},
};

/// Returns the path of the victim's directory in `place`.
fn name(place: &Path) -> PathBuf {
    place.join(format!("ndferry-{VICTIM}"))
}

// S3
#[test]
fn attack_taken_directory_name_blocks_no_session() {
    let Some(scene) = Scene::of_users("attack_taken_directory_name_blocks_no_session") else {
        return;
    };
    for mode in [0o700, 0o777] {
        does_without(&scene, VICTIM, ATTACKER, Kind::Dir(mode));
    }
    does_without_anything_else(&scene, VICTIM, ATTACKER);
}

// S3
#[test]
fn attack_users_own_file_as_directory_blocks_nothing() {
    let scene = Scene::new();
    let own = rustix::process::geteuid().as_raw();
    does_without(&scene, own, own, Kind::Dir(0o755));
    does_without_anything_else(&scene, own, own);
}

fn does_without_anything_else(scene: &Scene, victim: u32, owner: u32) {
    let bait = scene.path().join("bait");
    scene.make(&bait, owner, Kind::Dir(0o700));
    let file = scene.path().join("file");
    scene.make(&file, victim, Kind::File);
    let missing = scene.path().join("missing");
    for kind in [
        Kind::File,
        Kind::Pipe,
        Kind::Socket,
        Kind::LinkTo(&bait),
        Kind::LinkTo(&missing),
        Kind::HardLinkTo(&file),
    ] {
        does_without(scene, victim, owner, kind);
    }
}

/// Runs a session while the name of the user's directory is taken in every place.
fn does_without(scene: &Scene, victim: u32, owner: u32, kind: Kind<'_>) {
    let names = [scene.place(), scene.root()].map(|place| place.join(format!("ndferry-{victim}")));
    names.iter().for_each(|name| scene.make(name, owner, kind));
    let before = state(&scene.path());
    let actor = |role| scene.actor(Some(victim).filter(|&user| user != owner), role);
    let mut session = actor("session");
    let home = session.says();
    assert!(
        home.starts_with(&format!("{}-", names[0].display())),
        "{home} is in a place of its own"
    );
    assert_eq!(session.says(), (2 << 18).to_string());
    let path = session.says();
    assert!(path.starts_with(&format!("{}-", names[1].display())), "{path}");
    assert_eq!(session.ends(), "");
    assert_eq!(state(&scene.path()), before, "nothing is left, and nothing was touched");

    // The next store and a cleanup both find the files of a killed program there.
    for next in ["session", "sweep"] {
        let mut session = actor("session");
        let home = PathBuf::from(session.says());
        (0..2).for_each(|_| drop(session.says()));
        kill_tree(session.id());
        assert!(home.join("lock").exists());
        let mut next = actor(next);
        next.says();
        assert!(!home.exists());
        next.ends();
        assert_eq!(state(&scene.path()), before);
    }
    for name in names {
        if fs::symlink_metadata(&name).unwrap().is_dir() {
            fs::remove_dir(name)
        } else {
            fs::remove_file(name)
        }
        .unwrap();
    }
}

// S3
#[test]
fn attack_name_taken_later_blocks_no_session() {
    let Some(scene) = Scene::of_users("attack_name_taken_later_blocks_no_session") else {
        return;
    };
    let mut victim = scene.actor(VICTIM, "session");
    let home = PathBuf::from(victim.says());
    victim.says();
    let file = PathBuf::from(victim.says());
    assert!(home.starts_with(name(&scene.place())) && file.starts_with(name(&scene.root())));
    // In a place with the sticky bit, the name of a non-empty directory cannot be taken.
    let mut thief = scene.actor(ATTACKER, "thief");
    for _ in 0..2 {
        assert_eq!(thief.says(), "[[false, false, false, false]]");
    }
    victim.tell("again");
    assert_eq!(victim.says(), (3 << 18).to_string());
    assert_eq!(victim.ends(), "");
    assert!(paths(&scene.place()).is_empty() && paths(&scene.root()).is_empty());
}

// S3
#[test]
fn attack_name_taken_and_released_splits_no_session() {
    let test = "attack_name_taken_and_released_splits_no_session";
    let Some(scene) = Scene::of_users(test) else { return };
    let taken = name(&scene.root());
    for (first, second) in [("program", "worker"), ("worker", "program")] {
        let mut victim = scene.actor(VICTIM, "late");
        let home = PathBuf::from(victim.says());
        assert!(home.starts_with(name(&scene.place())));
        scene.make(&taken, ATTACKER, Kind::Dir(0o755));
        // One session creates a file and the other reads it, and the other way round.
        for (who, own) in [(first, true), (second, false), (first, false)] {
            victim.tell(who);
            assert_eq!(victim.says(), (2 << 18).to_string(), "{who}");
            let files = victim.says();
            assert_eq!(files.contains(&format!("{}-", taken.display())), own, "{who}: {files}");
            let _ = fs::remove_dir(&taken);
        }
        assert_eq!(victim.ends(), "");
        assert!(paths(&scene.place()).is_empty() && paths(&scene.root()).is_empty());
    }
}

// S3
#[test]
fn attack_renaming_reveals_no_content() {
    let Some(scene) = Scene::of_users("attack_renaming_reveals_no_content") else {
        return;
    };
    // Without the sticky bit, everyone who can write to a directory can rename its entries.
    set_mode(&scene.root(), 0o777);
    let mut victim = scene.actor(VICTIM, "session");
    victim.says();
    victim.says();
    let file = PathBuf::from(victim.says());
    let mut thief = scene.actor(ATTACKER, "thief");
    assert_eq!(thief.says(), "[[false, false, false, false]]", "the home stands in a sticky place");
    assert_eq!(
        thief.says(),
        "[[false, false, false, true]]",
        "the name can be taken, and nothing else"
    );
    thief.ends();
    assert!(!file.exists());
    // The session's processes keep open what they use. Files passed on by path are an error, or
    // are somewhere else.
    victim.tell("again");
    let said = victim.says();
    assert!(said == (3 << 18).to_string() || said.contains("cannot open"), "{said}");
    assert_eq!(victim.ends(), "");
    let left = listing(&scene.root());
    let of_attacker = |name: &str| {
        left.iter().any(|(path, found)| path.ends_with(name) && found.uid() == ATTACKER)
    };
    assert!(
        of_attacker(&format!("ndferry-{VICTIM}")),
        "the attacker's own was not touched: {left:?}"
    );
    assert!(paths(&scene.place()).is_empty());
}

// S3, S4
#[test]
fn attack_spy_reads_nothing_at_any_moment() {
    let Some(scene) = Scene::of_users("at_no_moment_can_anything_be_read_by_another_user") else {
        return;
    };
    let mut victim = scene.careless_actor(VICTIM, "busy");
    let mut spy = scene.actor(ATTACKER, "spy");
    victim.says();
    spy.says();
    let done = AtomicBool::new(false);
    let (seen, wrong) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut files, mut dirs, mut wrong) = (0, 0, Vec::new());
            while !done.load(Ordering::Relaxed) || files < 1000 || dirs < 1000 {
                for (path, found) in [listing(&scene.place()), listing(&scene.root())].concat() {
                    let expected = if found.is_dir() { 0o700 } else { 0o600 };
                    *if found.is_dir() { &mut dirs } else { &mut files } += 1;
                    if found.mode() & 0o7777 != expected || found.uid() != VICTIM {
                        wrong.push((path, found.mode(), found.uid()));
                    }
                }
            }
            ((files, dirs), wrong)
        });
        while !watch.is_finished() && !done.load(Ordering::Relaxed) {
            thread::sleep(std::time::Duration::from_secs(2));
            done.store(true, Ordering::Relaxed);
        }
        watch.join().unwrap()
    });
    spy.tell("");
    assert_eq!(spy.says(), "true", "the spy has seen directories");
    assert_eq!(spy.says(), "[]", "and could look into none");
    victim.tell("");
    assert_eq!(victim.ends(), "");
    assert!(wrong.is_empty(), "{wrong:?} of {seen:?}");
    assert!(paths(&scene.place()).is_empty() && paths(&scene.root()).is_empty());
}

// S3
#[test]
fn attack_sessions_of_other_users_are_left_alone() {
    let Some(scene) = Scene::of_users("attack_sessions_of_other_users_are_left_alone") else {
        return;
    };
    let mut victim = scene.actor(VICTIM, "session");
    (0..3).for_each(|_| drop(victim.says()));
    kill_tree(victim.id());
    let before = state(&scene.path());
    assert_eq!(scene.actor(ATTACKER, "sweep").says(), "0 dead, 0 alive, []");
    let mut other = scene.actor(ATTACKER, "session");
    (0..3).for_each(|_| drop(other.says()));
    other.ends();
    assert_eq!(state(&scene.path()), before);
    // A session's directory that root gave to another user is not swept by either.
    let home =
        listing(&scene.place()).into_iter().find(|(path, _)| path.join("lock").exists()).unwrap().0;
    std::os::unix::fs::chown(&home, Some(ATTACKER), None).unwrap();
    let said = scene.actor(VICTIM, "sweep").says();
    assert!(
        said.starts_with("0 dead, 0 alive, [") && said.contains("cannot open the directory"),
        "{said}"
    );
    assert!(home.join("lock").exists() && home.join("journal").exists());
}
