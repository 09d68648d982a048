//! The `ndferry` command: inspects, prints, summarises, compares, checks and converts
//! array files with the library.
//!
//! Each subcommand has a module with its arguments and its `run` function.
//! Results are written to stdout when they are complete, except those of `show`,
//! which may be large. Failures (one line
//! each) and the progress bar are written to stderr. The exit code is 0 on
//! success, 1 after a failure and 2 if the arguments are invalid. For `verify`
//! and `diff`, 1 is a negative answer and 2 means that there is no answer.
//!
//! `stats` and `sweep` need Linux, because worker processes do.
#![forbid(unsafe_code)]

mod args;
mod completions;
mod convert;
mod diff;
mod failure;
mod info;
mod input;
mod man;
#[cfg(target_os = "linux")]
mod progress;
mod show;
#[cfg(target_os = "linux")]
mod stats;
#[cfg(target_os = "linux")]
mod sweep;
mod table;
mod terminal;
mod text;
mod time;
mod tree;
mod value;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failures;

/// Inspect, print, summarise, compare, check and convert array files
#[derive(Parser)]
#[command(
    name = "ndferry",
    version,
    max_term_width = 100,
    subcommand_required = true,
    long_about = format!(
        "Inspect, print, summarise, compare, check and convert files of n-dimensional arrays\n\n\
         Reads {} files, and raw binary described by --raw and --shape, in either byte order. \
         Files are memory-mapped, so they may be larger than memory.",
        args::readable_extensions("and")
    ),
    after_help = "\
Examples:
  ndferry info survey.npy                    List the arrays of a file
  ndferry show survey.npy --slice '0:3, -1'  Print values like NumPy
  ndferry stats *.npy                        Compute statistics on all cores
  ndferry convert survey.npy survey.ferry    Convert to another format
  ndferry verify *.ferry                     Check files for damage
  ndferry diff survey.npy survey.ferry       Compare the values of two files
  ndferry sweep                              Remove files of killed programs

Run `ndferry help COMMAND` for the options and exit codes of a command."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Info(info::InfoArgs),
    Show(show::ShowArgs),
    #[cfg(target_os = "linux")]
    Stats(stats::StatsArgs),
    Convert(convert::ConvertArgs),
    Verify(verify::VerifyArgs),
    Diff(diff::DiffArgs),
    #[cfg(target_os = "linux")]
    Sweep(sweep::SweepArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

fn main() -> ExitCode {
    // In a worker process of the pool, this call does not return.
    #[cfg(target_os = "linux")]
    ndferry::init();
    let mut failures = Failures::default();
    let outcome = match Arguments::parse().command {
        Command::Info(args) => info::run(&args, &mut failures),
        Command::Show(args) => show::run(&args, &mut failures),
        #[cfg(target_os = "linux")]
        Command::Stats(args) => stats::run(&args, &mut failures),
        Command::Convert(args) => convert::run(&args),
        Command::Verify(args) => verify::run(&args, &mut failures),
        Command::Diff(args) => diff::run(&args, &mut failures),
        #[cfg(target_os = "linux")]
        Command::Sweep(args) => sweep::run(&args, &mut failures),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    };
    if let Err(failure) = outcome {
        failures.report(&failure);
    }
    failures.exit_code()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn usage_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    /// Every summary and option help of every subcommand.
    fn helps() -> Vec<String> {
        let mut helps = Vec::new();
        let root = Arguments::command();
        for command in std::iter::once(&root).chain(root.get_subcommands()) {
            helps.extend(command.get_about().map(ToString::to_string));
            let help = |arg: &clap::Arg| arg.get_help().map(ToString::to_string);
            helps.extend(command.get_arguments().filter_map(help));
        }
        helps
    }

    #[test]
    fn usage_help_texts_are_short_and_have_no_full_stop() {
        let helps = helps();
        assert!(helps.len() > 30, "{} texts", helps.len());
        for help in helps {
            assert!(help.chars().count() <= 70 && !help.ends_with('.'), "{help}");
        }
    }
}
