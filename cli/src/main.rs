//! The command line: reads arguments, calls the library, and tells people and programs what came of it.
//!
//! One module for each subcommand; what they share stands beside them. Results go to stdout, all at once when they are
//! complete; everything else (a line for each failure, the progress bar) goes to stderr. The exit code is 0, or 1 after a
//! failure, or 2 where the arguments make no sense. Of `verify` and `diff`, 1 is an answer, and 2 is that there is none.
//!
//! Worker processes and their temporary files need Linux, and so do the subcommands that are about them.
#![forbid(unsafe_code)]

mod args;
mod convert;
mod diff;
mod failure;
mod info;
mod input;
#[cfg(target_os = "linux")]
mod progress;
#[cfg(target_os = "linux")]
mod stats;
#[cfg(target_os = "linux")]
mod sweep;
mod table;
mod terminal;
mod text;
mod tree;
mod value;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};
use failure::Failures;

fn main() -> ExitCode {
    // In a worker process of the pool, this call does not return.
    #[cfg(target_os = "linux")]
    ndferry::init();
    let mut failures = Failures::default();
    let outcome = match Arguments::parse().command {
        Command::Info(args) => info::run(&args),
        #[cfg(target_os = "linux")]
        Command::Stats(args) => stats::run(&args, &mut failures),
        Command::Convert(args) => convert::run(&args),
        Command::Verify(args) => verify::run(&args, &mut failures),
        Command::Diff(args) => diff::run(&args, &mut failures),
        #[cfg(target_os = "linux")]
        Command::Sweep(args) => sweep::run(&args, &mut failures),
    };
    if let Err(failure) = outcome {
        failures.report(&failure);
    }
    failures.exit_code()
}
