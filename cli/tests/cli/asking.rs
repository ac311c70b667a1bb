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
