//! `cargo xtask test`: every check and every test, after building or installing what they need.

use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::cargo::{self, Metadata};
use crate::crds;
use crate::layers;
use crate::places;
use crate::proto;
use needs::{Needs, Provided};
use step::Report;

mod needs;
mod step;

/// The test target that starts clusters of its own.
const CLUSTER_TARGET: &str = "cluster";

/// The steps that run tests.
const TESTS: &str = "tests";
const DOCUMENTATION: &str = "examples in the documentation";
const CLUSTER: &str = "tests on real clusters";

/// What a user may have set for his own clusters and repositories: tests are not to reach those.
const NOT_FOR_TESTS: &[&str] = &["KUBECONFIG", "FIRN_REPO", "FIRN_PASSWORD", "FIRN_CACHE_DIR", "FIRN_GROUND_DIR"];

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Leave out the tests on real clusters (and what only they need)
    #[arg(long)]
    fast: bool,
}

/// Runs everything and prints one table; fails if anything failed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let metadata = cargo::metadata()?;
    let needs = Needs::look(arguments.fast)?;
    announce(arguments, &needs);
    let missing = needs.missing();
    if !missing.is_empty() {
        bail!("needed and not here (`--fast` asks for less):\n  {}", missing.join("\n  "));
    }

    let mut report = Report::default();
    let provided = needs.provide(&mut report)?;
    check(&mut report, &metadata);
    match provided {
        Some(provided) => test(arguments, &mut report, &metadata, &provided),
        None => leave_out_tests(&mut report, "NOT RUN: what they need could not be provided"),
    }
    report.print();
    if report.failed() > 0 { bail!("the tests did not pass") } else { Ok(()) }
}

fn announce(arguments: &Arguments, needs: &Needs) {
    println!("This will");
    for line in needs.describe() {
        println!("  {line}");
    }
    println!("  check formatting, lints, the arrows between the crates, the definitions of the kinds, licences");
    println!("  build and run all tests (10 minutes and more from nothing, on two cores)");
    if arguments.fast {
        println!("  --fast: NOT run the tests on real clusters. A pass will not be a full pass.");
    }
    println!();
}

fn check(report: &mut Report, metadata: &Metadata) {
    report.run("formatting", &mut cargo(metadata, &["fmt", "--all", "--check"]));
    report.call("arrows between the crates", layers::run);
    report.call("definitions of the kinds", crds::check);
    report.call("code of the contract", proto::check);
    report.run(
        "lints",
        &mut cargo(metadata, &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    );
    if places::program("cargo-deny").is_some() {
        report.run("licences and bans", &mut cargo(metadata, &["deny", "check", "licenses", "bans", "sources"]));
    } else {
        // It takes longer to build than to run all else here, and nothing in the tests depends on it.
        report.leave_out("licences and bans", "cargo-deny is not installed (cargo install cargo-deny --locked)");
    }
}

fn test(arguments: &Arguments, report: &mut Report, metadata: &Metadata, provided: &Provided) {
    // Tests start the programs; cargo builds those of other packages only when told to.
    let is_built = report.run("build", &mut cargo(metadata, &["build", "--workspace", "--bins", "--locked"]));
    if !is_built {
        leave_out_tests(report, "NOT RUN: the build failed");
        return;
    }
    let run = |report: &mut Report, name: &str, selection: &[String]| {
        let mut command = cargo(metadata, &["test", "--workspace", "--locked", "--no-fail-fast"]);
        command.args(selection);
        for variable in NOT_FOR_TESTS {
            command.env_remove(variable);
        }
        command.envs(provided.variables(metadata));
        report.run(name, &mut command);
    };
    run(report, TESTS, &ordinary_targets(metadata));
    run(report, DOCUMENTATION, &["--doc".to_owned()]);
    if arguments.fast {
        report.leave_out(CLUSTER, "--fast was given: THESE ARE NOT TESTED");
    } else {
        run(report, CLUSTER, &["--test".to_owned(), CLUSTER_TARGET.to_owned()]);
    }
}

fn leave_out_tests(report: &mut Report, reason: &str) {
    for name in [TESTS, DOCUMENTATION, CLUSTER] {
        report.leave_out(name, reason);
    }
}

/// Selects every target but the one that needs clusters. All packages stay selected, since
/// cargo would otherwise build their dependencies again with other features.
fn ordinary_targets(metadata: &Metadata) -> Vec<String> {
    let mut selection = vec!["--lib".to_owned(), "--bins".to_owned()];
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    for target in targets.filter(|target| target.kind.iter().any(|kind| kind == "test")) {
        if target.name != CLUSTER_TARGET {
            selection.extend(["--test".to_owned(), target.name.clone()]);
        }
    }
    selection
}

fn cargo(metadata: &Metadata, arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo::program());
    command.current_dir(&metadata.workspace_root).args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_target_but_the_cluster_is_ordinary() {
        let metadata: Metadata = serde_json::from_value(serde_json::json!({
            "packages": [{"name": "x", "dependencies": [], "targets": [
                {"name": "x", "kind": ["lib"]},
                {"name": "golden", "kind": ["test"]},
                {"name": "cluster", "kind": ["test"]},
            ]}],
            "workspace_root": "/w",
            "target_directory": "/w/target",
        }))
        .expect("synthetic metadata");
        assert_eq!(ordinary_targets(&metadata), ["--lib", "--bins", "--test", "golden"]);
    }
}
