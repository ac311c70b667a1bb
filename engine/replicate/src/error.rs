//! Why a replication ended early. What arrived stays, and the next run goes on from there.

use firn_format::StoreId;
use firn_repo::{Class, LogHead, RepoError};
use firn_store::StoreError;

/// Why a replication ended. What concerns single points is a [`crate::Problem`] of the report instead.
#[derive(Debug, thiserror::Error)]
pub enum ReplicateError {
    /// One of the two repositories refused or failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// One of the two stores failed.
    #[error("cannot {doing}; nothing was lost, and the next run goes on from here")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// What the store said.
        #[source]
        source: StoreError,
    },
    /// Both ends are one and the same log.
    #[error("{from} and {to} are the same repository; a replica is made with `firn init --replica-of`")]
    Itself {
        /// The source.
        from: String,
        /// The target.
        to: String,
    },
    /// The two ends have different keys.
    #[error("{from} and {to} are of different families; a replica is made with `firn init --replica-of`")]
    OtherFamily {
        /// The source.
        from: String,
        /// The target.
        to: String,
    },
    /// The source's log ends before what the target has seen of it.
    #[error("the log of {from} was rolled back: it ends at {found}, the target has seen {seen}; nothing was imported")]
    RolledBack {
        /// The source.
        from: String,
        /// The newest entry in the target's mirror.
        seen: LogHead,
        /// The source's newest entry.
        found: LogHead,
    },
    /// The source's log differs from what the target has seen of it.
    #[error(
        "the log of {from} was forked: at {seen}, as the target has seen it, now lies {found}; nothing was imported"
    )]
    Forked {
        /// The source.
        from: String,
        /// What the target's mirror holds.
        seen: LogHead,
        /// What lies there in the source now.
        found: LogHead,
    },
    /// What the target has seen of the source's log cannot be compared with it.
    #[error("the newest mirrored entries in {to}, up to {seq}, prove nothing about {from}; nothing was imported")]
    NoEvidence {
        /// The source.
        from: String,
        /// The target.
        to: String,
        /// The newest of them.
        seq: u64,
    },
    /// A peer's log is damaged, so that it cannot be said what it fences.
    #[error("the log of {url} is damaged at position {seq}; what it says behind that is not known")]
    PeerDamaged {
        /// The peer.
        url: String,
        /// The position.
        seq: u64,
    },
    /// A peer passes on a third store's fence, and its mirror of that store does not prove who signed it.
    #[error("{url} says that store {} fenced at {seq}, and cannot prove who signed that", store.short())]
    PeerUnproven {
        /// The peer.
        url: String,
        /// The third store.
        store: StoreId,
        /// The position there.
        seq: u64,
    },
    /// Somebody asked to stop.
    #[error(
        "stopped after {points} points and {objects} objects had arrived; nothing was lost; run it again to go on from there"
    )]
    Stopped {
        /// Points that arrived whole in this run.
        points: usize,
        /// Objects that were sent in this run: the next one finds them.
        objects: u64,
    },
    /// The system gave no thread.
    #[error("cannot start a thread")]
    Thread {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A thread ended without a result.
    #[error("a copying thread ended unexpectedly")]
    ThreadDied,
}

impl ReplicateError {
    /// What it means for the exit code.
    pub fn class(&self) -> Class {
        match self {
            Self::Repo(source) => source.class(),
            Self::Itself { .. } | Self::OtherFamily { .. } => Class::Usage,
            Self::RolledBack { .. } | Self::Forked { .. } | Self::NoEvidence { .. } | Self::PeerUnproven { .. } => {
                Class::Security
            }
            Self::PeerDamaged { .. } => Class::Damaged,
            Self::Store { .. } | Self::Stopped { .. } | Self::Thread { .. } | Self::ThreadDied => Class::Failed,
        }
    }

    /// Whether trying again, unchanged, is pointless.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Repo(source) => source.is_permanent(),
            Self::Store { source, .. } => source.is_permanent(),
            Self::Stopped { .. } | Self::Thread { .. } => false,
            _ => true,
        }
    }
}
