//! The application's objects as a cluster has them, without what must differ between two clusters.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::stage::Cluster;

/// What B's controllers make again, and what is no object of the application.
pub(super) const LEFT_TO_B: &str =
    "pods, replica sets, revisions, endpoints, events, the namespace's own account and certificate";

/// Kinds that are not compared: controllers derive them.
const DERIVED: &[&str] =
    &["Pod", "ReplicaSet", "ControllerRevision", "Endpoints", "EndpointSlice", "Event", "PodMetrics", "Lease"];

/// Objects that every namespace gets by itself.
const BY_ITSELF: &[(&str, &str)] = &[("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")];

/// The label of what belongs to the application and lives in no namespace.
const LABEL: &str = "app.kubernetes.io/part-of=shop";

/// Firn's word on a held object: the patch that releases it.
const RELEASE: &str = "firn.io/release";

/// Kind with group, and name.
type Name = (String, String);

/// Objects by name, normalised.
#[derive(Debug)]
pub(super) struct Snapshot {
    objects: BTreeMap<Name, Value>,
}

/// All objects of the application.
pub(super) fn of_application(cluster: &Cluster<'_>) -> Result<Snapshot> {
    let mut objects = in_namespace(cluster)?;
    let kinds = kinds(cluster, false)?;
    objects.extend(cluster.list(&[&kinds, "-l", LABEL])?);
    let volumes = cluster.list(&["persistentvolumes"])?;
    objects.extend(volumes.into_iter().filter(|volume| volume["spec"]["claimRef"]["namespace"] == "shop"));
    Snapshot::of(objects)
}

/// All objects in the application's namespace, and those that live in no namespace under the names of `before`.
pub(super) fn with_names_of(cluster: &Cluster<'_>, before: &Snapshot) -> Result<Snapshot> {
    let mut objects = in_namespace(cluster)?;
    for ((kind, name), object) in &before.objects {
        if object.pointer("/metadata/namespace").is_none() {
            objects.extend(cluster.list(&[kind, name])?);
        }
    }
    Snapshot::of(objects)
}

fn in_namespace(cluster: &Cluster<'_>) -> Result<Vec<Value>> {
    let kinds = kinds(cluster, true)?;
    cluster.list(&["-n", "shop", &kinds])
}

/// The names of all kinds that can be listed and created, for `kubectl get`.
fn kinds(cluster: &Cluster<'_>, namespaced: bool) -> Result<String> {
    let namespaced = format!("--namespaced={namespaced}");
    let text = cluster.kubectl(&["api-resources", "--verbs=list,create", "-o", "name", &namespaced], "")?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(","))
}

impl Snapshot {
    fn of(objects: Vec<Value>) -> Result<Self> {
        let mut found = BTreeMap::new();
        for mut object in objects {
            let word = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let kind = word("/kind").context("an object without a kind")?;
            let name = word("/metadata/name").context("an object without a name")?;
            let version = word("/apiVersion").unwrap_or_default();
            let own = BY_ITSELF.contains(&(kind.as_str(), name.as_str()));
            if own || DERIVED.contains(&kind.as_str()) {
                continue;
            }
            let group = version.split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
            normalise(&kind, &mut object);
            found.insert((format!("{kind}{group}"), name), object);
        }
        Ok(Self { objects: found })
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// How many kinds there are.
    pub(super) fn kinds(&self) -> usize {
        self.objects.keys().map(|(kind, _)| kind).collect::<BTreeSet<_>>().len()
    }

    /// What differs, one line each.
    pub(super) fn differences(&self, after: &Self) -> Vec<String> {
        let mut told = Vec::new();
        let names: BTreeSet<&Name> = self.objects.keys().chain(after.objects.keys()).collect();
        for name in names {
            let shown = format!("{} {}", name.0, name.1);
            match (self.objects.get(name), after.objects.get(name)) {
                (Some(before), Some(after)) => differ(&shown, "", before, after, &mut told),
                (Some(_), None) => told.push(format!("{shown} is missing")),
                (None, _) => told.push(format!("{shown} was not there")),
            }
        }
        told
    }
}

/// Takes away what must differ between two clusters, and nothing else.
fn normalise(kind: &str, object: &mut Value) {
    release(object);
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
        remove(object, "/metadata", field);
    }
    for owner in object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut).into_iter().flatten() {
        // Names stay: the owner is the same one, under the uid that it has here.
        remove(owner, "", "uid");
    }
    remove(object, "", "status");
    match kind {
        // Addresses are allotted by each cluster; None is a choice.
        "Service" if object.pointer("/spec/clusterIP").is_some_and(|address| address != "None") => {
            remove(object, "/spec", "clusterIP");
            remove(object, "/spec", "clusterIPs");
        }
        "PersistentVolume" => {
            // Never the old storage: where it lies is new, the kind of volume too.
            for field in ["local", "hostPath", "nodeAffinity"] {
                remove(object, "/spec", field);
            }
            for field in ["uid", "resourceVersion"] {
                remove(object, "/spec/claimRef", field);
            }
            remove(object, "/metadata", "annotations");
        }
        "PersistentVolumeClaim" => {
            for name in ["pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"] {
                remove(object, "/metadata/annotations", name);
            }
        }
        _ => {}
    }
    if object.pointer("/metadata/annotations").and_then(Value::as_object).is_some_and(Map::is_empty) {
        remove(object, "/metadata", "annotations");
    }
}

