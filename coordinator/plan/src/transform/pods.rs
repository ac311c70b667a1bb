//! Pods that nobody controls: what admission and the scheduler put into them.

use serde_json::{Value, json};

use super::retain_items;
use crate::object::{items_mut, remove, remove_if_empty, text};

/// Takes away what the API server, the scheduler and the kubelet put into a pod.
pub(super) fn strip_pod(pod: &mut Value) {
    for field in ["nodeName", "priority", "ephemeralContainers", "schedulingGates", "hostname"] {
        // A hostname that the user chose stays; one that equals the pod's name says nothing.
        if field == "hostname" && text(pod, "/spec/hostname") != text(pod, "/metadata/name") {
            continue;
        }
        remove(pod, "/spec", field);
    }
    strip_token_volumes(pod);
    retain_items(pod, "/spec/tolerations", |toleration| !is_injected(toleration));
    remove_if_empty(pod, "/spec", "tolerations");
}

/// Volumes `kube-api-access-*` and old style token volumes, and their mounts: admission adds its own.
fn strip_token_volumes(pod: &mut Value) {
    let account = text(pod, "/spec/serviceAccountName").unwrap_or("default").to_owned();
    let is_token = |name: Option<&str>| {
        name.is_some_and(|name| {
            let tail = name.strip_prefix("kube-api-access-");
            tail.or_else(|| name.strip_prefix(&account)?.strip_prefix("-token-")).is_some_and(|tail| tail.len() == 5)
        })
    };
    retain_items(pod, "/spec/volumes", |volume| !is_token(text(volume, "/name")));
    remove_if_empty(pod, "/spec", "volumes");
    for list in ["/spec/containers", "/spec/initContainers"] {
        for container in items_mut(pod, list) {
            retain_items(container, "/volumeMounts", |mount| !is_token(text(mount, "/name")));
            remove_if_empty(container, "", "volumeMounts");
        }
    }
}

/// The two tolerations that admission adds to every pod.
fn is_injected(toleration: &Value) -> bool {
    ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].iter().any(|key| {
        *toleration == json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    })
}
