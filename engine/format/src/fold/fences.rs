//! FENCE and UNFENCE: who may add points to a lineage.

use std::collections::BTreeSet;

use crate::ids::{Hash, LineageId, PointId, StoreId};
use crate::log::{Entry, Fence, Head, Import, Unfence};
use crate::state::{FenceInfo, Fenced, State};
use crate::verdict::VoidReason;

/// What a fence does to one lineage.
pub(super) struct FenceEffect {
    lineage: LineageId,
    epoch: u64,
    tip: Option<PointId>,
    split: bool,
}

/// What an UNFENCE takes back: the position of the fence here, and which of the lineages in its [`FenceInfo`].
pub(super) struct Lifted {
    fence: u64,
    lineages: Vec<usize>,
}

/// The lineages of a fence with their epochs and tips, if the three lists fit.
fn rows(fence: &Fence) -> Result<impl Iterator<Item = (LineageId, u64, Option<PointId>)>, VoidReason> {
    let count = fence.lineages.len();
    let distinct = fence.lineages.iter().collect::<BTreeSet<_>>().len() == count;
    let named = fence.successors.is_empty() || fence.successors.len() == count;
    if count == 0 || !distinct || !named || fence.epochs.len() != count || fence.tips.len() != count {
        return Err(VoidReason::Malformed);
    }
    let epochs = fence.lineages.iter().zip(&fence.epochs);
    Ok(epochs.zip(&fence.tips).map(|((lineage, epoch), tip)| (*lineage, *epoch, *tip)))
}

impl State {
    pub(super) fn judge_fence(&self, fence: &Fence) -> Result<Vec<FenceEffect>, VoidReason> {
        let mut effects = Vec::new();
        for (lineage, epoch, tip) in rows(fence)? {
            if self.lineages.get(&lineage).is_some_and(|lineage| epoch <= lineage.epoch_max) || epoch == 0 {
                return Err(VoidReason::Epoch);
            }
            if self.latest(&lineage).map(|point| point.id) != tip {
                return Err(VoidReason::TipMismatch);
            }
            effects.push(FenceEffect { lineage, epoch, tip, split: false });
        }
        Ok(effects)
    }

    pub(super) fn judge_imported_fence(&self, import: &Import, fence: &Fence) -> Result<Vec<FenceEffect>, VoidReason> {
        if self.fences.values().any(|known| known.hash == import.hash) {
            return Err(VoidReason::OutOfOrder);
        }
        let mut effects = Vec::new();
        for (lineage, epoch, tip) in rows(fence)? {
            let present = self.epoch(&lineage);
            let holder = self.lineages.get(&lineage).and_then(|lineage| lineage.holder);
            let split = epoch == present && holder.is_some_and(|holder| holder != import.store);
            if epoch > present || split {
                effects.push(FenceEffect { lineage, epoch, tip, split });
            }
        }
        if effects.is_empty() { Err(VoidReason::Epoch) } else { Ok(effects) }
    }

    /// Lets the fence in `entry`, whose hash is `hash`, take effect.
    pub(super) fn change_fence(&mut self, entry: &Entry, fence: &Fence, hash: Hash, effects: Vec<FenceEffect>) {
        let own = entry.store == self.store();
        let mut done = Vec::new();
        for effect in effects {
            let lineage = self.lineages.entry(effect.lineage).or_default();
            if effect.split {
                lineage.split = true;
                continue;
            }
            let mut fenced = Fenced {
                lineage: effect.lineage,
                epoch: effect.epoch,
                epoch_before: lineage.epoch,
                holder_before: lineage.holder,
                used_before: lineage.used,
                split_before: lineage.split,
                branched: Vec::new(),
                lifted: false,
            };
            (lineage.epoch, lineage.holder) = (effect.epoch, Some(entry.store));
            (lineage.split, lineage.used) = (false, false);
            lineage.epoch_max = lineage.epoch_max.max(effect.epoch);
            if !own {
                fenced.branched = self.set_branches(&effect.lineage, effect.tip, &fence.basis);
            }
            done.push(fenced);
        }
        let info = FenceInfo {
            hash,
            store: entry.store,
            store_seq: entry.seq,
            signer: entry.signer,
            time_ms: entry.store_time_ms.unwrap_or(entry.time_ms),
            reason: fence.reason.clone(),
            lineages: done,
            unfenced: None,
            successors: fence.successors.iter().copied().zip(fence.lineages.iter().copied()).collect(),
        };
        self.fences.insert(self.next, info);
    }

