//! The manifest: what a point consists of. It is the one node that a COMMIT names (`docs/FORMAT.md` §7.3).

mod wire;

use crate::tree::{PATH_BYTES_MAX, check_path, path_cmp};
use crate::{BlobId, DomainId, FormatError, TimeMs};

/// Most mounts of a point.
const MOUNTS_MAX: usize = 65_536;
/// Most namespaces of a point.
const NAMESPACES_MAX: usize = 65_536;
/// Most bytes of a text other than facts.
const TEXT_BYTES_MAX: usize = PATH_BYTES_MAX;
/// Most bytes of facts.
const FACTS_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Most exceptions that are kept one by one; the manifest counts all.
pub const EXCEPTIONS_MAX: usize = 10_000;
/// Most bytes of exceptions that are kept.
const EXCEPTIONS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a volume's content is worth. Ordered from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Consistency {
    /// Nothing is known.
    #[default]
    None = 0,
    /// Read while it was being written: files may be torn.
    Live = 1,
    /// As after a power cut.
    Crash = 2,
    /// Writers stood still while it was read.
    Frozen = 3,
    /// The application itself prepared it.
    Application = 4,
}

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum MountKind {
    /// The objects of a cluster.
    Objects = 1,
    /// A volume as files.
    Files = 2,
    /// A volume as blocks.
    Block = 3,
}

/// One tree of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted: `objects`, or `volumes/<namespace>/<claim>`.
    pub path: String,
    /// Its root node.
    pub root: BlobId,
    /// The domain whose keys open it.
    pub domain: DomainId,
    /// The generation of those keys, from 1.
    pub generation: u32,
    /// What it is.
    pub kind: MountKind,
    /// What its content is worth.
    pub consistency: Consistency,
    /// When its content was cut, milliseconds since 1970. Older than the point's if it was carried.
    pub cut_ms: TimeMs,
    /// Taken over from the parent because it could not be captured.
    pub stale: bool,
    /// Entries in its tree.
    pub entries: u64,
    /// Bytes of content in its tree.
    pub bytes: u64,
    /// Exceptions that belong to it.
    pub exceptions: u64,
    /// How it was captured, in a word.
    pub method: String,
}

/// What a point consists of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// The cluster, by the uid of its `kube-system` namespace or one that stands for it.
    pub cluster_uid: String,
    /// The cluster's name for people.
    pub cluster_name: String,
    /// The policy.
    pub policy: String,
    /// Start of the capture, milliseconds since 1970.
    pub cut_ms: TimeMs,
    /// End of the capture.
    pub end_ms: TimeMs,
    /// The trees, ordered by path.
    pub mounts: Vec<Mount>,
    /// Whether all that the policy asks for is there.
    pub complete: bool,
    /// How many exceptions there were, kept or not.
    pub exceptions: u64,
    /// The node that keeps them ([`encode_exceptions`]).
    pub exceptions_node: Option<BlobId>,
    /// Facts about the cluster: a JSON text, or empty.
    pub facts: String,
    /// The version of Firn that wrote it.
    pub writer_version: String,
    /// Namespaces that were captured, sorted.
    pub namespaces: Vec<String>,
}

/// Something that could not be captured as it is, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// Which file or object, as text; what is not UTF-8 in it is replaced.
    pub path: String,
    /// A word: `unreadable`, `vanished`, `changed`, `socket`, `device`, `too-deep`, `forbidden`, …
    pub reason: String,
    /// A sentence.
    pub detail: String,
    /// The mount that it belongs to.
    pub mount: String,
}

impl Manifest {
    /// The node's plain bytes. Fails if the manifest breaks a rule of the format.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        if let Some(fault) = self.fault() {
            return Err(FormatError::damaged("new manifest", fault));
        }
        let plain = wire::manifest_bytes(self);
        if plain.len() > crate::BLOB_BYTES_MAX {
            return Err(FormatError::TooLarge {
                what: "manifest".into(),
                bytes: plain.len() as u64,
                bytes_max: crate::BLOB_BYTES_MAX as u64,
            });
        }
        Ok(plain)
    }

    /// Reads a manifest from a node's plain bytes.
    pub fn decode(plain: &[u8]) -> Result<Self, FormatError> {
        let damaged = |detail: String| FormatError::damaged("manifest", detail);
        if plain.len() > crate::BLOB_BYTES_MAX {
            return Err(damaged("longer than any blob".into()));
        }
        let manifest = wire::parse_manifest(plain).map_err(|error| damaged(error.to_string()))?;
        match manifest.fault() {
            Some(fault) => Err(damaged(fault.into())),
            None => Ok(manifest),
        }
    }

    /// The mount with exactly this path.
    pub fn mount(&self, path: &str) -> Option<&Mount> {
        let at = self.mounts.binary_search_by(|mount| path_cmp(mount.path.as_bytes(), path.as_bytes())).ok()?;
        self.mounts.get(at)
    }

    /// The least that any mount's content is worth; None without mounts.
    pub fn worst_consistency(&self) -> Option<Consistency> {
        self.mounts.iter().map(|mount| mount.consistency).min()
    }

    fn fault(&self) -> Option<&'static str> {
        if self.mounts.len() > MOUNTS_MAX || self.namespaces.len() > NAMESPACES_MAX {
            return Some("too many mounts or namespaces");
        }
        let texts = [&self.cluster_uid, &self.cluster_name, &self.policy, &self.writer_version];
        let too_long = |text: &String| text.len() > TEXT_BYTES_MAX;
        if texts.into_iter().chain(&self.namespaces).any(too_long) || self.facts.len() > FACTS_BYTES_MAX {
            return Some("text too long");
        }
        if !self.facts.is_empty() && serde_json::from_str::<serde::de::IgnoredAny>(&self.facts).is_err() {
            return Some("facts are no JSON");
        }
        if self.namespaces.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Some("namespaces out of order");
        }
        if let Some(fault) = self.mounts.iter().find_map(Mount::fault) {
            return Some(fault);
        }
        // A mount inside another would hide a part of it.
        let apart = |pair: &[Mount]| {
            let (a, b) = (pair[0].path.as_bytes(), pair[1].path.as_bytes());
            path_cmp(a, b).is_lt() && !crate::tree::is_below(b, a)
        };
        (!self.mounts.windows(2).all(apart)).then_some("mounts out of order or inside one another")
    }
}

impl Mount {
    fn fault(&self) -> Option<&'static str> {
        if self.path.is_empty() || check_path(self.path.as_bytes()).is_err() {
            return Some("mount without a usable path");
        }
        if self.method.len() > TEXT_BYTES_MAX {
            return Some("text too long");
        }
        (self.generation == 0).then_some("mount of generation 0")
    }
}

/// The plain bytes of an exceptions node, and how many of `exceptions` are in it: the first ones, at most
/// [`EXCEPTIONS_MAX`], so that a volume full of faults cannot make a point impossible. Each text is cut to 4 KiB.
pub fn encode_exceptions(exceptions: &[Exception]) -> (Vec<u8>, usize) {
    wire::exceptions_bytes(exceptions)
}

/// Reads an exceptions node from its plain bytes.
pub fn decode_exceptions(plain: &[u8]) -> Result<Vec<Exception>, FormatError> {
    let damaged = |detail: String| FormatError::damaged("exceptions", detail);
    if plain.len() > crate::BLOB_BYTES_MAX {
        return Err(damaged("longer than any blob".into()));
    }
    wire::parse_exceptions(plain).map_err(|error| damaged(error.to_string()))
}

#[cfg(test)]
mod tests;
