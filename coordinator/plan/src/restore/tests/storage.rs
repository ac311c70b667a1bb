use super::*;
use crate::volumes::LocalVolumes;

fn claim() -> ObjectKey {
    key("", "persistentvolumeclaims", Some("shop"), "data")
}

fn volume() -> ObjectKey {
    key("", "persistentvolumes", None, "pv-data")
}

#[test]
fn no_handle_of_the_old_storage_reaches_the_target() {
    for options in [
        RestoreOptions::default(),
        local_options(),
        RestoreOptions { volumes: VolumeTarget::Beside { dir: "/out".into() }, ..local_options() },
    ] {
        let plan = plan_of(shop(), &empty_target(), &options);
        assert!(!serde_json::to_string(&plan).unwrap().contains("/region/a/disk"));
    }
}

#[test]
fn a_local_volume_is_made_for_its_claim_and_nobody_elses() {
    let plan = plan_of(shop(), &empty_target(), &local_options());
    let step = step_of(&plan, &volume());
    assert_eq!(
        *step.object.as_ref().unwrap(),
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "pv-data"},
            "spec": {
                "capacity": {"storage": "2Gi"},
                "accessModes": ["ReadWriteOnce"],
                "volumeMode": "Filesystem",
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "fast",
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "shop", "name": "data"},
                "local": {"path": "/srv/firn/shop/data"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["b1"]}]},
                ]}},
            },
        })
    );
    let claim = step_of(&plan, &claim());
    assert_eq!(
        *claim.object.as_ref().unwrap(),
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": "shop"},
            "spec": {
                "volumeName": "pv-data",
                "storageClassName": "fast",
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "2Gi"}},
            },
        })
    );
    let fill = plan.steps.iter().find(|step| step.action == Action::Fill).unwrap();
    assert!(fill.number < step.number && step.number < claim.number, "contents, then volume, then claim");
}

#[test]
fn without_a_place_the_claim_is_an_exception_and_nothing_empty_takes_its_name() {
    let mut objects = shop();
    let set = json!({"spec": {"replicas": 2, "volumeClaimTemplates": [{"metadata": {"name": "disk"}, "spec": {"storageClassName": "fast"}}]}});
    objects.push(object("apps", "statefulsets", Some("shop"), "db", set.clone()));
    objects.push(object("apps", "statefulsets", Some("shop"), "other", set));
    let bound = json!({"spec": {"volumeName": "pv-db"}});
    objects.push(object("", "persistentvolumeclaims", Some("shop"), "disk-db-1", bound));
    let plan = plan_of(objects, &empty_target(), &RestoreOptions { volumes: VolumeTarget::Nowhere, ..local_options() });
    let reasons: Vec<String> = plan.exceptions().map(|step| format!("{}: {}", step.key, step.reason)).collect();
    assert_eq!(
        reasons,
        [
            "persistentvolumeclaims/shop/data: no place for its contents is given (--local-volumes DIR)",
            "persistentvolumeclaims/shop/disk-db-1: the point holds no contents of this volume; an empty one would be no copy",
        ]
    );
    assert_eq!(step_of(&plan, &volume()).action, Action::Skip);
    let held = step_of(&plan, &key("apps", "statefulsets", Some("shop"), "db"));
    assert_eq!(held.object.as_ref().unwrap()["spec"]["replicas"], 0, "it would make an empty disk-db-1");
    let free = step_of(&plan, &key("apps", "statefulsets", Some("shop"), "other"));
    assert_eq!(free.object.as_ref().unwrap()["spec"]["replicas"], 2);
    let hold = plan.holds.iter().find(|hold| hold.key.name == "db").unwrap();
    assert_eq!(hold.release, json!({"spec": {"replicas": 2}, "metadata": {"annotations": {"firn.io/release": null}}}));
}

#[test]
fn a_claim_that_never_had_a_volume_is_restored_as_it_was() {
    let pending = json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}, "status": {"phase": "Pending"}});
    let objects = vec![object("", "persistentvolumeclaims", Some("shop"), "new", pending)];
    let plan = plan_of(objects, &empty_target(), &RestoreOptions::default());
    assert_eq!(step_of(&plan, &key("", "persistentvolumeclaims", Some("shop"), "new")).action, Action::Create);
    assert_eq!(plan.exceptions().count(), 0);
}

#[test]
fn a_volume_of_no_captured_claim_is_an_exception() {
    let nfs = json!({"spec": {"nfs": {"server": "a", "path": "/x"}}, "status": {"phase": "Available"}});
    let objects = vec![object("", "persistentvolumes", None, "share", nfs)];
    let plan = plan_of(objects, &empty_target(), &local_options());
    assert_eq!(step_of(&plan, &key("", "persistentvolumes", None, "share")).action, Action::NotRestored);
}

#[test]
fn a_claim_on_the_target_keeps_its_data() {
    let mut target = empty_target();
    target.add(claim(), Some(json!({"spec": {"volumeName": "pv-new"}})));
    let options = RestoreOptions { existing: Existing::Skip, ..local_options() };
    let plan = plan_of(shop(), &target, &options);
    assert_eq!(count(&plan, Action::Fill), 0);
    assert_eq!(step_of(&plan, &claim()).action, Action::Skip);
    assert_eq!(step_of(&plan, &volume()).action, Action::Skip);
}