    /// Marks this store's own points of the lineage that a peer's epoch did not build on: those after `tip`, or, if that
    /// is not live here, after the position of this log that the peer had seen. Returns the positions of those that it marked.
    pub(super) fn set_branches(&mut self, id: &LineageId, tip: Option<PointId>, basis: &[Head]) -> Vec<u64> {
        let (here, fingerprint_seq) = (self.store(), 0);
        let seen = basis.iter().find(|head| head.store == here).map_or(fingerprint_seq, |head| head.seq);
        let after = match tip {
            None => 0,
            Some(tip) => self.points.seq_of(&tip).unwrap_or(seen),
        };
        let Some(lineage) = self.lineages.get(id) else { return Vec::new() };
        let mut marked = Vec::new();
        for (_, _, seq) in lineage.points.iter().filter(|(_, _, seq)| *seq > after) {
            if let Some(point) = self.points.point_mut(*seq)
                && point.store == here
                && point.epoch < lineage.epoch
                && !point.branch
            {
                point.branch = true;
                marked.push(*seq);
            }
        }
        marked
    }

    /// An own fence is taken back as a whole or not at all.
    pub(super) fn judge_unfence(&self, unfence: &Unfence) -> Result<Lifted, VoidReason> {
        let (fence, info) = self.standing(self.store(), unfence)?;
        let lineages: Vec<usize> = (0..info.lineages.len()).collect();
        info.lineages.iter().try_for_each(|fenced| self.may_lift(fenced, info.store))?;
        Ok(Lifted { fence, lineages })
    }

    /// A peer's fence ends for those of its lineages that are here as it left them; there must be one.
    pub(super) fn judge_imported_unfence(&self, from: StoreId, unfence: &Unfence) -> Result<Lifted, VoidReason> {
        let (fence, info) = self.standing(from, unfence)?;
        let (mut lineages, mut refused) = (Vec::new(), VoidReason::FenceNotInForce);
        for (index, fenced) in info.lineages.iter().enumerate().filter(|(_, fenced)| !fenced.lifted) {
            match self.may_lift(fenced, info.store) {
                Ok(()) => lineages.push(index),
                Err(reason) => refused = reason,
            }
        }
        if lineages.is_empty() { Err(refused) } else { Ok(Lifted { fence, lineages }) }
    }

    /// Whether an IMPORT of that UNFENCE, from the store of the fence, would change anything here.
    pub fn may_import_unfence(&self, from: StoreId, fence: Hash) -> bool {
        self.judge_imported_unfence(from, &Unfence { fence }).is_ok()
    }

    /// The fence of `store` that is named, as long as it holds for a lineage.
    fn standing(&self, store: StoreId, unfence: &Unfence) -> Result<(u64, &FenceInfo), VoidReason> {
        let fits = |info: &FenceInfo| {
            info.hash == unfence.fence && info.store == store && info.lineages.iter().any(|fenced| !fenced.lifted)
        };
        let found = self.fences.iter().find(|(_, info)| fits(info)).ok_or(VoidReason::FenceNotInForce)?;
        Ok((*found.0, found.1))
    }

    /// Whether the lineage is as `holder`'s fence left it: nothing was built upon that.
    fn may_lift(&self, fenced: &Fenced, holder: StoreId) -> Result<(), VoidReason> {
        let lineage = self.lineages.get(&fenced.lineage).ok_or(VoidReason::FenceNotInForce)?;
        if lineage.split {
            return Err(VoidReason::Split);
        }
        let is_its_own = lineage.epoch == fenced.epoch && lineage.holder == Some(holder);
        if !is_its_own || (self.rules.fence_used && lineage.used) {
            return Err(VoidReason::FenceUsed);
        }
        Ok(())
    }

    /// Restores what the fence replaced: epoch, holder, and the points that it had left aside.
    pub(super) fn change_unfence(&mut self, lifted: &Lifted, unfence: Head) {
        let Some(info) = self.fences.get_mut(&lifted.fence) else { return };
        info.unfenced = Some(unfence);
        for index in &lifted.lineages {
            let Some(fenced) = info.lineages.get_mut(*index) else { continue };
            fenced.lifted = true;
            if let Some(lineage) = self.lineages.get_mut(&fenced.lineage) {
                lineage.epoch = fenced.epoch_before;
                lineage.holder = fenced.holder_before;
                (lineage.used, lineage.split) = (fenced.used_before, fenced.split_before);
            }
            for seq in std::mem::take(&mut fenced.branched) {
                if let Some(point) = self.points.point_mut(seq) {
                    point.branch = false;
                }
            }
        }
    }
}
