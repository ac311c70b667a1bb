//! `cargo xtask crds`: the chart of the definitions, written from the types in `coordinator/api`, or compared with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cargo;

/// The chart's folder in the workspace.
const CHART: &str = "deploy/charts/firn-crds";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail if the chart is not what the types say
    #[arg(long)]
    check: bool,
}

/// Writes or compares.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.check { check() } else { write() }
}

/// Fails if any file of the chart differs from what the types say, is missing, or is there without reason.
pub(crate) fn check() -> Result<()> {
    let (folder, expected) = (folder()?, generate()?);
    let differing = compare(&expected, &read(&folder)?);
    if !differing.is_empty() {
        bail!("{CHART} is not what coordinator/api says; run `cargo xtask crds`:\n  {}", differing.join("\n  "));
    }
    println!("crds: {} files of {CHART} are what the types say", expected.len());
    Ok(())
}

fn write() -> Result<()> {
    let (folder, expected) = (folder()?, generate()?);
    for name in read(&folder)?.keys().filter(|name| !expected.contains_key(*name)) {
        fs::remove_file(folder.join(name)).with_context(|| format!("remove {CHART}/{name}"))?;
    }
    for (name, text) in &expected {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    println!("crds: wrote {} files of {CHART}", expected.len());
    Ok(())
}

/// The files as the types say. A program of its own prints them, so that this one need not be built with Kubernetes.
fn generate() -> Result<BTreeMap<String, String>> {
    let output = Command::new(cargo::program())
        .args(["run", "--quiet", "--locked", "--package", "firn-api", "--example", "crds"])
        .current_dir(cargo::metadata()?.workspace_root)
        .output()
        .context("start cargo run")?;
    if !output.status.success() {
        bail!("print the definitions: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("read the definitions")
}

fn folder() -> Result<PathBuf> {
    Ok(Path::new(&cargo::metadata()?.workspace_root).join(CHART))
}

/// The files that are there, by their names below the folder.
fn read(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for below in ["", "templates"] {
        let entries = match fs::read_dir(folder.join(below)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.with_context(|| format!("list {}", folder.join(below).display()))?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_file() {
                let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                found.insert(name, text);
            }
        }
    }
    Ok(found)
}

/// What differs, one line for each file.
fn compare(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Vec<String> {
    let mut differing = Vec::new();
    for (name, text) in expected {
        match found.get(name) {
            None => differing.push(format!("{name} is missing")),
            Some(other) if other != text => differing.push(format!("{name} differs")),
            Some(_) => {}
        }
    }
    differing
        .extend(found.keys().filter(|name| !expected.contains_key(*name)).map(|name| format!("{name} is left over")));
    differing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn every_difference_is_named() {
        let expected = files(&[("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(compare(&expected, &expected), Vec::<String>::new());
        let found = files(&[("a", "1"), ("b", "0"), ("d", "4")]);
        assert_eq!(compare(&expected, &found), ["b differs", "c is missing", "d is left over"]);
    }

    #[test]
    fn files_are_found_by_their_names_below_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&folder.path().join("none")).unwrap().is_empty());
        fs::create_dir(folder.path().join("templates")).unwrap();
        fs::write(folder.path().join("Chart.yaml"), "x").unwrap();
        fs::write(folder.path().join("templates/a.yaml"), "y").unwrap();
        assert_eq!(read(folder.path()).unwrap(), files(&[("Chart.yaml", "x"), ("templates/a.yaml", "y")]));
    }
}
