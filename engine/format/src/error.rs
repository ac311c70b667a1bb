//! What can be wrong with bytes.

/// Why bytes could not be made or understood. Each variant names the thing it was about.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The key does not fit: the commitment differs. Nothing is wrong with the bytes.
    #[error("wrong key for {what}")]
    WrongKey {
        /// What was being opened.
        what: String,
    },
    /// The bytes are not what was written.
    #[error("{what} is damaged: {detail}")]
    Damaged {
        /// What was being read.
        what: String,
        /// Which rule it breaks.
        detail: String,
    },
    /// Written by a newer Firn.
    #[error("{what} needs a newer Firn: {needs}")]
    Newer {
        /// What was being read.
        what: String,
        /// The version or feature that is missing here.
        needs: String,
    },
    /// More than the format allows.
    #[error("{what} is {bytes} bytes, the limit is {bytes_max}")]
    TooLarge {
        /// What was being made.
        what: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// No random bytes.
    #[error("cannot seal {what}")]
    Entropy {
        /// What was being sealed.
        what: String,
        /// Why.
        #[source]
        source: crate::clock::EntropyError,
    },
    /// A library refused work that it never refuses, short of memory perhaps.
    #[error("the library for {what} failed")]
    Library {
        /// What it was for.
        what: String,
    },
}

impl FormatError {
    /// Damage, in a sentence.
    pub fn damaged(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), detail: detail.into() }
    }

    /// Whether trying again cannot help. Only missing randomness or memory may pass.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Entropy { .. } | Self::Library { .. })
    }
}