#[test]
fn a_volume_name_that_is_taken_is_not_bound_to() {
    let taken = |uid: Value| {
        let made = plan_of(shop(), &empty_target(), &local_options());
        let mut volume = step_of(&made, &volume()).object.clone().unwrap();
        volume["spec"]["claimRef"]["uid"] = uid;
        volume
    };
    // Made by an earlier run, not bound yet: taken up again.
    let mut target = empty_target();
    target.add(volume(), Some(taken(Value::Null)));
    let plan = plan_of(shop(), &target, &local_options());
    assert_eq!(step_of(&plan, &volume()).action, Action::Skip);
    assert_eq!(count(&plan, Action::Fill), 1);
    // Released by a claim that is gone, or simply another: a volume of another name is made.
    for other in [taken(json!("gone")), json!({"spec": {"csi": {}}})] {
        let mut target = empty_target();
        target.add(volume(), Some(other));
        let plan = plan_of(shop(), &target, &local_options());
        let claim = step_of(&plan, &claim()).object.clone().unwrap();
        assert_eq!(claim["spec"]["volumeName"], "firn-shop-data");
        let renamed = step_of(&plan, &key("", "persistentvolumes", None, "firn-shop-data"));
        assert_eq!(renamed.action, Action::Create);
        target.add(renamed.key.clone(), None);
        let plan = plan_of(shop(), &target, &local_options());
        assert_eq!(step_of(&plan, &self::claim()).action, Action::NotRestored);
        assert_eq!(count(&plan, Action::Fill), 0);
    }
}

#[test]
fn classes_are_mapped_and_only_one_is_the_default() {
    let mut objects = shop();
    let default = json!({"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}});
    objects.push(object("storage.k8s.io", "storageclasses", None, "gold", default.clone()));
    let set =
        json!({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"storageClassName": "fast"}}]}});
    objects.push(object("apps", "statefulsets", Some("shop"), "db", set));
    let mut target = empty_target();
    let (theirs, object_of_theirs) = object("storage.k8s.io", "storageclasses", None, "managed", default);
    target.add(theirs, Some(object_of_theirs));
    let mut options = local_options();
    options.storage_class_map =
        [("fast".to_owned(), "managed".to_owned()), ("slow".to_owned(), "nowhere".to_owned())].into();
    let plan = plan_of(objects, &target, &options);
    let spec_class =
        |key: &ObjectKey, pointer: &str| step_of(&plan, key).object.as_ref().unwrap().pointer(pointer).cloned();
    assert_eq!(spec_class(&claim(), "/spec/storageClassName"), Some(json!("managed")));
    assert_eq!(spec_class(&volume(), "/spec/storageClassName"), Some(json!("managed")));
    let set = key("apps", "statefulsets", Some("shop"), "db");
    assert_eq!(spec_class(&set, "/spec/volumeClaimTemplates/0/spec/storageClassName"), Some(json!("managed")));
    assert_eq!(step_of(&plan, &key("storage.k8s.io", "storageclasses", None, "fast")).action, Action::Skip);
    let gold = step_of(&plan, &key("storage.k8s.io", "storageclasses", None, "gold"));
    assert_eq!(
        gold.object.as_ref().unwrap()["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"],
        "false"
    );
    assert_eq!(gold.notes, ["no longer the default: managed is"]);
    assert_eq!(plan.warnings, ["storage class map slow=nowhere: the target has no class nowhere"]);
}

#[test]
fn contents_beside_a_directory_leave_claims_as_they_were_asked_for() {
    let options = RestoreOptions {
        volumes: VolumeTarget::Beside { dir: "/out/volumes".into() },
        volumes_in_point: [("shop", "data"), ("local", "logs")].map(|(n, c)| (n.to_owned(), c.to_owned())).into(),
        ..RestoreOptions::default()
    };
    let plan = plan_of(shop(), &Target::new(Served::Everything), &options);
    let paths: Vec<String> =
        plan.steps.iter().filter_map(|step| Some(step.volume.as_ref()?.path.display().to_string())).collect();
    assert_eq!(paths, ["/out/volumes/local/logs", "/out/volumes/shop/data"]);
    assert!(step_of(&plan, &claim()).object.as_ref().unwrap()["spec"].get("volumeName").is_none());
    assert_eq!(step_of(&plan, &volume()).action, Action::Skip);
    // A service account that says nothing is skipped everywhere; nothing else is.
    assert_eq!(count(&plan, Action::Skip), 2);
}

#[test]
fn contents_of_no_claim_need_a_place_too() {
    let options = |volumes| RestoreOptions {
        volumes,
        volumes_in_point: [("local".to_owned(), "logs".to_owned()), ("..".to_owned(), "evil".to_owned())].into(),
        ..RestoreOptions::default()
    };
    let local = LocalVolumes { dir: "/srv".into(), node_affinity: ("a".into(), "b".into()) };
    let plan = plan_of(Vec::new(), &empty_target(), &options(VolumeTarget::Local(local)));
    assert_eq!((count(&plan, Action::Fill), plan.exceptions().count()), (1, 1));
    let plan = plan_of(Vec::new(), &empty_target(), &options(VolumeTarget::Nowhere));
    assert_eq!((count(&plan, Action::Fill), plan.exceptions().count()), (0, 2));
}

#[test]
fn a_block_volume_does_not_become_a_folder() {
    let mut objects = shop();
    let claim_object = objects.iter_mut().find(|(key, _)| *key == claim()).unwrap();
    claim_object.1["spec"]["volumeMode"] = json!("Block");
    let plan = plan_of(objects, &empty_target(), &local_options());
    assert_eq!(step_of(&plan, &claim()).action, Action::NotRestored);
}
