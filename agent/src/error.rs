//! Why a capture or a restore could not go on.

use firn_repo::RepoError;
use firn_volume::VolumeError;

/// Why a task ended early. What concerns a single entry is an exception instead, and the task goes on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The repository failed.
    #[error("the repository cannot be used")]
    Repo(#[from] RepoError),
    /// The volume failed as a whole.
    #[error("volume {name} cannot be used")]
    Volume {
        /// Which volume.
        name: String,
        /// Why.
        #[source]
        source: VolumeError,
    },
    /// A thread ended without a result, or could not be started.
    #[error("a worker thread of {name} ended early")]
    Worker {
        /// Working on what.
        name: String,
    },
    /// A part of a tree was asked for, and there is none.
    #[error("the point has nothing at {path}")]
    NoSuchPath {
        /// Where it should be, in its mount.
        path: String,
    },
    /// The person or the process above asked to stop.
    #[error("stopped on request; nothing was lost")]
    Stopped,
}

impl AgentError {
    /// Whether trying again, unchanged, is pointless.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Repo(source) => source.is_permanent(),
            Self::Volume { source, .. } => source.is_permanent(),
            Self::NoSuchPath { .. } => true,
            Self::Worker { .. } | Self::Stopped => false,
        }
    }
}
