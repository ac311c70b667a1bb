mod fixtures;
mod objects;
mod storage;

use serde_json::json;

use super::*;
use crate::render;
use crate::target::Served;
use fixtures::*;

#[test]
fn a_whole_application_is_planned_in_waves() {
    let plan = plan_of(shop(), &empty_target(), &local_options());
    let expected = "\
custom resource definitions
    1  create       customresourcedefinitions.apiextensions.k8s.io/oxen.farm.exa
                    mple
       wait until every definition is Established
namespaces
    2  create       namespaces/shop
       wait until no namespace is Terminating
storage
    3  create       storageclasses.storage.k8s.io/fast
    4  fill         persistentvolumeclaims/shop/data: contents in the point
    5  create       persistentvolumes/pv-data: a new local volume for its claim;
                    no handle of the old storage
    6  create       persistentvolumeclaims/shop/data
                    - size 2Gi, as its volume had
                    - bound to /srv/firn/shop/data
configuration
    7  create       configmaps/shop/settings
    8  skip         serviceaccounts/shop/default: every namespace has its own,
                    and this one says no more
    9  create       secrets/shop/password
access (RBAC)
   10  create       roles.rbac.authorization.k8s.io/shop/reader
   11  create       rolebindings.rbac.authorization.k8s.io/shop/reader
services
   12  create       services/shop/web
workloads
   13  create       deployments.apps/shop/web
                    - replicas 1 -> 3, within its autoscaler's bounds
   14  create       cronjobs.batch/shop/nightly
                    - held: a schedule; it would run before the switch
custom resources
   15  create       oxen.farm.example/shop/bessie
quotas, budgets, autoscalers
   16  create       resourcequotas/shop/quota
   17  create       horizontalpodautoscalers.autoscaling/shop/web
   18  create       poddisruptionbudgets.policy/shop/web
owner references
   19  adopt        configmaps/shop/settings: owned by
                    oxen.farm.example/shop/bessie
API services
   20  create       apiservices.apiregistration.k8s.io/v1.metrics.example
       wait until every API service is Available
admission webhooks and policies
       wait until the webhooks' backends are ready
   21  create       validatingwebhookconfigurations.admissionregistration.k8s.io
                    /guard
held: cronjobs.batch/shop/nightly: a schedule; it would run before the switch
18 create, 1 fill, 1 adopt, 1 skip
";
    assert_eq!(render::restore_plan(&plan, false), expected);
    assert_eq!(plan.refusal(), None);
}

#[test]
fn the_plan_does_not_depend_on_the_order_of_its_inputs() {
    let forward = plan_of(shop(), &empty_target(), &local_options());
    let mut objects = shop();
    objects.reverse();
    assert_eq!(plan_of(objects, &empty_target(), &local_options()), forward);
}

#[test]
fn numbers_have_no_holes_and_batches_hold_every_step_once() {
    let plan = plan_of(shop(), &empty_target(), &local_options());
    let numbers: Vec<u32> = plan.steps.iter().map(|step| step.number).collect();
    assert_eq!(numbers, (1..=21).collect::<Vec<u32>>());
    let batched: Vec<u32> = plan.batches().flatten().map(|step| step.number).collect();
    assert_eq!(batched, numbers);
    assert!(
        plan.batches().all(|batch| batch.iter().all(|step| (step.wave, step.rank) == (batch[0].wave, batch[0].rank)))
    );
}

#[test]
fn a_second_run_onto_what_the_first_made_does_nothing() {
    let options = local_options();
    let first = plan_of(shop(), &empty_target(), &options);
    let target = executed(&first);
    let again = plan_of(shop(), &target, &options);
    assert_eq!(again.refusal(), None, "{}", render::restore_plan(&again, true));
    assert!(again.steps.iter().all(|step| step.action == Action::Skip), "{}", render::restore_plan(&again, true));
}

