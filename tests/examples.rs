//! The examples do what they say. `cargo test` builds them beside the tests.
#![cfg(target_os = "linux")]

use std::process::Command;

/// What an example prints when it runs in the root of the project.
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
fn a_big_endian_array_goes_to_workers_that_map_one_file_and_comes_back() {
    let printed = run("big_endian", &["100000"]);
    let maps: Vec<_> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("worker ")?.split_once(" maps "))
        .collect();
    assert_eq!(maps.len(), 2, "{printed}");
    assert_eq!(maps[0].1, maps[1].1, "{printed}");
    if cfg!(target_endian = "big") {
        // The file is mapped as it is, and no file of the store is needed.
        assert!(printed.contains("\nmapped\n"), "{printed}");
    } else {
        assert!(maps[0].1.contains(".ferry"), "{printed}");
    }
    assert!(printed.contains("100000 × 3 numbers, 2.4 MB, big endian"), "{printed}");
    assert!(printed.ends_with("left in the store: 0 files\n"), "{printed}");
}

// P6 P7
#[test]
fn records_are_classified_whichever_way_workers_come_by_the_model() {
    for form in ["context", "built", "forked"] {
        if form == "forked" && std::env::var_os("NDFERRY_TEST_EMULATED").is_some() {
            eprintln!(
                "left out: under emulation the emulator's threads run in every process, which is therefore not forked"
            );
            continue;
        }
        let printed = run("classify", &["fixtures/records/iris.csv", "20000", form]);
        assert!(
            printed.starts_with(&format!("{form}: 75 records past 20000 references: ")),
            "{printed}"
        );
        let right: u32 =
            printed.split(": ").nth(2).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(right >= 70, "{printed}");
    }
}

// G1 G9
#[test]
fn a_flow_measures_the_slices_of_a_volume_and_draws_itself() {
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
    // What the fixture says of its mean.
    assert_eq!(lines[26].split_whitespace().collect::<Vec<_>>(), ["all", "8401.1"], "{printed}");
    let drawn = std::fs::read_to_string(picture).unwrap();
    assert!(drawn.contains("mean\\n25 values"), "{drawn}");
}

// E1 E4 P1
#[test]
fn failing_tasks_are_told_each_in_its_own_way() {
    let printed = run("failures", &[]);
    // An emulator has its own word on an abort.
    let lines: Vec<_> =
        printed.lines().filter(|line| !line.contains("qemu: uncaught target signal")).collect();
    assert_eq!(lines.len(), 7, "{printed}");
    assert_eq!(
        (lines[0], lines[5], lines[6]),
        ("1", "    having said: I have had enough", "6"),
        "{printed}"
    );
    for (line, words) in [
        (1, "task failures::task failed on item 1: invalid digit found in string"),
        (2, "task failures::task failed on item 2: panicked at examples/failures.rs:"),
        (3, "was killed by SIGABRT"),
        (4, "exited with code 7 before the task had ended"),
    ] {
        assert!(lines[line].contains(words), "{printed}");
    }
}
