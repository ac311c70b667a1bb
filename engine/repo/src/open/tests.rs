use std::sync::Arc;

use bytes::Bytes;
use firn_format::log::{Retention, Void};
use firn_format::{Payload, verdict};
use firn_store::{MemoryStore, Recording};

use super::*;
use crate::ground::{Ground, back_up};
use crate::{Class, Keyring};

fn entry(seconds: u64) -> Payload {
    Payload::Retention(Retention { seconds_min: seconds })
}

fn append_some(repository: &mut Repository, keyring: &Keyring, seconds: std::ops::Range<u64>) {
    for seconds in seconds {
        repository.append(&entry(seconds), keyring.signing_key().unwrap()).unwrap();
    }
}

/// A ground with a cache folder, a repository and `entries` entries that the cache has seen.
fn seen(seed: u64, entries: u64) -> (Ground, tempfile::TempDir, Keyring) {
    let dir = tempfile::tempdir().unwrap();
    let mut ground = Ground::new(seed);
    ground.context.cache_dir = Some(dir.path().to_owned());
    let (mut repository, keyring) = ground.create();
    append_some(&mut repository, &keyring, 0..entries);
    (ground, dir, keyring)
}

#[test]
fn a_warm_opening_reads_only_what_is_new() {
    let (ground, _dir, keyring) = seen(1, 700);
    let counted = |expected_seq| {
        let recording = Arc::new(Recording::new(ground.memory.clone()));
        let repository = Repository::open(recording.clone(), ground.context.clone()).unwrap();
        assert_eq!(repository.head().seq, expected_seq);
        recording.counts().values().map(|count| count.calls).sum::<u64>()
    };
    assert!(counted(701) <= 8);
    let mut other = ground.context.clone();
    other.cache_dir = None;
    let mut repository = Repository::open(ground.memory.clone(), other).unwrap();
    append_some(&mut repository, &keyring, 700..705);
    let requests = counted(706);
    assert!(requests <= 30, "{requests}");
    assert!(counted(706) <= 8);
}

/// More lost entries than are tried behind what was seen: nobody writes over them, and nothing is collected.
#[test]
fn a_long_gap_right_behind_what_was_seen_is_no_end_of_the_log() {
    let (ground, _dir, keyring) = seen(9, 10);
    let key = keyring.signing_key().unwrap();
    let mut elsewhere = ground.context.clone();
    elsewhere.cache_dir = None;
    let mut other = Repository::open(ground.memory.clone(), elsewhere).unwrap();
    append_some(&mut other, &keyring, 10..20);
    let before = ground.memory.snapshot();
    for seq in 11..=18 {
        ground.memory.delete(&firn_format::name::log_path(seq)).unwrap();
    }
    let lost = ground.memory.snapshot();
    type Act = fn(&mut Repository, &Keyring) -> Result<(), RepoError>;
    let acts: [Act; 3] = [
        |warm, keyring| warm.append(&entry(99), keyring.signing_key()?).map(|_| ()),
        |warm, keyring| crate::collect(warm, keyring.signing_key()?).map(|_| ()),
        |warm, _| crate::foresee(warm).map(|_| ()),
    ];
    for act in acts {
        let mut warm = ground.open().unwrap();
        assert_eq!((warm.head().seq, warm.damage()), (10, None), "an opening asks for the next few only");
        let error = act(&mut warm, &keyring).unwrap_err();
        assert!(matches!(error, RepoError::LogDamaged { seq: 11, .. }), "{error}");
        assert_eq!(ground.memory.snapshot(), lost);
    }
    // Once they are back it goes on.
    let mut warm = ground.open().unwrap();
    before.into_iter().for_each(|(name, bytes)| ground.memory.overwrite(&name, bytes));
    assert_eq!(warm.append(&entry(99), key).unwrap().seq, 21);
}

#[test]
fn a_deleted_cache_is_never_needed_and_a_broken_one_is_made_anew() {
    let (ground, dir, _) = seen(2, 20);
    let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(file)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|p| p.extension().unwrap() == "sqlite");
    std::fs::write(file.unwrap(), b"broken").unwrap();
    assert_eq!(ground.open().unwrap().head().seq, 20);
    assert_eq!(ground.open().unwrap().head().seq, 20);
    std::fs::remove_dir_all(dir.path()).unwrap();
    assert_eq!(ground.open().unwrap().head().seq, 20);
}

