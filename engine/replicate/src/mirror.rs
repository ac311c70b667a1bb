//! Mirror: a store's log in another, entry by entry as it was written: evidence of what the store once said.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use bytes::Bytes;
use firn_format::log::ENTRY_BYTES_MAX;
use firn_format::{Entry, Hash, Payload, StoreId, name};
use firn_repo::{LogHead, Repository};
use firn_store::{Check, Kind, Put, Store, put_new_resolved};

use crate::error::ReplicateError;
use crate::lanes;
use crate::queue::Item;

/// Entries on their way at once. Most have some hundred bytes; hostile ones have 16 MiB each.
pub(crate) const BATCH: usize = 16;

/// So many mirrored entries, the newest first, are tried as evidence: a few may be damaged on either side.
const EVIDENCE_MAX: usize = 8;

/// What the target holds of the source's log.
pub(crate) struct Mirror {
    /// Up to here all is mirrored, except for slots that the source's owner settled.
    to: u64,
    /// Hash of what lies in that slot of the source; `None` if that is no entry, so that the next proves nothing by it.
    hash: Option<Hash>,
    /// Mirrored entries behind that.
    ahead: BTreeSet<u64>,
}

impl Mirror {
    /// Looks up what is mirrored, and compares the newest of it with the source, which is refreshed for that.
    ///
    /// # Errors
    /// `RolledBack`, `Forked`; `NoEvidence` if none of the newest can be compared.
    pub(crate) fn open(source: &mut Repository, target: &Repository) -> Result<Self, ReplicateError> {
        let store = source.format().store;
        let mut to = imported_to(target, store);
        let imported = to;
        let mut ahead = list(target.store().as_ref(), store, to.saturating_sub(1))?;
        if to > 0 && !ahead.contains(&to) {
            // Entries are mirrored before they are imported, so somebody removed some: they are put back.
            ahead = list(target.store().as_ref(), store, 0)?;
            to = 0;
        }
        // After the list, so that another replicator's newest entry is behind no head of ours.
        source.refresh()?;
        let newest = ahead.last().copied().unwrap_or(0).max(imported);
        compare(source, target, &ahead, newest)?;
        while ahead.contains(&(to + 1)) {
            to += 1;
        }
        let to = to.min(source.head().seq);
        let hash = match to {
            0 => Some(source.fingerprint()),
            _ => entry_at(source, to)?.map(|(_, hash)| hash),
        };
        Ok(Self { to, hash, ahead })
    }

    /// Copies what the source's state was folded from and the mirror lacks. Returns how many entries were new.
    ///
    /// # Errors
    /// `Forked` if the mirror holds another entry, or the log no longer leads to the state that was folded from it.
    pub(crate) fn catch_up(&mut self, source: &Repository, target: &Repository) -> Result<u64, ReplicateError> {
        let (store, head) = (source.format().store, source.head());
        let mut added = 0;
        while self.to < head.seq {
            let batch: Vec<u64> = (self.to + 1..=head.seq).take(BATCH).collect();
            let slots = lanes::map(BATCH, &batch, |seq| read(source.store().as_ref(), &name::log_path(*seq)))?;
            let mut fresh = Vec::new();
            for (seq, mut slot) in batch.iter().copied().zip(slots) {
                if !self.is_next(source, seq, slot.as_ref()) {
                    // Spoilt on the way, perhaps.
                    slot = read(source.store().as_ref(), &name::log_path(seq))?;
                }
                let entry = self.step(source, seq, slot);
                if seq == head.seq && self.hash != Some(head.hash) {
                    let found = LogHead { seq, hash: self.hash.unwrap_or(Hash::ZERO) };
                    return Err(forked(source, head, found));
                }
                if !self.ahead.remove(&seq) {
                    fresh.extend(entry.map(|bytes| (seq, bytes)));
                }
            }
            lanes::map(BATCH, &fresh, |(seq, bytes)| put(source, target, store, *seq, bytes))?;
            added += fresh.len() as u64;
        }
        Ok(added)
    }

