//! The namespace map, applied to references.

use std::collections::BTreeMap;

use serde_json::Value;

/// Renames namespaces in an object's references, as the map says. The object's own namespace is its key's affair.
pub(crate) fn map_references(object: &mut Value, map: &BTreeMap<String, String>) {
    if map.is_empty() {
        return;
    }
    if let Some(members) = object.as_object_mut() {
        for (name, member) in members.iter_mut() {
            // What a ConfigMap or a Secret contains is the user's, whatever it looks like.
            if !matches!(name.as_str(), "metadata" | "status" | "data" | "stringData" | "binaryData") {
                map_value(name, member, map);
            }
        }
    }
}

/// Recursion is as deep as the object, which its parser has bounded.
fn map_value(name: &str, value: &mut Value, map: &BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            // `{name, namespace}` is how every Kubernetes API names an object elsewhere: subjects, claimRef,
            // clientConfig.service, secretRef, parentRefs, ...; ReferenceGrants say `{group, kind, namespace}`.
            if members.contains_key("name") || members.contains_key("kind") {
                rename(members.get_mut("namespace"), map);
            }
            // Users and groups of service accounts.
            if members.get("kind").and_then(Value::as_str).is_some_and(|kind| kind == "User" || kind == "Group") {
                rename_account(members.get_mut("name"), map);
            }
            // Selectors of namespaces by the label that is their name.
            if name == "matchLabels" {
                rename(members.get_mut("kubernetes.io/metadata.name"), map);
            }
            if members.get("key").and_then(Value::as_str) == Some("kubernetes.io/metadata.name") {
                for item in members.get_mut("values").and_then(Value::as_array_mut).into_iter().flatten() {
                    rename(Some(item), map);
                }
            }
            for (name, member) in members.iter_mut() {
                map_value(name, member, map);
            }
        }
        Value::Array(items) => {
            for item in items {
                map_value(name, item, map);
            }
        }
        _ => {}
    }
}

fn rename(place: Option<&mut Value>, map: &BTreeMap<String, String>) {
    if let Some(Value::String(namespace)) = place
        && let Some(target) = map.get(namespace.as_str())
    {
        target.clone_into(namespace);
    }
}

/// `system:serviceaccount:<namespace>:<name>` and `system:serviceaccounts:<namespace>`.
fn rename_account(place: Option<&mut Value>, map: &BTreeMap<String, String>) {
    let Some(Value::String(subject)) = place else { return };
    let renamed = if let Some(rest) = subject.strip_prefix("system:serviceaccount:") {
        rest.split_once(':')
            .and_then(|(namespace, name)| Some(format!("system:serviceaccount:{}:{name}", map.get(namespace)?)))
    } else {
        subject
            .strip_prefix("system:serviceaccounts:")
            .and_then(|namespace| Some(format!("system:serviceaccounts:{}", map.get(namespace)?)))
    };
    if let Some(renamed) = renamed {
        *subject = renamed;
    }
}

#[cfg(test)]
mod tests;
