//! Restore cases, one row each: what A has, and what B is to have.
//!
//! All rows are captured at once and brought back by one failover. The rows lie in `cases/table.rs`.

mod table;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::site::{Site, wait_for};
use table::{AFTERWARDS, CASES, ON_B};

/// One case: objects of A, and what is true of B.
struct Case {
    what: &'static str,
    given: &'static str,
    expected: &'static [Expected],
}

/// One fact about an object, named `kind/name`, in the namespace `cases` or in none.
enum Expected {
    /// It is not on B.
    Absent(&'static str),
    /// On B this place holds this JSON.
    Is(&'static str, &'static str, &'static str),
    /// On B this place does not exist.
    Lacks(&'static str, &'static str),
    /// The place exists on both and differs: it is B's own.
    Differs(&'static str, &'static str),
    /// It is on B, and firn wrote nothing of it.
    MadeByB(&'static str),
}

impl Expected {
    fn name(&self) -> &'static str {
        match self {
            Self::Absent(name)
            | Self::Is(name, ..)
            | Self::Lacks(name, _)
            | Self::Differs(name, _)
            | Self::MadeByB(name) => name,
        }
    }

    /// What is wrong, if anything.
    fn fault(&self, on_a: &Value, on_b: &Value) -> Option<String> {
        let place = |object: &Value, pointer: &str| object.pointer(pointer).cloned();
        match self {
            Self::Absent(_) => (!on_b.is_null()).then(|| "it is on B".to_owned()),
            _ if on_b.is_null() => Some("it is not on B".to_owned()),
            Self::Is(_, pointer, json) => {
                let found = place(on_b, pointer);
                let wanted = serde_json::from_str::<Value>(json).ok();
                (found != wanted || wanted.is_none()).then(|| format!("{pointer} is {found:?}, not {json}"))
            }
            Self::Lacks(_, pointer) => place(on_b, pointer).map(|found| format!("{pointer} is {found}")),
            Self::Differs(_, pointer) => {
                let (was, is) = (place(on_a, pointer), place(on_b, pointer));
                (was.is_none() || is.is_none() || was == is).then(|| format!("{pointer} was {was:?} and is {is:?}"))
            }
            Self::MadeByB(_) => {
                let managers = on_b["metadata"]["managedFields"].as_array().into_iter().flatten();
                let ours = managers.filter(|entry| entry["manager"] == "firn").count();
                (ours > 0).then(|| "firn wrote it".to_owned())
            }
        }
    }
}

#[test]
fn every_case_is_restored_as_it_should_be() -> Result<()> {
    let site = Site::new()?;
    prepare(&site)?;
    let (repo_a, repo_b) = (site.url("repo-a"), site.url("repo-b"));
    site.firn_ends(0, &["init", "--repo", &repo_a])?;
    let mut backup = vec!["backup", "--repo", &repo_a, "--context", "a", "-n", "cases"];
    let volumes = ["data", "cloned", "shared"].map(|claim| format!("cases/{claim}={}", site.text(claim)));
    for volume in &volumes {
        backup.extend(["--volume", volume]);
    }
    site.firn_ends(0, &backup)?;
    site.firn_ends(0, &["replicate", "--from", &repo_a, "--to", &repo_b])?;
    let place = site.text("volumes");
    let more = ["--local-volumes", &place, "--yes", "--yes-primary-is-alive"];
    let report = site.firn_ends(0, &[&["failover", "--repo", &repo_b, "--context", "b"], &more[..]].concat())?.out;
    // Nothing runs on B that could answer a webhook: it is restored all the same, and that is told.
    let unready = report["unready"].as_array().context("no list")?;
    ensure!(
        unready.iter().any(|told| told[0] == "services/cases/web"),
        "the webhook's backend is not told: {report:#}"
    );
    judge(&site)?;

    // Webhooks and policies stand by now: a second run that created anything would be refused.
    let again = ["restore", "--repo", &repo_b, "--context", "b", "-n", "cases", "--local-volumes", &place];
    let report = site.firn_ends(0, &again)?.out;
    ensure!(report["created"] == 0 && report["volumes"] == 0, "a second run is not the first one: {report:#}");
    Ok(())
}

/// Makes A's objects, and what B has before.
fn prepare(site: &Site) -> Result<()> {
    for claim in ["data", "cloned", "shared"] {
        site.write(&format!("{claim}/file"), claim)?;
    }
    site.b().apply(ON_B)?;
    site.a().apply("{apiVersion: v1, kind: Namespace, metadata: {name: cases, labels: {tier: gold}}}")?;
    // Its account is made a moment later; a pod needs it.
    wait_for("the namespace's account", || Ok(site.a().run(&["-n", "cases", "get", "sa", "default"], "").ok()))?;
    let given: Vec<&str> = CASES.iter().map(|case| case.given).filter(|given| !given.is_empty()).collect();
    site.a().apply(&given.join("\n---\n"))?;
    site.a().run(&["-n", "cases", "delete", "configmap", "ending", "--wait=false"], "")?;
    let address = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}}"#;
    site.a().run(&["-n", "cases", "patch", "service", "balanced", "--subresource=status", "-p", address], "")?;
    site.a().run(&["-n", "cases", "wait", "--for=condition=Complete", "job/finished", "--timeout=60s"], "")?;
    wait_for("A's controllers", || {
        let token = site.a().get(&["-n", "cases", "secret", "robot-token"])?;
        let claim = site.a().get(&["-n", "cases", "pvc", "data"])?;
        Ok((token["data"]["token"].is_string() && claim["status"]["phase"] == "Bound").then_some(()))
    })?;
    site.a().apply(AFTERWARDS)
}

