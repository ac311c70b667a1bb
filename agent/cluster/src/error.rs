//! What can go wrong between Firn and a cluster.

use std::path::PathBuf;

use firn_format::object::ObjectKey;
use serde::Serialize;

/// An error of one operation on one thing.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig names no usable cluster.
    #[error("reading the kubeconfig for context {context}")]
    Kubeconfig {
        /// The context asked for, or `(current)`.
        context: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server could not be asked.
    #[error("asking the API server: {operation}")]
    Transport {
        /// Verb and path.
        operation: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server did not answer in time.
    #[error("no answer from the API server within {seconds} s: {operation}")]
    Timeout {
        /// Verb and path.
        operation: String,
        /// How long was waited, in seconds.
        seconds: u64,
    },
    /// The API server said no.
    #[error("API server refused {operation}: {code} {reason}: {message}")]
    Refused {
        /// Verb and path.
        operation: String,
        /// HTTP status.
        code: u16,
        /// Kubernetes' reason, such as `Forbidden`; empty if it gave none.
        reason: String,
        /// Its message, cut off after some lines.
        message: String,
    },
    /// An answer that is larger than anything Firn holds at once.
    #[error("answer of the API server to {operation} is larger than {bytes_max} bytes")]
    AnswerTooLarge {
        /// Verb and path.
        operation: String,
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// Too many writes in a row found no API server: the others are not tried.
    #[error("the API server went away; not tried any more")]
    GivenUp,
    /// An answer that is not what the API promises.
    #[error("answer of the API server to {operation}: {fault}")]
    Answer {
        /// Verb and path.
        operation: String,
        /// What is wrong.
        fault: String,
    },
    /// An owner's uid could not be found.
    #[error("owner {owner} has no uid on the cluster")]
    OwnerMissing {
        /// The owner.
        owner: ObjectKey,
    },
    /// The receiver of a listing went away.
    #[error("listing was abandoned by its receiver")]
    Abandoned,
    /// A file or folder could not be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("writing {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An object's key is no path that can be written.
    #[error("object {key} has a name that cannot be a file's")]
    Unwritable {
        /// The object.
        key: ObjectKey,
    },
}

impl ClusterError {
    /// Whether the API server said that the user may not do this.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused { code: 403, .. })
    }

    /// Whether trying again, without anything changed, must fail again.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Timeout { .. } | Self::GivenUp | Self::Read { .. } | Self::Write { .. } => {
                false
            }
            Self::Refused { code, .. } => !matches!(code, 409 | 429 | 500..=599),
            Self::Kubeconfig { .. }
            | Self::Answer { .. }
            | Self::AnswerTooLarge { .. }
            | Self::OwnerMissing { .. }
            | Self::Abandoned
            | Self::Unwritable { .. } => true,
        }
    }
}

/// Something that could not be captured, and why. What else there is was captured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Exception {
    /// What: a type such as `secrets`, an API group and version, or a file.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// An error and its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
