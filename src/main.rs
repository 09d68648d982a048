//! The `ndferry` command. What it does is in [`cli`]; a worker process of its pool never gets past the first line.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    ndferry::init();
    cli::run()
}
