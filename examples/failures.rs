//! How failing tasks are told, each in its own way: `cargo run --example failures`.
//!
//! One bad task costs one task: the others have their results.

use ndferry::{Pool, pool::WorkerStdio};

/// Does as it is told.
fn task(what: String) -> Result<usize, std::num::ParseIntError> {
    match &*what {
        "panic" => panic!("something is wrong"),
        "abort" => std::process::abort(),
        "exit" => {
            eprintln!("I have had enough");
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
                if let Some(said) = error.stderr().filter(|said| !said.is_empty()) {
                    println!("    having said: {}", said.trim_end());
                }
            }
        }
    }
    Ok(())
}
