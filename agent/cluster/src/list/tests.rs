use std::collections::HashMap;

use http::StatusCode;
use serde_json::json;

use super::*;
use crate::mock::{Mock, Reply};

fn namespaced(group: &str, resource: &str, kind: &str) -> ResourceType {
    ResourceType {
        group: group.into(),
        version: "v1".into(),
        resource: resource.into(),
        kind: kind.into(),
        namespaced: true,
    }
}

fn config_map(number: usize) -> Value {
    json!({"metadata": {"name": format!("c{number:04}"), "namespace": "shop", "uid": "u"}, "data": {"k": "v"}})
}

fn page(items: &[Value], next: &str) -> Value {
    json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "7", "continue": next}, "items": items})
}

/// Lists `types` and gives what came, and the exceptions.
async fn list(mock: &Mock, types: &[ResourceType]) -> (Vec<Listed>, Vec<Unlisted>) {
    let (sink, mut receiver) = mpsc::channel(4);
    let cluster = mock.cluster();
    let listing = cluster.list_all(types, &[], Detail::Full, sink);
    let receiving = async {
        let mut listed = Vec::new();
        while let Some(object) = receiver.recv().await {
            listed.push(object);
        }
        listed
    };
    let (exceptions, listed) = futures::join!(listing, receiving);
    (listed, exceptions.unwrap())
}

