//! `cargo xtask proto`: the code of the contract between coordinator and agents, made from `proto/firn.proto`.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cargo;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail if what is checked in is not what firn.proto says
    #[arg(long)]
    check: bool,
}

/// Writes or compares. A program of its own makes the code, so that this one need not be built with a generator.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut command = Command::new(cargo::program());
    command.args(["run", "--quiet", "--locked", "--package", "firn-codegen", "--"]);
    command.current_dir(cargo::metadata()?.workspace_root);
    if arguments.check {
        command.arg("--check");
    }
    let status = command.status().context("start cargo run")?;
    if !status.success() {
        bail!("cargo run --package firn-codegen ended with {status}");
    }
    Ok(())
}

/// Fails if what is checked in is not what `firn.proto` says.
pub(crate) fn check() -> Result<()> {
    run(&Arguments { check: true })
}
