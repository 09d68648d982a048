//! Where output goes when nobody reads it, or it cannot be written.

use std::{fs::File, process::Stdio};

use crate::{
    fixture::fixtures,
    run::{command, run},
};

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    for arguments in [
        &["stats", "--json"][..],
        &["info"],
        &["info", "--json"],
        &["--help"],
        &["sweep", "--dry-run"],
    ] {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        let mut command = command(arguments);
        if !arguments.contains(&"--help") && arguments[0] != "sweep" {
            command.arg(&fixtures("npy")[0].path);
        }
        command.stdout(Stdio::from(writer));
        let outcome = run(command);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let Ok(full) = File::create("/dev/full") else { return };
    let mut command = command(["info"]);
    command.arg(&fixtures("npy")[0].path).stdout(full);
    run(command).assert_failed("standard output", "cannot write");
}

#[test]
fn off_a_terminal_there_are_neither_bars_nor_drawings() {
    let mut command = command(["stats"]);
    command.arg(&fixtures("npy")[0].path);
    let text = run(command).success();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains(['█', '\u{1b}', '\r']), "{text}");
}
