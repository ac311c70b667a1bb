//! A whole application, captured from one cluster and brought back on another one.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::site::{Site, exceptions, text, wait_for};

const NODE: &str = "node-of-the-test";

/// The application: everything but the objects that need the uid of another one.
fn application(volumes: &Path) -> String {
    include_str!("recovery.yaml").replace("VOLUMES", &volumes.display().to_string()).replace("NODE", NODE)
}

/// Objects owned by a custom resource and by a Deployment.
fn owned(site: &Site) -> Result<String> {
    let catalog = site.a().get(&["-n", "recovery", "catalogs.recovery.example.com", "spring"])?;
    let web = site.a().get(&["-n", "recovery", "deployment", "web"])?;
    Ok(format!(
        r#"
apiVersion: v1
kind: ConfigMap
metadata:
  name: pages
  namespace: recovery
  ownerReferences:
  - {{apiVersion: recovery.example.com/v1, kind: Catalog, name: spring, uid: {}, controller: true}}
data: {{first: one}}
---
apiVersion: recovery.example.com/v1
kind: Catalog
metadata:
  name: summer
  namespace: recovery
  ownerReferences: [{{apiVersion: apps/v1, kind: Deployment, name: web, uid: {}, blockOwnerDeletion: true}}]
spec: {{pages: 3}}
"#,
        text(&catalog, "/metadata/uid")?,
        text(&web, "/metadata/uid")?
    ))
}

#[test]
fn an_application_with_volumes_comes_back_on_another_cluster() -> Result<()> {
    let site = Site::new()?;
    site.write("a/data/orders", "order 1\norder 2\n")?;
    site.write("a/data/deep/er/file", vec![7; 300_000])?;
    site.write("a/logs/access.log", "GET /\n")?;
    site.a().apply(&application(&site.path("a")))?;
    wait_for("the custom resource's type", || {
        Ok(site.a().run(&["wait", "--for=condition=Established", "crd/catalogs.recovery.example.com"], "").ok())
    })?;
    site.a().apply(CATALOG)?;
    site.a().apply(&owned(&site)?)?;
    wait_for("A's claims are bound", || Ok(bound(&site.a().list(&["-n", "recovery", "pvc"])?)))?;

    let (repo_a, repo_b) = (site.url("repo-a"), site.url("repo-b"));
    site.firn_ends(0, &["init", "--repo", &repo_a])?;
    let backup = ["backup", "--repo", &repo_a, "--context", "a", "-n", "recovery"];
    let captured = site.firn_ends(0, &backup)?.out;
    ensure!(captured["volumes"] == 2 && captured["complete"] == true, "{captured:#}");
    let again = site.firn_ends(0, &backup)?.out;
    ensure!(again["objects"] == captured["objects"], "{again:#}");
    site.firn_ends(0, &["replicate", "--from", &repo_a, "--to", &repo_b])?;

    without_a_place_volumes_stay_behind(&site, &repo_b)?;
    std::fs::remove_dir_all(site.path("repo-a"))?;
    let volumes_b = site.text("b");
    let failover = ["failover", "--repo", &repo_b, "--context", "b", "--local-volumes", &volumes_b, "--yes"];
    let refused = site.firn_ends(1, &failover)?;
    ensure!(refused.err.contains("--yes-primary-is-alive"), "A lives: {}", refused.err);
    let report = site.firn_ends(0, &[&failover[..], &["--yes-primary-is-alive"]].concat())?.out;
    ensure!(report["volumes"] == 2, "{report:#}");

    volumes_are_bound_and_whole(&site)?;
    owners_are_those_of_b(&site)?;
    let secret = site.b().get(&["-n", "recovery", "secret", "database"])?;
    ensure!(secret["data"]["password"] == "c2VjcmV0", "{secret:#}");
    let web = site.b().get(&["-n", "recovery", "deployment", "web"])?;
    ensure!(web["spec"]["replicas"] == 2, "{web:#}");
    let binding = site.b().get(&["-n", "recovery", "rolebinding", "reader"])?;
    ensure!(binding["subjects"][0]["name"] == "web", "{binding:#}");
    Ok(())
}

