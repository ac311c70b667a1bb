//! Demo: it tells its story, leaves what it says, and what it prints can be repeated.

use std::fs::{self, File};
use std::process::Command;

use crate::ground::{Ground, Ran};

#[test]
fn what_the_demo_prints_can_be_repeated_in_what_it_leaves() {
    let ground = Ground::empty();
    let dir = ground.path("a demo");
    let played = ground.json(&["demo", "--dir", dir.to_str().unwrap()]);
    assert_eq!(played["folder"], dir.to_str().unwrap());
    assert!(played["orders_restored"].as_i64() > Some(0) && played["orders_lost"].as_i64() >= Some(0), "{played:#}");
    assert!(dir.join("region-b/restored/volumes/shop/data/orders.sqlite").is_file());
    assert!(!dir.join("region-a").exists(), "region A is gone");

    let mut script = String::from("set -u\ncd \"$1\"\n");
    let mut firns = 0;
    for line in played["commands"].as_array().unwrap() {
        let line = line.as_str().unwrap();
        firns += usize::from(line.starts_with("firn "));
        script += &format!("{line}\ncode=$?; [ $code = 0 ] || [ $code = 2 ] || {{ echo \"$code\" >&2; exit 9; }}\n");
    }
    assert_eq!(firns, 5, "init, two backups, replicate, failover: {played:#}");
    let file = ground.write("repeat.sh", &script);
    let mut shell = Command::new("sh");
    shell.arg(file).arg(&dir).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", ground.path("home"));
    let ran = Ran::of(shell.output().unwrap());
    assert_eq!(ran.code, 0, "{script}\n{}{}", ran.out, ran.err);
    assert!(dir.join("again/region-b/restored/objects/core/v1/secrets/shop/database.json").is_file());
    ground.run(&["demo", "--dir", dir.to_str().unwrap()]).refused(64, "choose a new folder");
}

#[test]
fn cleaning_up_takes_only_what_ended_demos_left() {
    let ground = Ground::empty();
    let temp = ground.path("tmp");
    for name in ["firn-demo-1", "firn-demo-2"] {
        ground.write(&format!("tmp/{name}/demo"), "made by `firn demo`\n");
    }
    ground.write("tmp/firn-demo-3/letter", "not a demo's");
    ground.write("tmp/other/demo", "");
    ground.write("elsewhere/demo", "");
    std::os::unix::fs::symlink(ground.path("elsewhere"), temp.join("firn-demo-4")).unwrap();
    let running = File::open(temp.join("firn-demo-2/demo")).unwrap();
    running.lock().unwrap();
    let ran = Ran::of(ground.command(&["demo", "--clean"]).env("TMPDIR", &temp).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("removed 1 folder") && ran.out.contains("1 folder of demos that run now"), "{}", ran.out);
    let mut left: Vec<_> = fs::read_dir(&temp).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["firn-demo-2", "firn-demo-3", "firn-demo-4", "other"]);
    assert!(ground.path("elsewhere/demo").exists());
}
