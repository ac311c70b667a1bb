//! Bringing back: what comes back when not all of a point can be had, or when something stands in its place already.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::ground::{Ground, Ran};

/// A manifest of a ConfigMap in `shop`.
fn config_map(name: &str, text: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: shop}}, data: {{text: '{text}'}}}}"
    )
}

/// A repository `a` with one point: three ConfigMaps and volume `shop/data`.
fn backed_up() -> Ground {
    let ground = Ground::new();
    for name in ["one", "two", "three"] {
        ground.write(&format!("manifests/{name}.yaml"), config_map(name, name));
    }
    ground.write("v/file", "content");
    back_up(&ground);
    ground
}

fn back_up(ground: &Ground) -> String {
    let volume = format!("shop/data={}", ground.path("v").display());
    let from = ground.path("manifests");
    let args = ["backup", "--repo", &ground.url("a"), "--from-dir", from.to_str().unwrap(), "--volume", &volume];
    ground.json(&args)["point"].as_str().unwrap().to_owned()
}

/// Text that stays long however it is compressed.
fn noise(len: usize) -> String {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + ((state >> 33) % 26) as u8)
    };
    (0..len).map(|_| next()).collect()
}

fn restore(ground: &Ground, to: &str, more: &[&str]) -> Ran {
    let (url, dir) = (ground.url("a"), ground.path(to));
    ground.run(&[&["restore", "--repo", &url, "--to-dir", dir.to_str().unwrap(), "-o", "json"][..], more].concat())
}

fn told(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap()
}

/// The largest pack of contents of repository `a`.
fn largest_pack(ground: &Ground) -> PathBuf {
    let packs = ground.stored("a", "data");
    packs.into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

/// Three ways to lose a part of a pack.
const HARMS: [&str; 3] = ["flip", "truncate", "delete"];

fn harm(ground: &Ground, how: &str) {
    let pack = largest_pack(ground);
    match how {
        "flip" => ground.change(&pack, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }),
        "truncate" => ground.change(&pack, |bytes| bytes.truncate(40)),
        _ => fs::remove_file(&pack).unwrap(),
    }
}

#[test]
fn a_damaged_object_is_named_and_the_rest_comes_back() {
    for how in HARMS {
        let ground = backed_up();
        // Objects of their own pack, so that the volume is whole.
        ground.write("manifests/four.yaml", config_map("four", &noise(40_000)));
        back_up(&ground);
        harm(&ground, how);
        let dry = restore(&ground, "out", &["--dry-run"]);
        assert_eq!(dry.code, 3, "{how}: {}{}", dry.out, dry.err);
        let ran = restore(&ground, "out", &[]);
        assert_eq!(ran.code, 3, "{how}: {}{}", ran.out, ran.err);
        assert!(!ran.err.contains("nothing was lost"), "{how}: {}", ran.err);
        assert!(ran.out.contains("configmaps/shop/four"), "{how}: {}", ran.out);
        let done = told(&ran);
        assert!(done["damaged"].as_u64().unwrap() > 0, "{how}: {done:#}");
        assert!(ran.out.contains("data/"), "{how}: the pack is named: {done:#}");
        assert_eq!(fs::read_to_string(ground.path("out/volumes/shop/data/file")).unwrap(), "content", "{how}");
        assert!(ground.path("out/objects/core/v1/configmaps/shop/one.json").exists(), "{how}: {done:#}");
        assert!(!ground.path("out/objects/core/v1/configmaps/shop/four.json").exists(), "{how}");
        let (url, over) = (ground.url("a"), ground.path("over"));
        let failed_over = ground.run(&["failover", "--repo", &url, "--to-dir", over.to_str().unwrap(), "--yes"]);
        assert_eq!(failed_over.code, 3, "{how}: {}{}", failed_over.out, failed_over.err);
        assert!(ground.path("over/volumes/shop/data/file").exists(), "{how}");
    }
}

#[test]
fn a_pack_that_is_missing_or_cut_is_damage_to_volumes_too() {
    for how in HARMS {
        let ground = Ground::new();
        ground.write("v/file", noise(40_000));
        ground.back_up("v");
        harm(&ground, how);
        let ran = restore(&ground, "out", &[]);
        assert_eq!(ran.code, 3, "{how}: {}{}", ran.out, ran.err);
        let done = told(&ran);
        assert!(ran.out.contains("data/") && !ran.out.contains("nothing was lost"), "{how}: {done:#}");
    }
}

