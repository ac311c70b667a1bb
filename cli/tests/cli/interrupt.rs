//! Interrupts: the first stops in order and the next run goes on, the second ends at once; what was quieted is released.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::ground::{Ground, Ran};

/// Content of a volume that takes many packs, and longer to read than a signal takes to arrive.
const CONTENT_BYTES: usize = 96 << 20;

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(120), "{what} never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn wait_for(path: &Path) {
    wait_until(&path.display().to_string(), || path.exists());
}

fn start(ground: &Ground, args: &[&str]) -> Child {
    ground.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Interrupts once; it must end in order, saying `word` on standard error and nothing on standard output.
#[track_caller]
fn stops(child: Child, word: &str) {
    signal(&child, Signal::INT);
    let ran = Ran::of(child.wait_with_output().unwrap());
    ran.refused(1, word);
    assert!(ran.err.contains("stopping; Ctrl-C again to stop at once"), "{}", ran.err);
    assert!(!ran.err.contains("error:"), "{}", ran.err);
}

/// Interrupts, waits until that is answered, and interrupts again; it must end at once.
fn ends_at_once(mut child: Child) {
    signal(&child, Signal::TERM);
    let mut said = Vec::new();
    let stderr = child.stderr.as_mut().unwrap();
    while !String::from_utf8_lossy(&said).contains("stopping;") {
        let mut byte = [0];
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "it ended at the first");
        said.push(byte[0]);
    }
    signal(&child, Signal::INT);
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 130, "{}", ran.err);
}

/// Bytes that nothing makes smaller; the same for the same seed.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    (0..bytes / 4).flat_map(|_| next().to_le_bytes()).collect()
}

/// A repository `a`, and a volume `v` of many files.
fn large() -> Ground {
    let ground = Ground::new();
    for file in 0..24 {
        ground.write(&format!("v/{file}.bin"), noise(CONTENT_BYTES / 24, file));
    }
    ground
}

/// Bytes of all files below.
fn stored_bytes(ground: &Ground, repository: &str) -> u64 {
    ground.stored(repository, "data").iter().map(|path| fs::metadata(path).unwrap().len()).sum()
}

fn same(ground: &Ground, restored: &str) {
    for file in 0..24 {
        let name = format!("{file}.bin");
        let found = fs::read(ground.path(restored).join("volumes/shop/data").join(&name)).unwrap();
        assert!(found == fs::read(ground.path("v").join(&name)).unwrap(), "{name} differs");
    }
}

#[test]
fn a_backup_stores_what_it_has_read_and_the_next_goes_on_from_there() {
    let ground = large();
    let (url, volume) = (ground.url("a"), format!("shop/data={}", ground.path("v").display()));
    let released = format!("touch {}", ground.path("released").display());
    let args = ["backup", "--repo", &url, "--volume", &volume, "--before", "true", "--after", &released];
    let child = start(&ground, &args);
    wait_until("a pack", || ground.path("a/data").is_dir() && !ground.stored("a", "data").is_empty());
    stops(child, "the next backup uses them; nothing was lost; run it again");
    assert!(ground.path("released").exists());
    assert_eq!(ground.json(&["points", "--repo", &url]), serde_json::json!([]));
    let before = stored_bytes(&ground, "a");
    ground.back_up("v");
    let all = stored_bytes(&ground, "a");
    assert!(all > before, "it was not in the middle");
    // Sealing and rounding take some; a pack is 16 MiB.
    let most = CONTENT_BYTES as u64 + (4 << 20);
    assert!(all < most, "content was stored twice: {all} bytes in all, {before} of them by the first");
    ground.good(&["check", "--repo", &url, "--read-data"]);
    ground.good(&["restore", "--repo", &url, "--to-dir", ground.path("out").to_str().unwrap()]);
    same(&ground, "out");
}

#[test]
fn a_restore_goes_on_from_there() {
    let ground = large();
    ground.back_up("v");
    let out = ground.path("out");
    let args = ["restore", "--repo", &ground.url("a"), "--to-dir", out.to_str().unwrap()];
    let child = start(&ground, &args);
    wait_for(&out.join("volumes/shop/data/0.bin"));
    stops(child, "run it again to go on from there");
    ground.good(&args);
    same(&ground, "out");
}

#[test]
fn a_replication_goes_on_from_there_and_ends_at_once_if_it_must() {
    let ground = large();
    ground.back_up("v");
    let (a, b) = (ground.url("a"), ground.url("b"));
    let args = ["replicate", "--from", &a, "--to", &b];
    let child = start(&ground, &[&args[..], &["--bandwidth", "16MiB"]].concat());
    wait_until("a pack", || ground.path("b/data").is_dir() && !ground.stored("b", "data").is_empty());
    stops(child, "nothing was lost");
    assert_eq!(ground.json(&["points", "--repo", &b]), serde_json::json!([]));
    let done = ground.json(&args);
    assert!(done["objects_there"].as_u64() > Some(0) && done["objects_copied"].as_u64() > Some(0), "{done:#}");
    // A pack on a line that slow takes minutes: it is not waited for.
    ground.good(&["init", "--repo", &ground.url("c"), "--replica-of", &a]);
    let slow = start(&ground, &["replicate", "--from", &a, "--to", &ground.url("c"), "--bandwidth", "64KiB"]);
    wait_until("a session", || ground.path("c/log").is_dir() && !ground.stored("c", "log").is_empty());
    ends_at_once(slow);
}

