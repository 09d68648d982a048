//! Shows the errors of tasks that fail in different ways: `cargo run --example failures`.
//!
//! A task that fails does not affect the results of the others.

use ndferry::{Pool, pool::WorkerStdio};

/// Fails in the way that its argument names, or parses the argument.
fn task(what: String) -> Result<usize, std::num::ParseIntError> {
    match &*what {
        "panic" => panic!("something is wrong"),
        "abort" => std::process::abort(),
        "exit" => {
            eprintln!("giving up");
            std::process::exit(7)
        }
        text => text.parse(),
    }
}

fn main() -> ndferry::Result<()> {
    ndferry::init();
    let pool = Pool::builder().workers(2).stderr(WorkerStdio::Capture).build()?;
    let tasks = ["1", "two", "panic", "abort", "exit", "6"].map(String::from);
    for result in pool.job().keep_going().try_map(task, tasks)? {
        match result {
            Ok(number) => println!("{number}"),
            Err(error) => {
                println!("{error}");
                if let Some(stderr) = error.stderr().filter(|stderr| !stderr.is_empty()) {
                    println!("    stderr: {}", stderr.trim_end());
                }
            }
        }
    }
    Ok(())
}
