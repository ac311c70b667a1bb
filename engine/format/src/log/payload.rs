//! What entries say: one struct per kind.

use minicbor::{Decode, Encode};

use super::kind::Kind;
use super::roles::Roles;
use crate::clock::TimeMs;
use crate::ids::{BlobId, CollectionId, DomainId, Hash, HoldId, LineageId, PointId, RunId, SessionId, Signer, StoreId};
use crate::name::ObjectName;

/// What a KEY entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum KeyAction {
    /// Gives a signer exactly these roles.
    #[n(1)]
    Admit,
    /// Takes all roles away.
    #[n(2)]
    Revoke,
    /// Names the public key of a domain's generation.
    #[n(3)]
    Domain,
}

/// KEY.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyChange {
    /// What is done.
    #[n(0)]
    pub action: KeyAction,
    /// The signer, for admit and revoke.
    #[n(1)]
    pub signer: Option<Signer>,
    /// Its roles, for admit.
    #[n(2)]
    pub roles: Option<Roles>,
    /// For people.
    #[n(3)]
    pub label: Option<String>,
    /// The domain, for its key.
    #[n(4)]
    pub domain: Option<DomainId>,
    /// Its generation, from 1.
    #[n(5)]
    pub generation: Option<u32>,
    /// Its X25519 public key.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub domain_public: Option<[u8; 32]>,
}

/// SESSION_OPEN.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SessionOpen {
    /// The session, used once.
    #[n(0)]
    pub session: SessionId,
    /// The attempt.
    #[n(1)]
    pub run: RunId,
    /// What it writes for.
    #[n(2)]
    pub lineage: LineageId,
    /// The lineage's epoch as the writer knows it.
    #[n(3)]
    pub epoch: u64,
    /// The live point of the lineage that it builds on, held while the session is open.
    #[n(4)]
    pub parent: Option<PointId>,
}

/// A position in a store's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(map)]
pub struct Head {
    /// The store.
    #[n(0)]
    pub store: StoreId,
    /// The position.
    #[n(1)]
    pub seq: u64,
    /// The hash of the entry there.
    #[n(2)]
    pub hash: Hash,
}

/// COMMIT.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Commit {
    /// The open session that ends with this.
    #[n(0)]
    pub session: SessionId,
    /// As in SESSION_OPEN.
    #[n(1)]
    pub run: RunId,
    /// As in SESSION_OPEN.
    #[n(2)]
    pub lineage: LineageId,
    /// The lineage's epoch.
    #[n(3)]
    pub epoch: u64,
    /// As in SESSION_OPEN.
    #[n(4)]
    pub parent: Option<PointId>,
    /// The manifest's blob.
    #[n(5)]
    pub manifest: BlobId,
    /// The domain of the manifest and the summary.
    #[n(6)]
    pub domain: DomainId,
    /// Its generation.
    #[n(7)]
    pub generation: u32,
    /// Objects that the session stored (or adopted). The point needs them all.
    #[cbor(n(8), default)]
    pub adds: Vec<ObjectName>,
    /// Other objects that it needs and its parent does not.
    #[cbor(n(9), default)]
    pub needs_added: Vec<ObjectName>,
    /// Objects that its parent needs and it does not.
    #[cbor(n(10), default)]
    pub needs_dropped: Vec<ObjectName>,
    /// The peers' heads that the committer had read.
    #[cbor(n(11), default)]
    pub peers: Vec<Head>,
    /// The sealed summary.
    #[cbor(n(12), with = "minicbor::bytes")]
    pub summary: Vec<u8>,
    /// Candidates of the open collection among `adds` and `needs_added`.
    #[cbor(n(13), default)]
    pub rescues: Vec<ObjectName>,
    /// The newest GC_COMMIT with moves that the writer checked its references against; none: 0.
    #[cbor(n(14), default)]
    pub collected_to: u64,
}

/// ABORT and KILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SessionEnd {
    /// The open session.
    #[n(0)]
    pub session: SessionId,
}

/// So many positions of passed over entries are kept for a lineage and a peer, the newest ones: one for each point that is
/// damaged at its source.
pub const PASSED_MAX: usize = 1024;

