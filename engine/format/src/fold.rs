//! The one function that decides what a log means: slots in, [`State`] out (FORMAT.md §8.2).
//!
//! Whether an entry takes effect (`judge`) is separate from what it does (`change`), so that a writer asks beforehand by the
//! same code. No clock is looked at.

mod change;
mod collection;
mod fences;
mod judge;
mod lost;
mod points;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::format_file::{FormatFile, VERSION};
use crate::ids::{Hash, Signer};
use crate::log::{Entry, Kind, Payload, Roles, Void};
use crate::state::{Objects, Points, SignerInfo, State, Voids};
use crate::verdict::{Damage, Fault, Position, Verdict, VoidReason};

/// The rules that the model switches off to see that it notices. All hold everywhere else.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of a test")]
pub struct Rules {
    /// Who newly needs a candidate rescues it.
    pub rescue: bool,
    /// A dropped name is never used again.
    pub dead_names: bool,
    /// Unlisted objects wait for the sessions that were open at the mark.
    pub barrier: bool,
    /// Nothing is dropped that a live point needs.
    pub needs: bool,
    /// A lineage's epoch decides who may add points.
    pub epoch: bool,
    /// A damaged slot stops everybody until the owner settles it.
    pub void: bool,
    /// A point whose references were checked before the last move is refused.
    pub moves: bool,
    /// An import whose source has moved objects since the parent names all needs.
    pub source_moves: bool,
    /// A peer's fence ends when the peer takes it back.
    pub unfence: bool,
    /// A fence upon which something was built is not taken back.
    pub fence_used: bool,
    /// What was ended is not found again.
    pub found_dead: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            rescue: true,
            dead_names: true,
            barrier: true,
            needs: true,
            epoch: true,
            void: true,
            moves: true,
            source_moves: true,
            unfence: true,
            fence_used: true,
            found_dead: true,
        }
    }
}

/// The state of the log whose slots these are, from 1 on: the bytes of each, or `None` for a hole. Goes through `slots`
/// again if a VOID further on settles a damaged slot.
pub fn fold<'a, I>(format: &FormatFile, fingerprint: Hash, slots: I) -> State
where
    I: IntoIterator<Item = Option<&'a [u8]>, IntoIter: Clone>,
{
    let slots = slots.into_iter();
    let mut state = State::genesis(format, fingerprint);
    let (mut rest, mut at) = (slots.clone(), 1);
    loop {
        if state.wants() != at {
            at = state.wants();
            rest = slots.clone();
            for _ in 1..at {
                rest.next();
            }
        }
        let Some(bytes) = rest.next() else { return state };
        state.apply(bytes);
        at += 1;
    }
}

impl State {
    /// As [`State::genesis`], with rules switched off.
    #[doc(hidden)]
    pub fn genesis_with(format: Arc<FormatFile>, fingerprint: Hash, rules: Rules) -> Self {
        let owner = SignerInfo { roles: Roles::OWNER, label: String::new() };
        Self {
            signers: BTreeMap::from([(format.owner, owner)]),
            format,
            fingerprint,
            rules,
            next: 1,
            head: fingerprint,
            points: Points::default(),
            objects: Objects::default(),
            lineages: BTreeMap::new(),
            sessions: BTreeMap::new(),
            sessions_used: BTreeSet::new(),
            collection: None,
            moved_to: 0,
            holds: BTreeMap::new(),
            key_entries: Vec::new(),
            domains: BTreeMap::new(),
            links: Vec::new(),
            fences: BTreeMap::new(),
            peers: BTreeMap::new(),
            retention_seconds_min: 0,
            reader_min: VERSION,
            writer_min: VERSION,
            features: BTreeSet::new(),
            checkpoint: 0,
            recent: Vec::new(),
            voids: Voids::new(),
            chain_waived: false,
            damage: None,
            newer: None,
        }
    }

    /// Takes the slot at [`State::wants`]: its bytes, or `None` if nothing lies there although later slots are taken.
    /// (A free slot behind the last entry is not fed.)
    pub fn apply(&mut self, bytes: Option<&[u8]>) -> Verdict {
        let hash = bytes.map_or(Hash::ZERO, Hash::of);
        let opened = bytes.ok_or(Fault::Missing).and_then(|bytes| Entry::open(bytes).map_err(|_| Fault::NotAnEntry));
        let opened = opened.as_ref().map(|(entry, _)| entry).map_err(|fault| *fault);
        self.apply_opened(opened, hash, bytes.unwrap_or_default())
    }

    /// As [`State::apply`] for bytes that were opened before, or could not be.
    #[doc(hidden)]
    pub fn apply_opened(&mut self, opened: Result<&Entry, Fault>, hash: Hash, bytes: &[u8]) -> Verdict {
        if self.newer.is_some() {
            return Verdict::Newer;
        }
        let (here, seq) = (self.store(), self.wants());
        let placed = opened
            .and_then(|entry| if entry.store == here && entry.seq == seq { Ok(entry) } else { Err(Fault::Misplaced) });
        if self.damage.is_some() {
            return self.search(placed.ok(), hash);
        }
        if let Some(restored) = self.voids.get(&self.next) {
            return match restored.clone().map(|bytes| (Entry::open(&bytes), bytes)) {
                Some((Ok((entry, hash)), bytes)) if entry.prev == self.head || self.chain_waived => {
                    self.take(&entry, hash, &bytes)
                }
                _ => {
                    self.advance(hash);
                    self.chain_waived = true;
                    Verdict::Settled
                }
            };
        }
        match placed {
            Ok(entry) if entry.prev == self.head || self.chain_waived => self.take(entry, hash, bytes),
            Ok(entry) => match self.void_of_last(entry) {
                // The slot before was put back after all; what the owner said of it stands.
                Some(void) if self.voids.contains_key(&void.seq) => self.take(entry, hash, bytes),
                Some(void) => match self.restored(void) {
                    Ok(restored) => self.revoid(void.seq, restored),
                    Err(_) => self.damaged(hash, Fault::BrokenChain),
                },
                None => self.damaged(hash, Fault::BrokenChain),
            },
            Err(fault) => self.damaged(hash, fault),
        }
    }

