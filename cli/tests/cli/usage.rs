//! Arguments that make no sense, and help.

use crate::run::ndferry;

#[test]
fn arguments_that_make_no_sense_end_with_2_and_say_what_was_expected() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage:"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["info"], "<FILE>"),
        (&["info", "a.npy", "b.npy"], "unexpected argument"),
        (&["info", "a.npy", "--frobnicate"], "unexpected argument"),
        (&["stats"], "<FILE>"),
        (&["stats", "a.npy", "--workers", "0"], "expected a number of processes, 1 or more"),
        (&["stats", "a.npy", "--workers", "-1"], "expected a number of processes, 1 or more"),
        (&["stats", "a.npz", "--limit", "-1"], "expected a number of bytes, 0 or more"),
        (&["stats", "a.npy", "--workers", "many"], "expected a number of processes, 1 or more"),
        (&["info", "a", "--raw", ">i2"], "--shape"),
        (&["info", "a", "--shape", "3"], "--raw"),
        (&["info", "a", "--order", "F"], "--raw"),
        (&["stats", "a", "--offset", "3"], "--raw"),
        (&["convert", "a.npy", "b.npy", "--offset", "3"], "--raw"),
        (&["info", "a", "--raw", "i2", "--shape", "3"], "byte order"),
        (&["info", "a", "--raw", "|O", "--shape", "3"], "Python objects"),
        (&["info", "a", "--raw", "float", "--shape", "3"], "unknown dtype `float`"),
        (&["info", "a", "--raw", ">i2", "--shape", "3x4"], "as 33,41,25"),
        (&["info", "a", "--raw", ">i2", "--shape", "-1,4"], "as 33,41,25"),
        (&["info", "a", "--raw", ">i2", "--shape", "99999999999999999999"], "as 33,41,25"),
        (
            &["info", "a", "--raw", ">i2", "--shape", "3", "--order", "K"],
            "C (row-major) or F (column-major)",
        ),
        (
            &["info", "a", "--raw", ">i2", "--shape", "3", "--offset", "-1"],
            "expected a number of bytes",
        ),
        (&["convert", "a.npy"], "<OUT>"),
        (&["convert", "a.npy", "b.txt"], ".safetensors or .ferry"),
        (&["convert", "a.npy", "b"], ".safetensors or .ferry"),
        (&["convert", "a.npy", "b.npy", "--byte-order", "middle"], "little, big, native"),
        (
            &["convert", "a.npy", "b.ferry", "--compress", "gzip"],
            "known are zstd, zstd:1 to zstd:22, and lz4",
        ),
        (
            &["convert", "a.npy", "b.ferry", "--compress", "zstd:23"],
            "known are zstd, zstd:1 to zstd:22, and lz4",
        ),
        (&["convert", "a.npy", "b.ferry", "--align", "-1"], "expected a number of bytes"),
        (&["stats", "a.npy", "--limit", "much"], "expected a number of bytes"),
        (&["verify"], "<FILE>"),
        (&["verify", "a.npy", "--raw", ">i2"], "unexpected argument"),
        (&["diff", "a.npy"], "<B>"),
        (&["diff", "a.npy", "b.npy", "--order", "F"], "--raw"),
        (&["sweep", "all"], "unexpected argument"),
    ];
    for (arguments, expected) in cases {
        let outcome = ndferry(*arguments);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}: {outcome:?}"
        );
        assert!(outcome.stderr.contains(expected), "{arguments:?}: {}", outcome.stderr);
    }
}

#[test]
fn help_is_there_with_examples_for_everything() {
    for command in [
        None,
        Some("info"),
        Some("stats"),
        Some("convert"),
        Some("verify"),
        Some("diff"),
        Some("sweep"),
    ] {
        let arguments = command.into_iter().chain(["--help"]);
        let help = ndferry(arguments).success();
        assert!(help.contains("Usage: ndferry"), "{help}");
        assert!(help.contains("\nExamples:\n"), "{help}");
    }
    let version = ndferry(["--version"]).success();
    assert_eq!(version, format!("ndferry {}\n", env!("CARGO_PKG_VERSION")));
}
