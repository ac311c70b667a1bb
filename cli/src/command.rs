//! Commands: one file each. A command opens what it needs, has the rooms do the work, and prints one result.

mod backup;
mod check;
mod completions;
mod demo;
mod diff;
mod doctor;
mod failover;
mod forget;
mod init;
mod key;
mod ls;
mod points;
mod prune;
mod replicate;
mod restore;

use crate::args::{Cli, Command};
use crate::outcome::Outcome;

/// Runs what was asked for.
pub fn run(cli: &Cli) -> anyhow::Result<Outcome> {
    let global = &cli.global;
    match &cli.command {
        Command::Init(args) => init::run(args, global),
        Command::Points(args) => points::run(args, global),
        Command::Ls(args) => ls::run(args, global),
        Command::Diff(args) => diff::run(args, global),
        Command::Forget(args) => forget::run(args, global),
        Command::Prune(args) => prune::run(args, global),
        Command::Key(args) => key::run(args, global),
        Command::Doctor(args) => doctor::run(args, global),
        Command::Completions(args) => completions::run(args),
        Command::Demo(args) => demo::run(args, global),
        Command::DemoApp(args) => crate::demo_app::run(args),
        Command::Backup(args) => backup::run(args, global),
        Command::Restore(args) => restore::run(args, global),
        Command::Failover(args) => failover::run(args, global),
        Command::Replicate(args) => replicate::run(args, global),
        Command::Check(args) => check::run(args, global),
    }
}
