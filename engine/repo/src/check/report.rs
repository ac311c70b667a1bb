//! Report: what a check found, in which words.

use firn_format::{ObjectName, PointId};

/// What is wrong with something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It is not there.
    Missing,
    /// It has another length than the index says.
    Length {
        /// What the index says.
        expected: u64,
        /// What lies there.
        found: u64,
    },
    /// It cannot be read as what it should be.
    Damaged(String),
    /// A point refers to it, and its entry in the log does not say so: collection and replication would leave it out.
    NotNeeded,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Length { expected, found } => write!(f, "{found} bytes long instead of {expected}"),
            Self::Damaged(detail) => write!(f, "damaged: {detail}"),
            Self::NotNeeded => f.write_str("referred to by a point whose entry does not name it"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The object's name in the store, or a blob's id.
    pub object: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// The points that cannot be restored whole because of it, at most a hundred of them.
    pub points: Vec<PointId>,
    /// How many more there are.
    pub points_left_out: u64,
    /// How many paths of those points' trees it concerns, each tree counted once.
    pub paths: u64,
    /// Some of them.
    pub examples: Vec<String>,
}

/// Why an object belongs to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrayKind {
    /// No entry of the log names it: a session that runs or that never ended stored it. A collection takes it.
    Unlisted,
    /// A collection ended its name, and the object was not deleted yet. The next collection does it.
    Ended,
    /// A checkpoint that no entry of the log names: another's entry was quicker.
    Checkpoint,
    /// A mirror of a log that this one does not know.
    Mirror,
    /// Its name is none of a repository's.
    Foreign,
}

/// An object that belongs to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Its name.
    pub object: String,
    /// Its length; 0 if that was not asked.
    pub bytes: u64,
    /// Why.
    pub kind: StrayKind,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What is wrong, at most a thousand of them.
    pub findings: Vec<Finding>,
    /// How many more there were.
    pub findings_left_out: u64,
    /// What lies in the store and belongs to nothing, at most a thousand of them. That is no damage.
    pub strays: Vec<Stray>,
    /// How many more there were.
    pub strays_left_out: u64,
    /// Packs and index runs that are missing or damaged, for a repair: what a replica could give back.
    pub wrong: Vec<ObjectName>,
    /// How many checkpoints are missing, damaged or untrue.
    pub checkpoints_wrong: u64,
    /// Points in which nothing is wrong.
    pub sound: Vec<PointId>,
    /// Points in which something is.
    pub unsound: Vec<PointId>,
    /// Objects that were lost, and lie there again whole.
    pub found: u64,
    /// Objects looked at.
    pub objects: u64,
    /// Bytes of objects read whole.
    pub bytes_read: u64,
    /// Blobs opened.
    pub blobs: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}
