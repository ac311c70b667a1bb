//! Slots of the log: what would mend each damaged one, found by folding the log as it would be then.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use firn_format::log::{ENTRY_BYTES_MAX, Link, Void};
use firn_format::verdict::Fault;
use firn_format::{Damage, Entry, Hash, Payload, SigningKey, State, name};
use firn_store::{Check, Store, put_new_resolved};

use super::aftermath::{Aftermath, Loss};
use crate::checkpoint;
use crate::error::RepoError;
use crate::open::Repository;
use crate::slots::{self, Opened, Slot};

/// So many damaged slots are mended at once: the log is folded anew for each, and more of them are a store that is gone.
const STEPS_MAX: usize = 1_000;

/// What mends one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing lies there: the entry is put back as it was.
    PutBack {
        /// The store whose mirror holds it.
        from: String,
    },
    /// The owner's VOID says what lay there: nothing is lost.
    VoidWithEntry {
        /// The store whose mirror holds it.
        from: String,
    },
    /// No mirror has it: the owner's VOID gives it up.
    Void(Loss),
}

/// One slot, mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStep {
    /// The damaged slot.
    pub seq: u64,
    /// What is wrong with it.
    pub fault: Fault,
    /// What is done about it.
    pub remedy: Remedy,
    /// Where something is written: the slot itself, or the end of the log.
    pub(super) put_at: u64,
    pub(super) bytes: Bytes,
}

/// A slot that stays damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmended {
    /// The slot.
    pub seq: u64,
    /// Why nothing is done about it.
    pub why: String,
}

/// What would be done to a log. Nothing is done before [`LogRepair::apply`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRepair {
    /// In the order in which it is done.
    pub steps: Vec<LogStep>,
    /// What stays damaged.
    pub unmended: Vec<Unmended>,
}

impl LogRepair {
    /// Finds out what mends each damaged slot of the log. `owner` signs what the owner alone may say.
    ///
    /// # Errors
    /// Stores that do not answer, mirrors among them; `Newer`.
    pub fn plan(repository: &Repository, owner: Option<&SigningKey>, mirrors: &Mirrors) -> Result<Self, RepoError> {
        let mut planner = Planner { repository, owner, mirrors, patch: BTreeMap::new(), plan: Self::default() };
        planner.run()?;
        Ok(planner.plan)
    }

    /// Does it. The repository is read afresh.
    ///
    /// # Errors
    /// `Busy` if others wrote to the log in the meantime: what was done until then holds, the rest is to be planned anew.
    pub fn apply(&self, repository: &mut Repository) -> Result<(), RepoError> {
        for step in &self.steps {
            if step.put_at == step.seq {
                let path = name::log_path(step.seq);
                let _either = put_new_resolved(repository.store().as_ref(), &path, step.bytes.clone(), Check::Bytes)
                    .map_err(|source| RepoError::store("put back a log entry", source))?;
            } else if !repository.create_slot(step.put_at, &step.bytes)? {
                return Err(RepoError::Busy { url: repository.store().describe(), tries: 1 });
            }
        }
        repository.read_afresh()
    }
}

/// The stores that may hold a mirror of the log.
#[derive(Clone, Default)]
pub struct Mirrors {
    /// Those that can be read.
    pub stores: Vec<Arc<dyn Store>>,
    /// Others that may have what these lack: no slot is given up then.
    pub unread: Vec<String>,
}

/// The links that the log names, also in entries behind a damaged one: where a mirror may be. Whatever is found there is held
/// against the chain.
///
/// # Errors
/// The store's.
pub fn named_links(repository: &Repository) -> Result<Vec<Link>, RepoError> {
    let state = repository.state();
    let mut links = state.links().to_vec();
    let Some(damage) = state.damage() else { return Ok(links) };
    for (seq, _) in slots::list(repository.store().as_ref(), damage.seq)? {
        let Ok(entry) = Opened::of(seq, slots::read(repository.store().as_ref(), seq)?).entry else { continue };
        let is_authentic =
            entry.store == state.store() && entry.seq == seq && state.signers().contains_key(&entry.signer);
        if let (true, Payload::Link(link)) = (is_authentic, entry.payload)
            && !links.contains(&link)
        {
            links.push(link);
        }
    }
    Ok(links)
}

struct Planner<'a> {
    repository: &'a Repository,
    owner: Option<&'a SigningKey>,
    mirrors: &'a Mirrors,
    /// What would lie in slots.
    patch: BTreeMap<u64, Bytes>,
    plan: LogRepair,
}

