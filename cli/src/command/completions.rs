//! `firn completions`: what a shell needs to complete commands and options.

use clap::CommandFactory as _;

use crate::args;
use crate::outcome::Outcome;
use crate::output;

/// Prints the script for one shell.
pub fn run(args: &args::Completions) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::Cli::command(), "firn", &mut script);
    output::print_text(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Done)
}