    /// An authentic entry in its place.
    fn take(&mut self, entry: &Entry, hash: Hash, bytes: &[u8]) -> Verdict {
        if let Payload::Opaque(opaque) = &entry.payload
            && entry.critical
            && Kind::from_number(opaque.kind).is_none()
            && self.signers.contains_key(&entry.signer)
        {
            self.newer = Some(format!("kind {} of log entry {}", opaque.kind, entry.seq));
            return Verdict::Newer;
        }
        let verdict = match self.judge(&entry.payload, &entry.signer) {
            Ok(judge::Plan::Revoid(seq, restored)) => return self.revoid(seq, restored),
            Ok(plan) => {
                self.change(entry, hash, bytes, plan);
                Verdict::Applied
            }
            Err(reason) => Verdict::Void(reason),
        };
        self.advance(hash);
        self.chain_waived = false;
        if entry.payload.kind() == Some(Kind::Checkpoint) && verdict == Verdict::Applied {
            self.checkpoint = entry.seq;
            self.recent.clear();
        }
        if self.newer.is_some() { Verdict::Newer } else { verdict }
    }

    /// What the entry says if it is the owner's VOID of the slot before it, naming bytes that no longer lie there.
    fn void_of_last<'a>(&self, entry: &'a Entry) -> Option<&'a Void> {
        let owner = self.signers.get(&entry.signer).is_some_and(|info| info.roles.has_any(Roles::OWNER));
        match &entry.payload {
            Payload::Void(void) if owner && void.seq + 1 == entry.seq && void.hash == entry.prev => {
                (void.seq > self.checkpoint).then_some(void)
            }
            _ => None,
        }
    }

    /// The bytes that a VOID puts in the slot's place.
    fn restored(&self, void: &Void) -> Result<Option<Arc<Vec<u8>>>, VoidReason> {
        let Some(bytes) = &void.entry else { return Ok(None) };
        match Entry::open(bytes) {
            Ok((entry, _)) if entry.store == self.store() && entry.seq == void.seq => Ok(Some(Arc::new(bytes.clone()))),
            _ => Err(VoidReason::Malformed),
        }
    }

    /// Begins anew, with a slot settled that was folded as whole although its owner had voided it.
    fn revoid(&mut self, seq: u64, restored: Option<Arc<Vec<u8>>>) -> Verdict {
        let mut voids = std::mem::take(&mut self.voids);
        voids.insert(seq, restored);
        *self = Self { voids, ..Self::genesis_with(Arc::clone(&self.format), self.fingerprint, self.rules) };
        Verdict::Settled
    }

    /// Whether `payload`, appended by `signer` as the next entry, would take effect.
    ///
    /// # Errors
    /// The reason why it would be void.
    pub fn validate(&self, payload: &Payload, signer: &Signer) -> Result<(), VoidReason> {
        self.judge(payload, signer).map(|_| ())
    }

    fn advance(&mut self, hash: Hash) {
        self.head = hash;
        self.next += 1;
        self.recent.push(hash);
    }

    /// Notes that the next slot is damaged; from here on the state looks for the owner's VOID.
    fn damaged(&mut self, hash: Hash, fault: Fault) -> Verdict {
        if !self.rules.void {
            self.advance(hash);
            self.chain_waived = true;
            return Verdict::Void(VoidReason::Malformed);
        }
        let free = Position { seq: self.next + 1, prev: hash };
        self.damage = Some(Damage { seq: self.next, hash, fault, original: None, free, checkpoint: None });
        Verdict::Damaged
    }

    /// One slot behind a damaged one: does it settle it?
    fn search(&mut self, entry: Option<&Entry>, hash: Hash) -> Verdict {
        let roles = entry.and_then(|entry| self.signers.get(&entry.signer)).map_or(Roles::default(), |info| info.roles);
        let Some(mut damage) = self.damage else { return Verdict::Damaged };
        // Only a VOID is ever appended to a damaged log, so any other next entry was built on whole bytes.
        if let Some(entry) = entry.filter(|entry| entry.seq == damage.seq + 1)
            && self.signers.contains_key(&entry.signer)
            && !matches!(entry.payload, Payload::Void(_))
        {
            damage.original = Some(entry.prev);
        }
        damage.free = Position { seq: damage.free.seq + 1, prev: hash };
        match entry.map(|entry| (&entry.payload, entry.seq)) {
            Some((Payload::Void(void), seq)) if void.seq == damage.seq && roles.has_any(Roles::OWNER) => {
                // One that names the bytes upon which the next entry was built was void, for they were whole then.
                let was_whole = seq > void.seq + 1 && damage.original == Some(void.hash);
                if damage.checkpoint.is_none()
                    && !was_whole
                    && let Ok(restored) = self.restored(void)
                {
                    self.voids.insert(void.seq, restored);
                    self.damage = None;
                    return Verdict::Settled;
                }
            }
            Some((Payload::Checkpoint(_), seq)) if roles.has_any(judge::allowed(Kind::Checkpoint)) => {
                damage.checkpoint.get_or_insert(seq);
            }
            _ => {}
        }
        self.damage = Some(damage);
        Verdict::Damaged
    }
}

#[cfg(test)]
pub(crate) mod tests;
