//! Append: one entry into the log, by whoever wins the next slot, and never without having read all that lies before it.

use std::time::Duration;

use bytes::Bytes;
use firn_format::{Entry, Hash, Payload, SigningKey, State, TimeMs, clock, name};
use firn_store::{Kind, Put};

use crate::checkpoint;
use crate::error::RepoError;
use crate::open::Repository;
use crate::{signers, slots};

/// So many slots may be lost to others before an append gives up. Each loss means that somebody else got on, so only a
/// crowd of committers comes near.
const TRIES_MAX: u32 = 100;

/// A put whose outcome stays unknown is repeated so often: each time the store has waited as long as it may.
const PUT_TRIES_MAX: u32 = 3;

/// A loser waits for a random while below this, doubled with each loss up to 64 times.
const PAUSE_MS: u64 = 1;

/// Clocks further apart than this are worth a word; retention refuses to act on them.
pub const SKEW_MS_MAX: TimeMs = 5 * 60 * 1000;

/// An entry that took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where.
    pub seq: u64,
    /// The hash of its stored bytes: of a COMMIT, the point's id.
    pub hash: Hash,
}

impl Repository {
    /// Appends `payload`, signed with `key`: read back, verified, and taken into the state.
    ///
    /// # Errors
    /// `Refused` if it would be void; `LogDamaged`, `Newer`, `RolledBack`, `Forked`; `Uncertain` if the store did not tell
    /// whether it took the entry.
    pub fn append(&mut self, payload: &Payload, key: &SigningKey) -> Result<Appended, RepoError> {
        loop {
            if let Some(appended) = self.append_with(key, |_| Ok(Some(payload.clone())))? {
                return Ok(appended);
            }
        }
    }

    /// As [`Repository::append`], with a payload made anew for each slot that is tried, from the state right before it.
    /// `None` from `make` means that nothing is left to be said.
    pub fn append_with(
        &mut self,
        key: &SigningKey,
        mut make: impl FnMut(&State) -> Result<Option<Payload>, RepoError>,
    ) -> Result<Option<Appended>, RepoError> {
        for tries in 0..TRIES_MAX {
            self.refresh_to_append()?;
            self.refuse_halted()?;
            self.store_checkpoint_if_due(key)?;
            let Some(payload) = make(self.state())? else { return Ok(None) };
            self.state().validate(&payload, &key.signer()).map_err(|reason| refused(&payload, reason))?;
            if let Some(appended) = self.try_slot(payload, key)? {
                return Ok(Some(appended));
            }
            self.pause(tries)?;
        }
        Err(RepoError::Busy { url: self.store().describe(), tries: TRIES_MAX })
    }

    /// How far this machine's clock is ahead of the store's, in milliseconds; `None` if the store tells no time.
    pub fn skew_ms(&self) -> Option<TimeMs> {
        let store_ms = self.store().time().ok()?.as_millisecond();
        Some(self.context().clock.now_ms() - store_ms)
    }

    /// Puts the entry into the slot right behind the state. `None` if another's lies there.
    fn try_slot(&mut self, payload: Payload, key: &SigningKey) -> Result<Option<Appended>, RepoError> {
        let (seq, prev) = (self.head().seq + 1, self.head().hash);
        let time_ms = self.context().clock.now_ms();
        let store_time_ms = self.store().time().ok().map(|time| time.as_millisecond());
        if store_time_ms.is_some_and(|store_ms| (time_ms - store_ms).abs() > SKEW_MS_MAX) {
            self.note_skew(time_ms - store_time_ms.unwrap_or(time_ms));
        }
        let is_key = matches!(payload, Payload::Key(_));
        let entry = Entry {
            store: self.state().store(),
            seq,
            prev,
            critical: false,
            term: 0,
            payload,
            time_ms,
            store_time_ms,
            signer: key.signer(),
        };
        let bytes = Bytes::from(entry.sign(key)?);
        if !self.create_slot(seq, &bytes)? {
            return Ok(None);
        }
        let hash = Hash::of(&bytes);
        self.take(seq, bytes);
        if is_key {
            signers::mark(self.store().as_ref(), seq)?;
        }
        Ok(Some(Appended { seq, hash }))
    }

