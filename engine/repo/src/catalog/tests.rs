use std::sync::Arc;

use bytes::Bytes;
use firn_format::{Counter, FamilyId, Hash, Progress, StoreId};
use parking_lot::Mutex;

use super::{Catalog, Remembered, StoredCheckpoint};
use crate::error::LogHead;

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn phase(&self, _: &str) {}
    fn total(&self, _: Counter, _: u64) {}
    fn add(&self, _: Counter, _: u64) {}
    fn note(&self, text: &str) {
        self.0.lock().push(text.to_owned());
    }
}

const FINGERPRINT: Hash = Hash([9; 32]);

fn open(dir: &std::path::Path, notes: &Arc<Notes>) -> (Catalog, Remembered) {
    Catalog::open(dir, FamilyId([1; 16]), StoreId([2; 16]), notes.clone())
}

fn head(seq: u64) -> LogHead {
    LogHead { seq, hash: Hash::of(&seq.to_le_bytes()) }
}

fn entries(names: &[u64]) -> Vec<(u64, Bytes)> {
    names.iter().map(|seq| (*seq, Bytes::from(format!("entry {seq}")))).collect()
}

fn checkpoint(seq: u64, bytes: usize) -> StoredCheckpoint {
    StoredCheckpoint { seq, entry: vec![1; 100].into(), object: vec![seq as u8; bytes].into() }
}

#[test]
fn it_remembers_the_newest_head_and_what_follows_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let notes = Arc::new(Notes::default());
    let (one, _) = open(dir.path(), &notes);
    let (two, _) = open(dir.path(), &notes);
    one.remember_entries(&entries(&[1, 2, 3]));
    one.remember_head(FINGERPRINT, head(3));
    two.remember_entries(&entries(&[1, 2]));
    two.remember_head(FINGERPRINT, head(2));
    one.remember_checkpoint(&checkpoint(2, 10));
    two.remember_checkpoint(&checkpoint(1, 10));
    two.remember_entries(&entries(&[5, 6]));
    two.remember_head(FINGERPRINT, head(6));
    let (_, remembered) = open(dir.path(), &notes);
    assert_eq!(remembered.seen, Some((FINGERPRINT, head(6))));
    assert_eq!(remembered.checkpoint, Some(checkpoint(2, 10)));
    assert_eq!(remembered.entries, [(3, b"entry 3".to_vec())]);
    assert!(notes.0.lock().is_empty());
}

#[test]
fn a_broken_file_is_moved_aside_and_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let notes = Arc::new(Notes::default());
    let (catalog, _) = open(dir.path(), &notes);
    catalog.remember_head(FINGERPRINT, head(1));
    catalog.remember_checkpoint(&checkpoint(1, 100_000));
    let path = catalog.path();
    drop(catalog);
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[..32].fill(0xaa);
    for broken in [flipped, whole[..whole.len() / 2].to_vec(), b"not a database at all".repeat(100)] {
        std::fs::write(&path, broken).unwrap();
        let (catalog, remembered) = open(dir.path(), &notes);
        assert!(remembered.seen.is_none() && remembered.checkpoint.is_none());
        catalog.remember_head(FINGERPRINT, head(2));
        assert_eq!(open(dir.path(), &notes).1.seen, Some((FINGERPRINT, head(2))));
        assert_eq!(std::mem::take(&mut *notes.0.lock()).len(), 1);
    }
}

#[test]
fn a_folder_that_cannot_be_had_is_said_once_and_done_without() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let notes = Arc::new(Notes::default());
    let (catalog, remembered) = open(&file, &notes);
    assert!(remembered.seen.is_none());
    catalog.remember_head(FINGERPRINT, head(1));
    catalog.remember_checkpoint(&checkpoint(1, 10));
    assert_eq!(notes.0.lock().len(), 1);
}
