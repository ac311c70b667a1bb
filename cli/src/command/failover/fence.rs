//! Fence: the end of the primary's right to write, given once for one failover, however often that is begun.

use firn_format::log::{Fence, Head};
use firn_format::state::FenceInfo;
use firn_format::{LineageId, Payload, Progress as _, State, TimeMs};
use firn_repo::{PointInfo, Repository};

use super::{Failover, Lost};
use crate::destination::Destination;
use crate::peers;

/// What the fence came to.
pub(super) struct Fenced {
    /// The epoch of each point's lineage.
    pub(super) epochs: Vec<u64>,
    /// When an earlier run of this failover fenced, if one did.
    pub(super) since_ms: Option<TimeMs>,
}

/// The own fence that gives this store the lineage, as long as nothing was built upon it and `successor` continues it.
fn holding<'s>(state: &'s State, lineage: &LineageId, successor: Option<&LineageId>) -> Option<&'s FenceInfo> {
    let epoch = state.epoch(lineage);
    let holds = |fence: &FenceInfo| {
        fence.store == state.store()
            && fence.unfenced.is_none()
            && fence.lineages.iter().any(|fenced| fenced.lineage == *lineage && fenced.epoch == epoch)
            && successor.is_none_or(|successor| fence.successors.contains(&(*successor, *lineage)))
    };
    let is_used = || state.points_of(lineage).any(|point| point.epoch == epoch);
    let fence = state.fences().values().rev().find(|fence| holds(fence))?;
    (state.may_commit(lineage) && !is_used()).then_some(fence)
}

impl Failover<'_> {
    /// The fence of an earlier run of this failover that still holds the point's lineage.
    pub(super) fn held(&self, point: &PointInfo) -> Option<&FenceInfo> {
        holding(self.repository.state(), &point.lineage, self.successor(point).as_ref())
    }

    /// Ends the primary's right to write: from here on this store's epoch is the higher one. What an earlier run of this
    /// failover has fenced is not fenced again.
    pub(super) fn fence(&mut self, cluster: &Lost, points: &[PointInfo]) -> anyhow::Result<Fenced> {
        let since_ms = points.iter().filter_map(|point| self.held(point)).map(|fence| fence.time_ms).min();
        let wanted: Vec<(LineageId, Option<LineageId>)> =
            points.iter().map(|point| (point.lineage, self.successor(point))).collect();
        let basis: Vec<Head> = match &self.primary.repository {
            Some(primary) => {
                let head = primary.head();
                vec![Head { store: primary.state().store(), seq: head.seq, hash: head.hash }]
            }
            None => peers::mirror_heads(&self.repository)?,
        };
        let primary = self.primary.repository.as_ref().map(Repository::state);
        // One that the primary's store has given, and this one never heard of, is not given again.
        let primary_epoch = |lineage: &LineageId| primary.map_or(0, |state| state.next_epoch(lineage));
        let reason = format!("failover of {} to {}", cluster.name, self.destination.name());
        self.repository.append_with(self.keyring.signing_key()?, |state| {
            let open = || wanted.iter().filter(|(lineage, next)| holding(state, lineage, next.as_ref()).is_none());
            if open().next().is_none() {
                return Ok(None);
            }
            Ok(Some(Payload::Fence(Fence {
                lineages: open().map(|(lineage, _)| *lineage).collect(),
                epochs: open().map(|(lineage, _)| state.next_epoch(lineage).max(primary_epoch(lineage))).collect(),
                basis: basis.clone(),
                reason: reason.clone(),
                tips: open().map(|(lineage, _)| state.latest(lineage).map(|point| point.id)).collect(),
                successors: open().filter_map(|(_, successor)| *successor).collect(),
            })))
        })?;
        let state = self.repository.state();
        Ok(Fenced { epochs: wanted.iter().map(|(lineage, _)| state.epoch(lineage)).collect(), since_ms })
    }

    /// The lineage that the destination would begin by itself: it continues the fenced one.
    fn successor(&self, point: &PointInfo) -> Option<LineageId> {
        let Destination::Cluster { facts, .. } = &self.destination else { return None };
        Some(self.keyring.lineage(&facts.uid, &point.summary.as_ref()?.policy))
    }

    /// Tells the primary's store, if it answers. `None`: nobody knows of one.
    pub(super) fn fence_primary(&mut self) -> Option<bool> {
        self.primary.url.as_ref()?;
        let Some(primary) = &mut self.primary.repository else { return Some(false) };
        let key = self.keyring.signing_key().ok()?;
        match firn_replicate::import_fences(&mut self.repository, primary, key) {
            Ok(_) => Some(true),
            Err(error) => {
                self.terminal.note(&format!("the primary could not be fenced: {:#}", anyhow::Error::from(error)));
                Some(false)
            }
        }
    }
}
