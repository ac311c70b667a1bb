//! The benchmark program: Firn beside other tools, on the same data, in the same run.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a workshop tool: its terminal is its only output")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod database;
mod machine;
mod measure;
mod objects;
mod points;
mod report;
mod scratch;
mod tool;
mod tree;
mod versus;

#[derive(Debug, Parser)]
#[command(name = "firn-benches", about = "Measure Firn")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Back up, restore and check a tree and a database, with Firn and with other tools
    Versus(versus::Arguments),
    /// Open a repository with very many points, cold
    Points(points::Arguments),
    /// Capture many objects from one cluster and restore them onto another
    Objects(objects::Arguments),
    /// Run a program and report what it used
    #[command(hide = true)]
    Measure(measure::Arguments),
    /// Open a repository and report what was asked of its store
    #[command(hide = true)]
    OpenPoints(points::OpenArguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Versus(arguments) => versus::run(&arguments),
        Command::Points(arguments) => points::run(&arguments),
        Command::Objects(arguments) => objects::run(&arguments),
        Command::Measure(arguments) => return measure::run_child(&arguments),
        Command::OpenPoints(arguments) => points::open(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches: {error:#}");
            ExitCode::FAILURE
        }
    }
}
