//! Checkpoint: the folded state in the store, where a cold reader begins.

use std::ops::ControlFlow;

use bytes::Bytes;
use firn_format::{CHECKPOINT_BYTES_MAX, Entry, FormatFile, Hash, Payload, Progress, State, name};
use firn_store::{Check, Kind, Store, put_new_resolved};

use crate::catalog::StoredCheckpoint;
use crate::error::RepoError;
use crate::{signers, slots};

/// So many entries lie between two checkpoints: a cold reader reads fewer than this one by one.
pub(crate) const ENTRIES_BETWEEN: u64 = 500;

/// So many names below `checkpoint/` are tried, the newest first, before the log is read from its first entry.
const TRIES_MAX: usize = 16;

/// Stores `state` and says the object's hash, for the CHECKPOINT entry.
pub(crate) fn put(store: &dyn Store, state: &State) -> Result<Hash, RepoError> {
    signers::mark_all(store, state)?;
    let bytes = Bytes::from(state.to_checkpoint()?);
    let hash = Hash::of(&bytes);
    let path = name::checkpoint_path(state.next_seq(), hash);
    let put = put_new_resolved(store, &path, bytes, Check::Length);
    let _present = put.map_err(|source| RepoError::store("store a checkpoint", source))?;
    Ok(hash)
}

/// An object below `checkpoint/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
    pub(crate) bytes: u64,
}

impl Listed {
    pub(crate) fn path(&self) -> String {
        name::checkpoint_path(self.seq, self.hash)
    }
}

/// Reads back what [`name::checkpoint_path`] wrote; `None` for any other text.
pub(crate) fn parse(path: &str) -> Option<(u64, Hash)> {
    let (seq, hash) = path.strip_prefix("checkpoint/")?.split_once('/')?;
    let (seq, hash) = (seq.parse().ok()?, hash.parse().ok()?);
    (name::checkpoint_path(seq, hash) == path).then_some((seq, hash))
}

/// Every checkpoint object in the store, by position.
pub(crate) fn list(store: &dyn Store) -> Result<Vec<Listed>, RepoError> {
    let mut found = Vec::new();
    let listed = store.list("checkpoint/", None, &mut |line| {
        found.extend(parse(&line.name).map(|(seq, hash)| Listed { seq, hash, bytes: line.bytes }));
        ControlFlow::Continue(())
    });
    match listed {
        Ok(()) => Ok(found),
        Err(source) => Err(RepoError::store("list the checkpoints", source)),
    }
}

/// The state behind the newest checkpoint that holds, else that of an empty log. `found` sees each checkpoint that is tried.
pub(crate) fn newest(
    store: &dyn Store,
    format: &FormatFile,
    fingerprint: Hash,
    progress: &dyn Progress,
    found: &mut dyn FnMut(&StoredCheckpoint),
) -> Result<State, RepoError> {
    let mut seqs: Vec<u64> = list(store)?.into_iter().map(|listed| listed.seq).collect();
    seqs.dedup();
    for seq in seqs.into_iter().rev().take(TRIES_MAX) {
        let Some(stored) = fetch(store, seq)? else { continue };
        found(&stored);
        match State::from_checkpoint(stored.object, &stored.entry, format, fingerprint) {
            Ok(state) => match signers::left_out(store, &state)? {
                None => return Ok(state),
                Some(key) => progress.note(&format!(
                    "the checkpoint at {seq} leaves out the KEY entry at {key}: it is forged, and passed over"
                )),
            },
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
    match store.get(&name::checkpoint_path(seq, named.hash), CHECKPOINT_BYTES_MAX) {
        Ok(object) if Hash::of(&object) != named.hash => Ok(None),
        Ok(object) => Ok(Some(StoredCheckpoint { seq, entry, object })),
        Err(error) if matches!(error.kind, Kind::NotFound | Kind::TooLarge) => Ok(None),
        Err(source) => Err(RepoError::store("read a checkpoint", source)),
    }
}
