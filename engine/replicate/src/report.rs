//! What a replication did, and what it could not do.

use std::collections::BTreeMap;

use firn_format::{Hash, LineageId, ObjectName, PointId, StoreId, TimeMs, VoidReason};
use firn_repo::Class;

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Points that became live in the target, in the order in which they did.
    pub points: Vec<PointId>,
    /// Those of them that the source had imported from a third store itself.
    pub points_carried: Vec<PointId>,
    /// Hashes of the FENCE entries that took effect in the target.
    pub fences: Vec<Hash>,
    /// Hashes of the UNFENCE entries that did: what those fences left aside is ordinary again.
    pub unfences: Vec<Hash>,
    /// Lost objects of the target that are there again, by the names under which they were lost.
    pub found: Vec<ObjectName>,
    /// Points of the target that are whole again because of that.
    pub mended: Vec<PointId>,
    /// Objects that were sent, each read back and hashed.
    pub objects_copied: u64,
    /// Their bytes.
    pub bytes_copied: u64,
    /// Objects that an earlier run had sent and that were verified by reading. Those of points in the target are not
    /// counted.
    pub objects_there: u64,
    /// Their bytes.
    pub bytes_there: u64,
    /// Log entries that were added to the mirror.
    pub entries_mirrored: u64,
    /// Key objects that the target lacked.
    pub keys_copied: usize,
    /// How each of the source's lineages stands in the target now.
    pub lineages: BTreeMap<LineageId, LineageReport>,
    /// The source's live points of an epoch that is over, which a fence left aside or for which the target heard of the fence too
    /// early: they stay in the source, and can be restored from there.
    pub left_aside: Vec<PointId>,
    /// What did not arrive, and why. The rest did.
    pub problems: Vec<Problem>,
}

/// How a lineage stands in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineageReport {
    /// The newest live point in the target, all of whose objects were hashed there.
    pub newest: Option<PointId>,
    /// When that was committed, by its store's clock if it said one. When it was cut is sealed in its summary.
    pub committed_ms: Option<TimeMs>,
    /// How long ago that was.
    pub age_ms: Option<TimeMs>,
    /// Points of the source that are still to come.
    pub points_behind: usize,
}

/// What kept a point, a fence or a lineage from the target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An object is missing or damaged at the source.
    #[error("point {} did not arrive: at the source, {name}: {detail}", point.short())]
    SourceObject {
        /// The first point that lacks it.
        point: PointId,
        /// The object.
        name: ObjectName,
        /// What is wrong.
        detail: String,
    },
    /// An object lies damaged in the target, under a name that cannot be created again until a collection ended it.
    #[error("point {} did not arrive: in the target, {name}: {detail}", point.short())]
    TargetObject {
        /// The first point that lacks it.
        point: PointId,
        /// The object.
        name: ObjectName,
        /// What is wrong.
        detail: String,
    },
    /// The log entry is neither in the mirror nor in the source as the source's state knows it.
    #[error("entry {seq} of the log of store {} cannot be read as it was written, so it was not imported", store.short())]
    Entry {
        /// The store in whose log it is: the source, or one that the source imported it from.
        store: StoreId,
        /// Its position.
        seq: u64,
    },
    /// A third store's entry is by a signer whom nobody admitted there, as far as the source mirrors that store's log.
    #[error(
        "entry {seq} of the log of store {} was not carried on: the source's mirror does not prove its signer",
        store.short()
    )]
    Unproven {
        /// The third store.
        store: StoreId,
        /// The position there.
        seq: u64,
    },
    /// What the source mirrors of a third store's log does not hold together.
    #[error("the source's mirror of store {} contradicts itself at {seq}", store.short())]
    Mirror {
        /// The third store.
        store: StoreId,
        /// The position there.
        seq: u64,
    },
    /// The target's log would not take it.
    #[error("entry {seq} of the log of store {} was refused: {reason}", store.short())]
    Refused {
        /// The store in whose log it is.
        store: StoreId,
        /// Its position.
        seq: u64,
        /// The rule.
        reason: VoidReason,
    },
    /// The IMPORT would be longer than an entry may be.
    #[error("entry {seq} of the log of store {} is too long to be imported", store.short())]
    TooLong {
        /// The store in whose log it is.
        store: StoreId,
        /// Its position.
        seq: u64,
    },
    /// Objects that points of the target need are lost, and the source has not got them whole either.
    #[error(
        "in the target, {objects} objects that points need are lost and did not come back, such as {name}: {detail}"
    )]
    Lost {
        /// How many.
        objects: usize,
        /// One of them.
        name: ObjectName,
        /// Why it did not come back.
        detail: String,
    },
    /// Two stores fenced a lineage with the same epoch: nothing of it is imported until the owner fences higher.
    #[error("lineage {} was fenced twice with one epoch; nothing of it is imported until it is fenced higher", lineage.short())]
    Split {
        /// The lineage.
        lineage: LineageId,
    },
    /// The source's log is damaged: what was before arrived.
    #[error("the source's log is damaged at position {seq}; what lies behind that did not arrive")]
    SourceLog {
        /// The position.
        seq: u64,
    },
}

impl Problem {
    /// What it means for the exit code.
    pub fn class(&self) -> Class {
        match self {
            Self::SourceObject { .. }
            | Self::TargetObject { .. }
            | Self::Lost { .. }
            | Self::Entry { .. }
            | Self::Mirror { .. }
            | Self::SourceLog { .. } => Class::Damaged,
            Self::Split { .. } | Self::Unproven { .. } => Class::Security,
            Self::Refused { .. } | Self::TooLong { .. } => Class::Failed,
        }
    }
}

impl Report {
    /// The gravest of the problems: a security stop, then damage, then the rest; `None` if there is none.
    pub fn class(&self) -> Option<Class> {
        let gravity = |class: &Class| match class {
            Class::Security => 3,
            Class::Damaged => 2,
            Class::Failed => 1,
            Class::Usage => 0,
        };
        self.problems.iter().map(Problem::class).max_by_key(gravity)
    }
}
