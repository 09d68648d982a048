//! Files with entries that are not supported arrays. Every subcommand reports
//! them.

use std::fs;

use serde_json::json;

use crate::{
    forge::{Member, npy_of, zip},
    run::{Outcome, ndferry},
};

const REASON: &str = "npy header: dtype `|O` holds Python objects";

// F8 E5
#[test]
fn unsupported_entries_are_reported_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.npz");
    let objects = Member::stored("objects.npy", npy_of("'|O'", "(1,)", b"pickled"));
    let (offset, stored) = (30 + objects.name.len(), objects.content.len());
    fs::write(&path, zip(&[objects, Member::new("a.npy", &[1, 2, 3])])).unwrap();
    let run =
        |arguments: &[&str]| -> Outcome {
            ndferry(arguments.iter().map(|&argument| {
                if argument == "FILE" { path.to_str().unwrap() } else { argument }
            }))
        };

    let told = run(&["info", "FILE"]).success();
    let line = format!("cannot be read: objects ({stored} B at {offset}), {REASON}");
    assert!(told.contains(": npz, 1 array, 3 B") && told.contains(&line), "{told}");
    let told = run(&["info", "--json", "FILE"]).json();
    assert_eq!(told["arrays"].as_array().unwrap().len(), 1);
    let other = &told["unreadable"][0];
    assert_eq!(
        (&other["name"], &other["offset"], &other["stored"]),
        (&json!("objects"), &json!(offset), &json!(stored))
    );
    assert!(other["reason"].as_str().unwrap().starts_with(REASON));

    let show = run(&["show", "FILE"]);
    show.assert_failed(&path, "array `objects`: cannot be read: npy header");
    assert_eq!(show.stdout, "[1 2 3]\n");
    assert_eq!(run(&["show", "--array", "a", "FILE"]).success(), "[1 2 3]\n");

    let stats = run(&["stats", "--json", "FILE"]);
    stats.assert_failed(&path, "array `objects`: cannot be read: npy header");
    assert_eq!(crate::run::parse(&stats.stdout)[0]["max"], 3);
    assert_eq!(run(&["stats", "--json", "--array", "a", "FILE"]).json()[0]["max"], 3);

    let verify = run(&["verify", "FILE"]);
    assert_eq!(
        (verify.code, &*verify.stdout),
        (Some(2), &*format!("{}: unsupported\n", path.display()))
    );
    assert!(verify.stderr.contains("cannot read `objects`: npy header"), "{verify:?}");
    let verify = crate::run::parse(&run(&["verify", "--json", "FILE"]).stdout);
    assert_eq!(verify[0]["verdict"], "unsupported");
    assert_eq!(verify[0]["problems"][0]["verdict"], "unsupported");

    let diff = run(&["diff", "FILE", "FILE"]);
    assert!(
        diff.code == Some(2) && diff.stderr.contains("array `objects`: cannot be read"),
        "{diff:?}"
    );
    assert_eq!(run(&["diff", "--array", "a", "FILE", "FILE"]).success(), "");

    let out = folder.path().join("out.npz");
    run(&["convert", "FILE", out.to_str().unwrap()])
        .assert_failed(&path, "cannot read `objects`: npy header");
    assert!(!out.exists());
    run(&["convert", "--array", "a", "FILE", out.to_str().unwrap()]).success();
    assert!(out.exists());
}
