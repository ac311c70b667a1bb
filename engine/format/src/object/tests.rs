use serde_json::json;

use super::*;

fn key(group: &str, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey {
        group: group.into(),
        version: "v1".into(),
        resource: "things".into(),
        namespace: namespace.map(str::to_owned),
        name: name.into(),
    }
}

#[test]
fn paths_name_core_group_and_cluster_scope() {
    for (key, path) in [
        (key("", Some("shop"), "a"), "objects/core/v1/things/shop/a"),
        (key("x.io", None, "system:a"), "objects/x.io/v1/things/_cluster/system:a"),
    ] {
        assert_eq!(key.path(), path);
        assert!(key.is_valid());
        assert_eq!(ObjectKey::from_path(path), Ok(key));
    }
}

#[test]
fn hostile_paths_are_refused() {
    let long = format!("objects/core/v1/things/a/{}", "x".repeat(COMPONENT_BYTES_MAX + 1));
    for path in [
        "",
        "objects",
        "volumes/core/v1/things/a/b",
        "/objects/core/v1/things/a/b",
        "objects/core/v1/things/a",
        "objects/core/v1/things/a/b/c",
        "objects/core/v1/things/a/",
        "objects/core/v1/things/../b",
        "objects/core/v1/./a/b",
        "objects//v1/things/a/b",
        "objects/core/v1/things/a/b%2fc",
        "objects/core/v1/things/a/b\0",
        &long,
    ] {
        assert!(ObjectKey::from_path(path).is_err(), "{path:?} was accepted");
    }
}

#[test]
fn keys_that_would_come_back_as_others_are_not_valid() {
    assert!(!key("core", None, "a").is_valid());
    assert!(!key("", Some("_cluster"), "a").is_valid());
    assert!(!key("", None, "a/b").is_valid());
    assert!(!key("", None, "..").is_valid());
}

#[test]
fn canonical_bytes_are_sorted_and_parse_back() {
    let value = json!({"b": [1, -2, 1.5, true, null], "a": {"z": "q\"\\\n\u{1}é/", "B": {}}});
    let bytes = canonical_json(&value);
    assert_eq!(
        String::from_utf8_lossy(&bytes),
        "{\"a\":{\"B\":{},\"z\":\"q\\\"\\\\\\n\\u0001é/\"},\"b\":[1,-2,1.5,true,null]}"
    );
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
}

#[test]
fn types_and_keys_say_what_they_are() {
    let deployments = ResourceType {
        group: "apps".into(),
        version: "v1".into(),
        resource: "deployments".into(),
        kind: "Deployment".into(),
        namespaced: true,
    };
    assert_eq!(deployments.api_version(), "apps/v1");
    assert_eq!(deployments.key(Some("shop"), "web").to_string(), "deployments.apps/shop/web");
    assert_eq!(key("", None, "a").to_string(), "things/a");
}
