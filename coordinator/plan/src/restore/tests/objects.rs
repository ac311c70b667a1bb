use super::*;

/// The object that is sent, and the notes.
fn sent(group: &str, plural: &str, rest: Value) -> (Value, Vec<String>) {
    let (key, object) = object(group, plural, Some("shop"), "it", rest);
    let options = RestoreOptions { hold: true, ..RestoreOptions::default() };
    let plan = plan_of(vec![(key.clone(), object)], &empty_target(), &options);
    let step = step_of(&plan, &key);
    (step.object.clone().unwrap_or_else(|| panic!("{}: {}", step.action.word(), step.reason)), step.notes.clone())
}

fn action(group: &str, plural: &str, rest: Value) -> (Action, String) {
    let (key, object) = object(group, plural, Some("shop"), "it", rest);
    let plan = plan_of(vec![(key.clone(), object)], &empty_target(), &RestoreOptions::default());
    let step = step_of(&plan, &key);
    (step.action, step.reason.clone())
}

#[test]
fn metadata_and_status_of_the_old_cluster_are_stripped() {
    let (object, notes) = sent(
        "",
        "configmaps",
        json!({
            "data": {"uid": "stays"},
            "status": {"x": 1},
            "metadata": {
                "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z", "selfLink": "/x", "managedFields": [{}],
                "generateName": "i", "deletionGracePeriodSeconds": 3,
                "labels": {"app": "x"}, "annotations": {"note": "y", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
                "finalizers": ["foregroundDeletion", "example.com/mine"]},
        }),
    );
    assert_eq!(
        object,
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"uid": "stays"},
            "metadata": {
                "name": "it", "namespace": "shop", "labels": {"app": "x"}, "finalizers": ["example.com/mine"],
                "annotations": {"note": "y", "kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        })
    );
    assert_eq!(notes, [""; 0]);
}

#[test]
fn services_lose_what_was_allotted_and_keep_what_was_declared() {
    let ports = json!([{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 31234}, {"port": 53, "protocol": "UDP", "nodePort": 31235}]);
    let (object, notes) = sent(
        "",
        "services",
        json!({
            "metadata": {
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{\"spec\":{\"ports\":[{\"port\":80,\"nodePort\":30080},{\"port\":81}]}}",
                    "service.beta.kubernetes.io/azure-pip-name": "pip-a"},
                "managedFields": [
                    {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {"f:ports": {"k:{\"port\":53,\"protocol\":\"UDP\"}": {"f:nodePort": {}}}}}},
                    {"manager": "controller", "operation": "Update", "fieldsV1": {"f:spec": {"f:ports": {"k:{\"port\":81,\"protocol\":\"TCP\"}": {"f:nodePort": {}}}}}}]},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": ports,
                "healthCheckNodePort": 32000, "loadBalancerIP": "20.1.2.3", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"},
            "status": {"loadBalancer": {"ingress": [{"ip": "20.1.2.3"}]}},
        }),
    );
    assert_eq!(
        object["spec"],
        json!({"type": "LoadBalancer", "ports": [
        {"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81}, {"port": 53, "protocol": "UDP", "nodePort": 31235}]})
    );
    assert!(object.get("status").is_none());
    assert_eq!(notes.len(), 2, "{notes:?}");
    let (object, _) = sent(
        "",
        "services",
        json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"], "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}}),
    );
    assert_eq!(
        object["spec"],
        json!({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]})
    );
    let (object, _) = sent("", "services", json!({"spec": {"type": "ExternalName", "externalName": "db.example"}}));
    assert_eq!(object["spec"], json!({"type": "ExternalName", "externalName": "db.example"}));
}

#[test]
fn a_node_port_that_another_service_holds_is_not_kept() {
    let holder =
        object("", "services", Some("shop"), "edge", json!({"spec": {"ports": [{"port": 80, "nodePort": 30080}]}}));
    let mut target = empty_target();
    target.add(holder.0.clone(), Some(holder.1.clone()));
    let service = |name: &str| {
        let applied = "{\"spec\":{\"ports\":[{\"port\":80,\"nodePort\":30080},{\"port\":81,\"nodePort\":30081}]}}";
        object(
            "",
            "services",
            Some("shop"),
            name,
            json!({
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}},
            "spec": {"ports": [{"port": 80, "nodePort": 30080}, {"port": 81, "nodePort": 30081}]}}),
        )
    };
    let plan = plan_of(vec![service("other")], &target, &RestoreOptions::default());
    let step = plan.steps.iter().find(|step| step.key.name == "other").unwrap();
    let sent = step.object.as_ref().unwrap();
    assert_eq!(sent["spec"]["ports"], json!([{"port": 80}, {"port": 81, "nodePort": 30081}]));
    assert_eq!(step.notes, ["node port 30080 not kept: service shop/edge has it"]);
    // Its own port is not in its way: what differs is told.
    let plan = plan_of(vec![holder], &target, &RestoreOptions::default());
    assert!(plan.steps.iter().all(|step| !step.notes.iter().any(|note| note.contains("node port"))));
}

