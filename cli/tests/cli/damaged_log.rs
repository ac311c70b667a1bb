//! A damaged log: what lies behind the damage is named, and the cache is not blamed for it.

use crate::ground::Ground;

#[test]
fn what_a_damaged_entry_hides_is_counted_and_the_cache_is_whole() {
    let ground = Ground::new();
    ground.write("v/file", "content");
    let points: Vec<_> = (0..3)
        .map(|turn| {
            ground.write("v/file", format!("content {turn}"));
            ground.back_up("v")
        })
        .collect();
    // The entry that opened the second backup.
    let log = ground.stored("a", "log");
    let opened = log.iter().filter(|path| std::fs::metadata(path).is_ok()).nth(log.len() - 4).unwrap();
    ground.change(opened, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let url = ground.url("a");
    let fresh = ground.path("fresh");
    let with_cache =
        |args: &[&str]| ground.run(&[args, &["--repo", &url, "--cache-dir", fresh.to_str().unwrap()]].concat());
    let ran = with_cache(&["check"]);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("3 entries, and 2 recovery points"), "{}", ran.out);
    assert!(points[1..].iter().all(|point| ran.out.contains(&point[..12])), "{points:?} {}", ran.out);
    assert!(
        ran.out.contains("1 points before the damage are whole") && !ran.out.contains("none of them"),
        "{}",
        ran.out
    );
    for _ in 0..2 {
        let ran = with_cache(&["points"]);
        assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
        assert!(!ran.err.contains("cache") && ran.err.contains("damaged"), "{}", ran.err);
    }
    let checked = with_cache(&["check", "-o", "json"]);
    let checked: serde_json::Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(checked["behind"]["points"], serde_json::json!(points[1..]));
}
