//! Asking: requests that could mean two things, or nothing, are refused with what would be right.

use crate::ground::Ground;

#[test]
fn one_name_means_one_volume() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    ground.write("w/file", "content");
    let url = ground.url("a");
    let [v, w] = ["v", "w"].map(|folder| ground.path(folder).display().to_string());
    for (first, second) in [("v", "v"), ("v", "local/v"), ("shop/data", "shop/data")] {
        let volumes = [format!("{first}={v}"), format!("{second}={w}")];
        let args = ["backup", "--repo", &url, "--volume", &volumes[0], "--volume", &volumes[1]];
        ground.run(&args).refused(64, "the same name");
    }
    assert_eq!(ground.json(&["points", "--repo", &url]), serde_json::json!([]));
}

#[test]
fn a_repository_is_not_stored_in_itself() {
    let ground = Ground::new();
    ground.write("a/folder/file", "content");
    let url = ground.url("a");
    let above = ground.path("link");
    std::os::unix::fs::symlink(ground.path(""), &above).unwrap();
    for folder in [ground.path(""), ground.path("a"), ground.path("a/folder"), above] {
        let volume = format!("shop/data={}", folder.display());
        ground.run(&["backup", "--repo", &url, "--volume", &volume]).refused(64, "keep the repository somewhere else");
    }
    assert_eq!(ground.json(&["points", "--repo", &url]), serde_json::json!([]));
}

#[test]
fn latest_of_several_lineages_is_said_or_asked_for() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    let url = ground.url("a");
    let volume = format!("shop/data={}", ground.path("v").display());
    for policy in ["daily", "hourly"] {
        ground.good(&["backup", "--repo", &url, "--volume", &volume, "--policy", policy]);
    }
    let ls = ["ls", "--repo", &url];
    let ran = ground.run(&ls);
    ran.refused(64, "--all-lineages");
    assert!(ran.err.contains("local daily") && ran.err.contains("local hourly"), "{}", ran.err);
    let all = ground.good(&[&ls[..], &["--all-lineages"]].concat());
    assert!(all.contains("of local/daily:") && all.contains("of local/hourly:"), "{all}");
    let lines = ground.json(&[&ls[..], &["--all-lineages"]].concat());
    let lines = lines.as_array().unwrap();
    assert!(lines.len() == 2 && lines[0]["point"] != lines[1]["point"], "{lines:?}");
    let one = ground.json(&[&ls[..], &["--lineage", "local/daily"]].concat());
    assert!(one.as_array().unwrap().len() == 1 && one[0].get("point").is_none(), "{one}");
    ground.run(&[&ls[..], &["--lineage", "nope"]].concat()).refused(64, "there are: local/daily, local/hourly");
    ground.run(&[&ls[..], &["--lineage", "local/daily", "--all-lineages"]].concat()).refused(64, "cannot be used with");
    ground.run(&["diff", "--repo", &url, "latest"]).refused(64, "--lineage CLUSTER/POLICY");
}