/// IMPORT.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Import {
    /// The store in whose log the entry was written.
    #[n(0)]
    pub store: StoreId,
    /// Its position there.
    #[n(1)]
    pub seq: u64,
    /// Its hash.
    #[n(2)]
    pub hash: Hash,
    /// Its stored bytes: a COMMIT, a FENCE or an UNFENCE.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub entry: Vec<u8>,
    /// Candidates of this store's open collection among what the point newly needs.
    #[cbor(n(4), default)]
    pub rescues: Vec<ObjectName>,
    /// All that the point needs, in this store's names, in place of the entry's differences.
    #[n(5)]
    pub needs: Option<Vec<ObjectName>>,
    /// Positions in the peer's log of earlier points of the lineage that are left behind, and may be imported later; at
    /// most [`PASSED_MAX`].
    #[cbor(n(6), default)]
    pub passed: Vec<u64>,
}

/// FENCE.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Fence {
    /// The lineages.
    #[n(0)]
    pub lineages: Vec<LineageId>,
    /// Their new epochs, in the same order.
    #[n(1)]
    pub epochs: Vec<u64>,
    /// The peers' heads as seen.
    #[cbor(n(2), default)]
    pub basis: Vec<Head>,
    /// For people.
    #[n(3)]
    pub reason: String,
    /// The latest point of each lineage in this store, in the same order: what the new epoch builds on.
    #[n(4)]
    pub tips: Vec<Option<PointId>>,
    /// The lineages that the cluster which takes over would begin by itself, in the same order: its captures continue the
    /// fenced ones. Empty: the same cluster goes on.
    #[cbor(n(5), default)]
    pub successors: Vec<LineageId>,
}

/// UNFENCE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Unfence {
    /// The hash of the FENCE entry.
    #[n(0)]
    pub fence: Hash,
}

/// GC_MARK.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GcMark {
    /// The collection.
    #[n(0)]
    pub collection: CollectionId,
    /// What it may drop or move.
    #[n(1)]
    pub candidates: Vec<ObjectName>,
}

/// RESCUE.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Rescue {
    /// Candidates of the open collection.
    #[n(0)]
    pub names: Vec<ObjectName>,
}

/// One object's successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Moved {
    /// The object that goes.
    #[n(0)]
    pub from: ObjectName,
    /// The object with all of it that is still wanted.
    #[n(1)]
    pub to: ObjectName,
}

/// GC_COMMIT.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GcCommit {
    /// The open collection, which ends with this.
    #[n(0)]
    pub collection: CollectionId,
    /// Candidates that no live point needs.
    #[cbor(n(1), default)]
    pub dropped: Vec<ObjectName>,
    /// Candidates with what replaces them in all needs.
    #[cbor(n(2), default)]
    pub moved: Vec<Moved>,
}

/// HOLD.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hold {
    /// The hold.
    #[n(0)]
    pub hold: HoldId,
    /// Live points.
    #[n(1)]
    pub points: Vec<PointId>,
    /// For people.
    #[n(2)]
    pub reason: String,
    /// When it should have ended, in milliseconds since 1970; advice only.
    #[n(3)]
    pub until_ms: Option<TimeMs>,
}

/// RELEASE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Release {
    /// The hold.
    #[n(0)]
    pub hold: HoldId,
}

/// DELETE.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Delete {
    /// Live points that nothing holds.
    #[n(0)]
    pub points: Vec<PointId>,
    /// For people.
    #[n(1)]
    pub reason: String,
}

/// UPGRADE.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Upgrade {
    /// The lowest version that may read.
    #[n(0)]
    pub reader_min: u32,
    /// The lowest version that may append.
    #[n(1)]
    pub writer_min: u32,
    /// What both must know, by name.
    #[cbor(n(2), default)]
    pub features: Vec<String>,
}

/// LOST.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Lost {
    /// Objects that are missing or damaged.
    #[n(0)]
    pub names: Vec<ObjectName>,
    /// For people.
    #[n(1)]
    pub reason: String,
}

