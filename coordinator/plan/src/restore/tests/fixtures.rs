//! A small application, targets, and how to look at a plan.

use firn_format::object::ResourceType;
use serde_json::json;

use super::*;
use crate::volumes::LocalVolumes;

pub(super) type Object = (ObjectKey, Value);

const TYPES: &[(&str, &str, &str, bool)] = &[
    ("", "namespaces", "Namespace", false),
    ("", "configmaps", "ConfigMap", true),
    ("", "secrets", "Secret", true),
    ("", "serviceaccounts", "ServiceAccount", true),
    ("", "services", "Service", true),
    ("", "endpoints", "Endpoints", true),
    ("", "pods", "Pod", true),
    ("", "persistentvolumes", "PersistentVolume", false),
    ("", "persistentvolumeclaims", "PersistentVolumeClaim", true),
    ("", "resourcequotas", "ResourceQuota", true),
    ("apps", "deployments", "Deployment", true),
    ("apps", "statefulsets", "StatefulSet", true),
    ("batch", "cronjobs", "CronJob", true),
    ("batch", "jobs", "Job", true),
    ("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true),
    ("policy", "poddisruptionbudgets", "PodDisruptionBudget", true),
    ("storage.k8s.io", "storageclasses", "StorageClass", false),
    ("scheduling.k8s.io", "priorityclasses", "PriorityClass", false),
    ("networking.k8s.io", "ingressclasses", "IngressClass", false),
    ("rbac.authorization.k8s.io", "roles", "Role", true),
    ("rbac.authorization.k8s.io", "rolebindings", "RoleBinding", true),
    ("discovery.k8s.io", "endpointslices", "EndpointSlice", true),
    ("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", false),
    ("apiregistration.k8s.io", "apiservices", "APIService", false),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", false),
];

pub(super) fn resource(group: &str, plural: &str, kind: &str, namespaced: bool) -> ResourceType {
    ResourceType { group: group.into(), version: "v1".into(), resource: plural.into(), kind: kind.into(), namespaced }
}

pub(super) fn built_in_types() -> Vec<ResourceType> {
    TYPES.iter().map(|(group, plural, kind, namespaced)| resource(group, plural, kind, *namespaced)).collect()
}

pub(super) fn empty_target() -> Target {
    Target::new(Served::Types(built_in_types()))
}

pub(super) fn key(group: &str, plural: &str, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey {
        group: group.into(),
        version: "v1".into(),
        resource: plural.into(),
        namespace: namespace.map(str::to_owned),
        name: name.into(),
    }
}

/// An object with the metadata that a server gives it, and what `rest` says.
pub(super) fn object(group: &str, plural: &str, namespace: Option<&str>, name: &str, rest: Value) -> Object {
    let key = key(group, plural, namespace, name);
    let kind = TYPES.iter().find(|(g, p, _, _)| *g == group && *p == plural).map_or("Ox", |(_, _, kind, _)| kind);
    let mut object = rest;
    object["apiVersion"] = json!(key.api_version());
    object["kind"] = json!(kind);
    object["metadata"]["name"] = json!(name);
    object["metadata"]["uid"] = json!(format!("uid-{name}"));
    object["metadata"]["resourceVersion"] = json!("77");
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    (key, object)
}

pub(super) fn config_map(namespace: &str, name: &str, data: &Value) -> Object {
    object("", "configmaps", Some(namespace), name, json!({"data": data}))
}

/// An application with one volume that has contents in the point.
pub(super) fn shop() -> Vec<Object> {
    let ns = Some("shop");
    let owner =
        json!([{"apiVersion": "farm.example/v1", "kind": "Ox", "name": "bessie", "uid": "old", "controller": true}]);
    vec![
        object("", "namespaces", None, "shop", json!({"status": {"phase": "Active"}})),
        object(
            "",
            "configmaps",
            ns,
            "settings",
            json!({"data": {"mode": "x"}, "metadata": {"ownerReferences": owner}}),
        ),
        object("", "secrets", ns, "password", json!({"type": "Opaque", "data": {"word": "aHVudGVyMg=="}})),
        object("", "serviceaccounts", ns, "default", json!({})),
        object("", "services", ns, "web", json!({"spec": {"clusterIP": "10.0.0.7", "selector": {"app": "web"}}})),
        object("", "resourcequotas", ns, "quota", json!({"spec": {"hard": {"pods": "9"}}})),
        object("storage.k8s.io", "storageclasses", None, "fast", json!({"provisioner": "disk.csi.example"})),
        object(
            "",
            "persistentvolumes",
            None,
            "pv-data",
            json!({
            "spec": {"csi": {"driver": "disk.csi.example", "volumeHandle": "/region/a/disk"}, "capacity": {"storage": "2Gi"},
                "claimRef": {"namespace": "shop", "name": "data", "uid": "old"}, "storageClassName": "fast"},
            "status": {"phase": "Bound"}}),
        ),
        object(
            "",
            "persistentvolumeclaims",
            ns,
            "data",
            json!({
            "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes", "volume.kubernetes.io/selected-node": "n1"}},
            "spec": {"volumeName": "pv-data", "storageClassName": "fast", "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}, "dataSource": {"kind": "VolumeSnapshot", "name": "old"}},
            "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}}),
        ),
        object("apps", "deployments", ns, "web", json!({"spec": {"replicas": 1}})),
        object(
            "autoscaling",
            "horizontalpodautoscalers",
            ns,
            "web",
            json!({
            "spec": {"minReplicas": 3, "maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}}),
        ),
        object("policy", "poddisruptionbudgets", ns, "web", json!({"spec": {"minAvailable": 1}})),
        object("batch", "cronjobs", ns, "nightly", json!({"spec": {"suspend": false, "schedule": "0 1 * * *"}})),
        object("rbac.authorization.k8s.io", "roles", ns, "reader", json!({})),
        object(
            "rbac.authorization.k8s.io",
            "rolebindings",
            ns,
            "reader",
            json!({
            "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": "shop"}]}),
        ),
        object(
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            None,
            "oxen.farm.example",
            json!({
            "spec": {"group": "farm.example", "names": {"plural": "oxen", "kind": "Ox"},
                "versions": [{"name": "v1", "served": true}, {"name": "v1alpha1", "served": false}]}}),
        ),
        object("farm.example", "oxen", ns, "bessie", json!({"spec": {"weight": 1}, "status": {"seen": true}})),
        object(
            "apiregistration.k8s.io",
            "apiservices",
            None,
            "v1.metrics.example",
            json!({
            "spec": {"service": {"name": "web", "namespace": "shop"}}}),
        ),
        object(
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations",
            None,
            "guard",
            json!({
            "webhooks": [{"name": "guard.example", "clientConfig": {"service": {"name": "web", "namespace": "shop"}}}]}),
        ),
    ]
}

/// Options with a place for volumes, and the shop's volume in the point.
pub(super) fn local_options() -> RestoreOptions {
    RestoreOptions {
        hold: true,
        volumes: VolumeTarget::Local(LocalVolumes {
            dir: "/srv/firn".into(),
            node_affinity: ("kubernetes.io/hostname".into(), "b1".into()),
        }),
        volumes_in_point: [("shop".to_owned(), "data".to_owned())].into(),
        ..RestoreOptions::default()
    }
}

pub(super) fn plan_of(objects: Vec<Object>, target: &Target, options: &RestoreOptions) -> RestorePlan {
    plan(objects, target, options)
}

pub(super) fn step_of<'a>(plan: &'a RestorePlan, key: &ObjectKey) -> &'a Step {
    let is_it = |step: &&Step| step.key == *key && !matches!(step.action, Action::Adopt | Action::Fill);
    plan.steps.iter().find(is_it).unwrap_or_else(|| panic!("{key} is not in the plan"))
}

pub(super) fn count(plan: &RestorePlan, action: Action) -> usize {
    plan.counts().get(&action).copied().unwrap_or(0)
}

/// The target after the plan was executed: objects as a server would keep them.
pub(super) fn executed(plan: &RestorePlan) -> Target {
    let mut types = built_in_types();
    types.push(resource("farm.example", "oxen", "Ox", true));
    let mut target = Target::new(Served::Types(types));
    let adopted: Vec<&ObjectKey> = plan.steps.iter().filter(|s| s.action == Action::Adopt).map(|s| &s.key).collect();
    for step in plan.steps.iter().filter(|step| step.action == Action::Create) {
        let mut object = step.object.clone().unwrap();
        object["metadata"]["uid"] = json!("new");
        object["metadata"]["resourceVersion"] = json!("5");
        object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        if adopted.contains(&&step.key) {
            object["metadata"]["ownerReferences"] = json!([{"uid": "new"}]);
        }
        match step.key.resource.as_str() {
            "services" => object["spec"]["clusterIP"] = json!("10.9.9.9"),
            "persistentvolumes" => object["metadata"]["finalizers"] = json!(["kubernetes.io/pv-protection"]),
            "persistentvolumeclaims" => {
                object["metadata"]["annotations"] = json!({"pv.kubernetes.io/bind-completed": "yes"});
                object["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
            }
            "namespaces" => {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(step.key.name);
                object["spec"] = json!({"finalizers": ["kubernetes"]});
            }
            _ => {}
        }
        object["status"] = json!({"phase": "Active"});
        target.add(step.key.clone(), Some(object));
    }
    target
}