impl Planner<'_> {
    fn run(&mut self) -> Result<(), RepoError> {
        let genesis = || State::genesis(self.repository.format(), self.repository.fingerprint());
        let listed = slots::list(self.store(), 0)?;
        let Some((mut last, _)) = listed.last().copied() else { return Ok(()) };
        while let Some(step) = self.beyond(last)? {
            last += 1;
            self.patch.insert(last, step.bytes.clone());
            self.plan.steps.push(step);
        }
        let (mut state, mut is_settled_below) = (genesis(), false);
        while self.plan.steps.len() < STEPS_MAX {
            self.feed(&mut state, last)?;
            let Some(damage) = state.damage().copied() else { return Ok(()) };
            match self.remedy(&state, &damage, last)? {
                Ok(step) if step.put_at == step.seq => {
                    self.patch.insert(step.seq, step.bytes.clone());
                    self.plan.steps.push(step);
                    // A damaged state only looks for a VOID.
                    state = State::genesis(self.repository.format(), self.repository.fingerprint());
                }
                Ok(step) => {
                    last = last.max(step.put_at);
                    self.patch.insert(step.put_at, step.bytes.clone());
                    self.plan.steps.push(step);
                }
                Err(why) => {
                    self.plan.unmended.push(Unmended { seq: damage.seq, why });
                    if damage.checkpoint.is_none() || is_settled_below {
                        return Ok(());
                    }
                    // What lies behind a checkpoint can be mended all the same.
                    is_settled_below = true;
                    let (format, progress) = (self.repository.format(), self.repository.context().progress.as_ref());
                    let fingerprint = self.repository.fingerprint();
                    state = checkpoint::newest(self.store(), format, fingerprint, progress, &mut |_| {})?;
                    if state.next_seq() <= damage.seq {
                        return Ok(());
                    }
                }
            }
        }
        let seq = self.plan.steps.last().map_or(0, |step| step.seq + 1);
        self.plan.unmended.push(Unmended { seq, why: "so many slots are mended in one go; run it again".into() });
        Ok(())
    }

    fn store(&self) -> &dyn Store {
        self.repository.store().as_ref()
    }

    fn read(&self, seq: u64) -> Result<Slot, RepoError> {
        match self.patch.get(&seq) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => slots::read(self.store(), seq),
        }
    }

    /// The entry behind the last one that a list shows, if a mirror holds it: then the log has lost its end, and nothing else
    /// may take its place.
    fn beyond(&self, last: u64) -> Result<Option<LogStep>, RepoError> {
        if self.plan.steps.len() >= STEPS_MAX {
            return Ok(None);
        }
        let state = self.repository.state();
        let lies = self.read(last)?.map(|bytes| Hash::of(&bytes));
        let seq = last + 1;
        for mirror in &self.mirrors.stores {
            let Some(bytes) = read_mirror(mirror.as_ref(), state, seq)? else { continue };
            let Ok((entry, _)) = Entry::open(&bytes) else { continue };
            // What lies at the end may itself be damaged; then the mirror says what lay there.
            let before = [lies, read_mirror(mirror.as_ref(), state, last)?.map(|bytes| Hash::of(&bytes))];
            let is_next = entry.store == state.store() && entry.seq == seq && before.contains(&Some(entry.prev));
            if is_next && state.signers().contains_key(&entry.signer) {
                let remedy = Remedy::PutBack { from: mirror.describe() };
                return Ok(Some(LogStep { seq, fault: Fault::Missing, remedy, put_at: seq, bytes }));
            }
        }
        Ok(None)
    }

    /// Folds on. A point that does not hold because the last step gave a slot up is part of its loss.
    fn feed(&mut self, state: &mut State, last: u64) -> Result<(), RepoError> {
        let mut voided = Vec::new();
        let given_up =
            self.plan.steps.last().filter(|step| matches!(step.remedy, Remedy::Void(_))).map(|step| step.seq);
        let mut each = |state: &State, opened: &Opened| {
            if state.damage().is_none() && given_up.is_some_and(|seq| opened.seq > seq) {
                voided.extend(Aftermath::void_point(state, opened));
            }
            Ok(())
        };
        slots::feed_to(&|seq| self.read(seq), state, last, &|_| 0, &mut each)?;
        if let Some(LogStep { remedy: Remedy::Void(loss), .. }) = self.plan.steps.last_mut() {
            voided.retain(|point| !loss.points.contains(point));
            loss.points.extend(voided);
        }
        Ok(())
    }

    fn remedy(&self, state: &State, damage: &Damage, last: u64) -> Result<Result<LogStep, String>, RepoError> {
        let seq = damage.seq;
        let found = match self.search_mirrors(state, damage)? {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        if let (Some((bytes, from)), Fault::Missing) = (&found, damage.fault) {
            let (bytes, remedy) = (bytes.clone(), Remedy::PutBack { from: from.clone() });
            return Ok(Ok(LogStep { seq, fault: damage.fault, remedy, put_at: seq, bytes }));
        }
        if let Some(checkpoint) = damage.checkpoint {
            return Ok(Err(below_checkpoint(damage, checkpoint, found.is_some())));
        }
        if damage.free.seq != last + 1 {
            return Ok(Err(format!("objects lie in log/ far behind it, the last at {last}; they belong to no log")));
        }
        let Some(owner) = self.owner else {
            return Ok(Err("the owner's key is needed: only the owner says what holds in its place".into()));
        };
        let (entry, reason, remedy) = match found {
            Some((bytes, from)) => {
                (Some(bytes.to_vec()), format!("put back from the mirror in {from}"), Remedy::VoidWithEntry { from })
            }
            None if !self.mirrors.unread.is_empty() => {
                let unread = self.mirrors.unread.join(", ");
                return Ok(Err(format!(
                    "{unread} cannot be read now and may hold it; to do without, name others with --from"
                )));
            }
            None => {
                let aftermath = Aftermath::look(state, damage, last, &|seq| self.read(seq))?;
                match aftermath.judge(state, damage) {
                    Ok(loss) => (None, "given up: no mirror holds it".to_owned(), Remedy::Void(loss)),
                    Err(why) => return Ok(Err(why)),
                }
            }
        };
        let payload = Payload::Void(Void { seq, hash: damage.hash, reason, entry });
        if let Err(reason) = state.validate(&payload, &owner.signer()) {
            return Ok(Err(format!("the owner's word on it would be void: {reason}")));
        }
        let bytes = match self.entry(state, damage, payload, owner).sign(owner) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) => return Ok(Err(error.to_string())),
        };
        Ok(Ok(LogStep { seq, fault: damage.fault, remedy, put_at: damage.free.seq, bytes }))
    }

    fn entry(&self, state: &State, damage: &Damage, payload: Payload, owner: &SigningKey) -> Entry {
        Entry {
            store: state.store(),
            seq: damage.free.seq,
            prev: damage.free.prev,
            critical: false,
            term: 0,
            payload,
            time_ms: self.repository.context().clock.now_ms(),
            store_time_ms: self.store().time().ok().map(|time| time.as_millisecond()),
            signer: owner.signer(),
        }
    }

    /// The entry that lay there, if a mirror holds it, and which one; or why what they hold cannot be used.
    fn search_mirrors(
        &self,
        state: &State,
        damage: &Damage,
    ) -> Result<Result<Option<(Bytes, String)>, String>, RepoError> {
        let mut found: Option<(Bytes, String)> = None;
        for mirror in &self.mirrors.stores {
            let Some(bytes) = read_mirror(mirror.as_ref(), state, damage.seq)? else { continue };
            if !fits(state, damage, &bytes) {
                continue;
            }
            match &found {
                Some((other, from)) if *other != bytes => {
                    return Ok(Err(format!("the mirrors in {from} and {} differ", mirror.describe())));
                }
                _ => found = Some((bytes, mirror.describe())),
            }
        }
        Ok(Ok(found))
    }
}