#[test]
fn what_a_killed_run_left_out_is_made_up_for() {
    let options = local_options();
    let first = plan_of(shop(), &empty_target(), &options);
    let mut half = first.clone();
    half.steps.truncate(12);
    let again = plan_of(shop(), &executed(&half), &options);
    assert_eq!(again.refusal(), None);
    let rest: Vec<&ObjectKey> = again.steps.iter().filter(|s| s.action == Action::Create).map(|s| &s.key).collect();
    let wanted: Vec<&ObjectKey> =
        first.steps[12..].iter().filter(|s| s.action == Action::Create).map(|s| &s.key).collect();
    assert_eq!(rest, wanted);
    assert_eq!(count(&again, Action::Adopt), 1, "the owner reference was not set by the run that was killed");
}

#[test]
fn an_object_in_the_way_stops_everything_or_is_left_alone() {
    let mut target = empty_target();
    let other = config_map("shop", "settings", &json!({"mode": "other"}));
    target.add(other.0.clone(), Some(other.1));
    let plan = plan_of(shop(), &target, &local_options());
    let step = step_of(&plan, &other.0);
    assert_eq!((step.action, step.object.as_ref()), (Action::Conflict, None));
    assert_eq!(plan.refusal().unwrap(), "configmaps/shop/settings: already there, and different");
    let skipping = RestoreOptions { existing: Existing::Skip, ..local_options() };
    let plan = plan_of(shop(), &target, &skipping);
    assert_eq!(step_of(&plan, &other.0).action, Action::Skip);
    assert_eq!((plan.refusal(), plan.exceptions().count()), (None, 0));
}

#[test]
fn an_object_in_another_version_is_the_same_object() {
    let mut target = empty_target();
    let mut key = key("autoscaling", "horizontalpodautoscalers", Some("shop"), "web");
    key.version = "v2beta2".into();
    target.add(key, None);
    assert!(plan_of(shop(), &target, &local_options()).refusal().is_some());
}

#[test]
fn a_kind_that_the_target_lacks_is_an_exception_with_a_name() {
    let mut objects = shop();
    objects.retain(|(key, _)| key.resource != "customresourcedefinitions");
    objects.push(object("policy", "podsecuritypolicies", None, "old", json!({})));
    let mut scaler = object("autoscaling", "horizontalpodautoscalers", Some("shop"), "old", json!({}));
    scaler.0.version = "v2beta2".into();
    objects.push(scaler);
    let plan = plan_of(objects, &empty_target(), &local_options());
    let exceptions: Vec<String> = plan.exceptions().map(|step| format!("{}: {}", step.key, step.reason)).collect();
    assert_eq!(
        exceptions,
        [
            "oxen.farm.example/shop/bessie: neither the point nor the target defines oxen.farm.example",
            "horizontalpodautoscalers.autoscaling/shop/old: the target serves horizontalpodautoscalers in v1 only",
            "podsecuritypolicies.policy/old: the target does not serve podsecuritypolicies in policy/v1",
        ]
    );
    // The owner is gone with its definition.
    let settings = step_of(&plan, &key("", "configmaps", Some("shop"), "settings"));
    assert_eq!(settings.notes, ["owner Ox bessie is not restored; reference dropped"]);
    assert_eq!(count(&plan, Action::Adopt), 0);
    assert_eq!(plan.refusal(), None, "exceptions do not stop the rest");
}

#[test]
fn a_definition_on_the_target_decides_what_is_served() {
    let definition = shop().into_iter().find(|(key, _)| key.resource == "customresourcedefinitions").unwrap();
    let mut target = empty_target();
    target.add(definition.0, Some(definition.1));
    let plan = plan_of(shop(), &target, &local_options());
    let ox = key("farm.example", "oxen", Some("shop"), "bessie");
    assert_eq!(step_of(&plan, &ox).action, Action::NotRestored);
}

#[test]
fn owners_on_the_target_count() {
    let mut objects = shop();
    objects.retain(|(key, _)| key.resource != "oxen");
    let mut types = built_in_types();
    types.push(resource("farm.example", "oxen", "Ox", true));
    let mut target = Target::new(Served::Types(types));
    target.add(key("farm.example", "oxen", Some("shop"), "bessie"), None);
    let plan = plan_of(objects, &target, &local_options());
    let adopt = plan.steps.iter().find(|step| step.action == Action::Adopt).unwrap();
    assert_eq!(adopt.owners[0].key.to_string(), "oxen.farm.example/shop/bessie");
    assert_eq!(adopt.owners[0].controller, Some(true));
}

