//! Objects: made-up Kubernetes objects.

use firn_format::object::{ObjectKey, ResourceType, canonical_json};
use serde_json::json;

use crate::dice::Dice;

/// An object's key and its canonical text.
pub type Object = (ObjectKey, Vec<u8>);

/// `count` objects of several kinds in a few namespaces, sorted by path; a large one is among them.
pub fn objects(dice: &mut Dice, count: u64) -> Vec<Object> {
    let kinds = [("", "v1", "configmaps", "ConfigMap", true), ("apps", "v1", "deployments", "Deployment", true)];
    let cluster = ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false);
    let mut out: Vec<Object> = (0..count)
        .map(|n| {
            let kind = if n % 7 == 6 { cluster } else { kinds[dice.index(2)] };
            let data_len = if n == 3 { 600 << 10 } else { dice.index(3000) };
            object(kind, n, String::from_utf8(dice.text(data_len)).expect("ASCII"))
        })
        .collect();
    out.sort_by_key(|(key, _)| key.path());
    out
}

fn object(kind: (&str, &str, &str, &str, bool), n: u64, data: String) -> Object {
    let (group, version, resource, name, namespaced) = kind;
    let kind = ResourceType {
        group: group.into(),
        version: version.into(),
        resource: resource.into(),
        kind: name.into(),
        namespaced,
    };
    let namespace = format!("space-{}", n % 3);
    let key = kind.key(Some(&namespace), &format!("thing-{n}"));
    let text = json!({
        "apiVersion": kind.api_version(),
        "kind": kind.kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "data": {"text": data},
    });
    (key, canonical_json(&text))
}
