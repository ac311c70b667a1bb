//! Summary: what a point's entry in the log says about it, sealed for its domain (FORMAT.md §8.1).

use firn_format::{FormatError, TimeMs};
use minicbor::{Decode, Encode};

/// The longest plain summary. Every live point's is kept in memory, and the log refuses one above 4 KiB sealed.
const PLAIN_BYTES_MAX: usize = 3 << 10;

/// What can be said about a point without opening its trees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Summary {
    /// The cluster's UID.
    #[n(0)]
    pub cluster: String,
    /// Its name.
    #[n(1)]
    pub cluster_name: String,
    /// The policy.
    #[n(2)]
    pub policy: String,
    /// Start of the capture.
    #[n(3)]
    pub cut_time_ms: TimeMs,
    /// Whether nothing is missing.
    #[n(4)]
    pub complete: bool,
    /// How many exceptions.
    #[n(5)]
    pub exceptions: u64,
    /// How many files and objects.
    #[n(6)]
    pub files: u64,
    /// Their content in bytes.
    #[n(7)]
    pub bytes: u64,
    /// What this point added to the store, in bytes.
    #[n(8)]
    pub bytes_stored: u64,
    /// Namespaces; as many as fit.
    #[cbor(n(9), default)]
    pub namespaces: Vec<String>,
    /// The worst consistency of its mounts: 0 none, 1 live, 2 crash, 3 frozen, 4 application.
    #[n(10)]
    pub consistency: u8,
    /// How many mounts.
    #[n(11)]
    pub mounts: u64,
    /// How long the capture took.
    #[n(12)]
    pub duration_ms: u64,
}

impl Summary {
    /// The plain bytes, short enough for the log: namespaces that do not fit are left out.
    ///
    /// # Errors
    /// `TooLarge` if the names of cluster and policy alone are too long.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        let mut summary = self.clone();
        loop {
            let bytes = minicbor::to_vec(&summary).map_err(|_| FormatError::Library { what: "CBOR".into() })?;
            if bytes.len() <= PLAIN_BYTES_MAX {
                return Ok(bytes);
            }
            if summary.namespaces.is_empty() {
                let (bytes, bytes_max) = (bytes.len() as u64, PLAIN_BYTES_MAX as u64);
                return Err(FormatError::TooLarge { what: "a point's summary".into(), bytes, bytes_max });
            }
            summary.namespaces.truncate(summary.namespaces.len() / 2);
        }
    }

    /// Reads what [`Summary::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        minicbor::decode(bytes).map_err(|error| FormatError::damaged("a point's summary", error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_round_trips_and_never_outgrows_the_log() {
        let mut summary = Summary { cluster: "uid".into(), policy: "all".into(), files: 7, ..Summary::default() };
        summary.namespaces = vec!["shop".into(), "billing".into()];
        assert_eq!(Summary::decode(&summary.encode().unwrap()).unwrap(), summary);
        summary.namespaces = (0..10_000).map(|n| format!("namespace-{n}")).collect();
        let bytes = summary.encode().unwrap();
        assert!(bytes.len() <= PLAIN_BYTES_MAX);
        assert!(Summary::decode(&bytes).unwrap().namespaces.len() > 50);
        summary.policy = "p".repeat(PLAIN_BYTES_MAX);
        assert!(summary.encode().is_err());
    }
}
