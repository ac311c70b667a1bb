use std::collections::HashSet;

use serde_json::json;

use super::*;

fn resource(group: &str, plural: &str, namespaced: bool) -> ResourceType {
    ResourceType { group: group.into(), version: "v1".into(), resource: plural.into(), kind: "K".into(), namespaced }
}

fn verbs(list: &[&str]) -> Vec<String> {
    list.iter().map(|verb| (*verb).to_owned()).collect()
}

/// The rule that leaves an object of `shop` out, if one does.
fn rule_for(group: &str, plural: &str, rest: Value) -> Option<String> {
    let mut object = rest;
    if object.pointer("/metadata/name").is_none() {
        object["metadata"]["name"] = json!("it");
    }
    if object.pointer("/metadata/namespace").is_none() {
        object["metadata"]["namespace"] = json!("shop");
    }
    match Rules::built_in().decide(&resource(group, plural, true), &object, &Selection::default()) {
        Decision::Keep => None,
        Decision::LeaveOut { rule, reason } => {
            assert!(!reason.is_empty());
            Some(rule)
        }
        Decision::NotSelected => panic!("nothing was selected"),
    }
}

#[test]
fn every_row_has_a_name_a_reason_and_a_condition() {
    let rules = Rules::built_in();
    let mut ids = HashSet::new();
    for row in rules.rows() {
        assert!(ids.insert(row.id.clone()), "{} stands twice", row.id);
        assert!(!row.reason.is_empty(), "{} has no reason", row.id);
        let conditions = !row.is_about_type_only() || !row.groups.is_empty() || !row.resources.is_empty();
        assert!(conditions, "{} would leave out everything", row.id);
    }
}

#[test]
fn types_that_cannot_be_restored_are_not_listed() {
    let rules = Rules::built_in();
    let all = verbs(&["get", "list", "create", "watch"]);
    let is_kept = |group: &str, plural: &str, verbs: &[String]| {
        rules.decide_type(&resource(group, plural, true), verbs) == Decision::Keep
    };
    assert!(is_kept("", "configmaps", &all));
    assert!(is_kept("farm.example", "oxen", &all));
    assert!(is_kept("firn.io", "repositories", &all));
    assert!(is_kept("snapshot.storage.k8s.io", "volumesnapshotclasses", &all));
    assert!(is_kept("", "pods", &all), "some pods are captured");
    assert!(!is_kept("", "configmaps", &verbs(&["get", "list"])));
    assert!(!is_kept("authorization.k8s.io", "subjectaccessreviews", &verbs(&["create"])));
    for (group, plural) in [
        ("", "events"),
        ("events.k8s.io", "events"),
        ("coordination.k8s.io", "leases"),
        ("", "nodes"),
        ("", "componentstatuses"),
        ("storage.k8s.io", "csinodes"),
        ("storage.k8s.io", "volumeattachments"),
        ("metrics.k8s.io", "pods"),
        ("snapshot.storage.k8s.io", "volumesnapshotcontents"),
        ("authentication.k8s.io", "tokenreviews"),
        ("acme.cert-manager.io", "orders"),
        ("networking.k8s.io", "ipaddresses"),
    ] {
        assert!(!is_kept(group, plural, &all), "{plural}.{group}");
    }
}

