//! Kinds of log entries.

/// What an entry does; the number is what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Kind {
    /// Admits or revokes a signer, or names a domain's public key.
    Key = 1,
    /// A writer begins.
    SessionOpen = 2,
    /// A recovery point.
    Commit = 3,
    /// A writer gives up.
    Abort = 4,
    /// Another declares a writer dead.
    Kill = 5,
    /// A peer's point or fence takes effect here, or ceases to.
    Import = 6,
    /// A new epoch for lineages.
    Fence = 7,
    /// Takes a fence back.
    Unfence = 8,
    /// A collection announces what it may drop or move.
    GcMark = 9,
    /// Takes objects out of the open collection.
    Rescue = 10,
    /// A collection drops and moves.
    GcCommit = 11,
    /// Keeps points from deletion.
    Hold = 12,
    /// Ends a hold.
    Release = 13,
    /// Ends the life of points.
    Delete = 14,
    /// Raises what a reader or writer must understand.
    Upgrade = 15,
    /// Objects that are missing or damaged.
    Lost = 16,
    /// Settles a damaged slot.
    Void = 17,
    /// Points were checked.
    Verified = 18,
    /// Another store of the family.
    Link = 19,
    /// The folded state was stored.
    Checkpoint = 20,
    /// How long points are kept at least.
    Retention = 21,
    /// Lost objects are there again.
    Found = 22,
}

impl Kind {
    /// Every kind, in the order of its number.
    pub const ALL: [Kind; 22] = [
        Kind::Key,
        Kind::SessionOpen,
        Kind::Commit,
        Kind::Abort,
        Kind::Kill,
        Kind::Import,
        Kind::Fence,
        Kind::Unfence,
        Kind::GcMark,
        Kind::Rescue,
        Kind::GcCommit,
        Kind::Hold,
        Kind::Release,
        Kind::Delete,
        Kind::Upgrade,
        Kind::Lost,
        Kind::Void,
        Kind::Verified,
        Kind::Link,
        Kind::Checkpoint,
        Kind::Retention,
        Kind::Found,
    ];

    /// The stored number.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The kind with this number, if this version knows it.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The name in `docs/FORMAT.md`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Key => "KEY",
            Kind::SessionOpen => "SESSION_OPEN",
            Kind::Commit => "COMMIT",
            Kind::Abort => "ABORT",
            Kind::Kill => "KILL",
            Kind::Import => "IMPORT",
            Kind::Fence => "FENCE",
            Kind::Unfence => "UNFENCE",
            Kind::GcMark => "GC_MARK",
            Kind::Rescue => "RESCUE",
            Kind::GcCommit => "GC_COMMIT",
            Kind::Hold => "HOLD",
            Kind::Release => "RELEASE",
            Kind::Delete => "DELETE",
            Kind::Upgrade => "UPGRADE",
            Kind::Lost => "LOST",
            Kind::Void => "VOID",
            Kind::Verified => "VERIFIED",
            Kind::Link => "LINK",
            Kind::Checkpoint => "CHECKPOINT",
            Kind::Retention => "RETENTION",
            Kind::Found => "FOUND",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
