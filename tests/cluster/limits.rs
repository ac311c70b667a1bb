//! Clusters that do not let Firn do everything: rights that end, servers that are gone, kinds that nobody knows.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::site::{Site, exceptions, text};

const LIMITED: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: limits}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: open, namespace: limits}, data: {a: b}}
---
{apiVersion: v1, kind: Secret, metadata: {name: closed, namespace: limits}, data: {a: Yg==}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: limited, namespace: limits}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: limits-reader}
rules:
- {apiGroups: [""], resources: [namespaces, configmaps, serviceaccounts, services], verbs: [get, list]}
- {apiGroups: [apps, batch], resources: ["*"], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: limits-reader}
subjects: [{kind: ServiceAccount, name: limited, namespace: limits}]
roleRef: {kind: ClusterRole, name: limits-reader, apiGroup: rbac.authorization.k8s.io}
"#;

/// A kubeconfig with one context more, made from A's.
fn with_context(site: &Site, name: &str, change: impl FnOnce(&mut Value, &mut Value)) -> Result<PathBuf> {
    let mut config: Value = serde_json::from_str(&site.a().run(&["config", "view", "--raw", "-o", "json"], "")?)?;
    let entry = |list: &Value, wanted: &Value| -> Result<Value> {
        let found = list.as_array().and_then(|list| list.iter().find(|entry| entry["name"] == *wanted));
        Ok(found.context("a context without its parts")?.clone())
    };
    let of_a = entry(&config["contexts"], &json!("a"))?;
    let mut cluster = entry(&config["clusters"], &of_a["context"]["cluster"])?;
    let mut user = entry(&config["users"], &of_a["context"]["user"])?;
    cluster["name"] = json!(name);
    user["name"] = json!(name);
    change(&mut cluster["cluster"], &mut user["user"]);
    let lists = [
        ("clusters", cluster),
        ("users", user),
        ("contexts", json!({"name": name, "context": {"cluster": name, "user": name}})),
    ];
    for (list, entry) in lists {
        config[list].as_array_mut().context("no list")?.push(entry);
    }
    site.write(&format!("kubeconfig-{name}"), config.to_string())
}

#[test]
fn kinds_that_may_not_be_read_are_named_and_the_rest_is_captured() -> Result<()> {
    let site = Site::new()?;
    site.a().apply(LIMITED)?;
    let token = site.a().run(&["-n", "limits", "create", "token", "limited"], "")?;
    let kubeconfig = with_context(&site, "limited", |_, user| *user = json!({"token": token.trim()}))?;
    let repo = site.url("repo");
    site.firn_ends(0, &["init", "--repo", &repo])?;
    let backup =
        |context: &str| site.firn_with(&kubeconfig, &["backup", "--repo", &repo, "--context", context, "-n", "limits"]);
    let ran = backup("limited")?;
    ensure!(ran.code == 2 && ran.out["complete"] == false, "{} {}\n{:#}", ran.code, ran.err, ran.out);
    let named = ran.out["exception_list"].as_array().context("no list")?;
    let secrets = named
        .iter()
        .find(|told| told["path"] == "secrets")
        .with_context(|| format!("secrets are not named: {:#}", ran.out))?;
    ensure!(secrets["reason"] == "forbidden" && text(secrets, "/detail")?.contains("403"), "{secrets:#}");
    let objects = || -> Result<String> {
        let listed = site.firn_ends(0, &["ls", "--repo", &repo, "latest", "objects", "-R"])?.out;
        Ok(listed.to_string())
    };
    let listed = objects()?;
    ensure!(listed.contains("configmaps/limits/open"), "{listed}");
    ensure!(!listed.contains("secrets/limits/closed"), "{listed}");

    // Once seen, a kind that may no longer be read is carried from the point before, and said to be.
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("file"), "content")?;
    let volume = format!("limits/data={}", dir.path().display());
    let whole = ["backup", "--repo", &repo, "--context", "a", "-n", "limits", "--volume", &volume];
    let ran = site.firn_with(&kubeconfig, &whole)?;
    ensure!(ran.code == 0, "{}", ran.err);
    let ran = backup("limited")?;
    ensure!(ran.code == 2 && ran.out["carried"].as_u64() > Some(0), "{:#}", ran.out);
    ensure!(objects()?.contains("secrets/limits/closed"), "what was known is lost");
    // Nobody knows which claims there are, so the volumes of the point before stand for them.
    let listed = site.firn_ends(0, &["ls", "--repo", &repo, "latest", "volumes", "-R"])?.out.to_string();
    ensure!(listed.contains("limits/data/file"), "{listed}");
    Ok(())
}