#[test]
fn other_data_in_a_volumes_place_is_left_as_it_is() {
    let ground = backed_up();
    ground.write("out/volumes/shop/data/file", "newer content");
    let refused = restore(&ground, "out", &["--existing", "fail"]);
    assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("holds other data"), "{}", refused.err);
    assert!(!ground.path("out/objects").exists());
    let ran = restore(&ground, "out", &[]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("holds other data (such as file)"), "{}", ran.out);
    let content = |to: &str| fs::read_to_string(ground.path(to).join("volumes/shop/data/file")).unwrap();
    assert_eq!(content("out"), "newer content");
    assert!(ground.path("out/objects/core/v1/configmaps/shop/one.json").exists());
    let done = told(&ran);
    assert!(done["exceptions"] == 1 && done["exception_list"].as_array().unwrap().len() == 1, "{done:#}");
    // A restore that came to its end may be repeated: it finds its own.
    for _ in 0..2 {
        let ran = restore(&ground, "again", &[]);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    }
    assert!(!ground.path("again/volumes/.firn-restoring").exists());
    fs::write(ground.path("again/volumes/shop/data/file"), "written since").unwrap();
    assert_eq!(restore(&ground, "again", &[]).code, 2);
    assert_eq!(content("again"), "written since");
}

#[test]
fn links_below_the_folder_that_was_named_are_not_followed() {
    for link in ["out/volumes/shop/data", "out/volumes/shop", "out/volumes", "out/objects", "out/objects/core/v1"] {
        let ground = backed_up();
        fs::create_dir(ground.path("evil")).unwrap();
        fs::create_dir_all(ground.path(link).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(ground.path("evil"), ground.path(link)).unwrap();
        let ran = restore(&ground, "out", &[]);
        assert_eq!(ran.code, 2, "{link}: {}{}", ran.out, ran.err);
        assert_eq!(fs::read_dir(ground.path("evil")).unwrap().count(), 0, "{link}");
        // The folder that was named may be a link itself.
        std::os::unix::fs::symlink(ground.path("evil"), ground.path("named")).unwrap();
        assert_eq!(restore(&ground, "named", &[]).code, 0);
        assert!(ground.path("evil/volumes/shop/data/file").exists());
    }
}

#[test]
fn an_object_that_differs_is_left_and_named() {
    let ground = backed_up();
    assert_eq!(restore(&ground, "out", &[]).code, 0);
    assert_eq!(told(&restore(&ground, "out", &[]))["different"], serde_json::json!([]));
    let file = "out/objects/core/v1/configmaps/shop/one.json";
    let other = fs::read_to_string(ground.path(file))
        .unwrap()
        .replace("one", "other")
        .replace("\"name\": \"other\"", "\"name\": \"one\"");
    ground.write(file, &other);
    let done = told(&restore(&ground, "out", &[]));
    assert_eq!((&done["skipped"], &done["different"]), (&3.into(), &serde_json::json!(["configmaps/shop/one"])));
    assert_eq!(fs::read_to_string(ground.path(file)).unwrap(), other);
}

#[test]
fn a_path_below_objects_is_restored_and_one_that_is_not_there_is_an_error() {
    let ground = backed_up();
    let ran = restore(&ground, "one", &["latest", "objects/core/v1/configmaps/shop/one"]);
    assert_eq!((ran.code, &told(&ran)["created"]), (0, &1.into()), "{}{}", ran.out, ran.err);
    assert!(ground.path("one/objects/core/v1/configmaps/shop/one.json").exists());
    let ran = restore(&ground, "all", &["latest", "objects/core/v1"]);
    assert_eq!((ran.code, &told(&ran)["created"]), (0, &3.into()), "{}{}", ran.out, ran.err);
    for none in ["objects/core/v1/configmaps/shop/four", "volumes/shop/data/none", "volumes/shop/other", "nothing"] {
        for dry in [&[][..], &["--dry-run"]] {
            let ran = restore(&ground, "none", &[&["latest", none][..], dry].concat());
            assert!([1, 64].contains(&ran.code), "{none} {dry:?}: {} {}{}", ran.code, ran.out, ran.err);
        }
    }
}
