//! Checkpoint: the folded state in the store, where a cold reader begins.

use std::ops::ControlFlow;

use bytes::Bytes;
use firn_format::{Entry, FormatFile, Hash, Payload, Progress, State, name};
use firn_store::{Check, Kind, Store, put_new_resolved};

use crate::catalog::StoredCheckpoint;
use crate::error::RepoError;
use crate::slots;

/// So many entries lie between two checkpoints: a cold reader reads fewer than this one by one.
pub(crate) const ENTRIES_BETWEEN: u64 = 500;

/// So many names below `checkpoint/` are tried, the newest first, before the log is read from its first entry.
const TRIES_MAX: usize = 16;

/// The largest object that is read. One of 100 000 points has some 20 MiB.
const OBJECT_BYTES_MAX: u64 = 256 << 20;

/// Stores `state` and says the object's hash, for the CHECKPOINT entry.
pub(crate) fn put(store: &dyn Store, state: &State) -> Result<Hash, RepoError> {
    let bytes = Bytes::from(state.to_checkpoint()?);
    let hash = Hash::of(&bytes);
    let path = name::checkpoint_path(state.next_seq(), hash);
    let put = put_new_resolved(store, &path, bytes, Check::Length);
    let _present = put.map_err(|source| RepoError::store("store a checkpoint", source))?;
    Ok(hash)
}

/// The state behind the newest checkpoint that holds, else that of an empty log. `found` sees each checkpoint that is tried.
pub(crate) fn newest(
    store: &dyn Store,
    format: &FormatFile,
    fingerprint: Hash,
    progress: &dyn Progress,
    found: &mut dyn FnMut(&StoredCheckpoint),
) -> Result<State, RepoError> {
    let mut seqs = Vec::new();
    let listed = store.list("checkpoint/", None, &mut |listed| {
        let middle = listed.name.split('/').nth(1).unwrap_or_default();
        if let Ok(seq) = middle.parse::<u64>()
            && seqs.last() != Some(&seq)
        {
            seqs.push(seq);
        }
        ControlFlow::Continue(())
    });
    listed.map_err(|source| RepoError::store("list the checkpoints", source))?;
    for seq in seqs.into_iter().rev().take(TRIES_MAX) {
        let Some(stored) = fetch(store, seq)? else { continue };
        found(&stored);
        match State::from_checkpoint(stored.object, &stored.entry, format, fingerprint) {
            Ok(state) => return Ok(state),
            Err(error) => progress.note(&format!("the checkpoint at {seq} is passed over: {error}")),
        }
    }
    Ok(State::genesis(format, fingerprint))
}

/// The CHECKPOINT entry at `seq` and the object that it names; `None` if there is no such entry, or the object is not there or
/// not what it was.
pub(crate) fn fetch(store: &dyn Store, seq: u64) -> Result<Option<StoredCheckpoint>, RepoError> {
    let Some(entry) = slots::read(store, seq)? else { return Ok(None) };
    let Ok((Entry { payload: Payload::Checkpoint(named), .. }, _)) = Entry::open(&entry) else { return Ok(None) };
    match store.get(&name::checkpoint_path(seq, named.hash), OBJECT_BYTES_MAX) {
        Ok(object) if Hash::of(&object) != named.hash => Ok(None),
        Ok(object) => Ok(Some(StoredCheckpoint { seq, entry, object })),
        Err(error) if matches!(error.kind, Kind::NotFound | Kind::TooLarge) => Ok(None),
        Err(source) => Err(RepoError::store("read a checkpoint", source)),
    }
}