    /// Takes the next slot of the source: its bytes if they are the next entry of the chain. Others were settled by the
    /// owner, as the source's state goes on behind them.
    fn step(&mut self, source: &Repository, seq: u64, slot: Option<Bytes>) -> Option<Bytes> {
        let entry = slot.filter(|bytes| self.is_next(source, seq, Some(bytes)));
        (self.to, self.hash) = (seq, entry.as_ref().map(|bytes| Hash::of(bytes)));
        entry
    }

    fn is_next(&self, source: &Repository, seq: u64, slot: Option<&Bytes>) -> bool {
        slot.and_then(|bytes| Entry::open(bytes).ok()).is_some_and(|(entry, _)| {
            let follows = self.hash.is_none_or(|hash| hash == entry.prev);
            entry.store == source.format().store && entry.seq == seq && follows
        })
    }
}

/// The newest entry of `store` that the target imported: up to there all is mirrored.
pub(crate) fn imported_to(target: &Repository, store: StoreId) -> u64 {
    let points = target.state().lineages().values().map(|lineage| lineage.imported_to(&store));
    let fences = target.state().fences().values().filter(|info| info.store == store);
    let fences = fences.map(|info| info.unfenced.map_or(info.store_seq, |by| by.seq));
    points.chain(fences).max().unwrap_or(0)
}

/// The stored bytes of the item's entry: from the target's mirror, else as the source has them, and then they are mirrored:
/// nothing is imported without evidence.
pub(crate) fn entry_of(source: &Repository, target: &Repository, item: &Item) -> Result<Option<Bytes>, ReplicateError> {
    let mirrored = mirrored(target, item.store, item.seq)?;
    if let Some(bytes) = mirrored.as_ref().filter(|bytes| Hash::of(bytes) == item.hash) {
        return Ok(Some(bytes.clone()));
    }
    let bytes = as_source_has_it(source, item)?;
    if let (None, Some(bytes)) = (mirrored, &bytes) {
        _ = put(source, target, item.store, item.seq, bytes)?;
    }
    Ok(bytes)
}

/// The item's entry from the source's log, if it is its own, else from its mirror, or from its own IMPORT.
pub(crate) fn as_source_has_it(source: &Repository, item: &Item) -> Result<Option<Bytes>, ReplicateError> {
    let is_it = |bytes: &Bytes| Hash::of(bytes) == item.hash;
    if item.store == source.format().store {
        return Ok(read(source.store().as_ref(), &name::log_path(item.seq))?.filter(is_it));
    }
    if let Some(bytes) = mirrored(source, item.store, item.seq)?.filter(is_it) {
        return Ok(Some(bytes));
    }
    let import = read(source.store().as_ref(), &name::log_path(item.place))?;
    let payload = import.and_then(|bytes| Entry::open(&bytes).ok()).map(|(entry, _)| entry.payload);
    let Some(Payload::Import(import)) = payload else { return Ok(None) };
    Ok(Some(Bytes::from(import.entry)).filter(is_it))
}

/// What `repository` mirrors of a slot of `store`'s log.
pub(crate) fn mirrored(repository: &Repository, store: StoreId, seq: u64) -> Result<Option<Bytes>, ReplicateError> {
    read(repository.store().as_ref(), &name::mirror_path(store, seq))
}

/// Puts what the source says of a slot of `store`'s log into the target's mirror. Returns whether that is new there.
///
/// # Errors
/// `Forked` if something else is mirrored there.
pub(crate) fn put(
    source: &Repository,
    target: &Repository,
    store: StoreId,
    seq: u64,
    bytes: &Bytes,
) -> Result<bool, ReplicateError> {
    let path = name::mirror_path(store, seq);
    match put_new_resolved(target.store().as_ref(), &path, bytes.clone(), Check::Bytes) {
        Ok(put) => Ok(put == Put::Created),
        Err(error) if error.kind == Kind::Differs => {
            let seen = mirrored(target, store, seq)?.map_or(Hash::ZERO, |bytes| Hash::of(&bytes));
            let (seen, found) = (LogHead { seq, hash: seen }, LogHead { seq, hash: Hash::of(bytes) });
            let url = source.store().describe();
            let own = store == source.format().store;
            let from = if own { url } else { format!("store {}, as {url} mirrors it,", store.short()) };
            Err(ReplicateError::Forked { from, seen, found })
        }
        Err(source) => Err(ReplicateError::Store { doing: "put into the mirror", source }),
    }
}

