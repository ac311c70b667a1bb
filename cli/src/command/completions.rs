//! `firn completions`: what a shell needs to complete commands and options.

use clap::CommandFactory as _;

use crate::args;
use crate::outcome::Outcome;
use crate::output;

/// Prints the script for one shell.
pub fn run(args: &args::Completions) -> anyhow::Result<Outcome> {
    let all = args::Cli::command();
    // A command that is hidden from help is not offered either.
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut command = clap::Command::new("firn").args(all.get_arguments().cloned()).subcommands(shown);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "firn", &mut script);
    output::print_text(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Done)
}
