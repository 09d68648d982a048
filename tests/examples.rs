//! Runs the examples and checks their output. `cargo test` builds them with the tests.
#![cfg(target_os = "linux")]

use std::process::Command;

/// Runs an example in the root of the project and returns its output.
fn run(example: &str, arguments: &[&str]) -> String {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples").join(example);
    assert!(
        program.exists(),
        "{} is built by `cargo test`, or `cargo build --examples`",
        program.display()
    );
    let output = Command::new(program)
        .args(arguments)
        .env("NDFERRY_WORKERS", "2")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

// B3 S6
#[test]
fn example_big_endian_maps_one_file_in_all_workers() {
    // A task takes a second, so that no worker runs all of them before the other has started.
    let printed = run("big_endian", &["100000", "1"]);
    let maps: Vec<_> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("worker ")?.split_once(" maps "))
        .collect();
    assert_eq!(maps.len(), 2, "{printed}");
    assert_eq!(maps[0].1, maps[1].1, "{printed}");
    if cfg!(target_endian = "big") {
        // The file itself is mapped, without a file of the store.
        assert!(printed.contains("\nmapped\n"), "{printed}");
    } else {
        assert!(maps[0].1.contains(".ferry"), "{printed}");
    }
    assert!(printed.contains("100000 × 3 numbers, 2.4 MB, big endian"), "{printed}");
    assert!(printed.ends_with("\nfiles left in the store: 0\n"), "{printed}");
}

// P6 P7
#[test]
fn example_classify_is_right_in_all_three_forms() {
    for form in ["context", "built", "forked"] {
        if form == "forked" && std::env::var_os("NDFERRY_TEST_EMULATED").is_some() {
            eprintln!("skipped: an emulator runs threads in every process, so it cannot be forked");
            continue;
        }
        let printed = run("classify", &["fixtures/records/iris.csv", "20000", form]);
        let correct = printed
            .strip_prefix(&format!("{form}: "))
            .and_then(|rest| rest.strip_suffix(" of 75 records correct, with 20000 references\n"));
        let correct: u32 = correct.unwrap_or_else(|| panic!("{printed}")).parse().unwrap();
        assert!(correct >= 70, "{printed}");
    }
}

// G1 G9
#[test]
fn example_flow_measures_slices_and_draws_the_graph() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("flow.dot");
    let printed = run("flow", &[picture.to_str().unwrap()]);
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 27, "{printed}");
    assert_eq!(
        lines[25].split_whitespace().collect::<Vec<_>>(),
        ["24", "8820.5", "0.259", "brightest"],
        "{printed}"
    );
    // The mean in the description of the fixture.
    assert_eq!(lines[26].split_whitespace().collect::<Vec<_>>(), ["all", "8401.1"], "{printed}");
    let drawn = std::fs::read_to_string(picture).unwrap();
    assert!(drawn.contains("mean\\n25 values"), "{drawn}");
}

// E1 E4 P1
#[test]
fn example_failures_shows_the_cause_of_each_failure() {
    let printed = run("failures", &[]);
    // An emulator prints a line of its own for an abort.
    let lines: Vec<_> =
        printed.lines().filter(|line| !line.contains("qemu: uncaught target signal")).collect();
    assert_eq!(lines.len(), 7, "{printed}");
    assert_eq!((lines[0], lines[5], lines[6]), ("1", "    stderr: giving up", "6"), "{printed}");
    for (line, words) in [
        (1, "task failures::task failed on item 1: invalid digit found in string"),
        (2, "task failures::task failed on item 2: panicked at examples/failures.rs:"),
        (3, "was killed by SIGABRT"),
        (4, "exited with code 7 before the task had ended"),
    ] {
        assert!(lines[line].contains(words), "{printed}");
    }
}
