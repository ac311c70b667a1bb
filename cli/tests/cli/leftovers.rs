//! Leftovers: what a killed backup leaves is used by the next one, and nobody waits for the dead.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::ground::Ground;

/// Enough for a pack before the end.
const CONTENT_BYTES: usize = 64 << 20;

/// Bytes that nothing makes smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 11_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    (0..bytes / 4).flat_map(|_| next().to_le_bytes()).collect()
}

/// A backup of `v` that is killed when everything is read but nothing committed.
fn kill_one(ground: &Ground) {
    let (ready, wait) = (ground.path("ready"), ground.write("wait", ""));
    let hold = format!("touch {}; while [ -e {} ]; do sleep 0.05; done", ready.display(), wait.display());
    let volume = format!("shop/data={}", ground.path("v").display());
    let args = ["backup", "--repo", &ground.url("a"), "--volume", &volume, "--after", &hold];
    let mut child = ground.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !ready.exists() {
        assert!(began.elapsed() < Duration::from_secs(120), "the backup never came to its end");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    fs::remove_file(wait).unwrap();
    fs::remove_file(ready).unwrap();
}

#[test]
fn the_next_backup_uses_what_a_killed_one_left_and_nobody_waits_for_it() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    let first = ground.back_up("v");
    ground.write("v/large.bin", noise(CONTENT_BYTES));
    kill_one(&ground);

    let url = ground.url("a");
    let volume = format!("shop/data={}", ground.path("v").display());
    let backup = ["backup", "--repo", &url, "--volume", &volume];
    let next = ground.run(&backup);
    assert!(next.code == 0 && next.err.contains("of a backup that did not end"), "{}{}", next.out, next.err);
    let after = ground.run(&backup);
    assert!(after.code == 0 && !after.err.contains("did not end"), "{}", after.err);
    ground.good(&["forget", "--repo", &url, &first, "--yes"]);
    let pruned = ground.json(&["prune", "--repo", &url]);
    assert_eq!(pruned["waiting_for"], serde_json::json!([]), "{pruned:#}");
    ground.good(&["check", "--repo", &url, "--read-data"]);
}

#[test]
fn a_backup_that_is_at_work_is_not_ended_by_another() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    let (ready, wait) = (ground.path("ready"), ground.write("wait", ""));
    let hold = format!("touch {}; while [ -e {} ]; do sleep 0.05; done", ready.display(), wait.display());
    let volume = format!("shop/data={}", ground.path("v").display());
    let args = ["backup", "--repo", &ground.url("a"), "--volume", &volume, "--after", &hold];
    let child = ground.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !ready.exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    ground.back_up("v");
    fs::remove_file(wait).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ground.json(&["points", "--repo", &ground.url("a")]).as_array().unwrap().len(), 2);
}
