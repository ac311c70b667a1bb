//! The one door into Firn's workshop: `cargo xtask test|demo|bench|ground|image|layers|crds`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a workshop tool: its terminal is its only output")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod cargo;
mod crds;
mod demo;
mod ground;
mod image;
mod layers;
mod places;
mod proto;
mod test;

/// Firn's workshop.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prove that the crates depend on each other only as the rooms allow
    Layers,
    /// Real clusters on loopback, for tests and for trying things out
    Ground(ground::Arguments),
    /// Pack files of this machine into a container image
    Image(image::Arguments),
    /// Play the whole job on two real clusters: lose one, bring everything back on the other
    Demo(demo::Arguments),
    /// Measure Firn beside restic and borg; install and unpack first what that needs
    Bench(bench::Arguments),
    /// Write the chart of Firn's kinds from the types in coordinator/api
    Crds(crds::Arguments),
    /// Make the code of the contract between coordinator and agents from proto/firn.proto
    Proto(proto::Arguments),
    /// Run every test; build or install first what the tests need
    Test(test::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Layers => layers::run(),
        Command::Ground(arguments) => ground::run(arguments),
        Command::Image(arguments) => image::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Crds(arguments) => crds::run(&arguments),
        Command::Proto(arguments) => proto::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
