//! The log, read from its first entry, and what each checkpoint says of it.

use std::collections::BTreeMap;

use firn_format::log::Roles;
use firn_format::state::SignerInfo;
use firn_format::verdict::Fault;
use firn_format::{CHECKPOINT_BYTES_MAX, Entry, Hash, Payload, State, name};
use firn_store::{Kind, Store};

use super::inventory::Inventory;
use super::{Problem, StrayKind, Work};
use crate::error::RepoError;
use crate::open::Repository;
use crate::slots::Opened;

/// Folds the whole log, tells what is damaged in it, and compares every checkpoint with what the entries before it come to.
/// What the repository knows afterwards comes from the first entry on, unless the log is damaged.
pub(super) fn check(repository: &mut Repository, inventory: &Inventory, work: &mut Work) -> Result<(), RepoError> {
    repository.context().progress.phase("reading the log");
    if let Some(damage) = repository.damage() {
        work.other(name::log_path(damage.seq), Problem::Damaged(damage.fault.to_string()), None);
    }
    let head = repository.state().head_hash();
    let store = repository.store().clone();
    let (said, broken) = (Checkpoints::default(), BTreeMap::new());
    let mut history = History { store: store.as_ref(), inventory, said, broken, before: None };
    let damage = repository.fold_afresh(&mut |state, opened| history.see(state, opened))?;
    if let Some(damage) = damage {
        work.other(name::log_path(damage.seq), Problem::Damaged(damage.fault.to_string()), None);
    } else if head != repository.state().head_hash() {
        work.other("log".to_owned(), Problem::Damaged("it leads to another end than its checkpoint".into()), None);
    }
    // What is settled behind a checkpoint only the state that begins there can tell.
    let (checkpoint, first) = (repository.state().checkpoint_seq(), repository.damage().map(|damage| damage.seq));
    history.broken.retain(|seq, _| *seq <= checkpoint || first.is_some_and(|first| *seq >= first));
    history.finish(damage.is_some(), work);
    Ok(())
}

/// What became of the checkpoints that were looked at, until it is known which of them have ended since.
pub(super) fn settle(repository: &Repository, looked_to: u64, work: &mut Work) -> Result<(), RepoError> {
    let mut checkpoints = std::mem::take(&mut work.checkpoints);
    if checkpoints.wrong.values().any(|(_, problem)| *problem == Problem::Missing) {
        for seq in looked_to + 1..=repository.head().seq {
            let opened = Opened::of(seq, repository.raw_entry(seq)?);
            if let Ok(entry) = opened.entry {
                checkpoints.hear(&entry, repository.state());
            }
        }
    }
    checkpoints.finish(work);
    Ok(())
}

/// What the log says of checkpoints.
#[derive(Default)]
pub(super) struct Checkpoints {
    /// CHECKPOINT entries that took effect, and what each names.
    named: BTreeMap<u64, Hash>,
    wrong: BTreeMap<u64, (String, Problem)>,
    /// The newest GC_COMMIT.
    collected: u64,
}

impl Checkpoints {
    /// An entry that was appended while the check looked, as far as it may end checkpoints.
    fn hear(&mut self, entry: &Entry, state: &State) {
        let is_owner = entry.signer == state.format().owner;
        let may = |info: &SignerInfo| info.roles.has_any(Roles::COLLECT.and(Roles::OWNER));
        match &entry.payload {
            _ if !is_owner && !state.signers().get(&entry.signer).is_some_and(may) => {}
            Payload::Checkpoint(said) => _ = self.named.insert(entry.seq, said.hash),
            Payload::GcCommit(_) => self.collected = entry.seq,
            _ => {}
        }
    }

    fn finish(mut self, work: &mut Work) {
        // A GC_COMMIT ends the checkpoints below the second newest before it.
        let before = self.named.range(..self.collected).rev();
        let kept_from = before.map(|(seq, _)| *seq).nth(1).unwrap_or(0);
        self.wrong.retain(|seq, (_, problem)| *seq >= kept_from || *problem != Problem::Missing);
        work.checkpoints_wrong = self.wrong.len() as u64;
        for (path, problem) in self.wrong.into_values() {
            work.other(path, problem, None);
        }
    }
}

