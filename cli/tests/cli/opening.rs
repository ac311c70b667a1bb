//! Making, opening, unlocking: who gets in, and what those hear who do not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::ground::{Ground, Ran};

#[test]
fn init_says_what_it_made_and_what_comes_next() {
    let ground = Ground::empty();
    let url = ground.url("a");
    let out = ground.good(&["init", "--repo", &url]);
    assert!(out.contains(&format!("made a repository: {url}")), "{out}");
    assert!(out.contains("fingerprint") && out.contains("family") && out.contains("firn key export --repo"), "{out}");
    let made = ground.json(&["init", "--repo", &ground.url("b"), "--replica-of", &url]);
    assert_eq!(made["replica_of"], url);
    assert_eq!((made["fingerprint"].as_str().unwrap().len(), made["family"].as_str().unwrap().len()), (64, 32));
    assert!(out.contains(made["family"].as_str().unwrap()), "a replica is of the same family");
    // What is advised works as it is written.
    let kit = ground.path("kit.txt");
    ground.good(&["key", "export", "--repo", &url, kit.to_str().unwrap()]);
}

#[test]
fn a_used_place_is_refused_and_left_as_it_is() {
    let ground = Ground::new();
    ground.run(&["init", "--repo", &ground.url("a")]).refused(64, "already");
    ground.write("used/letter", "dear");
    ground.run(&["init", "--repo", &ground.url("used")]).refused(64, "not empty");
    assert_eq!(fs::read_dir(ground.path("used")).unwrap().count(), 1);
}

#[test]
fn requests_that_make_no_sense_exit_64() {
    let ground = Ground::new();
    let url = ground.url("a");
    ground.run(&["points", "--repo", "ftp://host/x"]).refused(64, "unknown scheme");
    ground.run(&["points", "--repo", "/plain/path"]).refused(64, "file:///");
    ground.run(&["points"]).refused(64, "--repo");
    ground.run(&["point", "--repo", &url]).refused(64, "points");
    ground.run(&["ls", "--repo", &url]).refused(64, "no point yet");
    ground.run(&["ls", "--repo", &url, "xyz"]).refused(64, "names no point");
    ground.run(&["forget", "--repo", &url]).refused(64, "--keep-last");
    ground.run(&["forget", "--repo", &url, "--keep-within", "soon"]).refused(64, "14d");
    ground.run(&["replicate", "--from", &url, "--to", &ground.url("b"), "--bandwidth", "fast"]).refused(64, "200MiB");
    ground.run(&["replicate", "--from", &url, "--to", &url]).refused(64, "same repository");
    let locked = ground.command(&["points", "--repo", &url]).env_remove("FIRN_PASSWORD").output().unwrap();
    Ran::of(locked).refused(64, "FIRN_PASSWORD");
}

#[test]
fn what_is_not_there_and_what_is_newer_exit_1() {
    let ground = Ground::new();
    ground.run(&["points", "--repo", &ground.url("nowhere")]).refused(1, "firn init");
    let format = ground.path("a").join("FORMAT");
    ground.change(&format, |bytes| {
        let at = bytes.windows(7).position(|part| part == b"dfirn\x01\x01").unwrap();
        bytes[at + 6] = 2;
    });
    ground.run(&["points", "--repo", &ground.url("a")]).refused(1, "newer Firn: version 2");
}

#[test]
fn only_a_right_secret_opens() {
    let ground = Ground::new();
    let url = ground.url("a");
    let with =
        |password: &str, args: &[&str]| Ran::of(ground.command(args).env("FIRN_PASSWORD", password).output().unwrap());
    with("wrong", &["points", "--repo", &url]).refused(4, "wrong key");
    with("wrong", &["key", "export", "--repo", &url, "x"]).refused(4, "wrong key");
    assert!(!ground.path("x").exists());

    let added =
        ground.command(&["key", "add", "--repo", &url, "--label", "team"]).env("FIRN_NEW_PASSWORD", "two").output();
    assert_eq!(Ran::of(added.unwrap()).code, 0);
    assert_eq!(with("two", &["points", "--repo", &url]).code, 0);
    let file = ground.write("password", "two\nnot this\n");
    assert_eq!(with("", &["points", "--repo", &url, "--password-file", file.to_str().unwrap()]).code, 0);
    ground.run(&["key", "add", "--repo", &url]).refused(64, "FIRN_NEW_PASSWORD");

    let keys = ground.json(&["key", "list", "--repo", &url]);
    let mut labels: Vec<_> = keys.as_array().unwrap().iter().map(|key| key["label"].as_str().unwrap()).collect();
    labels.sort_unstable();
    assert_eq!(labels, ["passphrase", "team"]);
}