fn read_mirror(mirror: &dyn Store, state: &State, seq: u64) -> Result<Option<Bytes>, RepoError> {
    match mirror.get(&name::mirror_path(state.store(), seq), ENTRY_BYTES_MAX as u64) {
        Ok(bytes) => Ok(Some(bytes)),
        // What cannot be read there is as good as not there.
        Err(error) if error.is_permanent() => Ok(None),
        Err(source) => Err(RepoError::store("read a mirror", source)),
    }
}

/// Whether these bytes are the entry that lay in the damaged slot, as the entries around it say.
fn fits(state: &State, damage: &Damage, bytes: &[u8]) -> bool {
    let Ok((entry, hash)) = Entry::open(bytes) else { return false };
    let is_placed = entry.store == state.store() && entry.seq == damage.seq;
    match damage.original {
        Some(original) => is_placed && hash == original,
        None => is_placed && entry.prev == state.head_hash() && state.signers().contains_key(&entry.signer),
    }
}

fn below_checkpoint(damage: &Damage, checkpoint: u64, is_mirrored: bool) -> String {
    let settled =
        format!("the checkpoint at {checkpoint} holds without it, so nothing is lost and no VOID is possible");
    let path = name::log_path(damage.seq);
    match (is_mirrored, damage.hash == Hash::ZERO) {
        (true, _) => format!("{settled}; nothing is overwritten: move {path} away by hand, and repair puts it back"),
        (false, true) => format!("{settled}; no mirror holds it"),
        (false, false) => format!("{settled}; no mirror holds what lay there"),
    }
}