#[test]
fn what_controllers_derive_is_left_out_and_what_people_made_is_kept() {
    let owned =
        |kind: &str| json!({"metadata": {"ownerReferences": [{"kind": kind, "name": "o", "controller": true}]}});
    let annotated = |name: &str, value: &str| json!({"metadata": {"annotations": {name: value}}});
    let labelled = |name: &str, value: &str| json!({"metadata": {"labels": {name: value}}});
    let named = |name: &str| json!({"metadata": {"name": name}});
    let token = |name: &str| json!({"type": "kubernetes.io/service-account-token", "metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": "bot"}}});
    for (group, plural, object, rule) in [
        ("", "pods", owned("ReplicaSet"), Some("controlled-pods")),
        ("", "pods", owned("Cluster"), Some("controlled-pods")),
        ("", "pods", json!({}), None),
        ("", "pods", json!({"metadata": {"ownerReferences": [{"kind": "X", "name": "o"}]}}), None),
        ("", "pods", annotated("kubernetes.io/config.mirror", "x"), Some("mirror-pods")),
        ("apps", "replicasets", owned("Deployment"), Some("controlled-workloads")),
        ("apps", "replicasets", json!({}), None),
        ("apps", "controllerrevisions", owned("StatefulSet"), Some("controlled-workloads")),
        ("batch", "jobs", owned("CronJob"), Some("cron-runs")),
        ("batch", "jobs", owned("Workflow"), None),
        ("apps", "deployments", owned("Operator"), None),
        ("", "configmaps", named("kube-root-ca.crt"), Some("root-ca")),
        ("", "configmaps", annotated("control-plane.alpha.kubernetes.io/leader", "{}"), Some("leader-election")),
        ("", "configmaps", json!({}), None),
        (
            "discovery.k8s.io",
            "endpointslices",
            labelled("endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io"),
            Some("endpoint-slices"),
        ),
        ("discovery.k8s.io", "endpointslices", labelled("endpointslice.kubernetes.io/managed-by", "me"), None),
        (
            "",
            "endpoints",
            json!({"subsets": [{"addresses": [{"ip": "1.1.1.1", "targetRef": {"kind": "Pod"}}]}]}),
            Some("pod-endpoints"),
        ),
        (
            "",
            "endpoints",
            json!({"subsets": [{"notReadyAddresses": [{"ip": "1.1.1.1", "targetRef": {"kind": "Pod"}}]}]}),
            Some("pod-endpoints"),
        ),
        ("", "endpoints", json!({"subsets": [{"addresses": [{"ip": "1.1.1.1"}]}]}), None),
        ("", "secrets", token("bot-token-ab1cd"), Some("automatic-tokens")),
        ("", "secrets", token("bot-token"), None),
        ("", "secrets", json!({"type": "bootstrap.kubernetes.io/token"}), Some("bootstrap-tokens")),
        ("", "secrets", json!({"type": "helm.sh/release.v1"}), None),
        ("", "configmaps", labelled("velero.io/exclude-from-backup", "true"), Some("velero-exclude")),
        ("", "configmaps", labelled("velero.io/exclude-from-backup", "false"), None),
        ("", "configmaps", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), Some("terminating")),
        (
            "",
            "services",
            json!({"metadata": {"name": "kubernetes", "namespace": "default"}}),
            Some("kubernetes-service"),
        ),
        ("", "services", named("kubernetes"), None),
        ("apps", "deployments", labelled("addonmanager.kubernetes.io/mode", "Reconcile"), Some("aks-addons")),
        ("apps", "deployments", labelled("kubernetes.azure.com/managedby", "aks"), Some("aks-managed")),
        (
            "rbac.authorization.k8s.io",
            "roles",
            labelled("kubernetes.io/bootstrapping", "rbac-defaults"),
            Some("bootstrap-rbac"),
        ),
        ("scheduling.k8s.io", "priorityclasses", named("system-node-critical"), Some("system-priorities")),
        ("scheduling.k8s.io", "priorityclasses", named("important"), None),
        (
            "apiregistration.k8s.io",
            "apiservices",
            labelled("kube-aggregator.kubernetes.io/automanaged", "onstart"),
            Some("automanaged-api-services"),
        ),
        ("apiregistration.k8s.io", "apiservices", json!({}), None),
        (
            "flowcontrol.apiserver.k8s.io",
            "flowschemas",
            annotated("apf.kubernetes.io/autoupdate-spec", "true"),
            Some("default-flow-control"),
        ),
        ("flowcontrol.apiserver.k8s.io", "flowschemas", annotated("apf.kubernetes.io/autoupdate-spec", "false"), None),
        ("", "configmaps", json!({"metadata": {"namespace": "kube-system"}}), Some("system-namespaces")),
    ] {
        assert_eq!(rule_for(group, plural, object.clone()).as_deref(), rule, "{plural} {object}");
    }
}

