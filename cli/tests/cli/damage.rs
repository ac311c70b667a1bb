//! Damage: found, named, and told by the exit code.

use std::fs;

use crate::ground::Ground;

fn backed_up() -> Ground {
    let ground = Ground::new();
    ground.write("v/file", "content".repeat(1000));
    ground.back_up("v");
    ground
}

#[test]
fn doctor_finds_a_sound_repository_sound() {
    let ground = backed_up();
    let url = ground.url("a");
    ground.good(&["key", "export", "--repo", &url, ground.path("kit").to_str().unwrap()]);
    let findings = ground.json(&["doctor", "--repo", &url]);
    let bad: Vec<_> = findings.as_array().unwrap().iter().filter(|finding| finding["verdict"] != "good").collect();
    assert!(bad.is_empty(), "{bad:?}");
    // Without a secret it says what it did not try.
    let unlocked = ground.command(&["doctor", "--repo", &url]).env_remove("FIRN_PASSWORD").output().unwrap();
    assert!(unlocked.status.success());
    let nowhere = ground.run(&["doctor", "--repo", &ground.url("nowhere"), "-o", "json"]);
    assert!(nowhere.code == 1 && nowhere.out.contains("`firn init` makes one"), "{}", nowhere.out);
    assert!(!ground.path("nowhere").exists());
    let wrong = ground.command(&["doctor", "--repo", &url]).env("FIRN_PASSWORD", "wrong").output().unwrap();
    assert_eq!(wrong.status.code(), Some(4));
    let file = ground.write("file", "");
    let no_cache = ground.run(&["doctor", "--repo", &url, "--cache-dir", file.to_str().unwrap()]);
    assert_eq!(no_cache.code, 1, "{}", no_cache.out);
    assert!(no_cache.out.contains("--cache-dir DIR"), "{}", no_cache.out);
}

#[test]
fn a_damaged_key_is_exit_code_3() {
    let ground = Ground::new();
    let url = ground.url("a");
    let added = ground.command(&["key", "add", "--repo", &url]).env("FIRN_NEW_PASSWORD", "two").output().unwrap();
    assert!(added.status.success());
    let key = ground.stored("a", "keys").pop().unwrap();
    ground.change(&key, |bytes| bytes[40] ^= 1);
    let listed = ground.run(&["key", "list", "--repo", &url]);
    assert!(listed.code == 3 && listed.out.contains("damaged"), "{}", listed.out);
    let doctor = ground.run(&["doctor", "--repo", &url]);
    assert!(doctor.code == 3 && doctor.out.contains("damaged: 1"), "{}", doctor.out);
    for key in ground.stored("a", "keys") {
        fs::remove_file(key).unwrap();
    }
    ground.run(&["points", "--repo", &url]).refused(3, "damaged or missing");
}

#[test]
fn a_repository_without_its_format_is_damaged_and_not_made_anew() {
    let ground = backed_up();
    let url = ground.url("a");
    fs::remove_file(ground.path("a/FORMAT")).unwrap();
    let points = ground.run(&["points", "--repo", &url]);
    points.refused(3, "lost its FORMAT");
    assert!(!points.err.contains("init"), "{}", points.err);
    let before = ground.stored("a", "").len();
    let init = ground.run(&["init", "--repo", &url]);
    assert_ne!(init.code, 0);
    assert_eq!(ground.stored("a", "").len(), before);
}

#[test]
fn a_damaged_log_is_read_as_far_as_it_goes() {
    let ground = backed_up();
    ground.write("v/file", "other");
    ground.back_up("v");
    let url = ground.url("a");
    let log = ground.stored("a", "log");
    ground.change(&log[log.len() - 2], |bytes| bytes[20] ^= 1);
    let doctor = ground.run(&["doctor", "--repo", &url]);
    assert!(doctor.code == 3 && doctor.out.contains("✗  log"), "{}", doctor.out);
    // Another machine, which remembers nothing of it.
    let elsewhere = ground.path("elsewhere");
    let run =
        |args: &[&str]| ground.run(&[args, &["--repo", &url, "--cache-dir", elsewhere.to_str().unwrap()]].concat());
    let points = run(&["points", "-o", "json"]);
    assert_eq!(points.code, 3, "{}", points.err);
    let points_before: serde_json::Value = serde_json::from_str(&points.out).unwrap();
    assert_eq!(points_before.as_array().unwrap().len(), 1);
    assert!(points.err.contains("warning") && points.err.contains("damaged"), "{}", points.err);
    run(&["prune"]).refused(3, "damaged at position");
    // What was before can be read.
    assert!(run(&["ls"]).out.contains("volumes/shop/data"));
}

#[test]
fn a_damaged_pack_is_found_and_remembered() {
    let ground = backed_up();
    let url = ground.url("a");
    let pack = ground.stored("a", "data").pop().unwrap();
    ground.change(&pack, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    ground.good(&["check", "--repo", &url]);
    let check = ground.run(&["check", "--repo", &url, "--read-data"]);
    assert_eq!(check.code, 3, "{}{}", check.out, check.err);
    assert!(check.out.contains("✗ data/") && check.out.contains("volumes/shop/data/file"), "{}", check.out);
    assert!(ground.good(&["points", "--repo", &url]).contains("damaged"));
    let doctor = ground.run(&["doctor", "--repo", &url]);
    assert!(doctor.code == 3 && doctor.out.contains("✗  objects"), "{}", doctor.out);
    let replicate = ground.run(&["replicate", "--from", &url, "--to", &ground.url("b")]);
    assert_eq!(replicate.code, 3, "{}{}", replicate.out, replicate.err);
    assert!(replicate.out.contains("did not arrive"), "{}", replicate.out);
    fs::remove_file(&pack).unwrap();
    ground.run(&["diff", "--repo", &url, "latest", "latest"]);
    let gone = ground.run(&["check", "--repo", &url, "-o", "json"]);
    let found: serde_json::Value = serde_json::from_str(&gone.out).unwrap();
    assert_eq!((gone.code, found["findings"][0]["problem"].as_str()), (3, Some("missing")));
    assert_eq!(found["unsound"].as_array().unwrap().len(), 1);
}