#[test]
fn endpoints_are_restored_for_services_without_selector_only() {
    let with = object("", "services", Some("shop"), "with", json!({"spec": {"selector": {"a": "b"}}}));
    let without = object("", "services", Some("shop"), "without", json!({"spec": {}}));
    let slice = |service: &str| {
        let labels = json!({"metadata": {"labels": {"kubernetes.io/service-name": service}}});
        object("discovery.k8s.io", "endpointslices", Some("shop"), &format!("{service}-x"), labels)
    };
    let endpoints = |service: &str| object("", "endpoints", Some("shop"), service, json!({}));
    let objects = vec![with, without, slice("with"), slice("without"), endpoints("with"), endpoints("without")];
    let plan = plan_of(objects, &empty_target(), &RestoreOptions::default());
    let skipped: Vec<String> =
        plan.steps.iter().filter(|s| s.action == Action::Skip).map(|s| s.key.to_string()).collect();
    assert_eq!(skipped, ["endpoints/shop/with", "endpointslices.discovery.k8s.io/shop/with-x"]);
}

#[test]
fn accounts_and_tokens_are_filled_anew() {
    let (object, _) = sent(
        "",
        "secrets",
        json!({
        "type": "kubernetes.io/service-account-token", "data": {"token": "b2xk", "ca.crt": "b2xk"},
        "metadata": {"annotations": {"kubernetes.io/service-account.name": "bot", "kubernetes.io/service-account.uid": "old"}}}),
    );
    assert!(object.get("data").is_none());
    assert_eq!(object["metadata"]["annotations"], json!({"kubernetes.io/service-account.name": "bot"}));
    let (object, _) = sent(
        "",
        "serviceaccounts",
        json!({"secrets": [{"name": "it-token-ab1cd"}, {"name": "mine"}], "imagePullSecrets": [{"name": "it-dockercfg-x1y2z"}]}),
    );
    assert_eq!(object["secrets"], json!([{"name": "mine"}]));
    assert!(object.get("imagePullSecrets").is_none());
}

#[test]
fn a_default_account_that_says_more_is_merged() {
    let account = |rest| object("", "serviceaccounts", Some("shop"), "default", rest);
    let (key, changed) = account(json!({"imagePullSecrets": [{"name": "registry"}]}));
    let mut target = empty_target();
    target.add(key.clone(), Some(account(json!({})).1));
    let plan = plan_of(vec![(key.clone(), changed)], &target, &RestoreOptions::default());
    assert_eq!(step_of(&plan, &key).action, Action::Merge);
    assert_eq!(plan.refusal(), None);
}

