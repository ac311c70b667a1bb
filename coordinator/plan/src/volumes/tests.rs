use serde_json::json;

use super::*;

fn volume(name: &str, rest: Value) -> (ObjectKey, Value) {
    let key = ObjectKey {
        group: String::new(),
        version: "v1".into(),
        resource: "persistentvolumes".into(),
        namespace: None,
        name: name.into(),
    };
    (key, rest)
}

fn bound(source: Value) -> Value {
    let mut object = json!({"spec": {"claimRef": {"namespace": "shop", "name": "data"}}, "status": {"phase": "Bound"}});
    for (name, value) in source.as_object().unwrap() {
        object["spec"][name] = value.clone();
    }
    object
}

fn found(object: Value) -> Option<LiveVolume> {
    let (key, object) = volume("v", object);
    live_volumes([(&key, &object)]).pop()
}

#[test]
fn volumes_with_a_path_on_a_node_can_be_read() {
    let expected = |volume_type, block| {
        Some(LiveVolume { namespace: "shop".into(), claim: "data".into(), path: "/mnt/x".into(), volume_type, block })
    };
    assert_eq!(found(bound(json!({"local": {"path": "/mnt/x"}}))), expected("local", false));
    assert_eq!(found(bound(json!({"hostPath": {"path": "/mnt/x"}}))), expected("hostPath", false));
    assert_eq!(found(bound(json!({"local": {"path": "/mnt/x"}, "volumeMode": "Block"}))), expected("local", true));
}

#[test]
fn others_are_not_offered() {
    for source in [
        json!({"csi": {"driver": "x"}}),
        json!({"nfs": {"path": "/mnt/x"}}),
        json!({"local": {"path": "relative"}}),
        json!({"hostPath": {"path": "/mnt/../etc"}}),
        json!({"hostPath": {}}),
    ] {
        assert_eq!(found(bound(source.clone())), None, "{source}");
    }
    let mut released = bound(json!({"local": {"path": "/mnt/x"}}));
    released["status"]["phase"] = json!("Released");
    assert_eq!(found(released), None);
    assert_eq!(found(json!({"spec": {"local": {"path": "/mnt/x"}}})), None);
}

#[test]
fn the_largest_size_counts() {
    let size = |asked: &str, had: &str, volume: &str| {
        let claim =
            json!({"spec": {"resources": {"requests": {"storage": asked}}}, "status": {"capacity": {"storage": had}}});
        capacity(&claim, Some(&json!({"spec": {"capacity": {"storage": volume}}})))
    };
    assert_eq!(size("1Gi", "1Gi", "1Gi"), "1Gi");
    assert_eq!(size("1Gi", "2G", "1024Mi"), "2G");
    assert_eq!(size("1Gi", "nonsense", "3e9"), "3e9");
    assert_eq!(size("1000m", "1", "0.5"), "1000m");
    assert_eq!(capacity(&json!({}), None), "1Gi");
}