#[test]
fn a_log_rolled_back_behind_what_was_seen_is_a_security_stop() {
    let (ground, _dir, keyring) = seen(3, 10);
    let mut running = ground.open().unwrap();
    let after = ground.memory.snapshot();
    for seq in (8..=10).rev() {
        ground.memory.delete(&name::log_path(seq)).unwrap();
    }
    let error = ground.open().err().unwrap();
    let RepoError::RolledBack(diverged) = &error else { panic!("{error}") };
    assert_eq!((diverged.seen.seq, diverged.found.seq), (10, 7));
    assert_eq!(diverged.found.hash, Hash::of(&after[&name::log_path(7)]));
    assert_eq!(error.class(), Class::Security);
    // Whoever is running notices too, before it appends.
    let error = running.append(&entry(99), keyring.signing_key().unwrap()).unwrap_err();
    assert!(matches!(error, RepoError::RolledBack(_)), "{error}");
    assert_eq!(ground.memory.snapshot().len(), after.len() - 3);
}

#[test]
fn a_log_replaced_by_another_history_is_a_security_stop() {
    let (ground, _dir, keyring) = seen(4, 10);
    // The same store, as it was at 6, and from there another way.
    let mut old = ground.memory.snapshot();
    (7..=10).for_each(|seq| _ = old.remove(&name::log_path(seq)));
    let mut elsewhere = ground.with_memory(Arc::new(MemoryStore::from_snapshot(old)));
    elsewhere.context.cache_dir = None;
    let mut forked = elsewhere.open().unwrap();
    append_some(&mut forked, &keyring, 50..60);
    elsewhere.context.cache_dir = ground.context.cache_dir.clone();
    let error = elsewhere.open().err().unwrap();
    let RepoError::Forked(diverged) = &error else { panic!("{error}") };
    assert_eq!((diverged.seen.seq, diverged.found.seq), (10, 10));
    assert_ne!(diverged.seen.hash, diverged.found.hash);
    assert_eq!(error.class(), Class::Security);
    // So is another FORMAT under the same store's id.
    let mut format = forked.format().clone();
    format.created_ms += 1;
    let bytes = format.sign(keyring.signing_key().unwrap());
    ground.memory.overwrite(name::FORMAT, bytes.into());
    assert!(matches!(ground.open().err().unwrap(), RepoError::Forked(_)));
}

/// Points before a damaged slot can be read, nothing is appended, and the owner's VOID settles it.
fn check_damage(seed: u64, damage: impl Fn(&Ground, &str, &[u8]), with_cache: bool) {
    let (mut ground, _dir, _) = seen(seed, 0);
    let (mut repository, keyring) = ground.open_unlocked(ground.memory.clone()).unwrap();
    let point = back_up(&mut repository, &keyring, "all", &["a"]).unwrap();
    append_some(&mut repository, &keyring, 0..10);
    if !with_cache {
        ground.context.cache_dir = None;
    }
    // Two entries of the backup, then ten. The last one is what the cache pins, so the damage lies before.
    let torn = name::log_path(6);
    let bytes = ground.memory.get(&torn, 1 << 20).unwrap();
    let last = name::log_path(12);
    let last_bytes = ground.memory.get(&last, 1 << 20).unwrap();
    if with_cache {
        // What the cache pinned is torn too: it must not be taken for a fork.
        ground.memory.overwrite(&last, last_bytes.slice(..last_bytes.len() / 2));
    }
    damage(&ground, &torn, &bytes);
    let mut opened = ground.open().unwrap();
    let found = *opened.damage().unwrap();
    assert_eq!(found.seq, 6);
    assert!(opened.state().point(&point).is_some());
    let key = keyring.signing_key().unwrap();
    let error = opened.append(&entry(99), key).unwrap_err();
    assert!(matches!(error, RepoError::LogDamaged { seq: 6, .. }), "{error}");
    assert_eq!(error.class(), Class::Damaged);
    if with_cache {
        return;
    }
    // Put back, all is well.
    let whole = ground.with_memory(Arc::new(MemoryStore::from_snapshot(ground.memory.snapshot())));
    whole.memory.overwrite(&torn, bytes);
    let again = whole.open().unwrap();
    assert_eq!((again.damage(), again.head().seq), (None, 12));
}

