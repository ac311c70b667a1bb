//! What commands print: names that scripts depend on, tables that fit, values that are right.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::{Value, json};

use crate::ground::Ground;

fn assert_fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "too wide: {line:?}");
    }
}

fn paths(lines: &Value) -> Vec<&str> {
    lines.as_array().unwrap().iter().map(|line| line["path"].as_str().unwrap()).collect()
}

#[test]
fn points_are_what_scripts_expect() {
    let ground = Ground::new();
    let args = ["points", "--repo", &ground.url("a")];
    assert_eq!(ground.json(&args), json!([]));
    assert!(ground.good(&args).contains("firn backup"));
    ground.write("v/file", "content");
    let (first, second) = (ground.back_up("v"), ground.back_up("v"));
    let points = ground.json(&args);
    let ids: Vec<_> = points.as_array().unwrap().iter().map(|point| point["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [first.as_str(), &second], "oldest first");
    let point = &points[0];
    let time: jiff::Timestamp = point["time"].as_str().unwrap().parse().unwrap();
    assert!(time > "2020-01-01T00:00:00Z".parse().unwrap());
    for (field, expected) in [
        ("exceptions", json!(0)),
        ("cluster", json!("local")),
        ("policy", json!("default")),
        ("complete", json!(true)),
        ("verified_at", json!(null)),
        ("namespaces", json!(["shop"])),
        ("bytes", json!(7)),
        ("branch", json!(false)),
    ] {
        assert_eq!(point[field], expected, "{field}");
    }
    ground.good(&["check", "--repo", &ground.url("a")]);
    let verified = ground.json(&args)[0]["verified_at"].as_str().map(str::parse::<jiff::Timestamp>);
    assert!(verified.is_some_and(|time| time.is_ok()));
    assert_eq!(ground.json(&[&args[..], &["--policy", "other"]].concat()), json!([]));
    let yaml: Value = serde_saphyr::from_str(&ground.good(&[&args[..], &["-o", "yaml"]].concat())).unwrap();
    assert_eq!(yaml[1]["id"], json!(second));
}

#[test]
fn tables_fit_even_with_long_names() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    let volume = format!("data={}", ground.path("v").display());
    let policy = "a-policy-with-a-name-that-somebody-found-descriptive-and-that-never-ends";
    let cluster = "fleet-of-the-northern-region-number-seventeen \u{1b}[31mred";
    let (url, replica) = (ground.url("a"), ground.url("b"));
    let more = ["--policy", policy, "--cluster-name", cluster];
    ground.good(&[&["backup", "--repo", &url, "--volume", &volume][..], &more].concat());
    let points = ground.good(&["points", "--repo", &url]);
    assert!(points.starts_with("ID            TIME"), "{points}");
    assert!(!points.contains('\u{1b}'), "{points:?}");
    assert_fits(&points);
    assert_fits(&ground.good(&["forget", "--repo", &url, "--keep-last", "1", "--dry-run"]));
    assert_fits(&ground.good(&["key", "list", "--repo", &url]));
    let replicated = ground.good(&["replicate", "--from", &url, "--to", &replica]);
    assert_fits(replicated.split_once('\n').unwrap().1);
    assert_fits(&ground.good(&["doctor", "--repo", &url, "--cache-dir", ground.path("c").to_str().unwrap()]));
}

#[test]
fn ls_lists_mounts_folders_and_odd_names() {
    let ground = Ground::new();
    ground.write("v/logs/today", "log");
    ground.write("v/empty-file", "");
    fs::create_dir(ground.path("v/empty")).unwrap();
    std::os::unix::fs::symlink("logs/today", ground.path("v/link")).unwrap();
    fs::write(ground.path("v").join(OsStr::from_bytes(b"odd\xff\n")), "odd").unwrap();
    ground.back_up("v");
    let url = ground.url("a");
    let ls = |more: &[&str]| ground.json(&[&["ls", "--repo", &url][..], more].concat());
    assert_eq!(paths(&ls(&[])), ["volumes/shop/data"]);
    assert_eq!(ls(&[])[0]["kind"], "files");
    assert_eq!(paths(&ls(&["latest", "volumes"])), ["volumes/shop/data"]);
    let inside = ls(&["latest", "/volumes/shop/data/"]);
    let names: Vec<_> = paths(&inside).iter().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["empty", "empty-file", "link", "logs", r"odd\xff\x0a"]);
    assert_eq!((&inside[2]["kind"], &inside[2]["target"]), (&json!("symlink"), &json!("logs/today")));
    assert_eq!((&inside[4]["size"], &inside[4]["mode"]), (&json!(3), &json!("0644")));
    // What is printed can be asked for.
    let odd = ls(&["latest", paths(&inside)[4]]);
    assert_eq!(paths(&odd), [r"volumes/shop/data/odd\xff\x0a"]);
    assert_eq!(ls(&["latest", "volumes/shop/data/empty"]), json!([]));
    let all = ls(&["latest", "-R"]);
    assert!(paths(&all).contains(&"volumes/shop/data/logs/today"), "{all}");
    let long = ground.good(&["ls", "--repo", &url, "latest", "volumes/shop/data"]);
    assert!(long.lines().any(|line| line.starts_with("-rw-r--r--") && line.ends_with(r"odd\xff\x0a")), "{long}");
    assert!(long.lines().any(|line| line.ends_with("link -> logs/today")), "{long}");
    ground.run(&["ls", "--repo", &url, "latest", "volumes/shop/data/none"]).refused(64, "nothing at");
}