/// Whether the source's log still says what the newest mirrored entries say.
fn compare(source: &Repository, target: &Repository, seqs: &BTreeSet<u64>, newest: u64) -> Result<(), ReplicateError> {
    let (store, head) = (source.format().store, source.head());
    let mirror = |seq| mirrored(target, store, seq);
    if newest > head.seq && source.damage().is_none() {
        let hash = mirror(newest)?.map_or(Hash::ZERO, |bytes| Hash::of(&bytes));
        let from = source.store().describe();
        return Err(ReplicateError::RolledBack { from, seen: LogHead { seq: newest, hash }, found: head });
    }
    let comparable: Vec<u64> = seqs.iter().rev().copied().filter(|seq| *seq <= head.seq).take(EVIDENCE_MAX).collect();
    for seq in &comparable {
        let Some(seen) = mirror(*seq)? else { continue };
        let is_evidence = Entry::open(&seen).is_ok_and(|(entry, _)| entry.store == store && entry.seq == *seq);
        if !is_evidence {
            continue;
        }
        let hash = Hash::of(&seen);
        match entry_at(source, *seq)? {
            Some((_, found)) if found == hash => return Ok(()),
            Some((_, found)) => {
                let (seen, found) = (LogHead { seq: *seq, hash }, LogHead { seq: *seq, hash: found });
                return Err(forked(source, seen, found));
            }
            None => {}
        }
    }
    match comparable.first() {
        None => Ok(()),
        Some(seq) => {
            let (from, to) = (source.store().describe(), target.store().describe());
            Err(ReplicateError::NoEvidence { from, to, seq: *seq })
        }
    }
}

/// The authentic entry in a slot of the source, with its hash.
fn entry_at(source: &Repository, seq: u64) -> Result<Option<(Entry, Hash)>, ReplicateError> {
    let bytes = read(source.store().as_ref(), &name::log_path(seq))?;
    let opened = bytes.and_then(|bytes| Entry::open(&bytes).ok());
    Ok(opened.filter(|(entry, _)| entry.store == source.format().store && entry.seq == seq))
}

fn forked(source: &Repository, seen: LogHead, found: LogHead) -> ReplicateError {
    ReplicateError::Forked { from: source.store().describe(), seen, found }
}

/// An entry's bytes; `None` if nothing lies there, or more than any entry has.
fn read(store: &dyn Store, name: &str) -> Result<Option<Bytes>, ReplicateError> {
    match store.get(name, ENTRY_BYTES_MAX as u64) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() || error.kind == Kind::TooLarge => Ok(None),
        Err(source) => Err(ReplicateError::Store { doing: "read a log entry", source }),
    }
}

/// The positions behind `after` that are mirrored.
fn list(target: &dyn Store, store: StoreId, after: u64) -> Result<BTreeSet<u64>, ReplicateError> {
    let prefix = format!("mirror/{store}/");
    let mut seqs = BTreeSet::new();
    let listed = target.list(&prefix, Some(&name::mirror_path(store, after)), &mut |listed| {
        let seq = listed.name.strip_prefix(&prefix).and_then(|digits| digits.parse().ok());
        seqs.extend(seq.filter(|seq| name::mirror_path(store, *seq) == listed.name));
        ControlFlow::Continue(())
    });
    match listed {
        Ok(()) => Ok(seqs),
        Err(source) => Err(ReplicateError::Store { doing: "list the mirror", source }),
    }
}