#[test]
fn a_kit_opens_what_it_was_made_for() {
    let (ground, other) = (Ground::new(), Ground::new());
    let url = ground.url("a");
    let kit = ground.path("kit");
    let kit_path = kit.to_str().unwrap();
    ground.good(&["key", "export", "--repo", &url, kit_path]);
    assert_eq!(fs::metadata(&kit).unwrap().permissions().mode() & 0o777, 0o600);
    ground.run(&["key", "export", "--repo", &url, kit_path]).refused(64, "exists");
    let opened =
        ground.command(&["points", "--repo", &url, "--key-file", kit_path]).env_remove("FIRN_PASSWORD").output();
    assert_eq!(Ran::of(opened.unwrap()).code, 0);
    other.run(&["points", "--repo", &other.url("a"), "--key-file", kit_path]).refused(4, "wrong key");
    ground.run(&["init", "--repo", &ground.url("b"), "--key-file", kit_path]).refused(64, "passphrase");
    let text = fs::read_to_string(&kit).unwrap().to_uppercase().replace('-', " ");
    fs::write(&kit, &text).unwrap();
    ground.good(&["points", "--repo", &url, "--key-file", kit_path]);
    let last = text.trim_end().chars().last().unwrap();
    let slip = format!("{}{}", &text.trim_end()[..text.trim_end().len() - 1], if last == '0' { '1' } else { '0' });
    fs::write(&kit, slip).unwrap();
    ground.run(&["points", "--repo", &url, "--key-file", kit_path]).refused(64, "digit");
}

#[test]
fn errors_are_one_object_if_results_are() {
    let ground = Ground::new();
    let url = ground.url("a");
    let said = |ran: Ran| serde_json::from_str::<Value>(&ran.err).unwrap();
    let error = said(ground.run(&["points", "--repo", "ftp://host/x", "-o", "json"]));
    assert_eq!((error["class"].as_str(), error["exit_code"].as_u64()), (Some("usage"), Some(64)));
    assert!(error["error"].as_str().unwrap().contains("unknown scheme"), "{error}");
    let error = said(ground.run(&["-o", "json", "points"]));
    assert_eq!((error["class"].as_str(), error["exit_code"].as_u64()), (Some("usage"), Some(64)));
    let wrong = ground.command(&["points", "--repo", &url, "-o", "json"]).env("FIRN_PASSWORD", "x").output().unwrap();
    let error = said(Ran::of(wrong));
    assert_eq!((error["class"].as_str(), error["exit_code"].as_u64()), (Some("security"), Some(4)));
}

#[test]
fn a_log_that_was_rolled_back_is_a_security_stop() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    ground.back_up("v");
    let newest = ground.stored("a", "log").pop().unwrap();
    fs::remove_file(newest).unwrap();
    let args = ["points", "--repo", &ground.url("a")];
    ground.run(&args).refused(4, "rolled back");
    // Doctor tells the same, and what was seen is what notices it.
    let doctor = ground.run(&["doctor", "--repo", &ground.url("a")]);
    assert_eq!(doctor.code, 4, "{}{}", doctor.out, doctor.err);
    assert!(doctor.out.contains('✗') && doctor.out.contains("rolled back"), "{}", doctor.out);
    let elsewhere = ground.path("other-cache");
    assert_eq!(ground.run(&[&args[..], &["--cache-dir", elsewhere.to_str().unwrap()]].concat()).code, 0);
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    ground.back_up("v");
    let url = ground.url("a");
    ground.run(&["points", "--repo", "backup/a"]).refused(64, "a local folder is file:///absolute/path");
    let restore = ["restore", "--repo", &url, "--to-dir", "out", "--lineage", "prod/default"];
    ground.run(&restore).refused(64, "no point is of lineage prod/default; there are: local/default");
    // A backup that fails before it has stored anything leaves nothing behind that a prune would wait for.
    let nowhere = ground.path("nowhere");
    let failed = ground.run(&["backup", "--repo", &url, "--from-dir", nowhere.to_str().unwrap()]);
    failed.refused(1, "nothing was captured");
    assert_eq!(failed.err.matches("reading").count(), 1, "{}", failed.err);
    let points = ground.json(&["points", "--repo", &url]);
    assert_eq!(points[0]["held"], false);
}

#[test]
fn another_repository_at_the_same_place_is_noticed() {
    let ground = Ground::new();
    let url = ground.url("a");
    let points = ["points", "--repo", &url];
    assert_eq!(ground.run(&points).err, "");
    // Somebody else, or the same passphrase elsewhere, put it there.
    fs::rename(ground.path("a"), ground.path("before")).unwrap();
    let elsewhere = ground.path("elsewhere");
    ground.good(&["init", "--repo", &url, "--cache-dir", elsewhere.to_str().unwrap()]);
    for _ in 0..2 {
        let ran = ground.run(&points);
        assert!(ran.code == 0 && ran.err.contains("another repository than this machine has seen"), "{}", ran.err);
    }
    // Who makes it anew here knows of it.
    fs::rename(ground.path("a"), ground.path("again")).unwrap();
    ground.good(&["init", "--repo", &url]);
    assert_eq!(ground.run(&points).err, "");
}

#[test]
fn init_says_less_if_asked_and_a_file_is_no_folder() {
    let ground = Ground::empty();
    let quiet = ground.good(&["init", "--repo", &ground.url("a"), "-q"]);
    assert!(quiet.lines().count() == 1 && quiet.trim().len() == 64, "{quiet}");
    ground.write("letter", "dear");
    ground.run(&["points", "--repo", &ground.url("letter")]).refused(64, "a repository is a folder");
}