/// Looks at every expectation; one that controllers still work on is looked at again.
fn judge(site: &Site) -> Result<()> {
    let on_a = objects(site, "a")?;
    let mut faults = Vec::new();
    let patience = wait_for("all expectations", || {
        let on_b = objects(site, "b")?;
        faults.clear();
        for case in CASES {
            for expected in case.expected {
                let of = |found: &BTreeMap<&str, Value>| found.get(expected.name()).cloned().unwrap_or_default();
                if let Some(fault) = expected.fault(&of(&on_a), &of(&on_b)) {
                    faults.push(format!("{}: {}: {fault}", case.what, expected.name()));
                }
            }
        }
        Ok(faults.is_empty().then_some(()))
    });
    patience.with_context(|| format!("{} of {} cases:\n{}", faults.len(), CASES.len(), faults.join("\n")))
}

/// Every object that a row speaks of, as one cluster has it; null if it is not there.
fn objects(site: &Site, context: &str) -> Result<BTreeMap<&'static str, Value>> {
    let kubectl = if context == "a" { site.a() } else { site.b() };
    let mut names: Vec<&str> = CASES.iter().flat_map(|case| case.expected).map(Expected::name).collect();
    names.sort_unstable();
    names.dedup();
    let kinds: Vec<&str> = {
        let mut kinds: Vec<&str> = names.iter().filter_map(|name| Some(name.split_once('/')?.0)).collect();
        kinds.dedup();
        kinds
    };
    let mut found = BTreeMap::new();
    for kind in kinds {
        let of_kind: Vec<&&str> =
            names.iter().filter(|name| name.split_once('/').is_some_and(|(k, _)| k == kind)).collect();
        let listed = kubectl.list(&[kind, "-n", "cases", "--show-managed-fields"])?;
        for name in of_kind {
            let wanted = name.split_once('/').map_or(*name, |(_, name)| name);
            // A star: the name is made by a controller, and there is to be one.
            let fits = |object: &&Value| {
                let own = object["metadata"]["name"].as_str().unwrap_or_default();
                wanted.strip_suffix('*').map_or(own == wanted, |start| own.starts_with(start))
            };
            found.insert(*name, listed.iter().find(fits).cloned().unwrap_or_default());
        }
    }
    Ok(found)
}