#[test]
fn diff_names_what_a_person_would_call_changed() {
    let ground = Ground::new();
    for (name, content) in [("same", "same"), ("grows", "1"), ("mode", "mode"), ("gone", "gone"), ("moved", "bundle")] {
        ground.write(&format!("v/{name}"), content);
    }
    let first = ground.back_up("v");
    ground.write("v/grows", "12");
    ground.write("v/new", "new");
    fs::remove_file(ground.path("v/gone")).unwrap();
    let set_mode = |mode| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(ground.path("v/mode"), fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(0o600);
    // Touched and put back: read again, perhaps stored elsewhere, and no different.
    let moved = ground.path("v/moved");
    let modified = fs::metadata(&moved).unwrap().modified().unwrap();
    fs::write(&moved, "bundle").unwrap();
    fs::File::options().write(true).open(&moved).unwrap().set_modified(modified).unwrap();
    let second = ground.back_up("v");
    let url = ground.url("a");
    let lines = ground.json(&["diff", "--repo", &url, &first[..8], &second[..8]]);
    let found: Vec<_> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            let path = line["path"].as_str().unwrap().trim_start_matches("volumes/shop/data");
            let what: Vec<_> = line["what"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            format!("{} {path} {}", line["change"].as_str().unwrap(), what.join("+"))
        })
        .collect();
    let expected =
        ["changed  time", "removed /gone ", "changed /grows content+time", "changed /mode mode", "added /new "];
    assert_eq!(found, expected);
    assert_eq!(ground.json(&["diff", "--repo", &url, &first]), lines, "to latest, if nothing else is said");
    assert_eq!(ground.good(&["diff", "--repo", &url, &second, "latest"]), "no difference\n");
    let text = ground.good(&["diff", "--repo", &url, &first]);
    assert!(text.contains("+ volumes/shop/data/new\n") && text.ends_with("1 added, 1 removed, 3 changed\n"), "{text}");
}