#[test]
fn a_lone_pod_is_freed_from_its_node() {
    let (object, _) = sent(
        "",
        "pods",
        json!({
            "spec": {
                "nodeName": "n1", "priority": 0, "ephemeralContainers": [{}], "schedulingGates": [{"name": "g"}],
                "tolerations": [
                    {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                    {"key": "mine", "operator": "Exists"}],
                "volumes": [{"name": "kube-api-access-ab1cd", "projected": {}}, {"name": "data"}],
                "containers": [{"name": "c", "volumeMounts": [{"name": "kube-api-access-ab1cd", "mountPath": "/x"}, {"name": "data", "mountPath": "/d"}]}],
                "initContainers": [{"name": "i", "volumeMounts": [{"name": "kube-api-access-ab1cd", "mountPath": "/x"}]}]},
            "status": {"phase": "Running", "hostIP": "1.2.3.4"},
        }),
    );
    assert_eq!(
        object["spec"],
        json!({
            "tolerations": [{"key": "mine", "operator": "Exists"}],
            "volumes": [{"name": "data"}],
            "containers": [{"name": "c", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}],
            "initContainers": [{"name": "i"}],
        })
    );
}

#[test]
fn what_is_finished_is_not_run_again() {
    for (group, plural, status) in [
        ("", "pods", json!({"phase": "Succeeded"})),
        ("", "pods", json!({"phase": "Failed"})),
        ("batch", "jobs", json!({"completionTime": "2026-01-01T00:00:00Z"})),
        ("batch", "jobs", json!({"conditions": [{"type": "Failed", "status": "True"}]})),
    ] {
        assert_eq!(action(group, plural, json!({"status": status})), (Action::Skip, "finished".to_owned()));
    }
}

#[test]
fn a_running_job_is_held_without_the_old_controllers_marks() {
    let labels = json!({"controller-uid": "old", "batch.kubernetes.io/controller-uid": "old", "job-name": "it", "batch.kubernetes.io/job-name": "it", "app": "x"});
    let (object, notes) = sent(
        "batch",
        "jobs",
        json!({
            "metadata": {"labels": labels},
            "spec": {"suspend": false, "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "old"}},
                "template": {"metadata": {"labels": labels}}},
        }),
    );
    assert_eq!(object["metadata"]["labels"], json!({"app": "x"}));
    assert_eq!(object["spec"], json!({"suspend": true, "template": {"metadata": {"labels": {"app": "x"}}}}));
    assert_eq!(object["metadata"]["annotations"][RELEASE_ANNOTATION], "{\"spec\":{\"suspend\":false}}");
    assert!(notes[0].starts_with("held: "));
    let manual = json!({"spec": {"suspend": true, "manualSelector": true, "selector": {"matchLabels": {"a": "b"}}}});
    let (object, notes) = sent("batch", "jobs", manual.clone());
    assert_eq!(object["spec"], manual["spec"]);
    assert_eq!(notes, [""; 0], "what was suspended is not held a second time");
}

#[test]
fn schedules_gitops_and_external_dns_are_held_until_released() {
    let definition = |group: &str, plural: &str| {
        object(
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            None,
            &format!("{plural}.{group}"),
            json!({
            "spec": {"group": group, "names": {"plural": plural, "kind": "Ox"}, "versions": [{"name": "v1", "served": true}]}}),
        )
    };
    let objects = vec![
        definition("argoproj.io", "applications"),
        definition("kustomize.toolkit.fluxcd.io", "kustomizations"),
        object(
            "argoproj.io",
            "applications",
            Some("shop"),
            "app",
            json!({"spec": {"syncPolicy": {"automated": {"prune": true}, "retry": {}}}}),
        ),
        object("argoproj.io", "applications", Some("shop"), "manual", json!({"spec": {"syncPolicy": {"retry": {}}}})),
        object("kustomize.toolkit.fluxcd.io", "kustomizations", Some("shop"), "flux", json!({"spec": {}})),
        object("batch", "cronjobs", Some("shop"), "nightly", json!({"spec": {"suspend": false}})),
        object("batch", "cronjobs", Some("shop"), "paused", json!({"spec": {"suspend": true}})),
        object(
            "apps",
            "deployments",
            Some("shop"),
            "dns",
            json!({"spec": {"replicas": 1, "template": {"spec": {"containers": [{"image": "registry.example:5000/external-dns/external-dns:v1"}]}}}}),
        ),
        object(
            "apps",
            "deployments",
            Some("shop"),
            "web",
            json!({"spec": {"replicas": 2, "template": {"spec": {"containers": [{"image": "web"}]}}}}),
        ),
    ];
    let held = plan_of(objects.clone(), &empty_target(), &RestoreOptions { hold: true, ..RestoreOptions::default() });
    let releases: Vec<(&str, Value)> =
        held.holds.iter().map(|hold| (hold.key.name.as_str(), hold.release["spec"].clone())).collect();
    assert_eq!(
        releases,
        [
            ("dns", json!({"replicas": 1})),
            ("nightly", json!({"suspend": false})),
            ("app", json!({"syncPolicy": {"automated": {"prune": true}}})),
            ("flux", json!({"suspend": null})),
        ]
    );
    assert!(held.holds.iter().all(|hold| hold.release["metadata"]["annotations"] == json!({RELEASE_ANNOTATION: null})));
    let app = step_of(&held, &key("argoproj.io", "applications", Some("shop"), "app")).object.as_ref().unwrap();
    assert_eq!(app["spec"], json!({"syncPolicy": {"retry": {}}}));
    let free = plan_of(objects, &empty_target(), &RestoreOptions::default());
    assert_eq!(free.holds, []);
}

#[test]
fn replicas_can_be_restored_at_zero() {
    let options = RestoreOptions { replicas: Replicas::Zero, ..local_options() };
    let plan = plan_of(shop(), &empty_target(), &options);
    let web = step_of(&plan, &key("apps", "deployments", Some("shop"), "web"));
    assert_eq!(web.object.as_ref().unwrap()["spec"]["replicas"], 0);
    let hold = plan.holds.iter().find(|hold| hold.key == web.key).unwrap();
    assert_eq!(hold.release["spec"], json!({"replicas": 3}), "within the autoscaler's bounds");
}

#[test]
fn what_autoscalers_left_at_zero_stays_there() {
    let mut objects = shop();
    let web = objects.iter_mut().find(|(key, _)| key.resource == "deployments").unwrap();
    web.1["spec"]["replicas"] = json!(0);
    let key = web.0.clone();
    let plan = plan_of(objects, &empty_target(), &local_options());
    assert_eq!(step_of(&plan, &key).object.as_ref().unwrap()["spec"]["replicas"], 0);
}

#[test]
fn bundles_that_cert_manager_injects_are_left_to_it() {
    let hook = |annotations: Value| {
        let (key, object) = object(
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations",
            None,
            "hook",
            json!({
            "metadata": {"annotations": annotations}, "webhooks": [{"clientConfig": {"caBundle": "b2xk"}}]}),
        );
        let plan = plan_of(vec![(key.clone(), object)], &empty_target(), &RestoreOptions::default());
        step_of(&plan, &key).object.clone().unwrap()["webhooks"][0]["clientConfig"].clone()
    };
    assert_eq!(hook(json!({"cert-manager.io/inject-ca-from": "a/b"})), json!({}));
    assert_eq!(hook(json!({})), json!({"caBundle": "b2xk"}));
}

#[test]
fn namespaces_keep_their_labels() {
    let (key, namespace) = object(
        "",
        "namespaces",
        None,
        "shop",
        json!({
        "metadata": {"labels": {"kubernetes.io/metadata.name": "shop", "pod-security.kubernetes.io/enforce": "baseline"}, "annotations": {"a": "b"}},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
    );
    let plan = plan_of(vec![(key.clone(), namespace)], &empty_target(), &RestoreOptions::default());
    assert_eq!(
        *step_of(&plan, &key).object.as_ref().unwrap(),
        json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "labels": {"pod-security.kubernetes.io/enforce": "baseline"}, "annotations": {"a": "b"}}})
    );
}

#[test]
fn aggregated_roles_and_revisions_are_computed_anew() {
    let (key, role) =
        object("rbac.authorization.k8s.io", "roles", Some("shop"), "plain", json!({"rules": [{"verbs": ["get"]}]}));
    let plan = plan_of(vec![(key.clone(), role)], &empty_target(), &RestoreOptions::default());
    assert_eq!(step_of(&plan, &key).object.as_ref().unwrap()["rules"], json!([{"verbs": ["get"]}]));
    let (deployment, _) =
        sent("apps", "deployments", json!({"metadata": {"annotations": {"deployment.kubernetes.io/revision": "7"}}}));
    assert!(deployment["metadata"].get("annotations").is_none());
}

#[test]
fn only_one_priority_is_the_global_default() {
    let class = |name: &str| {
        object("scheduling.k8s.io", "priorityclasses", None, name, json!({"value": 5, "globalDefault": true}))
    };
    let plan = plan_of(vec![class("a"), class("b")], &empty_target(), &RestoreOptions::default());
    let defaults: Vec<bool> =
        plan.steps.iter().map(|step| step.object.as_ref().unwrap()["globalDefault"] == json!(true)).collect();
    assert_eq!(defaults, [true, false]);
}
