//! Volumes: which a host can read at capture, and where their contents go at restore.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use firn_format::object::ObjectKey;
use serde::Serialize;
use serde_json::{Value, json};

use crate::object::{items, text};

/// A captured claim whose volume is a path on a node: readable by a host that has this path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LiveVolume {
    /// The claim's namespace.
    pub namespace: String,
    /// The claim's name.
    pub claim: String,
    /// The volume's absolute path on its node.
    pub path: PathBuf,
    /// The volume type: `local` or `hostPath`.
    pub volume_type: &'static str,
    /// Whether it is a raw block device.
    pub block: bool,
}

/// Where the contents of volumes go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum VolumeTarget {
    /// Nowhere: claims with contents are not restored.
    #[default]
    Nowhere,
    /// Into folders `dir/<namespace>/<claim>`, for which `local` volumes are made in the cluster.
    Local(LocalVolumes),
    /// Into folders `dir/<namespace>/<claim>` beside a directory of manifests; the claims stay as they were asked for.
    Beside {
        /// The folder that holds the namespaces' folders.
        dir: PathBuf,
    },
}

/// Local volumes: the folder on the node and the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalVolumes {
    /// An absolute path; the same on this host and on the node.
    pub dir: PathBuf,
    /// Node label key and value that pick the node.
    pub node_affinity: (String, String),
}

/// The claims among `objects` that are bound to a `local` or `hostPath` volume, ordered by namespace and name.
/// A path that is not absolute or has `..` in it is not offered.
#[must_use]
pub fn live_volumes<'a>(objects: impl IntoIterator<Item = (&'a ObjectKey, &'a Value)>) -> Vec<LiveVolume> {
    let mut found: Vec<LiveVolume> = objects
        .into_iter()
        .filter(|(key, _)| key.group.is_empty() && key.resource == "persistentvolumes")
        .filter_map(|(_, volume)| live_volume(volume))
        .collect();
    found.sort();
    found
}

fn live_volume(volume: &Value) -> Option<LiveVolume> {
    // Released and Failed volumes keep their claimRef, but the claim is gone.
    if text(volume, "/status/phase").is_some_and(|phase| phase != "Bound") {
        return None;
    }
    let (volume_type, path) = [("local", "/spec/local/path"), ("hostPath", "/spec/hostPath/path")]
        .into_iter()
        .find_map(|(volume_type, pointer)| Some((volume_type, Path::new(text(volume, pointer)?))))?;
    let is_plain = path.is_absolute() && !path.components().any(|part| part == Component::ParentDir);
    Some(LiveVolume {
        namespace: text(volume, "/spec/claimRef/namespace")?.to_owned(),
        claim: text(volume, "/spec/claimRef/name")?.to_owned(),
        path: is_plain.then(|| path.to_path_buf())?,
        volume_type,
        block: text(volume, "/spec/volumeMode") == Some("Block"),
    })
}

/// What becomes of one captured claim.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ClaimFate {
    /// Created as it was asked for: it never had a volume.
    Unbound,
    /// Filled at this path; the claim stays unbound (a directory of manifests).
    Beside(PathBuf),
    /// Filled at this path, and bound to this new volume.
    Local {
        path: PathBuf,
        volume: Value,
    },
    NotRestored(String),
}

/// Decides for every claim. `claims` are captured claims by (namespace, name), `volumes` captured volumes by name;
/// `target_namespace` says where a namespace goes.
pub(crate) fn claim_fates<'a>(
    claims: &HashMap<(&'a str, &'a str), &'a Value>,
    volumes: &HashMap<&str, &Value>,
    has_contents: impl Fn(&str, &str) -> bool,
    target: &VolumeTarget,
    target_namespace: impl Fn(&str) -> String,
) -> HashMap<(String, String), ClaimFate> {
    claims
        .iter()
        .map(|((namespace, name), claim)| {
            let volume = text(claim, "/spec/volumeName").and_then(|volume| volumes.get(volume)).copied();
            let contents = has_contents(namespace, name);
            let fate = claim_fate(claim, volume, contents, target, &target_namespace(namespace), name);
            (((*namespace).to_owned(), (*name).to_owned()), fate)
        })
        .collect()
}

fn claim_fate(
    claim: &Value,
    volume: Option<&Value>,
    has_contents: bool,
    target: &VolumeTarget,
    target_namespace: &str,
    name: &str,
) -> ClaimFate {
    if !has_contents {
        return if text(claim, "/spec/volumeName").is_none_or(str::is_empty) {
            ClaimFate::Unbound
        } else {
            ClaimFate::NotRestored("the point holds no contents of this volume; an empty one would be no copy".into())
        };
    }
    if text(claim, "/spec/volumeMode") == Some("Block") && *target != VolumeTarget::Nowhere {
        return ClaimFate::NotRestored("a block volume cannot be put into a folder".into());
    }
    match target {
        VolumeTarget::Nowhere => {
            ClaimFate::NotRestored("no place for its contents is given (--local-volumes DIR)".into())
        }
        VolumeTarget::Beside { dir } => ClaimFate::Beside(dir.join(target_namespace).join(name)),
        VolumeTarget::Local(local) if local.dir.to_str().is_none() => {
            ClaimFate::NotRestored("the folder's name is no text that a volume object could carry".into())
        }
        VolumeTarget::Local(local) => {
            let path = local.dir.join(target_namespace).join(name);
            let volume = local_volume(claim, volume, &path, local, target_namespace, name);
            ClaimFate::Local { path, volume }
        }
    }
}

/// A new volume object for a claim: a folder on the node, kept when released, bound to this claim only. It has the
/// captured volume's name and at least its capacity, and nothing else of it: no handle of the old storage.
fn local_volume(
    claim: &Value,
    volume: Option<&Value>,
    path: &Path,
    local: &LocalVolumes,
    target_namespace: &str,
    name: &str,
) -> Value {
    let captured_name = text(claim, "/spec/volumeName").filter(|name| !name.is_empty());
    let own_name = || format!("firn-{target_namespace}-{name}");
    let modes: Vec<&Value> = items(claim, "/spec/accessModes").collect();
    let class = text(claim, "/spec/storageClassName").unwrap_or_default();
    let (key, value) = &local.node_affinity;
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": captured_name.map_or_else(own_name, str::to_owned)},
        "spec": {
            "capacity": {"storage": capacity(claim, volume)},
            "accessModes": modes,
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": class,
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": target_namespace, "name": name,
            },
            "local": {"path": path.to_string_lossy()},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]},
            ]}},
        },
    })
}

/// The largest of what was asked for, what the claim had and what the volume had; as the text that said it.
pub(crate) fn capacity(claim: &Value, volume: Option<&Value>) -> String {
    [
        text(claim, "/spec/resources/requests/storage"),
        text(claim, "/status/capacity/storage"),
        volume.and_then(|volume| text(volume, "/spec/capacity/storage")),
    ]
    .into_iter()
    .flatten()
    .filter_map(|quantity| Some((quantity_bytes(quantity)?, quantity)))
    .reduce(|largest, next| if next.0 > largest.0 { next } else { largest })
    .map_or_else(|| "1Gi".to_owned(), |(_, quantity)| quantity.to_owned())
}

/// The bytes of a Kubernetes quantity, for comparison; none if it is not one.
fn quantity_bytes(quantity: &str) -> Option<f64> {
    let digits = quantity.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0_f64.powi(2),
        "Gi" => 1024.0_f64.powi(3),
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        exponent => 10.0_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests;
