//! What can go wrong with a repository, in words for the person who must act.

use firn_format::{BlobId, FormatError, ObjectName, PointId};
use firn_store::StoreError;

/// What an error means for the exit code and for what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The work was not done; nothing was lost.
    Failed,
    /// Damaged or missing data was found.
    Damaged,
    /// A security stop: wrong key, rollback, fork.
    Security,
    /// The request itself is wrong.
    Usage,
}

/// A position in a log and the hash of what lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHead {
    /// The position; 0 is the FORMAT.
    pub seq: u64,
    /// Hash of the stored bytes there.
    pub hash: firn_format::Hash,
}

impl std::fmt::Display for LogHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.seq, self.hash.short())
    }
}

/// A log that is not the one that this machine has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diverged {
    /// The store.
    pub url: String,
    /// What this machine has seen.
    pub seen: LogHead,
    /// What lies there now.
    pub found: LogHead,
    /// The file that remembers what was seen.
    pub cache: String,
}

impl Diverged {
    fn advice(&self) -> String {
        format!("nothing was changed; if that was done on purpose, remove {}", self.cache)
    }
}

/// Why a verb of the repository did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// The store failed.
    #[error("cannot {doing}; nothing was lost")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// What the store said.
        #[source]
        source: StoreError,
    },
    /// Bytes could not be made or understood.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// No FORMAT lies there.
    #[error("there is no repository at {url}; `firn init` makes one")]
    NotARepository {
        /// The store.
        url: String,
    },
    /// No FORMAT lies there, and other objects of a repository do.
    #[error(
        "the repository at {url} has lost its FORMAT, while {name} is there; without a copy of that file nothing in it can be \
         opened; its replicas have all that was replicated"
    )]
    FormatMissing {
        /// The store.
        url: String,
        /// An object of it.
        name: String,
    },
    /// A FORMAT lies there already.
    #[error("there is a repository at {url} already; nothing was changed")]
    AlreadyARepository {
        /// The store.
        url: String,
    },
    /// The store holds something else.
    #[error("{url} is not empty: it holds `{name}`; nothing was changed; choose an empty place")]
    NotEmpty {
        /// The store.
        url: String,
        /// The first object that is not Firn's.
        name: String,
    },
    /// The log's entries need a newer Firn.
    #[error("the repository at {url} needs a newer Firn: {needs}; nothing was changed")]
    Newer {
        /// The store.
        url: String,
        /// What it asks for.
        needs: String,
    },
    /// The log ends before what this machine has seen.
    #[error("the log of {} was rolled back: it ends at {}, this machine has seen {}; {}", .0.url, .0.found, .0.seen, .0.advice())]
    RolledBack(Box<Diverged>),
    /// The log differs from what this machine has seen.
    #[error("the log of {} was forked: at {}, as this machine has seen it, now lies {}; {}", .0.url, .0.seen, .0.found, .0.advice())]
    Forked(Box<Diverged>),
    /// The log is damaged: it can be read up to there, and nothing may be written.
    #[error(
        "the log of {url} is damaged at position {seq}: {detail}; points before it can be restored, \
         nothing is written until it is mended"
    )]
    LogDamaged {
        /// The store.
        url: String,
        /// The position.
        seq: u64,
        /// What is wrong there.
        detail: String,
    },
    /// No key object opens with this secret.
    #[error("wrong key: the secret opens none of the {tried} keys of {url}")]
    WrongKey {
        /// The store.
        url: String,
        /// How many key objects were tried.
        tried: usize,
    },
    /// There is no key object, or none that can be read.
    #[error("the keys of {url} are damaged or missing: {detail}")]
    KeysDamaged {
        /// The store.
        url: String,
        /// What was found.
        detail: String,
    },
    /// This secret does not hold the key that the work needs.
    #[error("this key may not {what}; use the owner's passphrase or kit")]
    NotAllowed {
        /// What was asked.
        what: &'static str,
    },
    /// The entry would be void at its place.
    #[error("{what} is refused: {reason}; nothing was changed")]
    Refused {
        /// The kind of entry.
        what: &'static str,
        /// Which rule it breaks.
        reason: firn_format::VoidReason,
    },
    /// Others took every place in the log that this one tried.
    #[error("the log of {url} is too busy: {tries} places were taken by others; nothing was changed, try again")]
    Busy {
        /// The store.
        url: String,
        /// How many places were tried.
        tries: u32,
    },
    /// The store did not tell whether it took the entry.
    #[error("it is not known whether {name} was stored; nothing was lost; look again before repeating it")]
    Uncertain {
        /// The object.
        name: String,
        /// What the store said.
        #[source]
        source: StoreError,
    },
    /// What was put is not what lies there.
    #[error("{name} reads back differently from what was written; the store is not to be trusted")]
    ReadBack {
        /// The object.
        name: String,
    },
    /// A listing does not show what is certainly there.
    #[error("the store's list is not whole: it leaves out {name}; nothing was deleted")]
    ShortList {
        /// An object that exists and was not listed.
        name: String,
    },
    /// Another process's part of a session refers to what it was not given.
    #[error("a part of this backup refers to {name}, which it was not given; it was refused and nothing was committed")]
    Foreign {
        /// The object.
        name: ObjectName,
    },
    /// Objects that points need are gone.
    #[error("{count} objects that points need are missing, such as {name}; nothing was deleted; run `firn check`")]
    Missing {
        /// How many.
        count: usize,
        /// One of them.
        name: ObjectName,
    },
    /// No point fits what was asked for.
    #[error("{0}")]
    NoSuchPoint(String),
    /// Several points fit what was asked for.
    #[error("{text} fits {count} points:\n{}", choices.join("\n"))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// How many fit.
        count: usize,
        /// One line per point or lineage, with what tells it apart.
        choices: Vec<String>,
    },
    /// Deleting this point would be unwise.
    #[error("point {} is kept: {why}; nothing was changed", point.short())]
    Kept {
        /// The point.
        point: PointId,
        /// Why.
        why: String,
    },
    /// More would be deleted than may be without a confirmation.
    #[error(
        "this would forget {forgotten} of the {live} points of a lineage, more than a quarter; confirm with --yes; nothing was changed"
    )]
    Unconfirmed {
        /// How many would go.
        forgotten: usize,
        /// How many there are.
        live: usize,
    },
    /// The index does not know the blob.
    #[error("blob {} is in no index", id.short())]
    UnknownBlob {
        /// The blob.
        id: BlobId,
    },
    /// A blob is not what was written.
    #[error("blob {} in {pack} cannot be read", id.short())]
    Blob {
        /// The pack.
        pack: ObjectName,
        /// The blob.
        id: BlobId,
        /// What is wrong.
        #[source]
        source: Box<FormatError>,
    },
    /// The store has no such pack any more.
    #[error("{pack} is missing")]
    PackMissing {
        /// The pack.
        pack: ObjectName,
    },
    /// The pack ends before what the index says of it.
    #[error("{pack} is cut short")]
    PackShort {
        /// The pack.
        pack: ObjectName,
    },
    /// Only names and sizes can be read with these keys.
    #[error("this key opens names and sizes, not contents")]
    NoContentKey,
    /// A put ended with fewer bytes than were given.
    #[error("{name} has {stored} bytes in the store instead of {bytes}; nothing was committed")]
    ShortPut {
        /// The object.
        name: String,
        /// What was given.
        bytes: u64,
        /// What lies there.
        stored: u64,
    },
    /// More than one entry of the log can name.
    #[error(
        "a point can have at most {packs_max} packs of new data, about {} TiB; nothing was committed; back up its volumes in \
         parts, by several policies: what is stored is used again", packs_max / (1 << 16)
    )]
    PointTooLarge {
        /// How many packs may be new.
        packs_max: usize,
    },
    /// A lane of the session is still in use.
    #[error("a lane of the session is still in use; nothing was committed")]
    LanesOpen,
    /// A lane was dropped before it was finished: what it had promised is in no pack.
    #[error("{blobs} blobs were not written, because a lane ended early; nothing was committed; run it again")]
    Unwritten {
        /// How many.
        blobs: u64,
    },
    /// Somebody asked to stop.
    #[error("stopped {after}; nothing was lost; run it again to finish")]
    Stopped {
        /// What was done by then: `after …`.
        after: String,
    },
    /// The system gave no thread.
    #[error("cannot start a thread")]
    Thread {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A thread ended without a result.
    #[error("thread {name} ended unexpectedly")]
    ThreadDied {
        /// Its name.
        name: &'static str,
    },
}

