//! Interrupts: what was quieted is released, nothing is lost.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::ground::{Ground, Ran};

fn wait_for(path: &std::path::Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A backup that stands between its hooks, and its ground.
fn held(after: &str) -> (Ground, Child) {
    let ground = Ground::new();
    ground.write("v/file", "content");
    let volume = format!("data={}", ground.path("v").display());
    let quieted = ground.path("quieted");
    let before = format!("touch {}; sleep 3", quieted.display());
    let after = after.replace("DIR", ground.path("").to_str().unwrap());
    let args = ["backup", "--repo", &ground.url("a"), "--volume", &volume, "--before", &before, "--after", &after];
    let child = ground.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&quieted);
    (ground, child)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn an_interrupted_backup_releases_the_application() {
    let (ground, child) = held("touch DIR/released");
    signal(&child, Signal::INT);
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("nothing will be lost"), "{}", ran.err);
    assert!(ground.path("released").exists());
    // The next one goes on as if nothing had been.
    ground.back_up("v");
}

#[test]
fn a_second_interrupt_ends_at_once() {
    let (ground, child) = held("touch DIR/releasing; sleep 3");
    signal(&child, Signal::TERM);
    wait_for(&ground.path("releasing"));
    signal(&child, Signal::INT);
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 130, "{}", ran.err);
}
