//! Whether an entry takes effect at its place.

use std::sync::Arc;

use super::fences::{FenceEffect, Lifted};
use super::points::NewPoint;
use crate::ids::{Hash, PointId, Signer};
use crate::log::{Entry, KeyAction, KeyChange, Kind, Payload, Roles, SessionOpen, Upgrade, Void};
use crate::state::State;
use crate::verdict::VoidReason;

/// What was found out while judging, so that the change need not find it out again.
pub(super) enum Plan {
    /// All is in the payload.
    Plain,
    /// A point of this store.
    Commit(NewPoint),
    /// A peer's point, with its opened entry.
    ImportCommit(Box<Entry>, NewPoint),
    /// An own fence.
    Fence(Vec<FenceEffect>),
    /// A peer's fence, with its opened entry.
    ImportFence(Box<Entry>, Vec<FenceEffect>),
    /// A fence is taken back, by its store.
    Unfence(Lifted),
    /// A slot that was whole when it was folded was not when its owner voided it: the log is folded anew, with these
    /// bytes, or nothing, in its place.
    Revoid(u64, Option<Arc<Vec<u8>>>),
}

/// Who may append a kind, besides the owner.
pub(super) fn allowed(kind: Kind) -> Roles {
    let others = match kind {
        Kind::Key | Kind::Upgrade | Kind::Void | Kind::Retention => Roles::default(),
        Kind::Commit | Kind::Abort | Kind::Delete => Roles::COMMIT,
        Kind::SessionOpen | Kind::Link | Kind::Hold | Kind::Release => Roles::COMMIT.and(Roles::IMPORT),
        Kind::Kill | Kind::Lost => Roles::COMMIT.and(Roles::COLLECT),
        Kind::Verified | Kind::Rescue | Kind::Found => Roles::COMMIT.and(Roles::IMPORT).and(Roles::COLLECT),
        Kind::Import => Roles::IMPORT,
        // A cold reader takes a checkpoint's word for what the log says: the word of one who may delete anyway.
        Kind::GcMark | Kind::GcCommit | Kind::Checkpoint => Roles::COLLECT,
        Kind::Fence | Kind::Unfence => Roles::FENCE,
    };
    others.and(Roles::OWNER)
}

fn all_or<T>(items: &[T], reason: VoidReason, fine: impl Fn(&T) -> bool) -> Result<Plan, VoidReason> {
    if items.iter().all(fine) { Ok(Plan::Plain) } else { Err(reason) }
}

fn when(fine: bool, reason: VoidReason) -> Result<Plan, VoidReason> {
    if fine { Ok(Plan::Plain) } else { Err(reason) }
}

impl State {
    pub(super) fn judge(&self, payload: &Payload, signer: &Signer) -> Result<Plan, VoidReason> {
        let Some(kind) = payload.kind() else {
            let known = Kind::from_number(payload.kind_number()).is_some();
            return Err(if known { VoidReason::Malformed } else { VoidReason::UnknownKind });
        };
        let roles = self.signers.get(signer).map_or(Roles::default(), |info| info.roles);
        // An importer ends the sessions that it opened, like a committer.
        let ends_own = kind == Kind::Abort && roles.has_any(Roles::IMPORT);
        if !roles.has_any(allowed(kind)) && !ends_own {
            return Err(VoidReason::NotAllowed);
        }
        match payload {
            Payload::Key(key) => self.judge_key(key),
            Payload::SessionOpen(open) => self.judge_open(open),
            Payload::Commit(commit) => self.judge_commit(commit).map(Plan::Commit),
            Payload::Abort(end) | Payload::Kill(end) => {
                when(self.sessions.contains_key(&end.session), VoidReason::SessionNotOpen)
            }
            Payload::Import(import) => self.judge_import(import),
            Payload::Fence(fence) => self.judge_fence(fence).map(Plan::Fence),
            Payload::Unfence(unfence) => self.judge_unfence(unfence).map(Plan::Unfence),
            Payload::GcMark(mark) => self.judge_mark(mark).map(|()| Plan::Plain),
            Payload::Rescue(rescue) => {
                when(rescue.names.iter().any(|name| self.is_candidate(name)), VoidReason::NotCandidate)
            }
            Payload::GcCommit(collected) => self.judge_collected(collected).map(|()| Plan::Plain),
            Payload::Hold(hold) => {
                self.all_live(&hold.points)?;
                when(!self.holds.contains_key(&hold.hold), VoidReason::HoldMismatch)
            }
            Payload::Release(release) => when(self.holds.contains_key(&release.hold), VoidReason::HoldMismatch),
            Payload::Delete(delete) => {
                self.all_live(&delete.points)?;
                all_or(&delete.points, VoidReason::PointHeld, |point| !self.is_held(point))
            }
            Payload::Found(found) => self.judge_found(found).map(|()| Plan::Plain),
            Payload::Verified(verified) => self.all_live(&verified.points),
            Payload::Upgrade(upgrade) => self.judge_upgrade(upgrade),
            Payload::Void(void) => self.judge_void(void),
            Payload::Link(link) => when(link.store != self.store(), VoidReason::OwnEntry),
            Payload::Lost(_) | Payload::Checkpoint(_) | Payload::Retention(_) | Payload::Opaque(_) => Ok(Plan::Plain),
        }
    }

