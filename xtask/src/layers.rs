//! `cargo xtask layers`: the arrows between the rooms, proved from cargo metadata.
//!
//! Normal and build dependencies count; dev-dependencies do not, since tests may reach anywhere.

use anyhow::{Result, bail};

use crate::cargo::{self, Metadata, Package};

/// A crate and the crates of Firn that it may use, all without their `firn-`.
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
}

const PRODUCT: &[&str] =
    &["proto", "format", "store", "repo", "volume", "replicate", "cluster", "agent", "api", "plan", "coordinator"];

const EVERYTHING: &[&str] = &[
    "proto",
    "format",
    "store",
    "repo",
    "volume",
    "replicate",
    "cluster",
    "agent",
    "api",
    "plan",
    "coordinator",
    "cli",
    "tests",
    "benches",
];

/// All arrows that are allowed. Rooms that are still to come have their row already, so that
/// their first line of code is under the rule.
const ROOMS: &[Room] = &[
    Room { name: "proto", may_use: &[] },
    Room { name: "codegen", may_use: &[] },
    Room { name: "format", may_use: &[] },
    Room { name: "store", may_use: &[] },
    Room { name: "repo", may_use: &["format", "store"] },
    Room { name: "volume", may_use: &["format"] },
    Room { name: "replicate", may_use: &["format", "store", "repo"] },
    Room { name: "cluster", may_use: &["format"] },
    Room { name: "agent", may_use: &["format", "store", "repo", "volume", "replicate", "cluster", "proto"] },
    Room { name: "api", may_use: &[] },
    Room { name: "plan", may_use: &["api", "format"] },
    Room { name: "coordinator", may_use: &["api", "plan", "proto", "format", "store", "repo"] },
    Room { name: "cli", may_use: PRODUCT },
    Room { name: "tests", may_use: EVERYTHING },
    Room { name: "benches", may_use: EVERYTHING },
    Room { name: "xtask", may_use: EVERYTHING },
];

/// A family of crates from outside (a name, or the name and a dash and more) and where it may be used.
struct Outsider {
    family: &'static str,
    only_in: &'static [&'static str],
    reason: &'static str,
}

const OUTSIDERS: &[Outsider] = &[
    Outsider {
        family: "kube",
        only_in: &["cluster", "api", "coordinator", "cli", "tests", "benches"],
        reason: "the engine and the plans know no Kubernetes; the agent talks to it through cluster",
    },
    Outsider {
        family: "k8s-openapi",
        only_in: &["cluster", "api", "coordinator", "cli", "tests", "benches"],
        reason: "the engine and the plans know no Kubernetes; the agent talks to it through cluster",
    },
    Outsider {
        family: "tokio",
        only_in: &["store", "cluster", "agent", "proto", "coordinator", "cli", "tests", "benches"],
        reason: "the core is synchronous: plain functions and named threads",
    },
    Outsider { family: "clap", only_in: &["cli", "xtask", "benches"], reason: "only programs have a command line" },
    Outsider {
        family: "tonic",
        only_in: &["proto", "codegen", "coordinator", "tests"],
        reason: "who speaks with an agent or the coordinator does it in proto's words",
    },
    Outsider {
        family: "object_store",
        only_in: &["store"],
        reason: "every byte at rest goes through the one contract of store",
    },
];

/// Checks the workspace; fails with every arrow that is not allowed.
pub(crate) fn run() -> Result<()> {
    let metadata = cargo::metadata()?;
    let report = check(&metadata);
    if !report.violations.is_empty() {
        bail!("{} arrows are not allowed:\n  {}", report.violations.len(), report.violations.join("\n  "));
    }
    println!("layers: {} packages, {} arrows between them, all allowed", metadata.packages.len(), report.arrows);
    Ok(())
}

#[derive(Debug, Default)]
struct Report {
    arrows: usize,
    violations: Vec<String>,
}

fn check(metadata: &Metadata) -> Report {
    let mut report = Report::default();
    for package in &metadata.packages {
        match ROOMS.iter().find(|room| room.name == leaf(&package.name)) {
            Some(room) => check_package(package, room, metadata, &mut report),
            None => report
                .violations
                .push(format!("{}: not a room that xtask/src/layers.rs knows; give it a row", package.name)),
        }
    }
    report
}

