use http::StatusCode;
use serde_json::json;

use super::*;
use crate::mock::{Mock, Reply};

const MINUTE: Duration = Duration::from_secs(60);

fn key(group: &str, resource: &str, name: &str) -> ObjectKey {
    ObjectKey {
        group: group.into(),
        version: "v1".into(),
        resource: resource.into(),
        namespace: Some("shop".into()),
        name: name.into(),
    }
}

fn definition(established: &str, accepted: &str) -> Reply {
    Reply::json(json!({"status": {"conditions": [
        {"type": "Established", "status": established},
        {"type": "NamesAccepted", "status": accepted, "message": "plural is taken"}]}}))
}

#[tokio::test(start_paused = true)]
async fn definitions_are_waited_for_until_established() {
    let mock = Mock::new(|asked, count| match asked.path().rsplit('/').next().unwrap() {
        "soon" if count < 3 => definition("False", "True"),
        "later" if count < 2 => Reply::refusal(StatusCode::NOT_FOUND, "NotFound", ""),
        "taken" => definition("False", "False"),
        "never" => definition("False", "True"),
        _ => definition("True", "True"),
    });
    let names = ["soon", "later", "at-once"].map(str::to_owned);
    assert_eq!(mock.cluster().wait_established(&names, MINUTE).await, []);
    let unready = mock.cluster().wait_established(&["taken".to_owned(), "never".to_owned()], MINUTE).await;
    let reasons: Vec<(&str, &str)> = unready.iter().map(|u| (u.key.name.as_str(), u.reason.as_str())).collect();
    assert_eq!(reasons, [("never", "not Established"), ("taken", "plural is taken")]);
}

