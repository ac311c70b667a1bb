//! Session: while it is open in the target's log, what was copied and is not yet needed is no garbage.

use firn_format::log::{SessionEnd, SessionOpen};
use firn_format::{FormatError, Hash, LineageId, Payload, RunId, SessionId, SigningKey, State, StoreId, clock};
use firn_repo::{RepoError, Repository};

use crate::error::ReplicateError;

/// The run that all sessions of a link bear, so that a later run ends what an interrupted one left open.
pub(crate) fn run_of(source: StoreId, target: StoreId) -> RunId {
    let hash = Hash::of(&[b"firn replicate".as_slice(), source.as_bytes(), target.as_bytes()].concat());
    let mut run = RunId([0; RunId::LEN]);
    run.0.copy_from_slice(&hash.0[..RunId::LEN]);
    run
}

/// Opens a session. One protects the objects of all lineages; `lineage` is only the one that it names.
pub(crate) fn open(
    target: &mut Repository,
    key: &SigningKey,
    run: RunId,
    lineage: LineageId,
) -> Result<SessionId, ReplicateError> {
    let id = clock::random(target.context().entropy.as_ref())
        .map_err(|source| FormatError::Entropy { what: "a session's id".into(), source })
        .map_err(RepoError::from)?;
    let session = SessionId(id);
    target.append_with(key, |state| {
        let epoch = state.epoch(&lineage);
        Ok(Some(Payload::SessionOpen(SessionOpen { session, run, lineage, epoch, parent: None })))
    })?;
    Ok(session)
}

/// Ends `own` and all older sessions of the same run and signer. A replicator that still works under one of them loses
/// nothing but the certainty that it need not send anything twice.
pub(crate) fn end(
    target: &mut Repository,
    key: &SigningKey,
    run: RunId,
    own: Option<SessionId>,
) -> Result<(), ReplicateError> {
    let newest = own.and_then(|own| target.state().sessions().get(&own)).map_or(u64::MAX, |session| session.seq);
    let ours = |state: &State| {
        let mut sessions = state.sessions().iter();
        let old = sessions.find(|(_, open)| open.run == run && open.signer == key.signer() && open.seq <= newest);
        old.map(|(session, _)| Payload::Abort(SessionEnd { session: *session }))
    };
    while ours(target.state()).is_some() {
        target.append_with(key, |state| Ok(ours(state)))?;
    }
    Ok(())
}