fn check_package(package: &Package, room: &Room, metadata: &Metadata, report: &mut Report) {
    for dependency in &package.dependencies {
        if dependency.kind.as_deref() == Some("dev") {
            continue;
        }
        let name = dependency.name.as_str();
        if metadata.packages.iter().any(|package| package.name == name) {
            report.arrows += 1;
            if !room.may_use.contains(&leaf(name)) {
                report.violations.push(format!(
                    "{} -> {name}: allowed are only: {}",
                    package.name,
                    if room.may_use.is_empty() { "none".to_owned() } else { room.may_use.join(", ") }
                ));
            }
        }
        for outsider in OUTSIDERS {
            if belongs(name, outsider.family) && !outsider.only_in.contains(&room.name) {
                report.violations.push(format!(
                    "{} -> {name}: allowed only in {} ({})",
                    package.name,
                    outsider.only_in.join(", "),
                    outsider.reason
                ));
            }
        }
    }
}

fn leaf(name: &str) -> &str {
    name.strip_prefix("firn-").unwrap_or(name)
}

/// Whether a crate is of a family: the same name, or the name followed by `-` or `_`.
fn belongs(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workspace(arrows: &[(&str, &str, Option<&str>)]) -> Metadata {
        let names = ["firn-format", "firn-store", "firn-repo", "firn-volume", "firn-plan", "firn-cli", "xtask"];
        let packages: Vec<_> = names
            .iter()
            .map(|name| {
                let dependencies: Vec<_> = arrows
                    .iter()
                    .filter(|(from, _, _)| from == name)
                    .map(|(_, to, kind)| json!({"name": to, "kind": kind}))
                    .collect();
                json!({"name": name, "dependencies": dependencies})
            })
            .collect();
        serde_json::from_value(json!({
            "packages": packages,
            "workspace_root": "/w",
            "target_directory": "/w/target",
        }))
        .expect("synthetic metadata")
    }

    fn violations(arrows: &[(&str, &str, Option<&str>)]) -> Vec<String> {
        check(&workspace(arrows)).violations
    }

    #[test]
    fn allowed_arrows_pass_and_are_counted() {
        let report = check(&workspace(&[
            ("firn-repo", "firn-format", None),
            ("firn-repo", "firn-store", None),
            ("firn-cli", "firn-plan", None),
            ("firn-cli", "clap", None),
            ("firn-store", "object_store", None),
            ("firn-store", "tokio", None),
        ]));
        assert_eq!(report.violations, Vec::<String>::new());
        assert_eq!(report.arrows, 3);
    }

    #[test]
    fn a_forbidden_arrow_is_named() {
        let found = violations(&[("firn-volume", "firn-store", None)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("firn-volume -> firn-store:"), "{found:?}");
    }

    #[test]
    fn a_build_dependency_counts_and_a_test_dependency_does_not() {
        assert_eq!(violations(&[("firn-format", "firn-repo", Some("build"))]).len(), 1);
        assert_eq!(violations(&[("firn-format", "firn-repo", Some("dev"))]).len(), 0);
    }

    #[test]
    fn no_product_crate_uses_the_programs_above_it() {
        assert_eq!(violations(&[("firn-format", "xtask", None)]).len(), 1);
        assert_eq!(violations(&[("firn-cli", "xtask", None)]).len(), 1);
    }

    #[test]
    fn crates_from_outside_stay_in_their_rooms() {
        for (from, to) in [
            ("firn-repo", "kube"),
            ("firn-plan", "k8s-openapi"),
            ("firn-volume", "kube-core"),
            ("firn-format", "tokio"),
            ("firn-plan", "tokio-util"),
            ("firn-repo", "object_store"),
            ("firn-store", "clap_complete"),
            ("xtask", "kube"),
        ] {
            let found = violations(&[(from, to, None)]);
            assert_eq!(found.len(), 1, "{from} -> {to}: {found:?}");
            assert!(found[0].starts_with(&format!("{from} -> {to}:")), "{found:?}");
        }
        assert_eq!(violations(&[("firn-repo", "kubert", None)]).len(), 0);
    }

    #[test]
    fn an_unknown_room_fails() {
        let metadata: Metadata = serde_json::from_value(json!({
            "packages": [{"name": "firn-attic", "dependencies": []}],
            "workspace_root": "/w",
            "target_directory": "/w/target",
        }))
        .expect("synthetic metadata");
        let found = check(&metadata).violations;
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("firn-attic:"), "{found:?}");
    }
}