#[test]
fn a_server_that_is_gone_is_said_and_nothing_is_written() -> Result<()> {
    let site = Site::new()?;
    // Port 1 of this host: nobody listens.
    let kubeconfig = with_context(&site, "gone", |cluster, _| cluster["server"] = json!("https://127.0.0.1:1"))?;
    let repo = site.url("repo");
    site.firn_ends(0, &["init", "--repo", &repo])?;
    let ran = site.firn_with(&kubeconfig, &["backup", "--repo", &repo, "--context", "gone"])?;
    ensure!(
        ran.code == 1 && ran.err.contains("context gone") && ran.err.contains("nothing was captured"),
        "{}",
        ran.err
    );
    let points = site.firn_ends(0, &["points", "--repo", &repo])?.out;
    ensure!(points == json!([]), "{points:#}");
    let ran = site.firn_with(&kubeconfig, &["backup", "--repo", &repo, "--context", "no-such-context"])?;
    ensure!(ran.code == 1 && ran.err.contains("no-such-context"), "{}", ran.err);

    site.write("manifests/one.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: y}}")?;
    site.firn_ends(0, &["backup", "--repo", &repo, "--from-dir", &site.text("manifests")])?;
    for command in ["restore", "failover"] {
        let words = [command, "--repo", &repo, "--context", "gone"];
        let more: &[&str] = if command == "failover" { &["--yes"] } else { &[] };
        let ran = site.firn_with(&kubeconfig, &[&words[..], more].concat())?;
        ensure!(ran.code == 1 && ran.err.contains("nothing was changed"), "{command}: {}", ran.err);
    }
    // No fence was set by the failover that could not begin.
    site.firn_ends(0, &["backup", "--repo", &repo, "--from-dir", &site.text("manifests")])?;
    Ok(())
}

const UNDEFINED: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: undefined}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: undefined}, data: {a: b}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.undefined.example.com}
spec:
  group: undefined.example.com
  names: {kind: Widget, plural: widgets, singular: widget}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
---
{apiVersion: undefined.example.com/v1, kind: Widget, metadata: {name: w, namespace: undefined}}
"#;

#[test]
fn a_kind_that_nobody_defines_is_named() -> Result<()> {
    let site = Site::new()?;
    let repo = site.url("repo");
    site.write("manifests/all.yaml", UNDEFINED)?;
    site.firn_ends(0, &["init", "--repo", &repo])?;
    site.firn_ends(0, &["backup", "--repo", &repo, "--from-dir", &site.text("manifests")])?;
    // Of this namespace only: the definition, which lives in none, stays behind.
    let restore = ["restore", "--repo", &repo, "--context", "b", "-n", "undefined"];
    let report = site.firn_ends(2, &restore)?.out;
    let told = exceptions(&report, "widgets.undefined.example.com");
    ensure!(told.len() == 1 && told[0][1].as_str().is_some_and(|why| why.contains("defines")), "{report:#}");
    let restored = site.b().get(&["-n", "undefined", "configmap", "x"])?;
    ensure!(restored["data"]["a"] == "b", "{restored:#}");
    site.firn_ends(0, &["restore", "--repo", &repo, "--context", "b"])?;
    let widget = site.b().get(&["-n", "undefined", "widgets.undefined.example.com", "w"])?;
    ensure!(widget["metadata"]["name"] == "w", "{widget:#}");
    Ok(())
}

const TENANTS: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: tenant}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: neighbour}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: admin, namespace: tenant}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: admin, namespace: tenant}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: admin, namespace: tenant}
subjects: [{kind: ServiceAccount, name: admin, namespace: tenant}]
roleRef: {kind: Role, name: admin, apiGroup: rbac.authorization.k8s.io}
---
{apiVersion: v1, kind: Secret, metadata: {name: mine, namespace: tenant}, stringData: {a: b}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: mine, namespace: tenant}, data: {a: b}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: not-mine, namespace: neighbour}, data: {a: b}}
"#;

#[test]
fn who_may_see_one_namespace_only_backs_it_up_whole_and_brings_it_back() -> Result<()> {
    let site = Site::new()?;
    site.a().apply(TENANTS)?;
    let token = site.a().run(&["-n", "tenant", "create", "token", "admin"], "")?;
    let kubeconfig = with_context(&site, "tenant", |_, user| *user = json!({"token": token.trim()}))?;
    let repo = site.url("repo");
    site.firn_ends(0, &["init", "--repo", &repo])?;
    let backup = ["backup", "--repo", &repo, "--context", "tenant", "-n", "tenant"];
    let ran = site.firn_with(&kubeconfig, &backup)?;
    ensure!(ran.code == 0 && ran.out["complete"] == true, "{} {}\n{:#}", ran.code, ran.err, ran.out);
    let listed = site.firn_ends(0, &["ls", "--repo", &repo, "latest", "objects", "-R"])?.out.to_string();
    for name in ["secrets/tenant/mine", "configmaps/tenant/mine", "namespaces/_cluster/tenant", "roles/tenant/admin"] {
        ensure!(listed.contains(name), "{name} is not in {listed}");
    }
    ensure!(!listed.contains("neighbour"), "{listed}");

    // A neighbour's namespace is not theirs, and one that does not exist is said to be missing.
    let ran = site.firn_with(&kubeconfig, &[&backup[..], &["-n", "neighbour"]].concat())?;
    ensure!(ran.code == 1 && ran.err.contains("nothing was captured"), "{} {}\n{:#}", ran.code, ran.err, ran.out);
    let ran = site.firn_ends(2, &["backup", "--repo", &repo, "--context", "a", "-n", "no-such-namespace"])?;
    ensure!(ran.out["exception_list"][0]["reason"] == "missing", "{:#}", ran.out);

    site.a().run(&["-n", "tenant", "delete", "configmap/mine"], "")?;
    let lineage = "tenant/default";
    let restore = ["restore", "--repo", &repo, "--lineage", lineage, "--context", "tenant", "-n", "tenant"];
    let ran = site.firn_with(&kubeconfig, &restore)?;
    ensure!(ran.code == 0, "{} {}\n{:#}", ran.code, ran.err, ran.out);
    let restored = site.a().get(&["-n", "tenant", "configmap", "mine"])?;
    ensure!(restored["data"]["a"] == "b", "{restored:#}");
    Ok(())
}