#[test]
fn system_namespaces_come_when_they_are_named() {
    let rules = Rules::built_in();
    let selection = Selection { namespaces: vec!["kube-system".into()], selector: None };
    let object = json!({"metadata": {"name": "x", "namespace": "kube-system"}});
    let config_maps = resource("", "configmaps", true);
    assert_eq!(rules.decide(&config_maps, &object, &selection), Decision::Keep);
    assert!(matches!(rules.decide(&config_maps, &object, &Selection::default()), Decision::LeaveOut { .. }));
    let namespace = json!({"metadata": {"name": "kube-system"}});
    assert!(matches!(
        rules.decide(&resource("", "namespaces", false), &namespace, &Selection::default()),
        Decision::LeaveOut { .. }
    ));
}

#[test]
fn a_selection_brings_what_it_stands_on() {
    let rules = Rules::built_in();
    let selection = Selection { namespaces: vec!["shop".into()], selector: Some("app=web".parse().unwrap()) };
    let decide = |group: &str, plural: &str, namespaced: bool, object: Value| {
        rules.decide(&resource(group, plural, namespaced), &object, &selection) == Decision::Keep
    };
    let web = json!({"app": "web"});
    assert!(decide("", "configmaps", true, json!({"metadata": {"name": "a", "namespace": "shop", "labels": web}})));
    assert!(!decide("", "configmaps", true, json!({"metadata": {"name": "a", "namespace": "shop"}})));
    assert!(!decide("", "configmaps", true, json!({"metadata": {"name": "a", "namespace": "other", "labels": web}})));
    assert!(decide("", "namespaces", false, json!({"metadata": {"name": "shop"}})));
    assert!(!decide("", "namespaces", false, json!({"metadata": {"name": "other"}})));
    assert!(decide(
        "",
        "persistentvolumes",
        false,
        json!({"metadata": {"name": "v"}, "spec": {"claimRef": {"namespace": "shop"}}})
    ));
    assert!(!decide(
        "",
        "persistentvolumes",
        false,
        json!({"metadata": {"name": "v"}, "spec": {"claimRef": {"namespace": "other"}}})
    ));
    assert!(decide("apiextensions.k8s.io", "customresourcedefinitions", false, json!({"metadata": {"name": "d"}})));
    let binding =
        |namespace: &str| json!({"metadata": {"name": "b", "labels": web}, "subjects": [{"namespace": namespace}]});
    assert!(decide("rbac.authorization.k8s.io", "clusterrolebindings", false, binding("shop")));
    assert!(!decide("rbac.authorization.k8s.io", "clusterrolebindings", false, binding("other")));
    assert!(!decide(
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
        false,
        json!({"metadata": {"name": "h"}})
    ));
}

#[test]
fn users_add_and_replace_rows() {
    let rows: Vec<Rule> = serde_json::from_value(json!([
        {"id": "scratch", "reason": "not worth keeping", "resources": ["configmaps"], "names": ["scratch-*"]},
        {"id": "leases", "reason": "none", "groups": ["nowhere.example"]},
        {"id": "empty", "reason": "says nothing"},
    ]))
    .unwrap();
    let rules = Rules::built_in().with(rows);
    let decide = |group: &str, plural: &str, name: &str| {
        let object = json!({"metadata": {"name": name, "namespace": "shop"}});
        rules.decide(&resource(group, plural, true), &object, &Selection::default())
    };
    let left_out = Decision::LeaveOut { rule: "scratch".into(), reason: "not worth keeping".into() };
    assert_eq!(decide("", "configmaps", "scratch-1"), left_out);
    assert_eq!(decide("", "configmaps", "other"), Decision::Keep);
    assert_eq!(decide("coordination.k8s.io", "leases", "x"), Decision::Keep);
    let typo: Result<Rule, _> = serde_json::from_value(json!({"id": "x", "reason": "y", "resource": ["z"]}));
    assert!(typo.is_err());
}