/// FOUND.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Found {
    /// Lost objects that lie under their names, hashed.
    #[cbor(n(0), default)]
    pub names: Vec<ObjectName>,
    /// Lost objects under whose names damaged bytes lie, with where the right ones lie: see [`crate::State::name_instead`].
    #[cbor(n(1), default)]
    pub moved: Vec<Moved>,
    /// Candidates of the open collection among what lies elsewhere.
    #[cbor(n(2), default)]
    pub rescues: Vec<ObjectName>,
}

/// VOID.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Void {
    /// The damaged slot.
    #[n(0)]
    pub seq: u64,
    /// The hash of what lies there; zeros: nothing.
    #[n(1)]
    pub hash: Hash,
    /// For people.
    #[n(2)]
    pub reason: String,
    /// The stored bytes that lay there once, known from a mirror: they take the slot's place. Without them it does nothing.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub entry: Option<Vec<u8>>,
}

/// How thoroughly a point was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Level {
    /// All that it needs is there, with the right length; the trees can be walked.
    #[n(1)]
    Structure,
    /// The stored bytes of all that it needs have their hashes.
    #[n(2)]
    StoredHashes,
    /// Every blob was opened.
    #[n(3)]
    AllData,
}

/// VERIFIED.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Verified {
    /// Live points.
    #[n(0)]
    pub points: Vec<PointId>,
    /// How.
    #[n(1)]
    pub level: Level,
}

/// Which way points flow over a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Direction {
    /// From this store to the other.
    #[n(1)]
    To,
    /// From the other store to this.
    #[n(2)]
    From,
}

/// LINK.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Link {
    /// The other store.
    #[n(0)]
    pub store: StoreId,
    /// The hash of its FORMAT.
    #[n(1)]
    pub fingerprint: Hash,
    /// Where it is, without secrets.
    #[n(2)]
    pub url: String,
    /// Which way.
    #[n(3)]
    pub direction: Direction,
}

/// CHECKPOINT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Checkpoint {
    /// The hash of the object with the state below this position.
    #[n(0)]
    pub hash: Hash,
}

/// RETENTION.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Retention {
    /// How long a point is kept at least.
    #[n(0)]
    pub seconds_min: u64,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its struct")]
pub enum Payload {
    Key(KeyChange),
    SessionOpen(SessionOpen),
    Commit(Box<Commit>),
    Abort(SessionEnd),
    Kill(SessionEnd),
    Import(Box<Import>),
    Fence(Fence),
    Unfence(Unfence),
    GcMark(GcMark),
    Rescue(Rescue),
    GcCommit(GcCommit),
    Hold(Hold),
    Release(Release),
    Delete(Delete),
    Upgrade(Upgrade),
    Lost(Lost),
    Void(Void),
    Verified(Verified),
    Link(Link),
    Checkpoint(Checkpoint),
    Retention(Retention),
    Found(Found),
    /// Of a kind that this version does not know, or that it cannot decode.
    Opaque(Opaque),
}

/// A payload that this version cannot decode. An authentic entry with one does nothing; a critical one stops the reader
/// if its kind is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opaque {
    /// The stored kind.
    pub kind: u16,
    /// The stored payload.
    pub bytes: Vec<u8>,
}

impl Payload {
    /// The stored number of the kind.
    pub fn kind_number(&self) -> u16 {
        match self {
            Payload::Opaque(opaque) => opaque.kind,
            known => known.kind().map_or(0, Kind::number),
        }
    }