#[test]
fn forget_keeps_what_rules_and_prudence_keep() {
    let ground = Ground::new();
    let mut ids = Vec::new();
    for number in 0..5 {
        ground.write("v/file", format!("content {number}"));
        ids.push(ground.back_up("v"));
    }
    let url = ground.url("a");
    let live = || paths_of_points(&ground);
    let planned = ground.json(&["forget", "--repo", &url, "--keep-last", "2", "--dry-run"]);
    assert_eq!((&planned["forgotten"], &planned["dry_run"]), (&json!(3), &json!(true)));
    assert_eq!(planned["points"][0]["reason"], "the newest point, among the last 2");
    assert_eq!(ground.json(&["forget", "--repo", &url, "--keep-yearly", "1", "--dry-run"])["forgotten"], 4);
    ground.run(&["forget", "--repo", &url, "--keep-daily", "1", &ids[1]]).refused(64, "cannot be used with");
    assert_eq!(live(), ids);
    ground.run(&["forget", "--repo", &url, "--keep-last", "2"]).refused(64, "--yes");
    ground.run(&["forget", "--repo", &url, "latest"]).refused(64, "latest");
    assert_eq!(live(), ids);
    assert_eq!(ground.json(&["forget", "--repo", &url, "--keep-within", "1h"])["forgotten"], 0);
    assert_eq!(ground.json(&["forget", "--repo", &url, &ids[1][..10]])["forgotten"], 1);
    ids.remove(1);
    assert_eq!(live(), ids);
    let done = ground.json(&["forget", "--repo", &url, "--keep-last", "2", "--yes", "--prune"]);
    assert_eq!(done["forgotten"], 2);
    assert!(done["pruned"]["objects"].as_u64().unwrap() > 0, "{done}");
    assert_eq!(live(), ids[2..]);
    ground.run(&["forget", "--repo", &url, "--yes", &ids[2], &ids[3]]).refused(64, "last good point");
    assert_eq!(ground.json(&["check", "--repo", &url, "--read-data"])["sound"], json!(ids[2..]));
    assert_eq!(ground.json(&["prune", "--repo", &url, "--dry-run"])["objects"], 0);
}

fn paths_of_points(ground: &Ground) -> Vec<String> {
    let points = ground.json(&["points", "--repo", &ground.url("a")]);
    points.as_array().unwrap().iter().map(|point| point["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn prune_foresees_what_it_then_deletes() {
    let ground = Ground::new();
    for number in 0..4 {
        ground.write("v/file", format!("content {number}"));
        ground.back_up("v");
    }
    let url = ground.url("a");
    ground.good(&["forget", "--repo", &url, "--keep-last", "1", "--yes"]);
    let before = ground.stored("a", "").len();
    let foreseen = ground.json(&["prune", "--repo", &url, "--dry-run"]);
    assert_eq!(ground.stored("a", "").len(), before);
    let done = ground.json(&["prune", "--repo", &url]);
    assert_eq!((&foreseen["objects"], &foreseen["bytes"]), (&done["objects"], &done["bytes"]));
    assert!(done["objects"].as_u64().unwrap() > 0);
}

#[test]
fn a_replica_is_made_filled_and_measured() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    let id = ground.back_up("v");
    let (from, to) = (ground.url("a"), ground.url("b"));
    let args = ["replicate", "--from", &from, "--to", &to, "--bandwidth", "1GiB"];
    let done = ground.json(&args);
    assert_eq!((&done["made"], &done["points"]), (&json!(true), &json!([id])));
    let lineage = &done["lineages"][0];
    assert_eq!((&lineage["cluster"], &lineage["policy"]), (&json!("local"), &json!("default")));
    assert_eq!((&lineage["newest"], &lineage["points_behind"]), (&json!(id), &json!(0)));
    assert!(lineage["lag_seconds"].as_i64().unwrap() >= 0 && done["bytes_copied"].as_u64().unwrap() > 0);
    let again = ground.json(&args);
    assert_eq!((&again["made"], &again["points"], &again["bytes_copied"]), (&json!(false), &json!([]), &json!(0)));
    assert_eq!(ground.json(&["points", "--repo", &to])[0]["id"], json!(id));
    fs::remove_dir_all(ground.path("a")).unwrap();
    let listed = ground.json(&["ls", "--repo", &to, "latest", "volumes/shop/data"]);
    assert_eq!(paths(&listed), ["volumes/shop/data/file"]);
}

#[test]
fn what_nobody_reads_is_no_failure() {
    let ground = Ground::new();
    for number in 0..200 {
        ground.write(&format!("v/{number}"), "x");
    }
    ground.back_up("v");
    let url = ground.url("a");
    let mut child = ground
        .command(&["ls", "--repo", &url, "latest", "-R"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = crate::ground::Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}
