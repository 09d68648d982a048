//! The examples do what they say. `cargo test` builds them beside the tests.
#![cfg(target_os = "linux")]

use std::process::Command;

/// What an example prints when it runs in the root of the project.
fn run(example: &str, arguments: &[&str]) -> String {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples").join(example);
    assert!(program.exists(), "{} is built by `cargo test`, or `cargo build --examples`", program.display());
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
    let maps: Vec<_> = printed.lines().filter_map(|line| line.strip_prefix("worker ")?.split_once(" maps ")).collect();
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

#[test]
fn records_are_classified_by_workers_that_share_the_model() {
    let printed = run("classify", &["fixtures/records/iris.csv", "20000"]);
    assert!(printed.starts_with("75 records past 20000 references"), "{printed}");
    let right: u32 = printed.split(": ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(right >= 70, "{printed}");
}
