//! Mirrors: what peers' logs once said, each held against itself, and against what this log says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use firn_format::log::ENTRY_BYTES_MAX;
use firn_format::verdict::Fault;
use firn_format::{Hash, Payload, State, StoreId, name};
use firn_store::Kind;

use super::inventory::Inventory;
use super::{Problem, StrayKind, Work};
use crate::error::RepoError;
use crate::open::Repository;
use crate::pool::{self, Limits};
use crate::slots::Opened;

/// As for the log itself: reading is waiting, and a hostile entry has 16 MiB.
const READING: Limits = Limits { threads: 16, items_max: 64, bytes_max: 32 << 20 };

/// Checks the signature, the place and the chain of every mirrored entry, that none is missing between the first and the last,
/// and that the entries that this log imported or names are those which are mirrored.
pub(super) fn check(repository: &Repository, inventory: &Inventory, work: &mut Work) -> Result<(), RepoError> {
    repository.context().progress.phase("reading mirrors");
    let state = repository.state();
    let mut evidence = Evidence::of(state);
    for (store, seqs) in &inventory.mirrors {
        let said = evidence.0.remove(store).unwrap_or_default();
        let is_known = !said.hashes.is_empty() || said.fingerprint.is_some();
        let mut mirror =
            Mirror { store: *store, said, last: None, settled: BTreeSet::new(), missing: Vec::new(), work };
        pool::in_order(
            READING,
            seqs.iter().copied(),
            |_| 0,
            |seq| read(repository, *store, seq),
            |opened| {
                mirror.see(&opened?);
                Ok(ControlFlow::Continue(()))
            },
        )?;
        mirror.finish();
        work.objects += seqs.len() as u64;
        if !is_known {
            for seq in seqs {
                work.stray(name::mirror_path(*store, *seq), 0, StrayKind::Mirror);
            }
        }
    }
    // What was imported was mirrored before.
    for (store, said) in evidence.0 {
        for seq in said.imported {
            work.other(name::mirror_path(store, seq), Problem::Missing, None);
        }
    }
    Ok(())
}

fn read(repository: &Repository, store: StoreId, seq: u64) -> Result<Opened, RepoError> {
    match repository.store().get(&name::mirror_path(store, seq), ENTRY_BYTES_MAX as u64) {
        Ok(bytes) => Ok(Opened::of(seq, Some(bytes))),
        Err(error) if error.kind == Kind::NotFound => Ok(Opened::of(seq, None)),
        Err(error) => {
            super::domain::object_error(error)?;
            Ok(Opened { seq, slot: None, hash: Hash::ZERO, entry: Err(Fault::NotAnEntry) })
        }
    }
}

/// What the log says of one peer's.
#[derive(Default)]
struct Said {
    /// The hash of its FORMAT, which its first entry names.
    fingerprint: Option<Hash>,
    /// The hashes of some entries.
    hashes: BTreeMap<u64, Hash>,
    /// Those of them that were imported.
    imported: BTreeSet<u64>,
}

struct Evidence(BTreeMap<StoreId, Said>);

impl Evidence {
    fn of(state: &State) -> Self {
        let mut evidence = Self(BTreeMap::new());
        for link in state.links() {
            evidence.0.entry(link.store).or_default().fingerprint = Some(link.fingerprint);
        }
        for head in state.peers().values() {
            evidence.0.entry(head.store).or_default().hashes.insert(head.seq, head.hash);
        }
        for point in state.points() {
            if let Some((store, seq)) = point.imported_from(state.store()) {
                let said = evidence.0.entry(store).or_default();
                said.hashes.insert(seq, Hash(point.id.0));
                said.imported.insert(seq);
            }
        }
        evidence
    }
}

struct Mirror<'a> {
    store: StoreId,
    said: Said,
    /// The entry before, if it was whole.
    last: Option<(u64, Option<Hash>)>,
    /// Slots that a VOID settled: they may be missing, and what follows need not name them.
    settled: BTreeSet<u64>,
    /// Gaps, from and to.
    missing: Vec<(u64, u64)>,
    work: &'a mut Work,
}

impl Mirror<'_> {
    fn see(&mut self, opened: &Opened) {
        let seq = opened.seq;
        let (before, hash_before) = self.last.unwrap_or((0, self.said.fingerprint));
        if seq > before + 1 {
            self.missing.push((before + 1, seq - 1));
        }
        self.said.imported.remove(&seq);
        let verdict = match &opened.entry {
            Err(Fault::Missing) => {
                self.work.other(name::mirror_path(self.store, seq), Problem::Missing, None);
                self.last = Some((seq, None));
                return;
            }
            Err(fault) => Err(*fault),
            Ok(entry) if entry.store != self.store || entry.seq != seq => Err(Fault::Misplaced),
            Ok(entry) => {
                let voided = match &entry.payload {
                    Payload::Void(void) => self.settled.insert(void.seq).then_some(void.seq),
                    _ => None,
                };
                let follows = hash_before.filter(|_| before + 1 == seq).is_none_or(|hash| hash == entry.prev);
                if follows || voided == Some(before) { Ok(()) } else { Err(Fault::BrokenChain) }
            }
        };
        let said = self.said.hashes.get(&seq);
        if let Err(fault) = verdict {
            self.wrong(seq, fault.to_string());
        } else if said.is_some_and(|said| *said != opened.hash) {
            self.wrong(seq, "it is not the entry that this repository's log names".into());
        }
        let is_entry = matches!(verdict, Ok(()) | Err(Fault::BrokenChain));
        self.last = Some((seq, is_entry.then_some(opened.hash)));
    }

    fn wrong(&mut self, seq: u64, detail: String) {
        self.work.other(name::mirror_path(self.store, seq), Problem::Damaged(detail), None);
    }

    fn finish(self) {
        for (from, to) in self.missing {
            let settled = self.settled.range(from..=to).count() as u64;
            if settled > to - from {
                continue;
            }
            let mut object = name::mirror_path(self.store, from);
            if to > from {
                object += &format!(" to {to}");
            }
            self.work.other(object, Problem::Missing, None);
        }
        let last = self.last.map_or(0, |(seq, _)| seq);
        for seq in self.said.imported.into_iter().filter(|seq| *seq > last) {
            self.work.other(name::mirror_path(self.store, seq), Problem::Missing, None);
        }
    }
}
