//! Help: every command explains itself, with examples, in the name it was called by.

use std::process::Command;

use crate::ground::{Ground, Ran};

const COMMANDS: [&str; 15] = [
    "init",
    "backup",
    "points",
    "ls",
    "diff",
    "restore",
    "replicate",
    "failover",
    "check",
    "forget",
    "prune",
    "key",
    "doctor",
    "demo",
    "completions",
];

#[test]
fn every_command_has_help_that_fits_and_examples() {
    let ground = Ground::empty();
    let top = ground.good(&["--help"]);
    for command in COMMANDS {
        assert!(top.contains(&format!("\n  {command} ")), "{command} is not in the list");
        let help = ground.good(&[command, "--help"]);
        fits_and_has_examples(&help, command);
    }
    for action in ["add", "export", "list"] {
        fits_and_has_examples(&ground.good(&["key", action, "--help"]), &format!("key {action}"));
    }
    assert!(top.lines().all(|line| line.chars().count() <= 80), "{top}");
    assert!(top.contains("Exit codes: 0 done"), "{top}");
    ground.run(&[]).refused(64, "Usage: firn");
    assert!(ground.good(&["--version"]).starts_with("firn "));
}

#[track_caller]
fn fits_and_has_examples(help: &str, command: &str) {
    let wide: Vec<_> = help.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{command}: {wide:#?}");
    let (_, examples) = help.split_once("Examples:\n").unwrap();
    assert!(examples.contains(&format!("firn {command}")), "{help}");
}

#[test]
fn as_a_plugin_it_goes_by_the_name_that_people_type() {
    let ground = Ground::empty();
    let plugin = ground.path("kubectl-firn");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_firn"), &plugin).unwrap();
    let help = |args: &[&str]| Ran::of(Command::new(&plugin).args(args).output().unwrap());
    assert!(help(&["--help"]).out.contains("Usage: kubectl firn "));
    let ls = help(&["ls", "--help"]).out;
    assert!(ls.contains("Usage: kubectl firn ls ") && ls.contains("\n  kubectl firn ls --repo"), "{ls}");
    help(&["points"]).refused(64, "kubectl firn points");
}

#[test]
fn completions_know_the_commands() {
    let ground = Ground::empty();
    for shell in ["bash", "zsh", "fish"] {
        let script = ground.good(&["completions", shell]);
        assert!(COMMANDS.iter().all(|command| script.contains(command)), "{shell}");
        assert!(!script.contains("demo-app"), "{shell} offers what nobody should call");
    }
}
