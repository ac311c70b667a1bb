//! Captures: what a point needs is in it, whatever was taken over from the point before.

use std::os::unix::fs::FileExt;

use crate::ground::{Ground, LONG_AFTER, noise};

const MAP_BYTES: u64 = 64 << 20;

#[test]
fn a_vast_file_that_did_not_change_keeps_its_inner_maps() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    // A little in each of so many ranges that the maps need a map of their own.
    let file = std::fs::File::create_new(source.join("disk")).unwrap();
    for range in 0..18 {
        file.write_all_at(&noise(range, 4096), range * MAP_BYTES).unwrap();
    }
    let mut ground = Ground::new();
    ground.back_up(&source, LONG_AFTER);
    file.write_all_at(&noise(99, 4096), 5 * MAP_BYTES).unwrap();
    assert_eq!(ground.back_up(&source, LONG_AFTER).bytes_read, 18 * 4096);
    assert_eq!(ground.back_up(&source, LONG_AFTER).bytes_read, 0);
    let (older, key) = (ground.points[..2].to_vec(), ground.keyring.signing_key().unwrap());
    firn_repo::forget(&mut ground.repository, &ground.keyring, &older, "old", true).unwrap();
    let collected = firn_repo::collect(&mut ground.repository, key).unwrap();
    assert!(collected.objects > 0);
    let target = dir.path().join("target");
    let restored = ground.restore("", &target).unwrap();
    assert_eq!((restored.files, restored.exceptions), (1, 0), "{:?}", restored.named);
    let restored = std::fs::File::open(target.join("disk")).unwrap();
    for range in 0..18 {
        let mut bytes = vec![0; 4096];
        restored.read_exact_at(&mut bytes, range * MAP_BYTES).unwrap();
        assert!(bytes == noise(if range == 5 { 99 } else { range }, 4096), "{range}");
    }
}