#[test]
fn namespaces_are_mapped_everywhere() {
    let mut options = local_options();
    options.namespace_map.insert("shop".into(), "store".into());
    let plan = plan_of(shop(), &empty_target(), &options);
    for step in &plan.steps {
        assert_ne!(step.key.namespace.as_deref(), Some("shop"), "{}", step.key);
        let text = serde_json::to_string(&step.object).unwrap();
        assert!(!text.contains("\"namespace\":\"shop\""), "{}: {text}", step.key);
    }
    let binding = step_of(&plan, &key("rbac.authorization.k8s.io", "rolebindings", Some("store"), "reader"));
    assert_eq!(binding.object.as_ref().unwrap()["subjects"][0]["namespace"], "store");
    let fill = plan.steps.iter().find(|step| step.action == Action::Fill).unwrap();
    let volume = fill.volume.as_ref().unwrap();
    assert_eq!((volume.namespace.as_str(), volume.path.to_str()), ("shop", Some("/srv/firn/store/data")));
}

#[test]
fn two_objects_on_one_name_are_a_conflict() {
    let mut options = RestoreOptions { existing: Existing::Skip, ..RestoreOptions::default() };
    options.namespace_map.insert("a".into(), "b".into());
    let objects = vec![
        object("", "namespaces", None, "a", json!({})),
        object("", "namespaces", None, "b", json!({})),
        config_map("a", "x", &json!({"from": "a"})),
        config_map("b", "x", &json!({"from": "b"})),
    ];
    let plan = plan_of(objects, &empty_target(), &options);
    assert_eq!(count(&plan, Action::Create), 2);
    let conflict = plan.exceptions().next().unwrap();
    assert_eq!(
        (conflict.key.to_string().as_str(), conflict.reason.as_str()),
        ("configmaps/b/x", "configmaps/a/x takes this name")
    );
}

#[test]
fn a_namespace_that_is_missing_from_the_point_is_made() {
    let plan = plan_of(vec![config_map("lost", "x", &json!({}))], &empty_target(), &RestoreOptions::default());
    let step = step_of(&plan, &key("", "namespaces", None, "lost"));
    assert_eq!(step.action, Action::Create);
    assert!(step.number < step_of(&plan, &key("", "configmaps", Some("lost"), "x")).number);
    // A directory keeps to what it was given.
    let plan = plan_of(
        vec![config_map("lost", "x", &json!({}))],
        &Target::new(Served::Everything),
        &RestoreOptions::default(),
    );
    assert_eq!(plan.steps.len(), 1);
}

#[test]
fn what_is_in_a_terminating_namespace_does_not_count() {
    let mut target = empty_target();
    let (key_of_namespace, mut namespace) = object("", "namespaces", None, "shop", json!({}));
    namespace["status"] = json!({"phase": "Terminating"});
    target.add(key_of_namespace.clone(), Some(namespace));
    target.add(key("", "configmaps", Some("shop"), "settings"), None);
    let plan = plan_of(shop(), &target, &local_options());
    assert_eq!(plan.refusal(), None);
    assert_eq!(step_of(&plan, &key_of_namespace).action, Action::Create);
    assert_eq!(step_of(&plan, &key("", "configmaps", Some("shop"), "settings")).action, Action::Create);
    assert!(plan.warnings[0].contains("terminating"), "{:?}", plan.warnings);
}

#[test]
fn custom_resources_come_after_those_that_they_name() {
    let ox = |name: &str, spec: Value| object("farm.example", "oxen", Some("shop"), name, json!({"spec": spec}));
    let objects = vec![
        shop().into_iter().find(|(key, _)| key.resource == "customresourcedefinitions").unwrap(),
        ox("a", json!({"leaderRef": {"kind": "Ox", "name": "b"}})),
        ox("b", json!({"nested": [{"friendRefs": [{"kind": "Ox", "name": "c", "namespace": "shop"}]}]})),
        ox("c", json!({"selfRef": {"kind": "Ox", "name": "c"}, "absentRef": {"kind": "Ox", "name": "nobody"}})),
        ox("x", json!({"ringRef": {"kind": "Ox", "name": "y"}})),
        ox("y", json!({"ringRef": {"kind": "Ox", "name": "x"}})),
    ];
    let plan = plan_of(objects, &empty_target(), &RestoreOptions::default());
    let ranks: Vec<(&str, u32)> =
        plan.steps.iter().filter(|s| s.key.resource == "oxen").map(|s| (s.key.name.as_str(), s.rank)).collect();
    assert_eq!(ranks, [("c", 0), ("b", 1), ("a", 2), ("x", 3), ("y", 3)]);
}

