//! FENCE and UNFENCE: who may add points to a lineage.

use std::collections::BTreeSet;

use crate::ids::{Hash, LineageId, PointId};
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
            if epoch <= self.epoch(&lineage) {
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
            if !own {
                let to = lineage.imported.entry(entry.store).or_default();
                *to = entry.seq.max(*to);
            }
            if effect.split {
                lineage.split = true;
                continue;
            }
            done.push(Fenced {
                lineage: effect.lineage,
                epoch: effect.epoch,
                epoch_before: lineage.epoch,
                holder_before: lineage.holder,
                used_before: lineage.used,
            });
            (lineage.epoch, lineage.holder) = (effect.epoch, Some(entry.store));
            (lineage.split, lineage.used) = (false, false);
            if !own {
                self.set_branches(&effect.lineage, effect.tip, &fence.basis);
            }
        }
        let info = FenceInfo {
            hash,
            store: entry.store,
            store_seq: entry.seq,
            signer: entry.signer,
            time_ms: entry.store_time_ms.unwrap_or(entry.time_ms),
            reason: fence.reason.clone(),
            lineages: done,
            unfenced: false,
            successors: fence.successors.iter().copied().zip(fence.lineages.iter().copied()).collect(),
        };
        self.fences.insert(self.next, info);
    }

    /// Marks this store's own points of the lineage that a peer's epoch did not build on: those after `tip`, or, if that
    /// is not live here, after the position of this log that the peer had seen.
    pub(super) fn set_branches(&mut self, id: &LineageId, tip: Option<PointId>, basis: &[Head]) {
        let (here, fingerprint_seq) = (self.store(), 0);
        let seen = basis.iter().find(|head| head.store == here).map_or(fingerprint_seq, |head| head.seq);
        let after = match tip {
            None => 0,
            Some(tip) => self.points.seq_of(&tip).unwrap_or(seen),
        };
        let Some(lineage) = self.lineages.get(id) else { return };
        for seq in lineage.points.range(after + 1..) {
            if let Some(point) = self.points.point_mut(*seq)
                && point.store == here
                && point.epoch < lineage.epoch
            {
                point.branch = true;
            }
        }
    }

    /// The position of the fence that is taken back.
    pub(super) fn judge_unfence(&self, unfence: &Unfence) -> Result<u64, VoidReason> {
        let here = self.store();
        let fits = |info: &FenceInfo| info.hash == unfence.fence && info.store == here && !info.unfenced;
        let (seq, info) = self.fences.iter().find(|(_, info)| fits(info)).ok_or(VoidReason::FenceNotInForce)?;
        for fenced in &info.lineages {
            let lineage = self.lineages.get(&fenced.lineage).ok_or(VoidReason::FenceNotInForce)?;
            if lineage.epoch != fenced.epoch || lineage.used || lineage.split {
                return Err(VoidReason::FenceUsed);
            }
        }
        Ok(*seq)
    }

    /// Restores what the fence replaced.
    pub(super) fn change_unfence(&mut self, unfence: &Unfence) {
        let Ok(seq) = self.judge_unfence(unfence) else { return };
        let Some(info) = self.fences.get_mut(&seq) else { return };
        info.unfenced = true;
        for fenced in &info.lineages {
            if let Some(lineage) = self.lineages.get_mut(&fenced.lineage) {
                lineage.epoch = fenced.epoch_before;
                lineage.holder = fenced.holder_before;
                lineage.used = fenced.used_before;
            }
        }
    }
}