#[test]
fn a_damaged_log_opens_for_reading_up_to_the_damage() {
    let flip = |ground: &Ground, name: &str, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        ground.memory.overwrite(name, bytes.into());
    };
    let cut = |ground: &Ground, name: &str, bytes: &[u8]| {
        ground.memory.overwrite(name, Bytes::copy_from_slice(&bytes[..bytes.len() - 1]));
    };
    let lose = |ground: &Ground, name: &str, _: &[u8]| ground.memory.delete(name).unwrap();
    let swap = |ground: &Ground, name: &str, _: &[u8]| {
        let other = ground.memory.get(&name::log_path(5), 1 << 20).unwrap();
        ground.memory.overwrite(name, other);
    };
    let huge = |ground: &Ground, name: &str, _: &[u8]| {
        ground.memory.overwrite(name, vec![0; (16 << 20) + 1].into());
    };
    for with_cache in [false, true] {
        check_damage(10, flip, with_cache);
        check_damage(11, cut, with_cache);
        check_damage(12, lose, with_cache);
        check_damage(13, swap, with_cache);
        check_damage(14, huge, with_cache);
    }
}

#[test]
fn the_owner_can_settle_a_damaged_slot() {
    let ground = Ground::new(15);
    let (mut repository, keyring) = ground.create();
    append_some(&mut repository, &keyring, 0..10);
    ground.memory.overwrite(&name::log_path(4), Bytes::from_static(b"torn"));
    let damaged = ground.open().unwrap();
    let damage = *damaged.damage().unwrap();
    assert_eq!((damage.seq, damage.free.seq), (4, 11));
    let void = Payload::Void(Void { seq: 4, hash: damage.hash, reason: "torn".into(), entry: None });
    let entry = Entry {
        store: damaged.state().store(),
        seq: damage.free.seq,
        prev: damage.free.prev,
        critical: false,
        term: 0,
        payload: void,
        time_ms: 0,
        store_time_ms: None,
        signer: keyring.signing_key().unwrap().signer(),
    };
    let bytes = entry.sign(keyring.signing_key().unwrap()).unwrap();
    let _ = ground.memory.put_new(&name::log_path(11), bytes.into()).unwrap();
    let mut settled = ground.open().unwrap();
    assert_eq!((settled.damage(), settled.head().seq), (None, 11));
    append_some(&mut settled, &keyring, 20..22);
    // The one that had folded the whole log finds the same.
    repository.refresh().unwrap();
    assert_eq!((repository.damage(), repository.head()), (None, settled.head()));
}

#[test]
fn an_object_far_behind_the_end_costs_no_eternity() {
    let ground = Ground::new(16);
    let (mut repository, keyring) = ground.create();
    append_some(&mut repository, &keyring, 0..3);
    let bytes = ground.memory.get(&name::log_path(1), 1 << 20).unwrap();
    ground.memory.overwrite(&name::log_path(u64::MAX), bytes);
    let opened = ground.open().unwrap();
    assert_eq!(opened.damage().map(|damage| (damage.seq, damage.fault)), Some((4, verdict::Fault::Missing)));
}

#[test]
fn an_entry_replayed_from_another_place_or_store_is_damage() {
    let ground = Ground::new(17);
    let (mut repository, keyring) = ground.create();
    append_some(&mut repository, &keyring, 0..3);
    let replayed = ground.memory.get(&name::log_path(2), 1 << 20).unwrap();
    ground.memory.overwrite(&name::log_path(4), replayed);
    assert_eq!(ground.open().unwrap().damage().unwrap().fault, verdict::Fault::Misplaced);
    repository.refresh().unwrap();
    assert_eq!(repository.damage().unwrap().seq, 4);
    let other = Ground::new(18);
    let (mut foreign, foreign_keys) = other.create();
    append_some(&mut foreign, &foreign_keys, 0..4);
    ground.memory.overwrite(&name::log_path(4), other.memory.get(&name::log_path(4), 1 << 20).unwrap());
    assert_eq!(ground.open().unwrap().damage().unwrap().fault, verdict::Fault::Misplaced);
}
