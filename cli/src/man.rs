//! `ndferry man`: prints manual pages.

use std::io;

use clap::{Args, Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use crate::{Arguments, failure::Failure, terminal};

/// Print a manual page
#[derive(Args)]
#[command(
    long_about = "Print a manual page\n\n\
        The page is roff source, for man and other viewers of manual pages. Without COMMAND, it \
        is the page of ndferry itself.",
    after_help = "\
Examples:
  ndferry man stats | man -l -
  ndferry man > ~/.local/share/man/man1/ndferry.1
  ndferry man show > ~/.local/share/man/man1/ndferry-show.1

Exit codes:
  0  Success
  1  The page could not be written
  2  The arguments are invalid"
)]
pub struct ManArgs {
    /// Command whose page is printed
    #[arg(value_name = "COMMAND", value_parser = known)]
    command: Option<String>,
}

/// Checks that a command has this name.
fn known(name: &str) -> Result<String, String> {
    let root = Arguments::command();
    let names: Vec<_> = root.get_subcommands().map(Command::get_name).collect();
    if names.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("expected one of {}", names.join(", ")))
}

pub fn run(args: &ManArgs) -> Result<(), Failure> {
    let mut root = Arguments::command().disable_help_subcommand(true);
    // Gives each command its whole name, such as `ndferry-stats`.
    root.build();
    let source = format!("ndferry {}", root.get_version().unwrap_or_default());
    let command = args.command.as_deref().and_then(|name| root.find_subcommand(name).cloned());
    let mut page = Vec::new();
    write(command.unwrap_or(root), source, &mut page)
        .map_err(|error| Failure::new("manual page", error.to_string()))?;
    terminal::print(&String::from_utf8_lossy(&page))
}

/// Writes the page of a command. The parts of the text after its help become
/// sections, and their lines are kept.
fn write(command: Command, source: String, page: &mut Vec<u8>) -> io::Result<()> {
    let has_subcommands = command.has_subcommands();
    let after_help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command).source(source);
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if has_subcommands {
        man.render_subcommands_section(page)?;
    }
    let mut sections = Roff::default();
    for part in after_help.split("\n\n") {
        // A part without a heading belongs to the section before it.
        let (heading, lines) = match part.split_once(":\n") {
            Some((heading, lines)) => (Some(heading.to_uppercase()), lines),
            None => (None, part),
        };
        match &heading {
            Some(heading) => sections.control("SH", [heading.as_str()]),
            None => sections.control("PP", []),
        };
        sections.control("nf", []);
        for line in lines.lines() {
            sections.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
        sections.control("fi", []);
    }
    sections.to_writer(page)
}
