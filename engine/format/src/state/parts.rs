//! The smaller things that a state is made of.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use super::objects::ObjectNo;
use crate::clock::TimeMs;
use crate::ids::{CollectionId, Hash, LineageId, PointId, RunId, SessionId, Signer, StoreId};
use crate::log::{Head, Roles};

/// A lineage's epoch and who commits under it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Lineage {
    /// The present epoch.
    #[n(0)]
    pub epoch: u64,
    /// The store that commits under it; `None` until there is a point or a fence.
    #[n(1)]
    pub holder: Option<StoreId>,
    /// Two stores fenced it with the same epoch: nothing is imported until the owner fences higher.
    #[n(2)]
    pub split: bool,
    /// Whether there was a point of the present epoch.
    #[n(3)]
    pub(crate) used: bool,
    /// Per peer, the position of the newest entry that was imported.
    #[n(4)]
    pub(crate) imported: BTreeMap<StoreId, u64>,
    /// The highest epoch that it ever had here, given back or not: the next fence gives a higher one.
    #[n(5)]
    pub(crate) epoch_max: u64,
    /// Per peer, the positions of entries that an import passed over: they may still come.
    #[n(6)]
    pub(crate) passed: BTreeMap<StoreId, BTreeSet<u64>>,
    /// Its live points; not stored, as the points say it.
    #[cbor(skip)]
    pub(crate) points: BTreeSet<Place>,
}

/// Where a point stands in its lineage: its epoch, its position in the log of that epoch's holder, its position here.
pub(crate) type Place = (u64, u64, u64);

impl Lineage {
    /// The position in `store`'s log of the newest point that was imported for this lineage; 0: none.
    pub fn imported_to(&self, store: &StoreId) -> u64 {
        self.imported.get(store).copied().unwrap_or(0)
    }

    /// Whether the entry at `seq` of `store`'s log may be imported as far as the order goes: it is behind all that were, or
    /// an import passed it over.
    pub fn may_import(&self, store: &StoreId, seq: u64) -> bool {
        seq > self.imported_to(store) || self.passed.get(store).is_some_and(|passed| passed.contains(&seq))
    }
}

/// An open session.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Session {
    /// The attempt.
    #[n(0)]
    pub run: RunId,
    /// What it writes for.
    #[n(1)]
    pub lineage: LineageId,
    /// Under which epoch.
    #[n(2)]
    pub epoch: u64,
    /// The point that it builds on and holds.
    #[n(3)]
    pub parent: Option<PointId>,
    /// Where it was opened.
    #[n(4)]
    pub seq: u64,
    /// When, by the store's clock if it said one.
    #[n(5)]
    pub time_ms: TimeMs,
    /// Who opened it.
    #[n(6)]
    pub signer: Signer,
}

/// The open collection.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Collection {
    /// Its id.
    #[n(0)]
    pub id: CollectionId,
    /// Where it was marked.
    #[n(1)]
    pub seq: u64,
    /// When, by the store's clock if it said one.
    #[n(2)]
    pub time_ms: TimeMs,
    /// Sessions that were open at the mark and are still: until they end, no unlisted object may be dropped.
    #[n(3)]
    pub barrier: BTreeSet<SessionId>,
    #[n(4)]
    pub(crate) candidates: BTreeSet<ObjectNo>,
    #[n(5)]
    pub(crate) rescued: BTreeSet<ObjectNo>,
}

/// A hold on points.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HoldInfo {
    /// What is held.
    #[n(0)]
    pub points: Vec<PointId>,
    /// For people.
    #[n(1)]
    pub reason: String,
    /// When it should have ended; advice only.
    #[n(2)]
    pub until_ms: Option<TimeMs>,
    /// When it began, by the store's clock if it said one.
    #[n(3)]
    pub time_ms: TimeMs,
    /// Who holds.
    #[n(4)]
    pub signer: Signer,
}

/// An admitted signer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignerInfo {
    /// What it may append.
    #[n(0)]
    pub roles: Roles,
    /// For people.
    #[n(1)]
    pub label: String,
}

/// What a fence did to one lineage.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Fenced {
    /// The lineage.
    #[n(0)]
    pub lineage: LineageId,
    /// Its epoch from then on.
    #[n(1)]
    pub epoch: u64,
    /// Its epoch before.
    #[n(2)]
    pub epoch_before: u64,
    /// Who committed under that.
    #[n(3)]
    pub holder_before: Option<StoreId>,
    #[n(4)]
    pub(crate) used_before: bool,
    #[n(5)]
    pub(crate) split_before: bool,
    /// Positions of points that it made a branch.
    #[n(6)]
    pub(crate) branched: Vec<u64>,
    /// Whether it was taken back here for this lineage.
    #[n(7)]
    pub(crate) lifted: bool,
}

/// A fence, own or imported.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FenceInfo {
    /// The hash of the FENCE entry: what UNFENCE names.
    #[n(0)]
    pub hash: Hash,
    /// The store in whose log it is.
    #[n(1)]
    pub store: StoreId,
    /// Its position there.
    #[n(2)]
    pub store_seq: u64,
    /// Who fenced.
    #[n(3)]
    pub signer: Signer,
    /// When, by that store's clock if it said one.
    #[n(4)]
    pub time_ms: TimeMs,
    /// For people.
    #[n(5)]
    pub reason: String,
    /// What it did here.
    #[n(6)]
    pub lineages: Vec<Fenced>,
    /// The UNFENCE that took it back, in its store's log; an imported one may still hold for lineages that moved on here.
    #[n(7)]
    pub unfenced: Option<Head>,
    /// Pairs of a lineage that the cluster which took over would begin by itself, and the fenced one that it continues.
    #[cbor(n(8), default)]
    pub successors: Vec<(LineageId, LineageId)>,
}
