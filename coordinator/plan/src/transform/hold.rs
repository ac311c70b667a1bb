//! Holds: objects that are restored so that they do not act before traffic is switched.

use firn_format::object::ObjectKey;
use serde_json::{Map, Value, json};

use crate::object::{items, set, text};
use crate::restore::RELEASE_ANNOTATION;
use crate::transform::pod_spec_path;

/// Holds `object` if it is one that would act by itself: schedules, GitOps, external DNS. Gives the reason and the
/// merge patch that releases it.
pub(crate) fn hold(key: &ObjectKey, object: &mut Value) -> Option<(String, Value)> {
    let (reason, path, held): (&str, &[&str], Value) = match (key.group.as_str(), key.resource.as_str()) {
        ("batch", "cronjobs") => ("a schedule; it would run before the switch", &["spec", "suspend"], json!(true)),
        ("batch", "jobs") => ("was running; a second run may process twice", &["spec", "suspend"], json!(true)),
        ("kustomize.toolkit.fluxcd.io", "kustomizations") | ("helm.toolkit.fluxcd.io", "helmreleases") => {
            ("GitOps; it would fight the restore", &["spec", "suspend"], json!(true))
        }
        ("argoproj.io", "applications") => {
            ("GitOps; it would fight the restore", &["spec", "syncPolicy", "automated"], Value::Null)
        }
        ("apps", "deployments") if runs_external_dns(key, object) => {
            ("external DNS; it would move names before the switch", &["spec", "replicas"], json!(0))
        }
        _ => return None,
    };
    let release = put(object, path, held)?;
    Some((reason.to_owned(), annotate(object, release)))
}

/// Sets the replicas of a workload to zero; gives the merge patch that scales it up, none if it was at zero.
pub(crate) fn scale_to_zero(object: &mut Value) -> Option<Value> {
    if object.pointer("/spec/replicas").is_none() {
        set(object, &["spec", "replicas"], json!(1));
    }
    let release = put(object, &["spec", "replicas"], json!(0))?;
    Some(annotate(object, release))
}

/// Puts `held` at `path`; gives the merge patch that puts back what was there. None if that was `held` already, or
/// nothing where nothing is to be.
fn put(object: &mut Value, path: &[&str], held: Value) -> Option<Value> {
    let pointer = format!("/{}", path.join("/"));
    let before = object.pointer(&pointer).cloned().unwrap_or(Value::Null);
    if before == held {
        return None;
    }
    if held.is_null() {
        let (last, parents) = path.split_last()?;
        let parent = format!("/{}", parents.join("/"));
        object.pointer_mut(&parent)?.as_object_mut()?.remove(*last);
    } else {
        set(object, path, held);
    }
    Some(path.iter().rev().fold(before, |value, name| json!({ *name: value })))
}

/// Writes the release onto the object: whoever comes later can release it with nothing else at hand. The patch
/// returned removes the annotation. A workload held twice keeps what it was first.
fn annotate(object: &mut Value, release: Value) -> Value {
    let text = release.to_string();
    set(object, &["metadata", "annotations", RELEASE_ANNOTATION], Value::String(text));
    let mut patch = release.as_object().cloned().unwrap_or_else(Map::new);
    patch.insert("metadata".to_owned(), json!({"annotations": {RELEASE_ANNOTATION: null}}));
    Value::Object(patch)
}

fn runs_external_dns(key: &ObjectKey, object: &Value) -> bool {
    let spec = pod_spec_path(&key.group, &key.resource).unwrap_or_default();
    items(object, &format!("{spec}/containers"))
        .filter_map(|container| text(container, "/image"))
        .any(|image| image.split(['/', ':', '@']).any(|part| part == "external-dns"))
}