    fn all_live(&self, points: &[PointId]) -> Result<Plan, VoidReason> {
        all_or(points, VoidReason::PointNotLive, |point| self.point(point).is_some())
    }

    fn judge_key(&self, key: &KeyChange) -> Result<Plan, VoidReason> {
        let owners_besides = |signer: &Signer| {
            self.signers.iter().any(|(other, info)| other != signer && info.roles.has_any(Roles::OWNER))
        };
        match (key.action, key.signer, key.roles) {
            (KeyAction::Admit, Some(signer), Some(roles)) => {
                when(roles.has_any(Roles::OWNER) || owners_besides(&signer), VoidReason::LastOwner)
            }
            (KeyAction::Revoke, Some(signer), _) if !self.signers.contains_key(&signer) => Err(VoidReason::KeyMismatch),
            (KeyAction::Revoke, Some(signer), _) => when(owners_besides(&signer), VoidReason::LastOwner),
            (KeyAction::Domain, _, _) => {
                let (Some(domain), Some(generation), Some(public)) = (key.domain, key.generation, key.domain_public)
                else {
                    return Err(VoidReason::Malformed);
                };
                let present = self.domain_public(&domain, generation);
                when(generation > 0 && present.is_none_or(|known| *known == public), VoidReason::KeyMismatch)
            }
            _ => Err(VoidReason::Malformed),
        }
    }

    fn judge_open(&self, open: &SessionOpen) -> Result<Plan, VoidReason> {
        if self.sessions_used.contains(&open.session) {
            return Err(VoidReason::SessionReused);
        }
        if self.rules.epoch && open.epoch != self.epoch(&open.lineage) {
            return Err(VoidReason::Epoch);
        }
        let Some(parent) = &open.parent else { return Ok(Plan::Plain) };
        let fits = self.point(parent).is_some_and(|point| point.lineage == open.lineage && !point.branch);
        when(fits, VoidReason::ParentNotLive)
    }

    fn judge_upgrade(&self, upgrade: &Upgrade) -> Result<Plan, VoidReason> {
        let raises = upgrade.reader_min >= self.reader_min && upgrade.writer_min >= self.writer_min;
        when(raises, VoidReason::Lowered)
    }

    /// While a slot is damaged only its own VOID is of use; on a whole log only one that names bytes that are gone.
    fn judge_void(&self, void: &Void) -> Result<Plan, VoidReason> {
        let restored = self.restored(void)?;
        if let Some(damage) = self.damage {
            let fits = void.seq == damage.seq && void.hash == damage.hash && damage.checkpoint.is_none();
            return when(fits, VoidReason::NotDamaged);
        }
        if self.voids.contains_key(&void.seq) && void.seq < self.next {
            return Ok(Plan::Plain);
        }
        match self.recent_hash(void.seq) {
            Some(hash) if hash != void.hash => Ok(Plan::Revoid(void.seq, restored)),
            _ => Err(VoidReason::NotDamaged),
        }
    }

    /// The hash of the bytes in a slot after the newest checkpoint.
    fn recent_hash(&self, seq: u64) -> Option<Hash> {
        let index = seq.checked_sub(self.checkpoint + 1)?;
        self.recent.get(usize::try_from(index).ok()?).copied()
    }
}
