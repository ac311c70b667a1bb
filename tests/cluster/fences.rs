//! What becomes of the old primary's right to write, with its store at hand and without.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::site::{Site, text};

/// A site whose A has a namespace with one settings object, backed up and replicated to B.
fn protected(namespace: &str) -> Result<Site> {
    let site = Site::new()?;
    set(&site, namespace, "first")?;
    site.firn_ends(0, &["init", "--repo", &site.url("repo-a")])?;
    back_up(&site, 0, "repo-a", "a", namespace)?;
    replicate(&site, "repo-a", "repo-b")?;
    Ok(site)
}

fn set(site: &Site, namespace: &str, state: &str) -> Result<()> {
    site.a().apply(&format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}\n---\n\
         {{apiVersion: v1, kind: ConfigMap, metadata: {{name: state, namespace: {namespace}}}, data: {{state: {state}}}}}"
    ))
}

fn back_up(site: &Site, code: i32, repo: &str, context: &str, namespace: &str) -> Result<crate::site::Ran> {
    site.firn_ends(code, &["backup", "--repo", &site.url(repo), "--context", context, "-n", namespace])
}

fn replicate(site: &Site, from: &str, to: &str) -> Result<Value> {
    Ok(site.firn_ends(0, &["replicate", "--from", &site.url(from), "--to", &site.url(to)])?.out)
}

fn fail_over(site: &Site, code: i32, more: &[&str]) -> Result<crate::site::Ran> {
    let url = site.url("repo-b");
    site.firn_ends(code, &[&["failover", "--repo", &url, "--context", "b", "--yes"], more].concat())
}

/// A failover into a folder: the cluster has what the first one brought.
fn fail_over_again(site: &Site) -> Result<Value> {
    let (url, dir) = (site.url("repo-b"), site.text("again"));
    let words = ["failover", "--repo", &url, "--to-dir", &dir, "--yes", "--yes-primary-is-alive"];
    Ok(site.firn_ends(0, &words)?.out)
}

fn points(site: &Site, repo: &str) -> Result<Vec<Value>> {
    let listed = site.firn_ends(0, &["points", "--repo", &site.url(repo)])?.out;
    listed.as_array().cloned().context("no array of points")
}

/// The state that a point holds, restored into a folder.
fn state_in(site: &Site, repo: &str, point: &str, namespace: &str) -> Result<String> {
    let dir = site.text(&format!("state-{repo}-{}", &point[..8]));
    site.firn_ends(0, &["restore", "--repo", &site.url(repo), point, "--to-dir", &dir])?;
    let file = format!("{dir}/objects/core/v1/configmaps/{namespace}/state.json");
    let object: Value = serde_json::from_slice(&std::fs::read(&file).with_context(|| format!("read {file}"))?)?;
    Ok(text(&object, "/data/state")?.to_owned())
}

