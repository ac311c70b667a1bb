//! What is not whole, and who is not to be believed: never taken for the newest good state without a word.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use crate::ground::{Ground, Ran};

const NOBODY: u32 = 65534;

fn open_to_all(path: &Path) {
    let mode = if path.is_dir() { 0o777 } else { 0o666 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| open_to_all(&entry.unwrap().path()));
    }
}

#[test]
fn a_volume_that_cannot_be_read_makes_no_whole_point_and_ends_no_good_one() {
    let ground = Ground::new();
    ground.write("v/data/precious", "content");
    let good = ground.back_up("v");
    let (url, volume) = (ground.url("a"), format!("shop/data={}", ground.path("v").display()));
    open_to_all(&ground.path("."));
    fs::set_permissions(ground.path("v/data"), fs::Permissions::from_mode(0o700)).unwrap();
    let mut backup = ground.command(&["backup", "--repo", &url, "--volume", &volume, "-o", "json"]);
    if fs::metadata(ground.path("v")).unwrap().uid() == 0 {
        backup.uid(NOBODY).gid(NOBODY);
    } else {
        fs::set_permissions(ground.path("v/data"), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let ran = Ran::of(backup.output().unwrap());
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    let done: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(done["complete"], false, "{done}");
    fs::set_permissions(ground.path("v/data"), fs::Permissions::from_mode(0o700)).unwrap();
    // The last one that has everything stays, whatever retention says.
    ground.good(&["forget", "--repo", &url, "--keep-last", "1", "--yes", "--prune"]);
    let points = ground.json(&["points", "--repo", &url]);
    assert!(points.as_array().unwrap().iter().any(|point| point["id"] == good.as_str()), "{points}");
}

#[test]
fn a_linked_repository_that_was_rolled_back_or_replaced_stops_a_backup() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    ground.back_up("v");
    let (a, b) = (ground.url("a"), ground.url("b"));
    ground.good(&["replicate", "--from", &a, "--to", &b]);
    ground.back_up("v");
    let points = || ground.json(&["points", "--repo", &a]).as_array().unwrap().len();
    let backup = ["backup", "--repo", &a, "--volume", &format!("shop/data={}", ground.path("v").display())];

    // Rolled back behind what this machine has seen.
    let newest = ground.stored("b", "log").pop().unwrap();
    let bytes = fs::read(&newest).unwrap();
    fs::remove_file(&newest).unwrap();
    ground.run(&backup).refused(4, "cannot be trusted");
    fs::write(&newest, bytes).unwrap();
    assert_eq!(points(), 2);
    ground.back_up("v");

    // Another repository in its place; linked again it is one like any other.
    fs::rename(ground.path("b"), ground.path("moved")).unwrap();
    ground.good(&["init", "--repo", &b, "--replica-of", &a]);
    let ran = ground.run(&backup);
    assert!(ran.code == 4 && points() == 3, "{}{}", ran.out, ran.err);
    ground.run(&["replicate", "--from", &a, "--to", &b, "--cache-dir", ground.path("new").to_str().unwrap()]);

    // One that is gone is a note.
    fs::rename(ground.path("b"), ground.path("gone")).unwrap();
    let ran = ground.run(&backup);
    assert!(ran.code == 0 && ran.err.contains("was not read"), "{}{}", ran.out, ran.err);
}

#[test]
fn a_failover_takes_the_newest_whole_point_of_every_policy() {
    let ground = Ground::new();
    let (a, b) = (ground.url("a"), ground.url("b"));
    ground.write("web/page", "a page");
    ground.write("db/table", "rows".repeat(10_000));
    let take = |policy: &str, folder: &str| {
        let volume = format!("ns/{folder}={}", ground.path(folder).display());
        ground.good(&["backup", "--repo", &a, "--policy", policy, "--volume", &volume]);
    };
    take("web", "web");
    take("db", "db");
    let before = ground.stored("a", "data");
    ground.write("db/more", "rows of another kind".repeat(10_000));
    take("db", "db");
    ground.good(&["replicate", "--from", &a, "--to", &b]);
    let root = ground.path("b");
    for pack in ground.stored("b", "data") {
        let name = pack.strip_prefix(&root).unwrap();
        if !before.contains(&ground.path("a").join(name)) {
            fs::remove_file(&pack).unwrap();
        }
    }
    assert_eq!(ground.run(&["check", "--repo", &b]).code, 3);
    let fail_over = |out: &Path| {
        let words = ["failover", "--repo", &b, "--to-dir", out.to_str().unwrap(), "--yes", "--yes-primary-is-alive"];
        ground.run(&words)
    };

    // The primary is gone: the point before is all that there is.
    fs::rename(ground.path("a"), ground.path("gone")).unwrap();
    let out = ground.path("out");
    let ran = fail_over(&out);
    assert!(ran.err.contains("policy db: the newest 1 points have lost objects"), "{}{}", ran.out, ran.err);
    assert_eq!(fs::read_to_string(out.join("volumes/ns/db/table")).unwrap(), "rows".repeat(10_000));
    assert!(out.join("volumes/ns/web/page").is_file());
    assert!(!out.join("volumes/ns/db/more").exists(), "{}{}", ran.out, ran.err);

    // The primary can be read: what was lost here comes again before anything is restored.
    fs::rename(ground.path("gone"), ground.path("a")).unwrap();
    ground.good(&["failover", "--repo", &b, "--abort"]);
    let out = ground.path("again");
    let ran = fail_over(&out);
    assert!(out.join("volumes/ns/db/more").is_file(), "{}{}", ran.out, ran.err);
}

#[test]
fn the_latest_of_several_lineages_is_restored_by_name_or_of_all() {
    let ground = Ground::new();
    let a = ground.url("a");
    ground.write("web/page", "a page");
    ground.write("db/table", "rows");
    for policy in ["web", "db"] {
        let volume = format!("ns/{policy}={}", ground.path(policy).display());
        ground.good(&["backup", "--repo", &a, "--policy", policy, "--volume", &volume]);
    }
    let (one, all) = (ground.path("one"), ground.path("all"));
    let words = ["restore", "--repo", &a, "latest", "--to-dir", one.to_str().unwrap()];
    let refused = ground.run(&words);
    refused.refused(64, "--lineage");
    assert!(refused.err.contains("--all-lineages") && !one.exists(), "{}", refused.err);
    ground.good(&[&words[..], &["--lineage", "local/db"]].concat());
    assert!(one.join("volumes/ns/db/table").is_file() && !one.join("volumes/ns/web").exists());

    let words = ["restore", "--repo", &a, "latest", "--all-lineages", "--to-dir", all.to_str().unwrap()];
    let plans = ground.json(&[&words[..], &["--dry-run"]].concat());
    assert_eq!(plans.as_array().map(Vec::len), Some(2), "{plans}");
    let done = ground.json(&words);
    assert_eq!(done["points"].as_array().map(Vec::len), Some(2), "{done}");
    assert_eq!(fs::read_to_string(all.join("volumes/ns/db/table")).unwrap(), "rows");
    assert_eq!(fs::read_to_string(all.join("volumes/ns/web/page")).unwrap(), "a page");
}

#[test]
fn a_volume_that_was_carried_over_is_named_when_it_comes_back() {
    let ground = Ground::new();
    let a = ground.url("a");
    ground.write("v/file", "content");
    let volume = format!("shop/data={}", ground.path("v").display());
    let backup = ["backup", "--repo", &a, "--volume", &volume];
    ground.good(&backup);
    fs::remove_dir_all(ground.path("v")).unwrap();
    assert_eq!(ground.run(&backup).code, 2);
    let out = ground.path("out");
    let ran = ground.run(&["restore", "--repo", &a, "--to-dir", out.to_str().unwrap()]);
    assert!(ran.code == 2 && ran.out.contains("carried over from an earlier point"), "{}{}", ran.out, ran.err);
    assert_eq!(fs::read_to_string(out.join("volumes/shop/data/file")).unwrap(), "content");
}
