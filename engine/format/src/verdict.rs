//! What the fold says about one slot of the log.

use crate::ids::Hash;

/// What one slot came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The entry took effect.
    Applied,
    /// An authentic entry that breaks a rule at its place; it does nothing, for everybody.
    Void(VoidReason),
    /// The owner voided this damaged slot, or has just done so: the state wants the slots after it (again).
    Settled,
    /// This slot is damaged, or an earlier one is: nothing took effect. See [`crate::State::damage`].
    Damaged,
    /// The entry needs a newer Firn: nothing took effect and nothing will.
    Newer,
}

/// Why an authentic entry does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum VoidReason {
    /// Its payload cannot be decoded, or contradicts itself.
    #[error("the payload is malformed")]
    Malformed,
    /// The kind is not known and not critical.
    #[error("the kind is not known")]
    UnknownKind,
    /// The signer is not admitted, or lacks the role.
    #[error("the signer may not append this kind")]
    NotAllowed,
    /// No owner would be left.
    #[error("no owner would be left")]
    LastOwner,
    /// The key names a signer or a generation that is already there, or not there.
    #[error("the key is not as the entry supposes")]
    KeyMismatch,
    /// The session id was used before.
    #[error("the session id was used before")]
    SessionReused,
    /// The session is not open.
    #[error("the session is not open")]
    SessionNotOpen,
    /// Run, lineage, epoch or parent differ from what the session was opened with.
    #[error("the session was opened for something else")]
    SessionMismatch,
    /// The parent is not a live point of the lineage, or belongs to a branch.
    #[error("the parent is not a live point of the lineage")]
    ParentNotLive,
    /// The epoch is not the lineage's; a fence's is not higher than any that the lineage had.
    #[error("the epoch is not one that the lineage may have now")]
    Epoch,
    /// Another store holds the lineage's epoch.
    #[error("another store holds the lineage")]
    HeldElsewhere,
    /// Two stores fenced the lineage with the same epoch.
    #[error("two stores hold the lineage's epoch")]
    Split,
    /// It needs a name that a collection ended.
    #[error("a collection dropped an object that is needed")]
    DeadName,
    /// It needs a name that LOST listed.
    #[error("an object that is needed is lost")]
    LostName,
    /// The object is not lost, or what it names is not where that object's bytes may lie.
    #[error("the object is not lost, or may not lie there")]
    NotLost,
    /// It needs a candidate of the open collection and does not rescue it.
    #[error("a candidate of the open collection is needed but not rescued")]
    NotRescued,
    /// References were checked before the newest collection.
    #[error("a collection came after the references were checked")]
    StaleCollection,
    /// The imported entry is not what the import says, or of a kind that is not imported.
    #[error("the imported entry is not what the import says")]
    ImportMismatch,
    /// The imported entry is this store's own.
    #[error("the imported entry is this store's own")]
    OwnEntry,
    /// The entry, or a later one of its lineage, was imported before.
    #[error("the entry, or a later one, was imported before")]
    OutOfOrder,
    /// The parent is not here as the peer knows it, and the import does not say all that the point needs.
    #[error("the import must name all needs")]
    NeedsMissing,
    /// The point is not live.
    #[error("the point is not live")]
    PointNotLive,
    /// A hold or an open session keeps the point.
    #[error("the point is held")]
    PointHeld,
    /// The tips that a fence names are not the lineages' latest points.
    #[error("the fence does not name the latest points")]
    TipMismatch,
    /// There is no such fence, or it is not in force here.
    #[error("the fence is not in force")]
    FenceNotInForce,
    /// A point or a fence followed the fence.
    #[error("the fence was built upon")]
    FenceUsed,
    /// The collection is not the open one.
    #[error("the collection is not open")]
    CollectionNotOpen,
    /// The name is not a candidate of the open collection, or was rescued.
    #[error("the object is not a candidate of the open collection")]
    NotCandidate,
    /// A live point needs the object.
    #[error("a live point needs the object")]
    Needed,
    /// A session that was open at the mark is still open.
    #[error("a session that was open at the mark is still open")]
    SessionBarrier,
    /// The hold id is in use, or not in use.
    #[error("the hold is not as the entry supposes")]
    HoldMismatch,
    /// It would lower a minimum.
    #[error("a minimum cannot be lowered")]
    Lowered,
    /// The voided slot is not damaged, not earlier, or settled by a checkpoint.
    #[error("the slot is not a damaged one")]
    NotDamaged,
}

/// What is wrong with a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing lies there, but entries follow.
    #[error("nothing lies there")]
    Missing,
    /// The bytes are no entry, or the signature is not its signer's.
    #[error("the bytes are no signed entry")]
    NotAnEntry,
    /// An entry of another store or position.
    #[error("the entry belongs elsewhere")]
    Misplaced,
    /// It does not name the bytes in the slot before.
    #[error("the chain is broken")]
    BrokenChain,
}

/// A free slot: where the next entry goes, and what it must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The position.
    pub seq: u64,
    /// The hash of the bytes in the slot before.
    pub prev: Hash,
}

/// A damaged slot. The state stands before it; nobody appends or collects, except that the owner may append VOID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("log entry {seq} is damaged: {fault}")]
pub struct Damage {
    /// Which slot.
    pub seq: u64,
    /// The hash of what lies there; zeros: nothing.
    pub hash: Hash,
    /// What is wrong.
    pub fault: Fault,
    /// The hash of what lay there, as the next entry says: what to look for in a mirror.
    pub original: Option<Hash>,
    /// Where the owner's VOID goes: behind the last slot that was fed.
    pub free: Position,
    /// A later CHECKPOINT that was seen, by a signer known before the damage: what it says holds without this slot, and no
    /// VOID is possible or needed.
    pub checkpoint: Option<u64>,
}

/// Why nobody may append.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// A slot is damaged.
    #[error(transparent)]
    Damaged(Box<Damage>),
    /// The log asks for a newer Firn.
    #[error("the log needs a newer Firn: {needs}")]
    Newer {
        /// What is not known here.
        needs: String,
    },
}