const CATALOG: &str = "{apiVersion: recovery.example.com/v1, kind: Catalog, \
    metadata: {name: spring, namespace: recovery}, spec: {pages: 12}}";

/// Something, once there are claims and all are bound.
fn bound(claims: &[Value]) -> Option<()> {
    (!claims.is_empty() && claims.iter().all(|claim| claim["status"]["phase"] == "Bound")).then_some(())
}

/// Restored without `--local-volumes`: everything but the volumes is there, and both are named.
fn without_a_place_volumes_stay_behind(site: &Site, repo: &str) -> Result<()> {
    let restore = ["restore", "--repo", repo, "--context", "b", "--namespace-map", "recovery=recovery-without"];
    let plan = site.firn_ends(2, &[&restore[..], &["--dry-run"]].concat())?.out;
    let stays: Vec<_> = plan["steps"]
        .as_array()
        .context("no steps")?
        .iter()
        .filter(|step| step["action"] == "not-restored" && step["kind"] == "PersistentVolumeClaim")
        .collect();
    ensure!(stays.len() == 2, "{stays:#?}");
    let namespaces = site.b().get(&["namespace", "recovery-without"])?;
    ensure!(namespaces.is_null(), "a dry run made a namespace");
    let report = site.firn_ends(2, &restore)?.out;
    for claim in ["data", "logs"] {
        let told = exceptions(&report, &format!("persistentvolumeclaims/recovery-without/{claim}"));
        ensure!(
            told.len() == 1 && told[0][1].as_str().is_some_and(|why| why.contains("--local-volumes")),
            "{report:#}"
        );
    }
    let claims = site.b().list(&["-n", "recovery-without", "pvc"])?;
    ensure!(claims.is_empty(), "an empty claim would look like a copy: {claims:#?}");
    let catalog = site.b().get(&["-n", "recovery-without", "catalogs.recovery.example.com", "spring"])?;
    ensure!(catalog["spec"]["pages"] == 12, "{catalog:#}");
    Ok(())
}

fn volumes_are_bound_and_whole(site: &Site) -> Result<()> {
    wait_for("B's claims are bound", || Ok(bound(&site.b().list(&["-n", "recovery", "pvc"])?)))?;
    for (claim, volume) in [("data", "recovery-data"), ("logs", "recovery-logs")] {
        let found = site.b().get(&["pv", volume])?;
        let path = site.text(&format!("b/recovery/{claim}"));
        ensure!(text(&found, "/spec/local/path")? == path, "{found:#}");
        ensure!(text(&found, "/spec/persistentVolumeReclaimPolicy")? == "Retain", "{found:#}");
        ensure!(text(&found, "/spec/claimRef/name")? == claim, "{found:#}");
    }
    for (was, is) in [
        ("a/data/orders", "b/recovery/data/orders"),
        ("a/data/deep/er/file", "b/recovery/data/deep/er/file"),
        ("a/logs/access.log", "b/recovery/logs/access.log"),
    ] {
        ensure!(std::fs::read(site.path(was))? == std::fs::read(site.path(is))?, "{is} is not {was}");
    }
    Ok(())
}

fn owners_are_those_of_b(site: &Site) -> Result<()> {
    let spring = site.b().get(&["-n", "recovery", "catalogs.recovery.example.com", "spring"])?;
    let pages = site.b().get(&["-n", "recovery", "configmap", "pages"])?;
    ensure!(text(&pages, "/metadata/ownerReferences/0/uid")? == text(&spring, "/metadata/uid")?, "{pages:#}");
    ensure!(pages["metadata"]["ownerReferences"][0]["controller"] == true, "{pages:#}");
    let web = site.b().get(&["-n", "recovery", "deployment", "web"])?;
    let summer = site.b().get(&["-n", "recovery", "catalogs.recovery.example.com", "summer"])?;
    ensure!(text(&summer, "/metadata/ownerReferences/0/uid")? == text(&web, "/metadata/uid")?, "{summer:#}");
    ensure!(summer["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] == true, "{summer:#}");
    let at_a = site.a().get(&["-n", "recovery", "deployment", "web"])?;
    ensure!(text(&at_a, "/metadata/uid")? != text(&web, "/metadata/uid")?, "one uid in two clusters");
    Ok(())
}
