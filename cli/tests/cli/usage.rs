//! Invalid arguments and help.

use crate::run::ndferry;

#[test]
fn usage_invalid_arguments_exit_with_2_and_a_reason() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage:"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["info"], "<FILE>"),
        (&["show", "a.npy", "b.npy"], "unexpected argument"),
        (&["info", "a.npy", "--frobnicate"], "unexpected argument"),
        (&["show"], "<FILE>"),
        (&["show", "a.npy", "--csv", "--json"], "cannot be used with"),
        (
            &["show", "a.npy", "--slice", "0, x:3"],
            "part 2 (`x:3`): found `x`, expected an integer, a slice such as 0:3",
        ),
        (&["show", "a.npy", "--slice", "-1, ::0"], "part 2 (`::0`): found a step of 0"),
        (&["show", "a", "--order", "F"], "--raw"),
        (&["stats"], "<FILE>"),
        (&["stats", "a.npy", "--workers", "0"], "expected a number of processes, 1 or more"),
        (&["stats", "a.npy", "--workers", "-1"], "expected a number of processes, 1 or more"),
        (&["stats", "a.npz", "--max-decompressed", "-1"], "expected a number of bytes, 0 or more"),
        (&["stats", "a.npy", "--workers", "many"], "expected a number of processes, 1 or more"),
        (&["info", "a", "--raw", ">i2"], "--shape"),
        (&["info", "a", "--shape", "3"], "--raw"),
        (&["info", "a", "--order", "F"], "--raw"),
        (&["stats", "a", "--offset", "3"], "--raw"),
        (&["convert", "a.npy", "b.npy", "--offset", "3"], "--raw"),
        (&["info", "a", "--raw", "i2", "--shape", "3"], "byte order"),
        (&["info", "a", "--raw", "|O", "--shape", "3"], "Python objects"),
        (&["info", "a", "--raw", "float", "--shape", "3"], "unknown dtype `float`"),
        (&["info", "a", "--raw", ">i2", "--shape", "3x4"], "such as 33,41,25"),
        (&["info", "a", "--raw", ">i2", "--shape", "-1,4"], "such as 33,41,25"),
        (&["info", "a", "--raw", ">i2", "--shape", "99999999999999999999"], "such as 33,41,25"),
        (
            &["info", "a", "--raw", ">i2", "--shape", "3", "--order", "K"],
            "C (row-major) or F (column-major)",
        ),
        (
            &["info", "a", "--raw", ">i2", "--shape", "3", "--offset", "-1"],
            "expected a number of bytes",
        ),
        (&["convert", "a.npy"], "<OUT>"),
        (&["convert", "a.npy", "b.txt"], ".ferry, .npy, .npz, .safetensors"),
        (&["convert", "a.npy", "b"], ".ferry, .npy, .npz, .safetensors"),
        (&["convert", "a.npy", "b.npy", "--byte-order", "middle"], "little, big, native"),
        (
            &["convert", "a.npy", "b.ferry", "--compress", "gzip"],
            "expected compression zstd, zstd:1 to zstd:22 or lz4",
        ),
        (
            &["convert", "a.npy", "b.ferry", "--compress", "zstd:23"],
            "expected compression zstd, zstd:1 to zstd:22 or lz4",
        ),
        (&["convert", "a.npy", "b.ferry", "--align", "-1"], "expected a number of bytes"),
        (&["stats", "a.npy", "--max-decompressed", "much"], "expected a number of bytes"),
        (&["verify"], "<FILE>"),
        (&["verify", "a.npy", "--raw", ">i2"], "unexpected argument"),
        (&["diff", "a.npy"], "<B>"),
        (&["diff", "a.npy", "b.npy", "--order", "F"], "--raw"),
        (&["sweep", "all"], "unexpected argument"),
        (&["completions"], "<SHELL>"),
        (&["completions", "tcsh"], "bash, zsh, fish"),
        (&["man", "frobnicate"], "expected one of info, show"),
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
fn usage_help_has_examples_and_exit_codes() {
    for command in [
        None,
        Some("info"),
        Some("show"),
        Some("stats"),
        Some("convert"),
        Some("verify"),
        Some("diff"),
        Some("sweep"),
        Some("completions"),
        Some("man"),
    ] {
        let arguments = command.into_iter().chain(["--help"]);
        let help = ndferry(arguments).success();
        assert!(help.contains("Usage: ndferry"), "{help}");
        assert!(help.contains("\nExamples:\n"), "{help}");
        assert!(command.is_none() || help.contains("\nExit codes:\n  0  "), "{help}");
    }
    let version = ndferry(["--version"]).success();
    assert_eq!(version, format!("ndferry {}\n", env!("CARGO_PKG_VERSION")));
}
