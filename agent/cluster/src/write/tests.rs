use std::sync::Mutex;

use http::StatusCode;

use super::*;
use crate::mock::{Mock, Reply};

fn key(name: &str) -> ObjectKey {
    ObjectKey {
        group: String::new(),
        version: "v1".into(),
        resource: "configmaps".into(),
        namespace: Some("shop".into()),
        name: name.into(),
    }
}

fn item(name: &str) -> Create {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": {"k": "v"}});
    Create { key: key(name), object }
}

fn with_uid(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"]["uid"] = json!(format!("uid-{}", object["metadata"]["name"].as_str().unwrap()));
    object
}

fn exists() -> Reply {
    Reply::refusal(StatusCode::CONFLICT, "AlreadyExists", "it exists")
}

async fn create_one(mock: &Mock) -> Written {
    let mut written = mock.cluster().create_all(vec![item("a")], &WriteOptions::default()).await;
    assert_eq!(written.len(), 1);
    written.remove(0)
}

#[tokio::test(start_paused = true)]
async fn results_come_in_order_each_with_its_own() {
    let mock = Mock::new(|asked, _| {
        assert_eq!(asked.path(), "/api/v1/namespaces/shop/configmaps");
        assert_eq!(asked.query(), "fieldManager=firn&fieldValidation=Warn");
        match asked.json()["metadata"]["name"].as_str().unwrap() {
            "c3" => exists(),
            "c5" => Reply::refusal(StatusCode::FORBIDDEN, "Forbidden", "exceeded quota"),
            "c7" => {
                Reply::json(with_uid(&asked.json())).with_header("warning", "299 - \"unknown field \\\"spec.x\\\"\"")
            }
            _ => Reply::json(with_uid(&asked.json())),
        }
    });
    let seen = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&seen);
    let progress: WriteProgress = Arc::new(move |_| *counter.lock().unwrap() += 1);
    let options = WriteOptions { progress: Some(progress), ..WriteOptions::default() };
    let items: Vec<Create> = (0..100).map(|i| item(&format!("c{i}"))).collect();
    let written = mock.cluster().create_all(items, &options).await;
    assert_eq!(*seen.lock().unwrap(), 100);
    for (index, written) in written.iter().enumerate() {
        assert_eq!(written.key.name, format!("c{index}"));
        match (index, &written.outcome) {
            (3, Outcome::AlreadyExists) => {}
            (5, Outcome::Failed(ClusterError::Refused { code: 403, message, .. })) => {
                assert_eq!(message, "exceeded quota")
            }
            (3 | 5, other) => panic!("{other:?}"),
            (_, Outcome::Created { uid }) => assert_eq!(*uid, format!("uid-c{index}")),
            (_, other) => panic!("{other:?}"),
        }
    }
    assert_eq!(written[7].warnings, ["unknown field \"spec.x\""]);
    assert_eq!(mock.requests().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_so_and_gives_no_uid() {
    let mock = Mock::new(|asked, _| {
        assert!(asked.query().ends_with("&dryRun=All"));
        Reply::json(with_uid(&asked.json()))
    });
    let options = WriteOptions { dry_run: true, ..WriteOptions::default() };
    let written = mock.cluster().create_all(vec![item("a")], &options).await;
    assert!(matches!(&written[0].outcome, Outcome::Created { uid } if uid.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again() {
    let refusals: [fn() -> Reply; 5] = [
        || Reply::refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "busy").with_header("retry-after", "1"),
        || Reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "failed calling webhook \"x\""),
        || Reply::refusal(StatusCode::CONFLICT, "Conflict", "the quota was changed"),
        || Reply::refusal(StatusCode::FORBIDDEN, "Forbidden", "error looking up service account shop/default"),
        || Reply::refusal(StatusCode::NOT_FOUND, "NotFound", "could not find the requested resource"),
    ];
    for refusal in refusals {
        let mock =
            Mock::new(move |asked, count| if count < 2 { refusal() } else { Reply::json(with_uid(&asked.json())) });
        let written = create_one(&mock).await;
        assert!(matches!(written.outcome, Outcome::Created { .. }), "{:?}", written.outcome);
        assert_eq!(mock.requests().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_is_tried_once_and_nothing_for_ever() {
    for (code, message, tries) in [
        (StatusCode::UNPROCESSABLE_ENTITY, "invalid", 1),
        (StatusCode::FORBIDDEN, "admission denied", 1),
        (StatusCode::INTERNAL_SERVER_ERROR, "failed calling webhook", SHORT_TRIES_MAX),
        (StatusCode::INTERNAL_SERVER_ERROR, "etcd", TRIES_MAX),
    ] {
        let mock = Mock::new(move |_, _| Reply::refusal(code, "", message));
        let written = create_one(&mock).await;
        assert!(matches!(written.outcome, Outcome::Failed(ClusterError::Refused { .. })), "{:?}", written.outcome);
        assert_eq!(mock.requests().len(), tries as usize, "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unclear_create_is_settled_by_looking() {
    // The first try was carried out, but its answer was lost.
    let own = Mock::new(|asked, count| match (asked.head.method.as_str(), count) {
        ("POST", 0) => Reply::Broken,
        ("POST", _) => exists(),
        _ => {
            let mut object = with_uid(&item("a").object);
            object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
            Reply::json(object)
        }
    });
    assert!(matches!(create_one(&own).await.outcome, Outcome::Created { uid } if uid == "uid-a"));
    // It was not: somebody else's object is there.
    let other = Mock::new(|asked, count| match (asked.head.method.as_str(), count) {
        ("POST", 0) => Reply::Broken,
        ("POST", _) => exists(),
        _ => {
            let mut object = with_uid(&item("a").object);
            object["data"]["k"] = json!("other");
            Reply::json(object)
        }
    });
    assert!(matches!(create_one(&other).await.outcome, Outcome::AlreadyExists));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_is_not_asked_for_every_object() {
    let mock = Mock::new(|_, _| Reply::Broken);
    let items: Vec<Create> = (0..2_000).map(|i| item(&format!("c{i}"))).collect();
    let written = mock.cluster().create_all(items, &WriteOptions::default()).await;
    assert_eq!(written.len(), 2_000);
    assert!(written.iter().all(|written| matches!(written.outcome, Outcome::Failed(_))));
    assert!(matches!(written[1_999].outcome, Outcome::Failed(ClusterError::GivenUp)));
    let tries = mock.requests().len();
    assert!(tries <= 3 * IN_FLIGHT * TRIES_MAX as usize, "{tries} requests");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_being_deleted_is_waited_for() {
    let mock = Mock::new(|asked, count| match count {
        0..20 => Reply::refusal(
            StatusCode::CONFLICT,
            "AlreadyExists",
            "object is being deleted: namespaces \"shop\" already exists",
        ),
        _ => Reply::json(with_uid(&asked.json())),
    });
    assert!(matches!(create_one(&mock).await.outcome, Outcome::Created { .. }));
    assert_eq!(mock.requests().len(), 21);
}

#[tokio::test(start_paused = true)]
async fn merge_creates_or_patches() {
    let mock = Mock::new(|asked, _| match asked.head.method.as_str() {
        "POST" if asked.json()["metadata"]["name"] == "old" => exists(),
        "PATCH" => {
            assert_eq!(asked.path(), "/api/v1/namespaces/shop/configmaps/old");
            assert_eq!(asked.head.headers["content-type"], "application/merge-patch+json");
            Reply::json(with_uid(&asked.json()))
        }
        _ => Reply::json(with_uid(&asked.json())),
    });
    let written = mock.cluster().merge_all(vec![item("old"), item("new")], &WriteOptions::default()).await;
    assert!(matches!(&written[0].outcome, Outcome::Patched { uid } if uid == "uid-old"));
    assert!(matches!(&written[1].outcome, Outcome::Created { uid } if uid == "uid-new"));
}

#[tokio::test(start_paused = true)]
async fn owners_get_the_uids_that_they_have_now() {
    let mock = Mock::new(|asked, _| match (asked.head.method.as_str(), asked.path()) {
        ("GET", path) if path.ends_with("/asked") => Reply::json(with_uid(&item("asked").object)),
        ("GET", _) => Reply::refusal(StatusCode::NOT_FOUND, "NotFound", "not there"),
        _ => {
            assert_eq!(
                asked.json(),
                json!({"metadata": {"ownerReferences": [
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "known", "uid": "u1", "controller": true},
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "asked", "uid": "uid-asked", "blockOwnerDeletion": false},
                ]}})
            );
            Reply::json(with_uid(&item("child").object))
        }
    });
    let owner = |name: &str, controller, block_owner_deletion| AdoptiveOwner {
        key: key(name),
        kind: "ConfigMap".into(),
        controller,
        block_owner_deletion,
    };
    let adoptions = vec![
        Adoption {
            key: key("child"),
            owners: vec![owner("known", Some(true), None), owner("asked", None, Some(false))],
        },
        Adoption { key: key("orphan"), owners: vec![owner("missing", None, None)] },
    ];
    let uids = HashMap::from([(key("known"), "u1".to_owned())]);
    let written = mock.cluster().adopt_all(adoptions, &uids, &WriteOptions::default()).await;
    assert!(matches!(&written[0].outcome, Outcome::Patched { uid } if uid == "uid-child"), "{:?}", written[0].outcome);
    assert!(
        matches!(&written[1].outcome, Outcome::Failed(ClusterError::OwnerMissing { owner }) if owner.name == "missing")
    );
}

#[tokio::test(start_paused = true)]
async fn names_cannot_leave_their_path() {
    let mock = Mock::new(|asked, _| {
        assert_eq!(asked.path(), "/api/v1/namespaces/shop/configmaps/a%3Fb%23c%20d:e");
        Reply::json(json!({"metadata": {"uid": "u"}}))
    });
    let patch = Create { key: key("a?b#c d:e"), object: json!({}) };
    let written = mock.cluster().patch_all(vec![patch], &WriteOptions::default()).await;
    assert!(matches!(&written[0].outcome, Outcome::Patched { .. }), "{:?}", written[0].outcome);
}

#[tokio::test(start_paused = true)]
async fn once_it_is_to_stop_nothing_more_is_begun_and_what_was_is_told() {
    let mock = Mock::new(|asked, _| Reply::json(with_uid(&asked.json())));
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let stop: WriteStop = Arc::new(move || {
        *count.lock().unwrap() += 1;
        *count.lock().unwrap() > 10
    });
    let options = WriteOptions { stop: Some(stop), in_flight: 4, ..WriteOptions::default() };
    let items: Vec<Create> = (0..100).map(|i| item(&format!("c{i}"))).collect();
    let written = mock.cluster().create_all(items, &options).await;
    assert_eq!((written.len(), mock.requests().len()), (10, 10));
    assert!(written.iter().all(|one| matches!(one.outcome, Outcome::Created { .. })));
}
