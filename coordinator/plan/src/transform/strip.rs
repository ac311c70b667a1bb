//! Takes away what belonged to the old cluster.

use firn_format::object::ObjectKey;
use serde_json::{Value, json};

use super::{pods, retain_items, services};
use crate::object::{annotation, items_mut, remove, remove_if_empty, text};

/// Fields of `metadata` that the API server sets.
const METADATA_FIELDS: &[&str] = &[
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "selfLink",
    "managedFields",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generateName",
    "ownerReferences",
];

/// Finalizers that Kubernetes itself adds again where they are due.
const INTERNAL_FINALIZERS: &[&str] = &[
    "kubernetes",
    "foregroundDeletion",
    "orphan",
    "kubernetes.io/pvc-protection",
    "kubernetes.io/pv-protection",
    "kubernetes.io/pvc-as-source-protection",
    "service.kubernetes.io/load-balancer-cleanup",
    "batch.kubernetes.io/job-tracking",
    "external-provisioner.volume.kubernetes.io/finalizer",
    "customresourcecleanup.apiextensions.k8s.io",
];

/// Annotations that controllers write about one cluster, by resource.
const ANNOTATIONS: &[(&str, &str)] = &[
    ("persistentvolumeclaims", "pv.kubernetes.io/bind-completed"),
    ("persistentvolumeclaims", "pv.kubernetes.io/bound-by-controller"),
    ("persistentvolumeclaims", "volume.kubernetes.io/selected-node"),
    ("persistentvolumeclaims", "volume.kubernetes.io/storage-provisioner"),
    ("persistentvolumeclaims", "volume.beta.kubernetes.io/storage-provisioner"),
    ("persistentvolumeclaims", "volume.kubernetes.io/storage-resizer"),
    ("persistentvolumes", "pv.kubernetes.io/bound-by-controller"),
    ("persistentvolumes", "pv.kubernetes.io/provisioned-by"),
    ("persistentvolumes", "volume.kubernetes.io/provisioner-deletion-secret-name"),
    ("persistentvolumes", "volume.kubernetes.io/provisioner-deletion-secret-namespace"),
    ("deployments", "deployment.kubernetes.io/revision"),
    ("daemonsets", "deprecated.daemonset.template.generation"),
    ("endpoints", "endpoints.kubernetes.io/last-change-trigger-time"),
    ("endpointslices", "endpoints.kubernetes.io/last-change-trigger-time"),
    ("secrets", "kubernetes.io/service-account.uid"),
    ("cronjobs", "batch.kubernetes.io/cronjob-scheduled-timestamp"),
    ("pods", "kubernetes.io/limit-ranger"),
];

/// Strips `object`; says what else than the usual was taken, one clause each.
pub(crate) fn strip(key: &ObjectKey, object: &mut Value) -> Vec<String> {
    let mut notes = Vec::new();
    if (key.group.as_str(), key.resource.as_str()) == ("", "services") {
        // Reads managedFields, so it comes before they go.
        notes.extend(services::strip(object));
    }
    strip_metadata(key, object);
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    match (key.group.as_str(), key.resource.as_str()) {
        ("", "namespaces") => {
            remove(object, "", "spec");
            remove(object, "/metadata/labels", "kubernetes.io/metadata.name");
        }
        ("", "persistentvolumeclaims") => strip_claim(object),
        ("", "persistentvolumes") => strip_volume(object),
        ("", "secrets") => strip_token(object),
        ("", "serviceaccounts") => strip_account(object),
        ("", "pods") => pods::strip_pod(object),
        ("batch", "jobs") => strip_job(object),
        ("apps", "statefulsets") => {
            for template in items_mut(object, "/spec/volumeClaimTemplates") {
                remove(template, "", "status");
            }
        }
        ("rbac.authorization.k8s.io", "clusterroles")
            if object.get("aggregationRule").is_some_and(Value::is_object) =>
        {
            remove(object, "", "rules");
        }
        ("apiextensions.k8s.io" | "admissionregistration.k8s.io" | "apiregistration.k8s.io", _) => {
            notes.extend(strip_injected_ca(object));
        }
        _ => {}
    }
    for parent in ["labels", "annotations", "finalizers"] {
        remove_if_empty(object, "/metadata", parent);
    }
    notes
}

fn strip_metadata(key: &ObjectKey, object: &mut Value) {
    for field in METADATA_FIELDS {
        remove(object, "/metadata", field);
    }
    retain_items(object, "/metadata/finalizers", |finalizer| {
        finalizer.as_str().is_none_or(|name| !INTERNAL_FINALIZERS.contains(&name))
    });
    for (resource, name) in ANNOTATIONS {
        if *resource == key.resource {
            remove(object, "/metadata/annotations", name);
        }
    }
}

/// Size, class and modes stay; binding and origin go. An origin left from history would let provisioning wait for ever.
fn strip_claim(claim: &mut Value) {
    for field in ["volumeName", "dataSource", "dataSourceRef"] {
        remove(claim, "/spec", field);
    }
}

fn strip_volume(volume: &mut Value) {
    for field in ["uid", "resourceVersion"] {
        remove(volume, "/spec/claimRef", field);
    }
}

/// A token belongs to one cluster: the controller of the new one fills the Secret again.
fn strip_token(secret: &mut Value) {
    if text(secret, "/type") == Some("kubernetes.io/service-account-token") {
        remove(secret, "", "data");
    }
}

/// Takes away references to automatic tokens; the others stay.
fn strip_account(account: &mut Value) {
    let prefixes = ["-token-", "-dockercfg-"]
        .map(|middle| format!("{}{middle}", text(account, "/metadata/name").unwrap_or_default()));
    for list in ["secrets", "imagePullSecrets"] {
        retain_items(account, &format!("/{list}"), |secret| {
            let name = text(secret, "/name").unwrap_or_default();
            !prefixes.iter().any(|prefix| name.strip_prefix(prefix.as_str()).is_some_and(|tail| tail.len() == 5))
        });
        remove_if_empty(account, "", list);
    }
}

/// The controller's labels and selector name the old Job's uid; the API server makes them anew.
fn strip_job(job: &mut Value) {
    if job.pointer("/spec/manualSelector") == Some(&json!(true)) {
        return;
    }
    remove(job, "/spec", "selector");
    for place in ["/metadata", "/spec/template/metadata"] {
        for label in
            ["controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name"]
        {
            remove(job, &format!("{place}/labels"), label);
        }
        remove_if_empty(job, place, "labels");
    }
}

/// A CA bundle that cert-manager injects is the old cluster's; it is injected anew.
fn strip_injected_ca(object: &mut Value) -> Option<String> {
    let injected = ["inject-ca-from", "inject-ca-from-secret", "inject-apiserver-ca"]
        .iter()
        .any(|name| annotation(object, &format!("cert-manager.io/{name}")).is_some());
    if !injected {
        return None;
    }
    let mut removed = remove(object, "/spec", "caBundle").is_some();
    removed |= remove(object, "/spec/conversion/webhook/clientConfig", "caBundle").is_some();
    for webhook in items_mut(object, "/webhooks") {
        removed |= remove(webhook, "/clientConfig", "caBundle").is_some();
    }
    removed.then(|| "CA bundle left to cert-manager".to_owned())
}
