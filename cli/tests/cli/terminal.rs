//! Output to pipes, full disks and files.

use std::{fs::File, process::Stdio};

use crate::{
    fixture::fixtures,
    run::{command, run},
};

#[test]
fn output_to_a_closed_pipe_is_not_a_failure() {
    for arguments in [
        &["stats", "--json"][..],
        &["info"],
        &["info", "--json"],
        &["show"],
        &["show", "--csv"],
        &["show", "--json"],
        &["--help"],
        &["sweep", "--dry-run"],
        &["completions", "bash"],
        &["man"],
    ] {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        let mut command = command(arguments);
        if ["info", "show", "stats"].contains(&arguments[0]) {
            command.arg(&fixtures("npy")[0].path);
        }
        command.stdout(Stdio::from(writer));
        let outcome = run(command);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn output_to_a_full_disk_is_a_failure() {
    let Ok(full) = File::create("/dev/full") else { return };
    let mut command = command(["info"]);
    command.arg(&fixtures("npy")[0].path).stdout(full);
    run(command).assert_failed("standard output", "cannot write");
}

#[test]
fn output_without_a_terminal_has_no_bars_or_histograms() {
    let mut command = command(["stats"]);
    command.arg(&fixtures("npy")[0].path);
    let text = run(command).success();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains(['█', '\u{1b}', '\r']), "{text}");
}
