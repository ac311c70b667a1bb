//! Ten thousand objects, captured and restored completely.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

use crate::site::{Site, text};

const NAMESPACES: usize = 20;
const PER_NAMESPACE: usize = 500;

#[test]
fn ten_thousand_objects_come_back_completely() -> Result<()> {
    let site = Site::new()?;
    for namespace in 0..NAMESPACES {
        let mut manifest = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: scale-{namespace}}}}}\n");
        for number in 0..PER_NAMESPACE {
            let padding = "x".repeat(900 + number % 100);
            write!(
                manifest,
                "---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: item-{number}, namespace: scale-{namespace}}}, \
                 data: {{number: \"{namespace}/{number}\", padding: {padding}}}}}\n"
            )?;
        }
        site.write(&format!("manifests/{namespace}.yaml"), manifest)?;
    }
    let (repo, repo_a) = (site.url("repo"), site.url("repo-a"));
    site.firn_ends(0, &["init", "--repo", &repo])?;
    site.firn_ends(0, &["init", "--repo", &repo_a])?;
    site.firn_ends(0, &["backup", "--repo", &repo, "--from-dir", &site.text("manifests")])?;
    let filled = site.firn_ends(0, &["restore", "--repo", &repo, "--context", "a"])?.out;
    ensure!(filled["created"] == NAMESPACES * (PER_NAMESPACE + 1), "{filled:#}");

    let namespaces: Vec<String> = (0..NAMESPACES).flat_map(|n| ["-n".to_owned(), format!("scale-{n}")]).collect();
    let namespaces: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    let backup = [&["backup", "--repo", &repo_a, "--context", "a"], &namespaces[..]].concat();
    let captured = site.firn_ends(0, &backup)?.out;
    let again = site.firn_ends(0, &backup)?.out;
    let restored =
        site.firn_ends(0, &[&["restore", "--repo", &repo_a, "--context", "b"], &namespaces[..]].concat())?.out;

    let (at_a, at_b) = (items(&site, "a")?, items(&site, "b")?);
    ensure!(at_a.len() == NAMESPACES * PER_NAMESPACE, "{} objects in A", at_a.len());
    let different = at_a.iter().filter(|(name, data)| at_b.get(*name) != Some(data)).count();
    ensure!(at_b.len() == at_a.len() && different == 0, "{} objects in B, {different} different", at_b.len());
    report(&[("into A", &filled, "created"), ("captured", &captured, "objects")])?;
    report(&[("again", &again, "objects"), ("into B", &restored, "created")])
}

/// The data of every object, by namespace and name.
fn items(site: &Site, context: &str) -> Result<BTreeMap<String, String>> {
    let kubectl = if context == "a" { site.a() } else { site.b() };
    let mut found = BTreeMap::new();
    for object in kubectl.list(&["configmaps", "-A", "--chunk-size=1000"])? {
        let (namespace, name) = (text(&object, "/metadata/namespace")?, text(&object, "/metadata/name")?);
        if namespace.starts_with("scale-") && name.starts_with("item-") {
            found.insert(format!("{namespace}/{name}"), object["data"].to_string());
        }
    }
    Ok(found)
}

/// Prints what each command took; nothing is asserted, since a busy machine proves nothing.
#[expect(clippy::print_stderr, reason = "measured numbers are for whoever runs the tests")]
fn report(measured: &[(&str, &serde_json::Value, &str)]) -> Result<()> {
    for (what, done, count) in measured {
        let seconds = done["seconds"].as_f64().context("no seconds")?;
        let count = done[*count].as_f64().context("no count")?;
        eprintln!("{what}: {count} objects in {seconds:.2} s, {:.0} a second", count / seconds);
    }
    Ok(())
}
