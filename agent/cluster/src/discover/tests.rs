use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::mock::{Mock, Reply};

fn aggregated(root: &str) -> Value {
    let list =
        |items: Value| json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items});
    let resource = |name: &str, kind: &str, scope: &str| json!({"resource": name, "responseKind": {"group": "", "version": "", "kind": kind}, "scope": scope, "verbs": ["list", "create"], "subresources": [{"subresource": "status"}]});
    if root == "/api" {
        return list(
            json!([{"metadata": {"name": ""}, "versions": [{"version": "v1", "freshness": "Current", "resources": [
            resource("secrets", "Secret", "Namespaced"), resource("nodes", "Node", "Cluster")]}]}]),
        );
    }
    list(json!([
        {"metadata": {"name": "autoscaling"}, "versions": [
            {"version": "v2", "freshness": "Current", "resources": [resource("horizontalpodautoscalers", "HorizontalPodAutoscaler", "Namespaced")]},
            {"version": "v1", "freshness": "Current", "resources": [resource("horizontalpodautoscalers", "HorizontalPodAutoscaler", "Namespaced"), resource("olds", "Old", "Namespaced")]}]},
        {"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1beta1", "freshness": "Stale"}]},
    ]))
}

fn plain(path: &str) -> Reply {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "kind": kind, "namespaced": namespaced, "verbs": ["list", "create"]});
    Reply::json(match path {
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "/api/v1" => json!({"kind": "APIResourceList", "resources": [
            resource("secrets", "Secret", true), resource("secrets/status", "Secret", true), resource("nodes", "Node", false)]}),
        "/apis" => json!({"kind": "APIGroupList", "groups": [
            {"name": "autoscaling", "versions": [{"groupVersion": "autoscaling/v1", "version": "v1"}, {"groupVersion": "autoscaling/v2", "version": "v2"}], "preferredVersion": {"groupVersion": "autoscaling/v2", "version": "v2"}},
            {"name": "metrics.k8s.io", "versions": [{"groupVersion": "metrics.k8s.io/v1beta1", "version": "v1beta1"}]}]}),
        "/apis/autoscaling/v1" => {
            json!({"resources": [resource("horizontalpodautoscalers", "HorizontalPodAutoscaler", true), resource("olds", "Old", true)]})
        }
        "/apis/autoscaling/v2" => {
            json!({"resources": [resource("horizontalpodautoscalers", "HorizontalPodAutoscaler", true)]})
        }
        _ => {
            return Reply::refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "the server is currently unable",
            );
        }
    })
}

fn shown(discovery: &Discovery) -> Vec<String> {
    let mut lines: Vec<String> = discovery
        .types
        .iter()
        .map(|t| {
            format!(
                "{}/{} {} {} {}",
                t.resource.group, t.resource.version, t.resource.resource, t.resource.namespaced, t.preferred
            )
        })
        .collect();
    lines.sort();
    lines
}

#[tokio::test(start_paused = true)]
async fn both_forms_of_discovery_say_the_same_and_a_dead_group_is_named() {
    let new = Mock::new(|asked, _| Reply::json(aggregated(asked.path())));
    let old = Mock::new(|asked, _| plain(asked.path()));
    for mock in [&new, &old] {
        let discovery = mock.cluster().discover().await.unwrap();
        assert_eq!(
            shown(&discovery),
            [
                "/v1 nodes false true",
                "/v1 secrets true true",
                "autoscaling/v1 horizontalpodautoscalers true false",
                "autoscaling/v1 olds true true",
                "autoscaling/v2 horizontalpodautoscalers true true",
            ]
        );
        let dead: Vec<&str> = discovery.exceptions.iter().map(|exception| exception.what.as_str()).collect();
        assert_eq!(dead, ["API metrics.k8s.io/v1beta1"]);
    }
    assert_eq!(new.requests(), ["GET /api", "GET /apis"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_say_what_it_serves_is_an_error() {
    let mock = Mock::new(|_, _| Reply::refusal(StatusCode::FORBIDDEN, "Forbidden", "no"));
    assert!(matches!(mock.cluster().discover().await, Err(ClusterError::Refused { code: 403, .. })));
    let mock = Mock::new(|_, _| Reply::json(json!({"kind": "Surprise"})));
    assert!(matches!(mock.cluster().discover().await, Err(ClusterError::Answer { .. })));
}

#[tokio::test(start_paused = true)]
async fn the_cluster_says_who_it_is() {
    let mock = Mock::new(|asked, _| match asked.path() {
        "/version" => Reply::json(json!({"gitVersion": "v1.34.4"})),
        _ => Reply::json(json!({"metadata": {"uid": "u-1"}})),
    });
    let facts = mock.cluster().facts(&[]).await.unwrap();
    assert_eq!((facts.uid.as_str(), facts.server_version.as_str()), ("u-1", "v1.34.4"));
    let mock = Mock::new(|_, _| Reply::json(json!({"gitVersion": "v1.34.4"})));
    assert!(matches!(mock.cluster().facts(&[]).await, Err(ClusterError::Answer { .. })));
}
