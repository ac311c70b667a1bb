//! What the system refuses: no space, no rights.

use std::os::unix::fs::MetadataExt;

use super::support::{Mounted, as_nobody, child_dir, directory_entry, file_entry, reason, restore, scratch};
use crate::{Privileges, Reason, Target, VolumeError};

#[test]
fn a_full_target_says_so_before_and_while_it_is_written() {
    let place = scratch();
    let _mounted = Mounted::tmpfs(place.path(), "size=1m,nr_inodes=50");
    let target = Target::create(place.path(), Privileges::default()).unwrap();
    target.room(1 << 19, 10).unwrap();
    let error = target.room((1 << 20) + 5000, 60).unwrap_err();
    let VolumeError::NoRoom { bytes_missing, entries_missing } = error else { panic!("{error:?}") };
    assert!((5000..10_000).contains(&bytes_missing) && (11..20).contains(&entries_missing), "{error:?}");
    assert!(!error.is_permanent());
    let entry = file_entry("big", 3 << 20);
    let writer = target.file(&entry).unwrap();
    let error = writer.write_at(&vec![1; 3 << 20], 0).unwrap_err();
    let VolumeError::Full { bytes_missing: Some(missing), .. } = error else { panic!("{error:?}") };
    assert!(((2 << 20)..(3 << 20)).contains(&missing), "{missing}");
    let error = (0..60).find_map(|i| target.file(&file_entry(format!("{i}"), 0)).err()).unwrap();
    assert!(matches!(error, VolumeError::Full { .. }), "{error:?}");
}

#[test]
fn without_rights_owners_are_counted_and_the_rest_comes_back() {
    let dir = scratch();
    std::fs::create_dir(dir.path().join("target")).unwrap();
    std::os::unix::fs::chown(dir.path().join("target"), Some(65_534), Some(65_534)).unwrap();
    as_nobody("tests::refused::child_restores_what_it_may", dir.path());
}

#[test]
#[ignore = "run by without_rights_owners_are_counted_and_the_rest_comes_back, without rights"]
fn child_restores_what_it_may() {
    let dir = child_dir().join("target");
    let target = Target::create(&dir, Privileges::default()).unwrap();
    let mut closed = directory_entry("d");
    closed.meta.mode = 0o500;
    let mut setuid = file_entry("setuid", 3);
    setuid.meta.mode = 0o4755;
    let mut hard = firn_format::tree::Entry::new("z", firn_format::tree::EntryKind::HardLink);
    (hard.meta, hard.target) = (file_entry("", 0).meta, b"d/a".to_vec());
    // A mode without the right to write must come after the attributes.
    let mut noted = file_entry("d/noted", 3);
    noted.meta.mode = 0o444;
    noted.xattrs = vec![firn_format::tree::Xattr { name: b"user.note".to_vec(), value: b"kept".to_vec() }];
    let mut noted_dir = directory_entry("noted");
    noted_dir.meta.mode = 0o555;
    noted_dir.xattrs.clone_from(&noted.xattrs);
    let tree = [closed, file_entry("d/a", 3), file_entry("d/b", 3), noted, noted_dir, setuid, hard];
    // Twice: the second run must get into the directory that the first one closed.
    for _ in 0..2 {
        let exceptions = restore(&target, &tree, b"abc");
        assert_eq!(reason(&exceptions, b"setuid"), Reason::Privilege);
        assert_eq!(exceptions.len(), 1, "{exceptions:?}");
        let counted = target.finish().unwrap();
        assert!(counted.iter().all(|exception| exception.reason == Reason::Owner), "{counted:?}");
        assert_eq!(counted.len(), 2, "{counted:?}");
    }
    for name in ["d/noted", "noted"] {
        let mut value = [0; 16];
        assert_eq!(rustix::fs::getxattr(dir.join(name), "user.note", &mut value[..]), Ok(4), "{name}");
    }
    let meta = std::fs::metadata(dir.join("d/a")).unwrap();
    assert_eq!((meta.uid(), meta.mtime(), meta.nlink()), (65_534, 1_000_000_000, 2));
    assert_eq!(std::fs::metadata(dir.join("setuid")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(std::fs::metadata(dir.join("d")).unwrap().mode() & 0o7777, 0o500);
}
