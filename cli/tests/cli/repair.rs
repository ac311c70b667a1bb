//! Repair: what is shown, what is done, and the exit code that says which.

use std::fs;

use crate::ground::Ground;

/// Two points in `a`, replicated to `b`; the log entries of `a`.
fn replicated() -> (Ground, String, Vec<std::path::PathBuf>) {
    let ground = Ground::new();
    for content in ["first", "second"] {
        ground.write("v/file", content.repeat(1000));
        ground.back_up("v");
    }
    let url = ground.url("a");
    ground.good(&["replicate", "--from", &url, "--to", &ground.url("b")]);
    let log = ground.stored("a", "log");
    (ground, url, log)
}

fn tear(ground: &Ground, path: &std::path::Path) {
    ground.change(path, |bytes| bytes[20] ^= 1);
}

fn repaired(ground: &Ground, args: &[&str], code: i32) -> serde_json::Value {
    let ran = ground.run(&[&["check", "--repair", "-o", "json"], args].concat());
    assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn a_damaged_log_is_mended_from_the_replica_that_it_names() {
    let (ground, url, log) = replicated();
    tear(&ground, &log[2]);
    fs::remove_file(&log[3]).unwrap();
    assert_eq!(ground.run(&["check", "--repo", &url]).code, 3);
    // Nobody is there to confirm it.
    let before = fs::read(&log[2]).unwrap();
    let shown = repaired(&ground, &["--repo", &url], 3);
    assert_eq!((shown["done"].as_bool(), shown["log"].as_array().unwrap().len()), (Some(false), 2));
    assert!(!log[3].exists());
    let text = ground.run(&["check", "--repair", "--repo", &url]);
    assert!(text.out.contains("nothing was changed; --yes does this"), "{}", text.out);
    let done = repaired(&ground, &["--repo", &url, "--yes"], 0);
    let remedies: Vec<_> = done["log"].as_array().unwrap().iter().map(|slot| slot["remedy"].clone()).collect();
    assert_eq!(remedies, ["void-with-entry", "put-back"]);
    assert_eq!((done["done"].as_bool(), done["sound"].as_bool()), (Some(true), Some(true)));
    // Nothing was overwritten, and nothing is missing, for a machine that has never seen it either.
    assert_eq!(fs::read(&log[2]).unwrap(), before);
    let fresh = ground.path("fresh");
    let points = ground.json(&["points", "--repo", &url, "--cache-dir", fresh.to_str().unwrap()]);
    assert_eq!(points.as_array().unwrap().len(), 2);
    assert_eq!(ground.run(&["check", "--repo", &url]).code, 0);
    ground.back_up("v");
}

#[test]
fn without_a_mirror_the_owner_gives_up_and_says_what() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    let first = ground.back_up("v");
    let lost = ground.back_up("v");
    let url = ground.url("a");
    let log = ground.stored("a", "log");
    // The last byte belongs to the signature: what it was can still be read.
    let commit = &log[log.len() - 1];
    ground.change(commit, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let done = repaired(&ground, &["--repo", &url, "--yes"], 0);
    assert_eq!(done["log"][0]["remedy"], "void");
    let loss = done["log"][0]["loss"].as_str().unwrap();
    assert!(loss.contains("a COMMIT") && loss.contains("may have been one itself"), "{loss}");
    let points = ground.json(&["points", "--repo", &url]);
    let ids: Vec<_> = points.as_array().unwrap().iter().map(|point| point["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [first.as_str()]);
    assert_ne!(first, lost);
    assert_eq!(ground.run(&["check", "--repo", &url]).code, 0);
}

#[test]
fn an_entry_before_a_collection_is_not_given_up() {
    let (ground, url, _) = replicated();
    let oldest = ground.json(&["points", "--repo", &url])[0]["id"].as_str().unwrap().to_owned();
    ground.good(&["forget", "--repo", &url, &oldest, "--yes", "--prune"]);
    let log = ground.stored("a", "log");
    tear(&ground, &log[2]);
    // The replica's mirror holds the entry. Without it nothing is done.
    let refused = repaired(&ground, &["--repo", &url, "--yes", "--from", &ground.url("a")], 3);
    assert!(refused["unmended"][0].as_str().unwrap().contains("collection"), "{refused}");
    assert_eq!(repaired(&ground, &["--repo", &url, "--yes"], 0)["log"][0]["remedy"], "void-with-entry");
}

#[test]
fn runs_are_made_anew_and_lost_packs_are_named() {
    let (ground, url, _) = replicated();
    for run in ground.stored("a", "index") {
        fs::remove_file(run).unwrap();
    }
    assert_eq!(ground.run(&["check", "--repo", &url]).code, 3);
    let done = repaired(&ground, &["--repo", &url, "--yes"], 0);
    assert_eq!((done["runs"].as_array().unwrap().len(), done["sound"].as_bool()), (2, Some(true)));
    assert_eq!(ground.run(&["check", "--repo", &url, "--read-data"]).code, 0);
    let pack = ground.stored("a", "data").pop().unwrap();
    fs::remove_file(&pack).unwrap();
    let remains = repaired(&ground, &["--repo", &url, "--yes"], 3);
    assert_eq!((remains["lost"].as_array().unwrap().len(), remains["sound"].as_bool()), (1, Some(false)));
    // Only a repair asks for a mirror.
    assert_eq!(ground.run(&["check", "--repo", &url, "--from", &url]).code, 64);
}
