//! Failing over: once, again, and taken back.

use serde_json::{Value, json};

use crate::ground::Ground;

/// A replica `b` of repository `a`, with one point.
fn replicated() -> Ground {
    let ground = Ground::new();
    ground.write("v/file", "content");
    ground.back_up("v");
    ground.good(&["replicate", "--from", &ground.url("a"), "--to", &ground.url("b")]);
    ground
}

fn fail_over(ground: &Ground) -> Value {
    let (url, dir) = (ground.url("b"), ground.path("out"));
    ground.json(&["failover", "--repo", &url, "--to-dir", dir.to_str().unwrap(), "--yes"])
}

#[test]
fn a_failover_that_is_begun_again_goes_on_under_its_own_fence() {
    let ground = replicated();
    let first = fail_over(&ground);
    assert_eq!((&first["epochs"], &first["fenced_at"]), (&json!([1]), &json!(null)));
    let entries = ground.stored("b", "log").len();
    let again = fail_over(&ground);
    assert_eq!(again["epochs"], json!([1]), "{again:#}");
    assert!(again["fenced_at"].is_string(), "{again:#}");
    assert_eq!(ground.stored("b", "log").len(), entries, "it was fenced again");
    let (url, dir) = (ground.url("b"), ground.path("out"));
    let words = ["failover", "--repo", &url, "--to-dir", dir.to_str().unwrap()];
    let text = ground.good(&[&words[..], &["--yes"]].concat());
    assert!(text.contains("at the fence of the first run"), "{text}");
    let plan = ground.json(&[&words[..], &["--dry-run"]].concat());
    assert!(plan["rpo_seconds"].is_i64() && plan["exceptions"] == 0, "{plan:#}");
    // One word takes all of it back.
    let aborted = ground.json(&["failover", "--repo", &url, "--abort"]);
    assert_eq!((&aborted["fences"], &aborted["remaining"]), (&json!(1), &json!([])));
    ground.run(&["failover", "--repo", &url, "--abort"]).refused(1, "no failover to take back");
    ground.back_up("v");
    assert_eq!(fail_over(&ground)["epochs"], json!([2]), "an epoch is given once");
}
