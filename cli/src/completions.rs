//! `ndferry completions`: prints a script that completes arguments in a shell.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

use crate::{Arguments, failure::Failure, terminal};

/// Print a script that completes arguments in a shell
#[derive(Args)]
#[command(after_help = "\
Examples:
  ndferry completions bash > ~/.local/share/bash-completion/completions/ndferry
  ndferry completions zsh > ~/.zfunc/_ndferry    # in a folder of $fpath
  ndferry completions fish > ~/.config/fish/completions/ndferry.fish

Exit codes:
  0  Success
  1  The script could not be written
  2  The arguments are invalid")]
pub struct CompletionsArgs {
    /// Shell that reads the script
    shell: SupportedShell,
}

/// Shells with a script.
#[derive(Clone, Copy, ValueEnum)]
enum SupportedShell {
    Bash,
    Zsh,
    Fish,
}

impl From<SupportedShell> for Shell {
    fn from(shell: SupportedShell) -> Self {
        match shell {
            SupportedShell::Bash => Self::Bash,
            SupportedShell::Zsh => Self::Zsh,
            SupportedShell::Fish => Self::Fish,
        }
    }
}

pub fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(Shell::from(args.shell), &mut Arguments::command(), "ndferry", &mut script);
    terminal::print(&String::from_utf8_lossy(&script))
}
