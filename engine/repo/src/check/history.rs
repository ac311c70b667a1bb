//! The log, read from its first entry, without a word from any checkpoint.

use firn_format::{Entry, Hash, Payload, State, name};

use super::{Problem, Work};
use crate::error::RepoError;
use crate::open::Repository;
use crate::slots;

/// Folds the whole log, tells what is damaged in it, and compares its newest checkpoint with what the entries say.
pub(super) fn check(repository: &Repository, work: &mut Work) -> Result<(), RepoError> {
    repository.context().progress.phase("reading the log");
    if let Some(damage) = repository.damage() {
        work.other(name::log_path(damage.seq), Problem::Damaged(damage.fault.to_string()), None);
    }
    let newest = repository.state().checkpoint_seq();
    let mut state = State::genesis(repository.format(), repository.fingerprint());
    let last = repository.head().seq;
    let mut lies = None;
    slots::feed_to(repository.store().as_ref(), &mut state, last, &|_| 0, &mut |state, seq, slot| {
        if seq == newest && state.next_seq() == seq && newest > 0 {
            let said = slot.as_deref().and_then(|bytes| Entry::open(bytes).ok()).map(|(entry, _)| entry.payload);
            let folded = state.to_checkpoint().map(|bytes| Hash::of(&bytes));
            if let (Some(Payload::Checkpoint(said)), Ok(folded)) = (said, folded) {
                lies = Some(said.hash != folded);
            }
        }
    })?;
    if let Some(damage) = state.damage() {
        let place = name::log_path(damage.seq);
        work.other(place, Problem::Damaged(damage.fault.to_string()), None);
    } else if state.head_hash() != repository.state().head_hash() {
        work.other("log".to_owned(), Problem::Damaged("it leads to another end than its checkpoint".into()), None);
    }
    if lies == Some(true) {
        let detail = "it is not what the entries before it come to".to_owned();
        work.other(format!("checkpoint/{newest:020}"), Problem::Damaged(detail), None);
    }
    Ok(())
}