#[tokio::test(start_paused = true)]
async fn a_terminating_namespace_is_waited_for() {
    let mock = Mock::new(|_, count| match count {
        0..3 => Reply::json(json!({"status": {"phase": "Terminating"}})),
        _ => Reply::refusal(StatusCode::NOT_FOUND, "NotFound", ""),
    });
    assert_eq!(mock.cluster().wait_namespaces_active(&["shop".to_owned()], MINUTE).await, []);
    assert_eq!(mock.requests().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_seen_once_it_has_a_phase() {
    let mock = Mock::new(|asked, count| match asked.path().rsplit('/').next().unwrap() {
        "new" if count == 0 => Reply::json(json!({"status": {}})),
        "new" if count == 1 => Reply::json(json!({"status": {"phase": "Pending"}})),
        "never" => Reply::json(json!({"status": {"phase": "Pending"}})),
        _ => Reply::json(json!({"status": {"phase": "Available"}})),
    });
    assert_eq!(mock.cluster().wait_volumes_seen(&["new".to_owned()], MINUTE).await, []);
    assert_eq!(mock.requests().len(), 3);
    assert_eq!(mock.cluster().wait_volumes_seen(&["never".to_owned()], MINUTE).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_claims_that_wait_for_their_volume_are_hastened_and_then_left_as_they_were() {
    let claim = |phase: &str, volume: &str| {
        Reply::json(json!({"metadata": {"uid": "1"}, "spec": {"volumeName": volume}, "status": {"phase": phase}}))
    };
    let bodies = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = bodies.clone();
    let mock = Mock::new(move |asked, count| {
        if asked.head.method == http::Method::PATCH {
            log.lock().unwrap().push((asked.path().to_owned(), asked.json()));
            return Reply::json(json!({"metadata": {"uid": "1"}}));
        }
        match asked.path().rsplit('/').next().unwrap() {
            "late" if count < 1 => claim("Pending", "pv"),
            "unclaimed" => claim("Pending", ""),
            _ => claim("Bound", "pv"),
        }
    });
    let claims = ["late", "bound", "unclaimed"].map(|name| key("", "persistentvolumeclaims", name));
    mock.cluster().hasten_binding(&claims).await;
    let patch = |value: Value| {
        let path = "/api/v1/namespaces/shop/persistentvolumeclaims/late".to_owned();
        (path, json!({"metadata": {"annotations": {HASTEN_ANNOTATION: value}}}))
    };
    assert_eq!(*bodies.lock().unwrap(), [patch(json!("0")), patch(Value::Null)]);
}

fn workloads(asked: &crate::mock::Asked, nodes: &[&str], count: usize) -> Reply {
    let deployment = |generation: i64, seen: i64, available: i64| {
        Reply::json(json!({"metadata": {"generation": generation}, "spec": {"replicas": 2},
            "status": {"observedGeneration": seen, "availableReplicas": available}}))
    };
    match asked.path().rsplit('/').next().unwrap() {
        "nodes" => Reply::json(json!({"items": nodes})),
        "web" => deployment(1, 1, if count < 2 { 1 } else { 2 }),
        "stuck" => deployment(1, 1, 0),
        "unseen" => deployment(2, 1, 2),
        "zero" => Reply::json(json!({"spec": {"replicas": 0}, "status": {}})),
        "bound" => Reply::json(json!({"spec": {"volumeName": "v"}, "status": {"phase": "Bound"}})),
        "first-pod" => Reply::json(json!({"spec": {}, "status": {"phase": "Pending"}})),
        other => panic!("{other}"),
    }
}

fn all() -> Vec<ObjectKey> {
    let mut keys = ["web", "stuck", "unseen", "zero"].map(|name| key("apps", "deployments", name)).to_vec();
    keys.extend(["bound", "first-pod"].map(|name| key("", "persistentvolumeclaims", name)));
    keys.push(key("", "configmaps", "never-asked"));
    keys
}

#[tokio::test(start_paused = true)]
async fn what_can_become_ready_is_waited_for() {
    let mock = Mock::new(|asked, count| workloads(asked, &["n1"], count));
    let unready = mock.cluster().wait_ready(&all(), MINUTE).await;
    let reasons: Vec<(&str, &str)> = unready.iter().map(|u| (u.key.name.as_str(), u.reason.as_str())).collect();
    assert_eq!(
        reasons,
        [
            ("first-pod", "waits for a volume, or for its first pod"),
            ("stuck", "0 of 2 replicas ready"),
            ("unseen", "its controller has not seen it"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn without_nodes_nothing_is_waited_for_in_vain() {
    let mock = Mock::new(|asked, count| workloads(asked, &[], count));
    let begin = Instant::now();
    let unready = mock.cluster().wait_ready(&all(), MINUTE).await;
    assert!(begin.elapsed() < MINUTE);
    let names: Vec<&str> = unready.iter().map(|u| u.key.name.as_str()).collect();
    assert_eq!(names, ["first-pod", "stuck", "unseen", "web"]);
    assert!(unready[3].reason.ends_with("the cluster has no nodes"), "{}", unready[3].reason);
}

#[tokio::test(start_paused = true)]
async fn backends_are_waited_for_until_an_endpoint_is_ready() {
    let slices = |ready: &[bool]| {
        let endpoints: Vec<_> = ready.iter().map(|ready| json!({"conditions": {"ready": ready}})).collect();
        Reply::json(json!({"items": [{"endpoints": null}, {"endpoints": endpoints}]}))
    };
    let answer = move |asked: &crate::mock::Asked, count: usize, nodes: usize| match asked.path() {
        "/api/v1/nodes" => Reply::json(json!({"items": vec![json!({}); nodes]})),
        "/api/v1/namespaces/shop/services/gone" => Reply::refusal(StatusCode::NOT_FOUND, "NotFound", ""),
        "/api/v1/namespaces/shop/services/away" => Reply::json(json!({"spec": {"type": "ExternalName"}})),
        "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices" => match asked.query() {
            "labelSelector=kubernetes.io%2Fservice-name%3Dsoon" if count < 3 => slices(&[false]),
            "labelSelector=kubernetes.io%2Fservice-name%3Dnever" => slices(&[]),
            _ => slices(&[false, true]),
        },
        _ => Reply::json(json!({"spec": {"type": "ClusterIP"}})),
    };
    let services = |names: &[&str]| names.iter().map(|name| key("", "services", name)).collect::<Vec<_>>();
    let mock = Mock::new(move |asked, count| answer(asked, count, 1));
    assert_eq!(mock.cluster().wait_backends(&services(&["soon", "away", "at-once"]), MINUTE).await, []);
    let begin = Instant::now();
    let unready = mock.cluster().wait_backends(&services(&["never", "gone"]), MINUTE).await;
    assert!(begin.elapsed() >= MINUTE);
    let reasons: Vec<_> = unready.iter().map(|one| (one.key.name.as_str(), one.reason.as_str())).collect();
    assert_eq!(reasons, [("gone", "not there"), ("never", "no endpoint is ready")]);
    // Without nodes nobody waits.
    let mock = Mock::new(move |asked, count| answer(asked, count, 0));
    let begin = Instant::now();
    let unready = mock.cluster().wait_backends(&services(&["never"]), MINUTE).await;
    assert!(begin.elapsed() < MINUTE && unready[0].reason.ends_with("the cluster has no nodes"));
}