#[tokio::test(start_paused = true)]
async fn pages_are_followed_and_items_completed() {
    let mock = Mock::new(|request, _| match request.query() {
        "limit=500" => Reply::json(page(&[config_map(0), config_map(1)], "a b/+")),
        "limit=500&continue=a%20b%2F%2B" => Reply::json(page(&[config_map(2)], "")),
        other => panic!("{other}"),
    });
    let (listed, exceptions) = list(&mock, &[namespaced("", "configmaps", "ConfigMap")]).await;
    assert_eq!(exceptions, []);
    let keys: Vec<String> = listed.iter().map(|listed| listed.key.to_string()).collect();
    assert_eq!(keys, ["configmaps/shop/c0000", "configmaps/shop/c0001", "configmaps/shop/c0002"]);
    assert_eq!(listed[0].object["kind"], "ConfigMap");
    assert_eq!(listed[0].object["apiVersion"], "v1");
    assert_eq!(mock.requests(), ["GET /api/v1/configmaps"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_type_is_named_and_the_others_come() {
    let mock = Mock::new(|request, _| match request.path() {
        "/api/v1/secrets" => Reply::refusal(StatusCode::FORBIDDEN, "Forbidden", "secrets is forbidden"),
        "/apis/gone.example/v1/things" => Reply::refusal(StatusCode::NOT_FOUND, "NotFound", "no such type"),
        _ => Reply::json(page(&[config_map(0)], "")),
    });
    let types = [
        namespaced("", "secrets", "Secret"),
        namespaced("", "configmaps", "ConfigMap"),
        namespaced("gone.example", "things", "Thing"),
    ];
    let (listed, exceptions) = list(&mock, &types).await;
    assert_eq!(listed.len(), 1);
    let whats: Vec<_> = exceptions.iter().map(|one| (one.resource.full_name(), one.fault)).collect();
    let wanted = [("secrets", Fault::Forbidden), ("things.gone.example", Fault::Failed)];
    assert_eq!(whats, wanted.map(|(name, fault)| (name.to_owned(), fault)));
    assert!(exceptions[0].reason.contains("secrets is forbidden"), "{}", exceptions[0].reason);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_expires_in_the_middle_begins_again_and_nothing_comes_twice() {
    let mock = Mock::new(|request, count| match (request.query(), count) {
        ("limit=500", 0) => Reply::json(page(&[config_map(8), config_map(9)], "old")),
        ("limit=500&continue=old", _) => Reply::refusal(StatusCode::GONE, "Expired", "too old"),
        ("limit=500", _) => Reply::json(page(&[config_map(0)], "new")),
        ("limit=500&continue=new", _) => Reply::json(page(&[config_map(1)], "")),
        other => panic!("{other:?}"),
    });
    let (listed, exceptions) = list(&mock, &[namespaced("", "configmaps", "ConfigMap")]).await;
    assert_eq!(exceptions, []);
    let names: Vec<&str> = listed.iter().map(|listed| listed.key.name.as_str()).collect();
    assert_eq!(names, ["c0000", "c0001"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_always_expires_is_an_exception_and_no_part_of_it_comes() {
    let mock = Mock::new(|request, _| match request.query() {
        "limit=500" => Reply::json(page(&[config_map(0)], "old")),
        _ => Reply::refusal(StatusCode::GONE, "Expired", "too old"),
    });
    let (listed, exceptions) = list(&mock, &[namespaced("", "configmaps", "ConfigMap")]).await;
    assert_eq!(listed, []);
    assert_eq!(exceptions.len(), 1);
    assert_eq!(mock.requests().len(), 2 * (RESTARTS_MAX as usize + 1));
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_but_not_for_ever() {
    let mock = Mock::new(|_, count| match count {
        0 => Reply::refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "busy").with_header("retry-after", "7"),
        1 => Reply::refusal(StatusCode::SERVICE_UNAVAILABLE, "", "down"),
        2 => Reply::Broken,
        _ => Reply::json(page(&[config_map(0)], "")),
    });
    let begin = tokio::time::Instant::now();
    let (listed, exceptions) = list(&mock, &[namespaced("", "configmaps", "ConfigMap")]).await;
    assert_eq!((listed.len(), exceptions.len()), (1, 0));
    assert!(begin.elapsed().as_secs() >= 7, "the pause that was asked for was not kept");

    let mock = Mock::new(|_, _| Reply::refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "busy"));
    let (listed, exceptions) = list(&mock, &[namespaced("", "configmaps", "ConfigMap")]).await;
    assert_eq!((listed.len(), exceptions.len()), (0, 1));
    assert_eq!(mock.requests().len(), crate::call::TRIES_MAX as usize);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_list_is_never_an_empty_one() {
    for (answer, objects, exceptions) in [
        (json!({"kind": "ConfigMapList", "metadata": {}, "items": null}), 0, 0),
        (json!({"kind": "ConfigMapList", "metadata": {}, "items": []}), 0, 0),
        (json!({}), 0, 1),
        (json!({"kind": "Status", "status": "Success"}), 0, 1),
        (json!({"kind": "ConfigMapList", "items": [{"metadata": {"name": "a/b", "namespace": "x"}}]}), 0, 1),
        (json!({"kind": "ConfigMapList", "items": [{"metadata": {"name": "a"}}]}), 0, 1),
    ] {
        let shown = answer.to_string();
        let mock = Mock::new(move |_, _| Reply::json(answer.clone()));
        let (listed, odd) = list(&mock, &[namespaced("", "configmaps", "ConfigMap")]).await;
        assert_eq!((listed.len(), odd.len()), (objects, exceptions), "{shown}");
    }
    let mock = Mock::new(|_, _| Reply::Text("{\"items\": [".into()));
    assert_eq!(list(&mock, &[namespaced("", "configmaps", "ConfigMap")]).await.1.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_types_come_whole_through_a_small_channel() {
    let mock = Mock::new(|request, _| {
        let items: Vec<Value> = (0..20).map(config_map).collect();
        assert!(request.path().starts_with("/apis/g/v1/r"));
        Reply::json(page(&items, ""))
    });
    let types: Vec<ResourceType> = (0..30).map(|i| namespaced("g", &format!("r{i}"), "K")).collect();
    let (listed, exceptions) = list(&mock, &types).await;
    assert_eq!(exceptions, []);
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for object in &listed {
        *counts.entry(&object.key.resource).or_default() += 1;
    }
    assert_eq!(counts.len(), 30);
    assert!(counts.values().all(|count| *count == 20));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_leaves_ends_the_listing() {
    let mock = Mock::new(|_, _| Reply::json(page(&[config_map(0)], "")));
    let (sink, receiver) = mpsc::channel(1);
    drop(receiver);
    let result = mock.cluster().list_all(&[namespaced("", "configmaps", "ConfigMap")], &[], Detail::Full, sink).await;
    assert!(matches!(result, Err(ClusterError::Abandoned)));
}

#[tokio::test(start_paused = true)]
async fn of_chosen_namespaces_nothing_else_is_asked_for() {
    let mock = Mock::new(|request, _| match request.path() {
        "/api/v1/namespaces/shop/configmaps" => Reply::json(page(&[config_map(0)], "")),
        "/api/v1/namespaces/shop" => Reply::json(json!({"metadata": {"name": "shop", "uid": "u"}})),
        "/api/v1/namespaces/gone/configmaps" => Reply::json(page(&[], "")),
        "/api/v1/namespaces/gone" => Reply::refusal(StatusCode::NOT_FOUND, "NotFound", "no such namespace"),
        other => Reply::refusal(StatusCode::FORBIDDEN, "Forbidden", other),
    });
    let of_cluster = |resource: &str| ResourceType { namespaced: false, ..namespaced("", resource, "Kind") };
    let types = [namespaced("", "configmaps", "ConfigMap"), of_cluster("namespaces"), of_cluster("nodes")];
    let (sink, mut receiver) = mpsc::channel(8);
    let namespaces = ["shop", "gone"].map(str::to_owned);
    let unlisted = mock.cluster().list_all(&types, &namespaces, Detail::Full, sink).await.unwrap();
    let mut keys = Vec::new();
    while let Some(listed) = receiver.recv().await {
        keys.push(listed.key.to_string());
    }
    keys.sort();
    assert_eq!(keys, ["configmaps/shop/c0000", "namespaces/shop"]);
    let told: Vec<_> =
        unlisted.iter().map(|one| (one.resource.full_name(), one.namespace.clone(), one.fault)).collect();
    let gone = Some("gone".to_owned());
    assert_eq!(told, [("namespaces".to_owned(), gone, Fault::Missing), ("nodes".to_owned(), None, Fault::Forbidden)]);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_see_the_system_is_known_by_their_own_namespace() {
    let mock = Mock::new(|request, _| match request.path() {
        "/version" => Reply::json(json!({"gitVersion": "v1.34.4"})),
        "/api/v1/namespaces/a-shop" => Reply::json(json!({"metadata": {"uid": "17"}})),
        other => Reply::refusal(StatusCode::FORBIDDEN, "Forbidden", other),
    });
    let own = ["shop", "a-shop"].map(str::to_owned);
    assert_eq!(mock.cluster().facts(&own).await.unwrap().uid, "namespace:17");
    assert!(mock.cluster().facts(&[]).await.unwrap_err().is_forbidden());
}