#[test]
fn a_primary_that_can_be_told_writes_no_more() -> Result<()> {
    let site = protected("fence-told")?;
    // Not replicated yet: the failover fetches it.
    set(&site, "fence-told", "second")?;
    back_up(&site, 0, "repo-a", "a", "fence-told")?;
    let refused = fail_over(&site, 1, &[])?;
    ensure!(refused.err.contains("--yes-primary-is-alive"), "{}", refused.err);
    back_up(&site, 0, "repo-a", "a", "fence-told")?;

    let report = fail_over(&site, 0, &["--yes-primary-is-alive"])?.out;
    ensure!(report["primary_fenced"] == true && report["epochs"][0] == 1, "{report:#}");
    let restored = site.b().get(&["-n", "fence-told", "configmap", "state"])?;
    ensure!(restored["data"]["state"] == "second", "{restored:#}");

    let refused = back_up(&site, 1, "repo-a", "a", "fence-told")?;
    ensure!(refused.err.contains("fenced") && refused.err.contains("nothing was lost"), "{}", refused.err);

    // B goes on in its own repository, in the same lineage, and a new A gets all of it.
    let continued = back_up(&site, 0, "repo-b", "b", "fence-told")?.out;
    let here = points(&site, "repo-b")?;
    let newest = here.last().context("no point")?;
    ensure!(newest["id"] == continued["point"] && newest["epoch"] == 1 && newest["cluster"] == "a", "{newest:#}");
    ensure!(here.iter().all(|point| point["lineage"] == newest["lineage"] && point["branch"] == false), "{here:#?}");
    replicate(&site, "repo-b", "repo-a2")?;
    let there = points(&site, "repo-a2")?;
    ensure!(there.last().context("no point in the new A")?["id"] == newest["id"], "{there:#?}");
    ensure!(state_in(&site, "repo-a2", text(newest, "/id")?, "fence-told")? == "second");
    // The old A's repository learns of B's points, and still may not write.
    replicate(&site, "repo-b", "repo-a")?;
    back_up(&site, 1, "repo-a", "a", "fence-told")?;
    let late = site.firn_ends(1, &["failover", "--repo", &site.url("repo-b"), "--abort"])?;
    ensure!(!late.err.is_empty(), "an epoch that a point stands on cannot be given back");
    Ok(())
}

#[test]
fn a_primary_that_is_cut_off_keeps_its_tail_as_a_branch() -> Result<()> {
    let site = protected("fence-cut")?;
    let (a, b) = (site.path("repo-a"), site.path("repo-b"));
    let (a_away, b_away) = (site.path("repo-a-away"), site.path("repo-b-away"));
    std::fs::rename(&a, &a_away)?;
    let report = fail_over(&site, 0, &["--yes-primary-is-alive"])?.out;
    ensure!(report["primary_fenced"] == false, "{report:#}");
    back_up(&site, 0, "repo-b", "b", "fence-cut")?;

    // A comes back and reaches nobody: it goes on, and knows no better.
    std::fs::rename(&b, &b_away)?;
    std::fs::rename(&a_away, &a)?;
    set(&site, "fence-cut", "tail")?;
    let tail = back_up(&site, 0, "repo-a", "a", "fence-cut")?.out;
    let tail = text(&tail, "/point")?;

    // Then it reaches B: it learns, and stops.
    std::fs::rename(&b_away, &b)?;
    let refused = back_up(&site, 1, "repo-a", "a", "fence-cut")?;
    ensure!(refused.err.contains("fenced"), "{}", refused.err);
    let here = points(&site, "repo-a")?;
    let branch: Vec<_> = here.iter().filter(|point| point["branch"] == true).collect();
    ensure!(branch.len() == 1 && branch[0]["id"] == tail, "the tail is a branch: {here:#?}");
    ensure!(state_in(&site, "repo-a", tail, "fence-cut")? == "tail", "and it can be restored");

    // Nothing of B is touched by it.
    let replicated = replicate(&site, "repo-a", "repo-b")?;
    let aside = replicated["left_aside"].as_array().context("no list")?;
    ensure!(aside.len() == 1 && aside[0] == tail, "{replicated:#}");
    ensure!(points(&site, "repo-b")?.iter().all(|point| point["id"] != tail), "the tail is in B");
    back_up(&site, 0, "repo-b", "b", "fence-cut")?;
    // Failing back: the old A mirrors and imports B.
    replicate(&site, "repo-b", "repo-a")?;
    let (newest_a, newest_b) = (points(&site, "repo-a")?, points(&site, "repo-b")?);
    let newest = newest_b.last().context("no point")?;
    ensure!(newest_a.iter().any(|point| point["id"] == newest["id"]), "{newest_a:#?}");
    site.firn_ends(0, &["check", "--repo", &site.url("repo-a"), "--read-data"])?;
    site.firn_ends(0, &["check", "--repo", &site.url("repo-b"), "--read-data"])?;
    Ok(())
}