#[test]
fn a_hostile_point_is_refused_object_by_object() {
    let mut named_otherwise = config_map("shop", "innocent", &json!({}));
    named_otherwise.1["metadata"]["name"] = json!("settings");
    named_otherwise.1["metadata"]["namespace"] = json!("kube-system");
    let objects = vec![
        named_otherwise,
        object("", "configmaps", Some("shop"), "a/../b", json!({})),
        object("", "configmaps", Some(".."), "x", json!({})),
        (key("", "configmaps", Some("shop"), "scalar"), json!("text")),
    ];
    let plan = plan_of(objects, &empty_target(), &RestoreOptions::default());
    assert_eq!(plan.exceptions().count(), 3);
    let step = step_of(&plan, &key("", "configmaps", Some("shop"), "innocent"));
    let metadata = &step.object.as_ref().unwrap()["metadata"];
    assert_eq!(*metadata, json!({"name": "innocent", "namespace": "shop"}));
}

#[test]
fn secrets_are_not_shown_with_the_plan() {
    let mut objects = shop();
    let secret = objects.iter_mut().find(|(key, _)| key.resource == "secrets").unwrap();
    secret.1["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": "{\"stringData\":{\"word\":\"aHVudGVyMg==\"}}"});
    let plan = plan_of(objects, &empty_target(), &local_options());
    let shown = serde_json::to_string(&plan).unwrap();
    assert!(!shown.contains("aHVudGVyMg=="));
    assert!(shown.contains("(12 bytes hidden)"));
    let step = step_of(&plan, &key("", "secrets", Some("shop"), "password"));
    assert_eq!(step.object.as_ref().unwrap()["data"]["word"], "aHVudGVyMg==");
}

#[test]
fn ten_thousand_objects_are_planned() {
    let objects: Vec<_> = (0..10_000)
        .map(|i| config_map(&format!("n{}", i % 20), &format!("c{i}"), &json!({"k": i.to_string()})))
        .collect();
    let mut target = empty_target();
    for (key, object) in objects.iter().take(5_000) {
        target.add(key.clone(), Some(object.clone()));
    }
    let plan = plan_of(objects, &target, &RestoreOptions::default());
    assert_eq!((count(&plan, Action::Create), count(&plan, Action::Skip)), (5_000 + 20, 5_000));
}

#[test]
fn backends_are_waited_for_before_what_calls_them_and_after_what_needs_them() {
    let webhook = |name: &str, services: &[&str]| {
        let service = |name: &&str| json!({"clientConfig": {"service": {"name": name, "namespace": "shop"}}});
        let mut hooks: Vec<Value> = services.iter().map(service).collect();
        hooks.push(json!({"clientConfig": {"url": "https://elsewhere.example"}}));
        let kind = "validatingwebhookconfigurations";
        object(
            "admissionregistration.k8s.io",
            kind,
            None,
            name,
            json!({"kind": "ValidatingWebhookConfiguration", "webhooks": hooks}),
        )
    };
    let plan =
        plan_of(vec![webhook("one", &["web", "api"]), webhook("two", &["web"])], &empty_target(), &local_options());
    let backends: Vec<String> = plan.webhook_backends().iter().map(ToString::to_string).collect();
    assert_eq!(backends, ["services/shop/api", "services/shop/web"]);
    assert_eq!(Wave::Admission.entry_gate(), Some(crate::step::Gate::BackendsReady));
    assert_eq!(Wave::ApiServices.gate(), Some(crate::step::Gate::ApiServicesAvailable));
    let plan = plan_of(vec![webhook("elsewhere", &[])], &empty_target(), &local_options());
    assert!(plan.webhook_backends().is_empty() && !render::restore_plan(&plan, true).contains("backends"));
}