struct History<'a> {
    store: &'a dyn Store,
    inventory: &'a Inventory,
    said: Checkpoints,
    /// Slots that are wrong, as long as no VOID settles them.
    broken: BTreeMap<u64, Fault>,
    /// The hash of the bytes in the slot before.
    before: Option<Hash>,
}

impl History<'_> {
    fn see(&mut self, state: &State, opened: &Opened) -> Result<(), RepoError> {
        let here = |entry: &&Entry| entry.store == state.store() && entry.seq == opened.seq;
        let placed = opened.entry.as_ref().ok().filter(here);
        self.note_broken(state, opened, placed);
        let follows = |entry: &&Entry| state.damage().is_none() && entry.prev == state.head_hash();
        let Some(entry) = placed.filter(follows) else { return Ok(()) };
        match &entry.payload {
            Payload::Checkpoint(said) if state.validate(&entry.payload, &entry.signer).is_ok() => {
                self.said.named.insert(opened.seq, said.hash);
                if let Some(problem) = self.compare(state, opened.seq, said.hash)? {
                    self.said.wrong.insert(opened.seq, (name::checkpoint_path(opened.seq, said.hash), problem));
                }
            }
            Payload::GcCommit(_) if state.validate(&entry.payload, &entry.signer).is_ok() => {
                self.said.collected = opened.seq;
            }
            _ => {}
        }
        Ok(())
    }

    /// A damaged slot ends what the state can tell; the slots behind it are looked at one by one.
    fn note_broken(&mut self, state: &State, opened: &Opened, placed: Option<&Entry>) {
        let before = self.before.replace(opened.hash);
        if state.damage().is_none() {
            self.broken.clear();
            return;
        }
        let fault = match (&opened.entry, placed) {
            (Err(fault), _) => Some(*fault),
            (Ok(_), None) => Some(Fault::Misplaced),
            // After a slot that is known to be wrong the chain says nothing new.
            (Ok(_), Some(entry)) => (before != Some(entry.prev)
                && !self.broken.contains_key(&(opened.seq - 1))
                && state.damage().is_some_and(|damage| damage.seq + 1 != opened.seq))
            .then_some(Fault::BrokenChain),
        };
        if let Some(fault) = fault {
            self.broken.insert(opened.seq, fault);
        }
    }

    /// What is wrong with the object that a CHECKPOINT entry at `seq`, right behind `state`, names.
    fn compare(&self, state: &State, seq: u64, hash: Hash) -> Result<Option<Problem>, RepoError> {
        let path = name::checkpoint_path(seq, hash);
        if !self.inventory.checkpoints.contains_key(&(seq, hash)) {
            return match self.store.head(&path) {
                Ok(_) => Err(RepoError::ShortList { name: path }),
                Err(error) if error.is_not_found() => Ok(Some(Problem::Missing)),
                Err(source) => Err(RepoError::store("look for a checkpoint", source)),
            };
        }
        match self.store.get(&path, CHECKPOINT_BYTES_MAX) {
            Ok(bytes) if Hash::of(&bytes) != hash => {
                Ok(Some(Problem::Damaged("its bytes are not what its name says".into())))
            }
            Ok(bytes) => Ok(state.compare_checkpoint(&bytes).err().map(|error| Problem::Damaged(error.to_string()))),
            // A collector was quicker.
            Err(error) if error.kind == Kind::NotFound => Ok(Some(Problem::Missing)),
            Err(error) => super::domain::object_error(error).map(Some),
        }
    }

    fn finish(self, is_damaged: bool, work: &mut Work) {
        work.objects += self.inventory.checkpoints.len() as u64;
        for (seq, fault) in self.broken {
            work.other(name::log_path(seq), Problem::Damaged(fault.to_string()), None);
        }
        // Of a damaged log nobody can say what its later entries name.
        let named = |seq: &u64, hash: &Hash| self.said.named.get(seq) == Some(hash);
        for ((seq, hash), bytes) in self.inventory.checkpoints.iter().filter(|_| !is_damaged) {
            if !named(seq, hash) {
                work.stray(name::checkpoint_path(*seq, *hash), *bytes, StrayKind::Checkpoint);
            }
        }
        work.checkpoints = self.said;
    }
}