    /// Whether `bytes` are what lies in the slot in the end.
    pub(crate) fn create_slot(&self, seq: u64, bytes: &Bytes) -> Result<bool, RepoError> {
        let name = name::log_path(seq);
        let uncertain = |source| RepoError::Uncertain { name: name.clone(), source };
        let mut tries = 1;
        loop {
            let outcome = match self.store().put_new(&name, bytes.clone()) {
                Err(error) if error.kind != Kind::Ambiguous => {
                    return Err(RepoError::store("append to the log", error));
                }
                other => other,
            };
            let lies = match slots::read(self.store().as_ref(), seq) {
                Err(RepoError::Store { source, .. }) => return Err(uncertain(source)),
                other => other?,
            };
            match (lies, outcome) {
                (Some(lies), _) if lies == *bytes => return Ok(true),
                // What was said to be created is gone or another's: no such store can be trusted.
                (_, Ok(Put::Created)) => return Err(RepoError::ReadBack { name }),
                (Some(_), _) => return Ok(false),
                (None, Ok(Put::Exists)) if tries >= PUT_TRIES_MAX => return Err(RepoError::ReadBack { name }),
                (None, Err(error)) if tries >= PUT_TRIES_MAX => return Err(uncertain(error)),
                // It never came, or not yet: the same bytes once more do no harm.
                (None, _) => tries += 1,
            }
        }
    }

    /// Every so many entries the folded state is stored, so that a cold reader begins there. It saves time and decides
    /// nothing; if it fails, it is said and the work goes on.
    fn store_checkpoint_if_due(&mut self, key: &SigningKey) -> Result<(), RepoError> {
        let head = self.head().seq;
        if head < self.state().checkpoint_seq() + checkpoint::ENTRIES_BETWEEN {
            return Ok(());
        }
        let payload = Payload::Checkpoint(firn_format::log::Checkpoint { hash: Hash::ZERO });
        if self.state().validate(&payload, &key.signer()).is_err() {
            return Ok(());
        }
        match checkpoint::put(self.store().as_ref(), self.state()) {
            Ok(hash) => self.append_checkpoint(hash, key),
            Err(error) => {
                self.context().progress.note(&format!("no checkpoint could be stored: {error}"));
                Ok(())
            }
        }
    }

    /// Stores the folded state and names it in the log, unless another's entry is quicker.
    pub(crate) fn store_checkpoint(&mut self, key: &SigningKey) -> Result<(), RepoError> {
        let hash = checkpoint::put(self.store().as_ref(), self.state())?;
        self.append_checkpoint(hash, key)
    }

    fn append_checkpoint(&mut self, hash: Hash, key: &SigningKey) -> Result<(), RepoError> {
        self.try_slot(Payload::Checkpoint(firn_format::log::Checkpoint { hash }), key).map(|_| ())
    }

    fn note_skew(&self, skew_ms: TimeMs) {
        let (minutes, side) = (skew_ms.abs() / 60_000, if skew_ms > 0 { "ahead of" } else { "behind" });
        self.context().progress.note(&format!("this machine's clock is {minutes} minutes {side} the store's"));
    }

    fn pause(&self, tries: u32) -> Result<(), RepoError> {
        let [dice] = clock::random(self.context().entropy.as_ref())
            .map_err(|source| firn_format::FormatError::Entropy { what: "a pause".into(), source })?;
        let longest_ms = PAUSE_MS << tries.min(6);
        std::thread::sleep(Duration::from_millis(longest_ms * u64::from(dice) / 256));
        Ok(())
    }
}

fn refused(payload: &Payload, reason: firn_format::VoidReason) -> RepoError {
    let what = payload.kind().map_or("an unknown entry", |kind| kind.name());
    RepoError::Refused { what, reason }
}

#[cfg(test)]
mod tests;