#[test]
fn an_epoch_can_be_given_back_while_nothing_stands_on_it() -> Result<()> {
    let site = protected("fence-abort")?;
    let (a, a_away) = (site.path("repo-a"), site.path("repo-a-away"));
    std::fs::rename(&a, &a_away)?;
    fail_over(&site, 0, &["--yes-primary-is-alive"])?;
    site.firn_ends(0, &["failover", "--repo", &site.url("repo-b"), "--abort"])?;
    std::fs::rename(&a_away, &a)?;
    let again = back_up(&site, 0, "repo-a", "a", "fence-abort")?.out;
    let here = points(&site, "repo-a")?;
    ensure!(here.last().context("no point")?["id"] == again["point"], "{here:#?}");
    let nothing = site.firn_ends(1, &["failover", "--repo", &site.url("repo-b"), "--abort"])?;
    ensure!(nothing.err.contains("no failover"), "{}", nothing.err);
    replicate(&site, "repo-a", "repo-b")?;
    ensure!(points(&site, "repo-b")?.last().context("no point")?["id"] == again["point"]);
    Ok(())
}

#[test]
fn a_primary_that_was_told_goes_on_once_the_failover_is_taken_back() -> Result<()> {
    let site = protected("fence-told-abort")?;
    fail_over(&site, 0, &["--yes-primary-is-alive"])?;
    back_up(&site, 1, "repo-a", "a", "fence-told-abort")?;
    let aborted = site.firn_ends(0, &["failover", "--repo", &site.url("repo-b"), "--abort"])?.out;
    ensure!(aborted["primary_released"] == true, "{aborted:#}");
    let went_on = back_up(&site, 0, "repo-a", "a", "fence-told-abort")?.out;
    replicate(&site, "repo-a", "repo-b")?;
    let here = points(&site, "repo-b")?;
    let newest = here.last().context("no point")?;
    ensure!(newest["id"] == went_on["point"] && !newest["verified_at"].is_null(), "{here:#?}");
    // The next failover has an epoch of its own.
    let report = fail_over_again(&site)?;
    ensure!(report["epochs"][0] == 2 && report["primary_fenced"] == true, "{report:#}");
    back_up(&site, 1, "repo-a", "a", "fence-told-abort")?;
    Ok(())
}

#[test]
fn a_primary_that_is_away_while_a_failover_is_taken_back_learns_it_by_itself() -> Result<()> {
    let site = protected("fence-away-abort")?;
    let (a, a_away) = (site.path("repo-a"), site.path("repo-a-away"));
    let (b, b_away) = (site.path("repo-b"), site.path("repo-b-away"));
    // A writes a point that B does not see, and is told of the failover afterwards: a branch.
    std::fs::rename(&a, &a_away)?;
    fail_over(&site, 0, &["--yes-primary-is-alive"])?;
    std::fs::rename(&b, &b_away)?;
    std::fs::rename(&a_away, &a)?;
    let tail = back_up(&site, 0, "repo-a", "a", "fence-away-abort")?.out;
    std::fs::rename(&b_away, &b)?;
    back_up(&site, 1, "repo-a", "a", "fence-away-abort")?;
    ensure!(points(&site, "repo-a")?.iter().any(|point| point["branch"] == true));

    std::fs::rename(&a, &a_away)?;
    let aborted = site.firn_ends(0, &["failover", "--repo", &site.url("repo-b"), "--abort"])?.out;
    ensure!(aborted["primary_released"] == false, "{aborted:#}");
    std::fs::rename(&a_away, &a)?;
    let went_on = back_up(&site, 0, "repo-a", "a", "fence-away-abort")?.out;
    ensure!(points(&site, "repo-a")?.iter().all(|point| point["branch"] == false), "the tail is ordinary again");
    let arrived = replicate(&site, "repo-a", "repo-b")?;
    ensure!(arrived["points"] == serde_json::json!([tail["point"], went_on["point"]]), "{arrived:#}");
    Ok(())
}
