//! Completions for shells, and manual pages.

use std::{fs, process::Command};

use crate::run::ndferry;

const COMMANDS: [&str; 9] =
    ["info", "show", "stats", "convert", "verify", "diff", "sweep", "completions", "man"];

#[test]
fn completions_have_every_command_and_option() {
    for shell in ["bash", "zsh", "fish"] {
        let script = ndferry(["completions", shell]).success();
        for word in COMMANDS.iter().chain(&["slice", "max-decompressed", "dry-run"]) {
            assert!(script.contains(word), "{word} for {shell}");
        }
    }
}

#[test]
fn completions_of_bash_complete_commands_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ndferry.bash");
    fs::write(&path, ndferry(["completions", "bash"]).success()).unwrap();
    for (words, expected) in [
        ("ndferry sh", "show"),
        ("ndferry show --sl", "--slice"),
        ("ndferry completions f", "fish"),
    ] {
        let script = format!(
            "source '{}'; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _ndferry ndferry \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; \
             echo \"${{COMPREPLY[@]}}\"",
            path.display()
        );
        let Ok(output) = Command::new("bash").args(["-c", &script]).output() else {
            return eprintln!("left out: bash is not installed");
        };
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{output:?}");
    }
}

#[test]
fn man_pages_have_the_sections_of_the_help() {
    let root = ndferry(["man"]).success();
    for command in COMMANDS {
        assert!(root.contains(&format!("ndferry\\-{command}(1)")), "{command}: {root}");
        let page = ndferry(["man", command]).success();
        let title = format!(".TH ndferry-{command} 1  \"ndferry {}\"", env!("CARGO_PKG_VERSION"));
        assert!(page.contains(&title), "{page}");
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "\"EXIT CODES\""]
        {
            assert!(page.contains(&format!("\n.SH {section}\n")), "{section} of {command}: {page}");
        }
    }
}