/// Applies the patch that a held object carries: what it will be when traffic is switched.
fn release(object: &mut Value) {
    let patch = object.pointer("/metadata/annotations").and_then(|notes| notes.get(RELEASE)).and_then(Value::as_str);
    if let Some(patch) = patch.and_then(|text| serde_json::from_str(text).ok()) {
        remove(object, "/metadata/annotations", RELEASE);
        merge(object, &patch);
    }
}

/// A JSON merge patch.
fn merge(object: &mut Value, patch: &Value) {
    let (Some(members), Some(patches)) = (object.as_object_mut(), patch.as_object()) else {
        *object = patch.clone();
        return;
    };
    for (name, patch) in patches {
        if patch.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), patch);
        }
    }
}

fn remove(object: &mut Value, parent: &str, field: &str) {
    if let Some(members) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
        members.remove(field);
    }
}

fn differ(shown: &str, path: &str, before: &Value, after: &Value, told: &mut Vec<String>) {
    if let (Some(one), Some(other)) = (before.as_object(), after.as_object()) {
        for name in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
            let member = |of: &Map<String, Value>| of.get(name).cloned().unwrap_or(Value::Null);
            differ(shown, &format!("{path}/{name}"), &member(one), &member(other), told);
        }
    } else if before != after {
        told.push(format!("{shown}: {path} was {before}, is {after}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn snapshot(object: Value) -> Snapshot {
        Snapshot::of(vec![object]).expect("a snapshot")
    }

    fn config_map(uid: &str, data: &str, owner: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": data},
            "metadata": {"name": "x", "namespace": "shop", "uid": uid,
                "ownerReferences": [{"kind": "Deployment", "name": owner, "uid": uid}]}})
    }

    #[test]
    fn uids_differ_and_everything_else_is_told() {
        let was = snapshot(config_map("1", "b", "web"));
        assert!(was.differences(&snapshot(config_map("2", "b", "web"))).is_empty());
        assert_eq!(was.differences(&snapshot(config_map("1", "c", "web"))).len(), 1);
        assert_eq!(was.differences(&snapshot(config_map("1", "b", "api"))).len(), 1);
        let none = Snapshot::of(Vec::new()).expect("a snapshot");
        assert_eq!((was.differences(&none).len(), none.differences(&was).len()), (1, 1));
    }

    #[test]
    fn a_held_object_is_compared_as_it_will_be() {
        let job = |suspend: bool| json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "x"}, "spec": {"suspend": suspend}});
        let mut held = job(true);
        held["metadata"]["annotations"] = json!({RELEASE: "{\"spec\":{\"suspend\":false}}"});
        assert!(snapshot(job(false)).differences(&snapshot(held)).is_empty());
        assert_eq!(snapshot(job(false)).differences(&snapshot(job(true))).len(), 1);
    }
}