#[test]
fn a_failover_says_on_which_side_of_the_fence_it_stopped() {
    let ground = Ground::new();
    ground.write("v/first", "first");
    ground.back_up("v");
    let (a, b) = (ground.url("a"), ground.url("b"));
    ground.good(&["replicate", "--from", &a, "--to", &b]);
    for file in 0..24 {
        ground.write(&format!("v/{file}.bin"), noise(CONTENT_BYTES / 24, file));
    }
    ground.back_up("v");
    let out = ground.path("out");
    let words = ["failover", "--repo", &b, "--to-dir", out.to_str().unwrap(), "--yes", "--yes-primary-is-alive"];
    let with_primary = [&words[..], &["--primary", &a]].concat();
    let there = ground.stored("b", "data").len();
    let child = start(&ground, &with_primary);
    wait_until("a pack", || ground.stored("b", "data").len() > there);
    signal(&child, Signal::INT);
    let ran = Ran::of(child.wait_with_output().unwrap());
    ran.refused(1, "stopped before the fence; nothing was changed");
    assert!(!out.exists());
    // The primary may still write: no fence stands.
    ground.back_up("v");
    let child = start(&ground, &with_primary);
    wait_for(&out.join("volumes/shop/data/0.bin"));
    signal(&child, Signal::INT);
    let ran = Ran::of(child.wait_with_output().unwrap());
    ran.refused(1, "stopped after the fence");
    assert!(ran.err.contains("the same command goes on from there"), "{}", ran.err);
    let args = ["backup", "--repo", &a, "--volume", &format!("shop/data={}", ground.path("v").display())];
    ground.run(&args).refused(1, "fenced");
    ground.good(&words);
    same(&ground, "out");
}

#[test]
fn a_prune_goes_on_from_there() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    ground.back_up("v");
    let kept = ground.stored("a", "data").len();
    // What a backup left that never ended, and of which the log knows nothing.
    for n in 0..4_000_u32 {
        let name = format!("{n:064x}");
        ground.write(&format!("a/data/{}/{name}", &name[..2]), "");
    }
    let child = start(&ground, &["prune", "--repo", &ground.url("a")]);
    wait_until("a deletion", || !ground.path(&format!("a/data/00/{:064x}", 0)).exists());
    stops(child, "objects were deleted; nothing was lost; run it again to finish");
    let left = ground.stored("a", "data").len();
    assert!(left > kept, "it was not in the middle");
    let pruned = ground.json(&["prune", "--repo", &ground.url("a")]);
    assert_eq!(pruned["objects"].as_u64().unwrap() as usize, left - kept);
    assert_eq!(ground.stored("a", "data").len(), kept);
    ground.good(&["check", "--repo", &ground.url("a"), "--read-data"]);
}

/// A backup that stands between its hooks, and its ground.
fn held(before: &str, after: &str) -> (Ground, Child) {
    let ground = Ground::new();
    ground.write("v/file", "content");
    let volume = format!("data={}", ground.path("v").display());
    let quieted = ground.path("quieted");
    let before = format!("touch {}; {before}", quieted.display());
    let after = after.replace("DIR", ground.path("").to_str().unwrap());
    let args = ["backup", "--repo", &ground.url("a"), "--volume", &volume, "--before", &before, "--after", &after];
    let child = start(&ground, &args);
    wait_for(&quieted);
    (ground, child)
}

#[test]
fn an_interrupted_backup_releases_the_application() {
    let (ground, child) = held("sleep 1", "touch DIR/released");
    stops(child, "nothing was lost");
    assert!(ground.path("released").exists());
    // Nothing was stored, so nothing is left open.
    let pruned = ground.json(&["prune", "--repo", &ground.url("a"), "--dry-run"]);
    assert_eq!(pruned["waiting_for"], serde_json::json!([]));
    // The next one goes on as if nothing had been.
    ground.back_up("v");
}

#[test]
fn a_second_interrupt_waits_for_nothing_but_releases_the_application() {
    let (ground, child) = held("exec > /dev/null 2>&1; sleep 60", "touch DIR/released");
    ends_at_once(child);
    assert!(ground.path("released").exists());
    let (ground, child) = held("true", "exec > /dev/null 2>&1; touch DIR/releasing; sleep 60");
    wait_for(&ground.path("releasing"));
    ends_at_once(child);
}

#[test]
fn work_that_changes_nothing_ends_at_the_first() {
    let ground = Ground::new();
    let fifo = ground.path("secret");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let child = start(&ground, &["points", "--repo", &ground.url("a"), "--password-file", fifo.to_str().unwrap()]);
    // It waits for its passphrase, for ever.
    wait_until("its signal handlers", || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
        u64::from_str_radix(caught.trim(), 16).is_ok_and(|caught| caught & (1 << 1) != 0)
    });
    signal(&child, Signal::INT);
    let ran = Ran::of(child.wait_with_output().unwrap());
    ran.refused(1, "stopped; nothing was lost");
}
