//! Hooks: what they are given, and what it means when they fail.

use serde_json::Value;

use crate::ground::{Ground, Ran};

#[test]
fn hooks_hear_no_secret() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    let volume = format!("shop/data={}", ground.path("v").display());
    let [before, after] = ["before", "after"].map(|hook| format!("env > {}", ground.path(hook).display()));
    let url = ground.url("a");
    let mut command =
        ground.command(&["backup", "--repo", &url, "--volume", &volume, "--before", &before, "--after", &after]);
    let secrets = [
        "FIRN_NEW_PASSWORD",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_CLIENT_SECRET",
        "AWS_SECRET_ACCESS_KEY",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "IDENTITY_HEADER",
        "MSI_SECRET",
    ];
    command.envs(secrets.map(|name| (name, "hush"))).env("APPLICATION", "shop");
    assert_eq!(Ran::of(command.output().unwrap()).code, 0);
    for hook in ["before", "after"] {
        let heard = std::fs::read_to_string(ground.path(hook)).unwrap();
        assert!(heard.contains("APPLICATION=shop") && heard.contains("PATH="), "{heard}");
        assert!(!heard.contains("hush") && !heard.contains("PASSWORD"), "{heard}");
    }
}

#[test]
fn a_failing_release_is_an_exception_of_a_whole_point() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    let url = ground.url("a");
    let volume = format!("shop/data={}", ground.path("v").display());
    let args = ["backup", "--repo", &url, "--volume", &volume, "--before", "true", "--after", "exit 7"];
    let ran = ground.run(&args);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    assert_eq!(ran.err.matches("exit 7").count(), 1, "{}", ran.err);
    assert!(ran.err.contains("warning: after hook failed: the application may still be frozen"), "{}", ran.err);
    assert!(ran.out.contains("after hook failed: the application may still be frozen"), "{}", ran.out);
    let ran = ground.run(&[&args[..], &["-o", "json"]].concat());
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    let done: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((done["complete"].as_bool(), done["exceptions"].as_u64()), (Some(true), Some(1)), "{done:#}");
    assert_eq!(done["exception_list"][0]["reason"], "after-hook");
    let point = &ground.json(&["points", "--repo", &url])[1];
    assert_eq!((point["exceptions"].as_u64(), point["consistency"].as_str()), (Some(1), Some("frozen")));
    // Who could not be quieted is no point, and is told once.
    let args = ["backup", "--repo", &url, "--volume", &volume, "--before", "exit 9", "--after", "true"];
    let ran = ground.run(&args);
    ran.refused(1, "exit 9");
    assert_eq!(ran.err.matches("exit 9").count(), 1, "{}", ran.err);
}