    /// The kind, if the payload was understood.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Payload::Key(_) => Kind::Key,
            Payload::SessionOpen(_) => Kind::SessionOpen,
            Payload::Commit(_) => Kind::Commit,
            Payload::Abort(_) => Kind::Abort,
            Payload::Kill(_) => Kind::Kill,
            Payload::Import(_) => Kind::Import,
            Payload::Fence(_) => Kind::Fence,
            Payload::Unfence(_) => Kind::Unfence,
            Payload::GcMark(_) => Kind::GcMark,
            Payload::Rescue(_) => Kind::Rescue,
            Payload::GcCommit(_) => Kind::GcCommit,
            Payload::Hold(_) => Kind::Hold,
            Payload::Release(_) => Kind::Release,
            Payload::Delete(_) => Kind::Delete,
            Payload::Upgrade(_) => Kind::Upgrade,
            Payload::Lost(_) => Kind::Lost,
            Payload::Void(_) => Kind::Void,
            Payload::Verified(_) => Kind::Verified,
            Payload::Link(_) => Kind::Link,
            Payload::Checkpoint(_) => Kind::Checkpoint,
            Payload::Retention(_) => Kind::Retention,
            Payload::Found(_) => Kind::Found,
            Payload::Opaque(_) => return None,
        })
    }

    /// The stored bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Payload::Key(body) => cbor(body),
            Payload::SessionOpen(body) => cbor(body),
            Payload::Commit(body) => cbor(&**body),
            Payload::Abort(body) | Payload::Kill(body) => cbor(body),
            Payload::Import(body) => cbor(&**body),
            Payload::Fence(body) => cbor(body),
            Payload::Unfence(body) => cbor(body),
            Payload::GcMark(body) => cbor(body),
            Payload::Rescue(body) => cbor(body),
            Payload::GcCommit(body) => cbor(body),
            Payload::Hold(body) => cbor(body),
            Payload::Release(body) => cbor(body),
            Payload::Delete(body) => cbor(body),
            Payload::Upgrade(body) => cbor(body),
            Payload::Lost(body) => cbor(body),
            Payload::Void(body) => cbor(body),
            Payload::Verified(body) => cbor(body),
            Payload::Link(body) => cbor(body),
            Payload::Checkpoint(body) => cbor(body),
            Payload::Retention(body) => cbor(body),
            Payload::Found(body) => cbor(body),
            Payload::Opaque(opaque) => opaque.bytes.clone(),
        }
    }

    /// What `bytes` say in an entry of kind `number`. Never fails: what cannot be understood is [`Payload::Opaque`].
    pub fn decode(number: u16, bytes: &[u8]) -> Self {
        let opaque = || Payload::Opaque(Opaque { kind: number, bytes: bytes.to_vec() });
        let Some(kind) = Kind::from_number(number) else { return opaque() };
        Self::decode_known(kind, bytes).unwrap_or_else(opaque)
    }

    fn decode_known(kind: Kind, bytes: &[u8]) -> Option<Self> {
        Some(match kind {
            Kind::Key => Payload::Key(exact(bytes)?),
            Kind::SessionOpen => Payload::SessionOpen(exact(bytes)?),
            Kind::Commit => Payload::Commit(Box::new(exact(bytes)?)),
            Kind::Abort => Payload::Abort(exact(bytes)?),
            Kind::Kill => Payload::Kill(exact(bytes)?),
            Kind::Import => Payload::Import(Box::new(exact(bytes)?)),
            Kind::Fence => Payload::Fence(exact(bytes)?),
            Kind::Unfence => Payload::Unfence(exact(bytes)?),
            Kind::GcMark => Payload::GcMark(exact(bytes)?),
            Kind::Rescue => Payload::Rescue(exact(bytes)?),
            Kind::GcCommit => Payload::GcCommit(exact(bytes)?),
            Kind::Hold => Payload::Hold(exact(bytes)?),
            Kind::Release => Payload::Release(exact(bytes)?),
            Kind::Delete => Payload::Delete(exact(bytes)?),
            Kind::Upgrade => Payload::Upgrade(exact(bytes)?),
            Kind::Lost => Payload::Lost(exact(bytes)?),
            Kind::Void => Payload::Void(exact(bytes)?),
            Kind::Verified => Payload::Verified(exact(bytes)?),
            Kind::Link => Payload::Link(exact(bytes)?),
            Kind::Checkpoint => Payload::Checkpoint(exact(bytes)?),
            Kind::Retention => Payload::Retention(exact(bytes)?),
            Kind::Found => Payload::Found(exact(bytes)?),
        })
    }
}

/// The CBOR of `value`.
pub(crate) fn cbor<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing to memory cannot fail.
    let _written = minicbor::encode(value, &mut out);
    out
}

/// The value that `bytes` encode, with nothing after it.
pub(crate) fn exact<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Option<T> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode().ok()?;
    (decoder.position() == bytes.len()).then_some(value)
}
