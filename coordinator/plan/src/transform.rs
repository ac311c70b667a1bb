//! What happens to an object between the point and the target.
//!
//! `strip` takes away what belonged to the old cluster and depends on the object alone; stripping twice changes
//! nothing more. `adapt` then applies the options: maps, replicas, holds, one default class.

pub(crate) mod adapt;
pub(crate) mod hold;
pub(crate) mod namespaces;
mod pods;
pub(crate) mod services;
pub(crate) mod strip;

use serde_json::Value;

/// Where a kind keeps its pod template, for the kinds that have one.
pub(crate) fn pod_spec_path(group: &str, resource: &str) -> Option<&'static str> {
    match (group, resource) {
        ("", "pods") => Some("/spec"),
        ("apps", "deployments" | "statefulsets" | "daemonsets" | "replicasets")
        | ("batch", "jobs")
        | ("", "replicationcontrollers") => Some("/spec/template/spec"),
        ("batch", "cronjobs") => Some("/spec/jobTemplate/spec/template/spec"),
        ("", "podtemplates") => Some("/template/spec"),
        _ => None,
    }
}

/// Keeps the items of the array at `pointer` for which `keep` holds.
pub(crate) fn retain_items(object: &mut Value, pointer: &str, keep: impl FnMut(&Value) -> bool) {
    if let Some(items) = object.pointer_mut(pointer).and_then(Value::as_array_mut) {
        items.retain(keep);
    }
}