impl RepoError {
    /// A store's failure while doing something, such as `"read the log"`.
    pub fn store(doing: &'static str, source: StoreError) -> Self {
        Self::Store { doing, source }
    }

    /// What it means for the exit code.
    pub fn class(&self) -> Class {
        match self {
            Self::RolledBack(_) | Self::Forked(_) | Self::WrongKey { .. } | Self::NotAllowed { .. } => Class::Security,
            Self::Format(source) => class_of(source),
            Self::Blob { source, .. } => class_of(source),
            Self::LogDamaged { .. } | Self::KeysDamaged { .. } | Self::Missing { .. } | Self::UnknownBlob { .. } => {
                Class::Damaged
            }
            Self::FormatMissing { .. } => Class::Damaged,
            Self::PackMissing { .. } | Self::PackShort { .. } | Self::ReadBack { .. } => Class::Damaged,
            Self::NoSuchPoint(_) | Self::Ambiguous { .. } | Self::Unconfirmed { .. } | Self::Kept { .. } => {
                Class::Usage
            }
            Self::AlreadyARepository { .. } | Self::NotEmpty { .. } => Class::Usage,
            _ => Class::Failed,
        }
    }

    /// Whether trying again, unchanged, is pointless.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Store { source, .. } => source.is_permanent(),
            Self::Format(source) => source.is_permanent(),
            Self::Blob { source, .. } => source.is_permanent(),
            Self::Busy { .. }
            | Self::Uncertain { .. }
            | Self::Thread { .. }
            | Self::Stopped { .. }
            | Self::ShortPut { .. }
            | Self::Unwritten { .. }
            | Self::ShortList { .. } => false,
            _ => true,
        }
    }
}

fn class_of(error: &FormatError) -> Class {
    match error {
        FormatError::WrongKey { .. } => Class::Security,
        FormatError::Damaged { .. } => Class::Damaged,
        _ => Class::Failed,
    }
}
