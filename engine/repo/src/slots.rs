//! Slots: reading a store's log, several positions at a time, and feeding it to the state in order.

use std::ops::ControlFlow;

use bytes::Bytes;
use firn_format::log::ENTRY_BYTES_MAX;
use firn_format::verdict::Fault;
use firn_format::{Entry, Hash, State, name};
use firn_store::{Kind, Store};

use crate::error::RepoError;
use crate::pool::{self, Limits};

/// Reading the log is waiting, so there may be more threads than processors; an entry has some hundred bytes, seldom
/// more, and a hostile one has 16 MiB.
const READING: Limits = Limits { threads: 16, items_max: 64, bytes_max: 32 << 20 };

/// So many positions are tried at first to see whether the log goes on. A store that lost an entry shows it here, as long as
/// one of the next few is there.
const PROBE_FIRST: u64 = 4;

/// Tried at once when the log does go on. If it still goes on behind these, a list says how far and how large: sixteen
/// entries of unknown length are as much as memory can take from a hostile store.
const PROBE_MAX: u64 = 16;

/// An object far behind the end of the log must not cost a request for every position before it: after so many empty
/// ones the search for the owner's VOID ends.
const EMPTY_MAX: u64 = 10_000;

/// What lies in one slot.
pub(crate) type Slot = Option<Bytes>;

/// Receives every slot with its position, right before the state does.
pub(crate) type Each<'a> = &'a mut dyn FnMut(u64, &Slot);

/// A slot that was read, and what its bytes are.
pub(crate) struct Opened {
    pub(crate) seq: u64,
    pub(crate) slot: Slot,
    /// Hash of the bytes; zeros if there are none.
    pub(crate) hash: Hash,
    /// The entry, its signature checked, its place not.
    pub(crate) entry: Result<Entry, Fault>,
}

impl Opened {
    pub(crate) fn of(seq: u64, slot: Slot) -> Self {
        let hash = slot.as_deref().map_or(Hash::ZERO, Hash::of);
        let entry = match &slot {
            None => Err(Fault::Missing),
            Some(bytes) => Entry::open(bytes).map(|(entry, _)| entry).map_err(|_| Fault::NotAnEntry),
        };
        Self { seq, slot, hash, entry }
    }

    /// Lets `state` take the slot.
    pub(crate) fn apply(&self, state: &mut State) {
        let entry = self.entry.as_ref().map_err(|fault| *fault);
        let _verdict = state.apply_opened(entry, self.hash, self.slot.as_deref().unwrap_or_default());
    }
}

/// Reads one slot.
pub(crate) fn read(store: &dyn Store, seq: u64) -> Result<Slot, RepoError> {
    let name = name::log_path(seq);
    let result = match store.get(&name, ENTRY_BYTES_MAX as u64) {
        // No entry is so long. Its beginning is enough to say so, and to name it in a VOID.
        Err(error) if error.kind == Kind::TooLarge => store.get_range(&name, 0..ENTRY_BYTES_MAX as u64 + 1),
        other => other,
    };
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(source) => Err(RepoError::store("read the log", source)),
    }
}

/// Positions after `after` at which something lies, with lengths, ascending.
pub(crate) fn list(store: &dyn Store, after: u64) -> Result<Vec<(u64, u64)>, RepoError> {
    let mut slots = Vec::new();
    let listed = store.list("log/", Some(&name::log_path(after)), &mut |listed| {
        if let Some(seq) = name::parse_log_path(&listed.name) {
            slots.push((seq, listed.bytes));
        }
        ControlFlow::Continue(())
    });
    match listed {
        Ok(()) => Ok(slots),
        Err(source) => Err(RepoError::store("list the log", source)),
    }
}

/// Feeds `state` all that a list shows, holes included.
pub(crate) fn feed_listed(store: &dyn Store, state: &mut State, each: Each<'_>) -> Result<(), RepoError> {
    let slots = list(store, state.next_seq().saturating_sub(1))?;
    let Some((last, _)) = slots.last().copied() else { return Ok(()) };
    let bytes_at = |seq: u64| slots.binary_search_by_key(&seq, |slot| slot.0).map_or(0, |at| slots[at].1);
    feed_to(&|seq| read(store, seq), state, last, &bytes_at, &mut |_, opened| {
        each(opened.seq, &opened.slot);
        Ok(())
    })
}

/// Feeds `state` everything up to the slot `last`, each read by `read`. `bytes_at` says how long an entry is, as far as that is
/// known; `each` sees the state as it is before the slot. Signatures are checked on the reading threads: they are most of the
/// work.
pub(crate) fn feed_to(
    read: &(dyn Fn(u64) -> Result<Slot, RepoError> + Sync),
    state: &mut State,
    last: u64,
    bytes_at: &dyn Fn(u64) -> u64,
    each: &mut dyn FnMut(&State, &Opened) -> Result<(), RepoError>,
) -> Result<(), RepoError> {
    let mut empty = 0;
    while state.wants() <= last && empty < EMPTY_MAX {
        let from = state.wants();
        pool::in_order(
            READING,
            from..=last,
            |seq| bytes_at(*seq),
            |seq| read(seq).map(|slot| Opened::of(seq, slot)),
            |opened| {
                let opened = opened?;
                empty += u64::from(opened.slot.is_none());
                each(state, &opened)?;
                opened.apply(state);
                // When the owner's VOID is found, the state goes back to what it settles.
                let is_over = state.wants() != opened.seq + 1 || empty >= EMPTY_MAX;
                Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            },
        )?;
        if state.may_read().is_err() {
            break;
        }
    }
    Ok(())
}

/// Feeds `state` what follows it, looking only a few positions ahead; as soon as a hole or other damage shows, a list says
/// the rest.
pub(crate) fn feed_next(store: &dyn Store, state: &mut State, each: Each<'_>) -> Result<(), RepoError> {
    let mut ahead = PROBE_FIRST;
    loop {
        let from = state.wants();
        let mut batch = Vec::new();
        let reading = Limits { threads: READING.threads.min(ahead as usize), ..READING };
        pool::in_order(
            reading,
            from..from.saturating_add(ahead),
            |_| 0,
            |seq| read(store, seq),
            |slot| {
                batch.push(slot?);
                Ok(ControlFlow::Continue(()))
            },
        )?;
        let goes_on = batch.last().is_some_and(Option::is_some);
        while batch.last().is_some_and(Option::is_none) {
            batch.pop();
        }
        for (seq, slot) in (from..).zip(batch) {
            let slot = match slot {
                // Written between two of the reads, perhaps.
                None => read(store, seq)?,
                some => some,
            };
            each(seq, &slot);
            let _verdict = state.apply(slot.as_deref());
            // Damaged; or a VOID sent the state back to where it must begin anew.
            if state.damage().is_some() || state.wants() != seq + 1 {
                return feed_listed(store, state, each);
            }
        }
        match ahead {
            _ if !goes_on => return Ok(()),
            PROBE_FIRST => ahead = PROBE_MAX,
            _ => return feed_listed(store, state, each),
        }
    }
}
