//! What a store's log means at a position: all that readers, writers and collectors ask.

mod needs;
mod objects;
mod parts;
mod point;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

pub(crate) use needs::Points;
pub(crate) use objects::{ObjectNo, Objects, flag};
pub(crate) use parts::Place;
pub use parts::{Collection, FenceInfo, Fenced, HoldInfo, Lineage, Session, SignerInfo};
pub use point::{Point, Verification};

use crate::fold::Rules;
use crate::format_file::{FormatFile, VERSION};
use crate::ids::{DomainId, Hash, HoldId, LineageId, PointId, SessionId, Signer, StoreId};
use crate::log::{Entry, Head, Link};
use crate::name::ObjectName;
use crate::verdict::{Damage, Halt, Position};

/// Voided slots, with the stored bytes of the entry that takes the slot's place, if there is one.
pub(crate) type Voids = BTreeMap<u64, Option<Arc<Vec<u8>>>>;

/// The state of a store below a position of its log: a pure function of the entries there.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) format: Arc<FormatFile>,
    pub(crate) fingerprint: Hash,
    pub(crate) rules: Rules,
    pub(crate) next: u64,
    pub(crate) head: Hash,
    pub(crate) points: Points,
    pub(crate) objects: Objects,
    pub(crate) lineages: BTreeMap<LineageId, Lineage>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) sessions_used: BTreeSet<SessionId>,
    pub(crate) collection: Option<Collection>,
    pub(crate) moved_to: u64,
    pub(crate) holds: BTreeMap<HoldId, HoldInfo>,
    pub(crate) signers: BTreeMap<Signer, SignerInfo>,
    pub(crate) key_entries: Vec<Vec<u8>>,
    pub(crate) domains: BTreeMap<(DomainId, u32), [u8; 32]>,
    pub(crate) links: Vec<Link>,
    pub(crate) fences: BTreeMap<u64, FenceInfo>,
    pub(crate) peers: BTreeMap<StoreId, Head>,
    pub(crate) retention_seconds_min: u64,
    pub(crate) reader_min: u32,
    pub(crate) writer_min: u32,
    pub(crate) features: BTreeSet<String>,
    /// The newest CHECKPOINT entry: what lies before it is settled.
    pub(crate) checkpoint: u64,
    /// Hashes of the slots after `checkpoint`.
    pub(crate) recent: Vec<Hash>,
    /// Slots that the owner voided, found ahead of their VOID, with what takes their place.
    pub(crate) voids: Voids,
    /// Whether the slot before was voided, so that the next entry's `prev` says nothing about the bytes there now.
    pub(crate) chain_waived: bool,
    pub(crate) damage: Option<Damage>,
    pub(crate) newer: Option<String>,
}

impl State {
    /// The state of an empty log.
    pub fn genesis(format: &FormatFile, fingerprint: Hash) -> Self {
        Self::genesis_with(Arc::new(format.clone()), fingerprint, Rules::default())
    }

    /// The hash of FORMAT.
    pub fn fingerprint(&self) -> Hash {
        self.fingerprint
    }

    /// FORMAT.
    pub fn format(&self) -> &FormatFile {
        &self.format
    }

    /// This store.
    pub fn store(&self) -> StoreId {
        self.format.store
    }

    /// The slot that [`State::apply`] wants next. While a slot is damaged this runs ahead of the state, in search of the
    /// owner's VOID; when it is found it goes back.
    pub fn wants(&self) -> u64 {
        self.damage.as_ref().map_or(self.next, |damage| damage.free.seq)
    }

    /// How many slots below are folded, plus one.
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// The hash of the bytes in the last folded slot; of an empty log: the fingerprint.
    pub fn head_hash(&self) -> Hash {
        self.head
    }

    /// Where the next entry goes.
    ///
    /// # Errors
    /// [`Halt`] when nobody may append: a slot is damaged, or the log asks for a newer writer.
    pub fn may_append(&self) -> Result<Position, Halt> {
        if let Some(damage) = self.damage {
            return Err(Halt::Damaged(Box::new(damage)));
        }
        self.may_read()?;
        if self.writer_min > VERSION {
            return Err(Halt::Newer { needs: format!("writer version {}", self.writer_min) });
        }
        Ok(Position { seq: self.next, prev: self.head })
    }

    /// Whether this crate understands the log so far.
    ///
    /// # Errors
    /// [`Halt::Newer`] when it does not.
    pub fn may_read(&self) -> Result<(), Halt> {
        match &self.newer {
            Some(needs) => Err(Halt::Newer { needs: needs.clone() }),
            None => Ok(()),
        }
    }

    /// The first damaged slot, if there is one. The state stands before it.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// The live points in the order in which they became live here.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = &Point> + ExactSizeIterator {
        self.points.iter().map(|node| &node.point)
    }

    /// A live point.
    pub fn point(&self, id: &PointId) -> Option<&Point> {
        self.points.point(id)
    }

    /// The live points of a lineage, in the order in which they were committed, branches among them.
    pub fn points_of(&self, lineage: &LineageId) -> impl DoubleEndedIterator<Item = &Point> {
        let places = self.lineages.get(lineage).map(|lineage| &lineage.points).into_iter().flatten();
        places.filter_map(|(_, _, seq)| self.points.node(*seq)).map(|node| &node.point)
    }

    /// The live points of a lineage and an epoch that were committed at these positions of the log of the epoch's holder.
    pub fn points_at(&self, lineage: &LineageId, epoch: u64, seqs: Range<u64>) -> impl Iterator<Item = &Point> {
        let bounds = (epoch, seqs.start, 0)..(epoch, seqs.end.max(seqs.start), 0);
        let places = self.lineages.get(lineage).map(|lineage| lineage.points.range(bounds)).into_iter().flatten();
        places.filter_map(|(_, _, seq)| self.points.node(*seq)).map(|node| &node.point)
    }

    /// The newest live point of a lineage that is no branch.
    pub fn latest(&self, lineage: &LineageId) -> Option<&Point> {
        self.points_of(lineage).rev().find(|point| !point.branch)
    }

    /// Live points of this store that a peer's fence left aside.
    pub fn branches(&self) -> impl Iterator<Item = &Point> {
        self.points().filter(|point| point.branch)
    }

    /// The lineages that the log has mentioned.
    pub fn lineages(&self) -> &BTreeMap<LineageId, Lineage> {
        &self.lineages
    }

    /// A lineage's epoch; 0 for one that the log has not mentioned.
    pub fn epoch(&self, lineage: &LineageId) -> u64 {
        self.lineages.get(lineage).map_or(0, |lineage| lineage.epoch)
    }

    /// The epoch for a new fence of the lineage: higher than any that it ever had here, given back or not.
    pub fn next_epoch(&self, lineage: &LineageId) -> u64 {
        self.lineages.get(lineage).map_or(0, |lineage| lineage.epoch_max).saturating_add(1)
    }

    /// Whether this store may commit to the lineage, as far as fences go.
    pub fn may_commit(&self, lineage: &LineageId) -> bool {
        self.lineages.get(lineage).and_then(|lineage| lineage.holder).is_none_or(|holder| holder == self.store())
    }

    /// The open sessions.
    pub fn sessions(&self) -> &BTreeMap<SessionId, Session> {
        &self.sessions
    }

    /// All that a live point needs, in the order in which the log first mentioned it; empty if the point is not live.
    pub fn needs(&self, point: &PointId) -> Vec<ObjectName> {
        let needs = self.points.seq_of(point).map(|seq| self.points.needs(seq)).unwrap_or_default();
        needs.iter().filter_map(|no| self.objects.name(*no)).copied().collect()
    }

    /// Whether any live point needs the object.
    pub fn needed_by_any(&self, name: &ObjectName) -> bool {
        self.objects.find(name).is_some_and(|no| self.objects.adders(no) > 0)
    }

    /// All objects that live points need, each once.
    pub fn needed(&self) -> impl Iterator<Item = &ObjectName> {
        self.objects.iter().filter(|(no, _, _)| self.objects.adders(*no) > 0).map(|(_, name, _)| name)
    }

    /// Whether a point's entry ever named the object. Objects in the store that none did are "unlisted".
    pub fn listed(&self, name: &ObjectName) -> bool {
        self.objects.named_has(name, flag::LISTED)
    }

    /// Whether a collection ended the name: it may be deleted, and is never created again.
    pub fn dead(&self, name: &ObjectName) -> bool {
        self.objects.named_has(name, flag::DEAD)
    }

    /// Of a name that was ended, the position that the next name of the same bytes bears.
    pub fn died_at(&self, name: &ObjectName) -> Option<u64> {
        let no = self.objects.find(name)?;
        self.objects.next_name_seq(no).filter(|_| self.objects.has(no, flag::DEAD))
    }

    /// Of a lost object, the other name under which its bytes may be stored while damaged ones lie under this name: a FOUND
    /// puts that in its place.
    pub fn name_instead(&self, name: &ObjectName) -> Option<ObjectName> {
        let no = self.objects.find(name).filter(|no| self.objects.has(*no, flag::LOST))?;
        Some(ObjectName { reborn: self.objects.next_name_seq(no), ..*name })
    }

    /// The name under which bytes with this hash lie, or may be stored (again): plain, or with the position that belongs to
    /// the end of the last. What a name in an older index run is called now.
    pub fn name_to_store(&self, plain: ObjectName) -> ObjectName {
        let mut name = plain;
        // Positions rise with every turn and few names are dead, so this ends even in a log that was written with ill will.
        while let Some(seq) = self.died_at(&name) {
            name.reborn = Some(seq.max(name.reborn.map_or(0, |before| before.saturating_add(1))));
        }
        name
    }

    /// Whether LOST named the object, and no FOUND or point that added it again came later.
    pub fn is_lost(&self, name: &ObjectName) -> bool {
        self.objects.named_has(name, flag::LOST)
    }

    /// The lost objects.
    pub fn lost(&self) -> impl Iterator<Item = &ObjectName> {
        self.objects.iter().filter(|(_, _, flags)| flags & flag::LOST != 0).map(|(_, name, _)| name)
    }

    /// What the point needs and LOST names: empty for a whole point.
    pub fn missing(&self, point: &PointId) -> Vec<ObjectName> {
        self.needs(point).into_iter().filter(|name| self.is_lost(name)).collect()
    }

    /// The names that collections ended. Objects that still bear one may be deleted.
    pub fn dead_names(&self) -> impl Iterator<Item = &ObjectName> {
        self.objects.iter().filter(|(_, _, flags)| flags & flag::DEAD != 0).map(|(_, name, _)| name)
    }

    /// Listed objects that no live point needs and no collection ended: what a collection looks for first.
    pub fn unneeded(&self) -> impl Iterator<Item = &ObjectName> {
        let listed = |flags: u8| flags & (flag::LISTED | flag::DEAD) == flag::LISTED;
        self.objects
            .iter()
            .filter(move |(no, _, flags)| listed(*flags) && self.objects.adders(*no) == 0)
            .map(|(_, n, _)| n)
    }

    /// The open collection.
    pub fn collection(&self) -> Option<&Collection> {
        self.collection.as_ref()
    }

    /// The candidates of the open collection that were not rescued.
    pub fn candidates(&self) -> impl Iterator<Item = &ObjectName> {
        let open = self.collection.iter().flat_map(|open| open.candidates.difference(&open.rescued));
        open.filter_map(|no| self.objects.name(*no))
    }

    /// Whether the object is a candidate of the open collection and not rescued: whoever comes to need it rescues it.
    pub fn is_candidate(&self, name: &ObjectName) -> bool {
        self.objects.find(name).is_some_and(|no| self.candidate_no(no))
    }

    pub(crate) fn candidate_no(&self, no: ObjectNo) -> bool {
        self.collection.as_ref().is_some_and(|open| open.candidates.contains(&no) && !open.rescued.contains(&no))
    }

    /// The newest GC_COMMIT that moved objects: what a COMMIT names in `collected_to`; 0: none.
    pub fn moved_to(&self) -> u64 {
        self.moved_to
    }

    /// The holds.
    pub fn holds(&self) -> &BTreeMap<HoldId, HoldInfo> {
        &self.holds
    }

    /// Whether a hold or an open session keeps the point from deletion.
    pub fn is_held(&self, point: &PointId) -> bool {
        self.holds.values().any(|hold| hold.points.contains(point))
            || self.sessions.values().any(|session| session.parent.as_ref() == Some(point))
    }

    /// The admitted signers.
    pub fn signers(&self) -> &BTreeMap<Signer, SignerInfo> {
        &self.signers
    }

    /// The positions of the KEY entries that took effect.
    pub fn key_positions(&self) -> BTreeSet<u64> {
        self.key_entries.iter().filter_map(|bytes| Some(Entry::open_trusted(bytes).ok()?.seq)).collect()
    }

    /// The X25519 public key of a domain's generation.
    pub fn domain_public(&self, domain: &DomainId, generation: u32) -> Option<&[u8; 32]> {
        self.domains.get(&(*domain, generation))
    }

    /// The domains' generations and their X25519 public keys.
    pub fn domains(&self) -> &BTreeMap<(DomainId, u32), [u8; 32]> {
        &self.domains
    }

    /// The links to other stores; one per store and direction.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The fences by the position at which they took effect here.
    pub fn fences(&self) -> &BTreeMap<u64, FenceInfo> {
        &self.fences
    }

    /// The lineage that captures of `lineage` belong to: another one's, if a fence says that it continues that one.
    pub fn continued(&self, lineage: &LineageId) -> LineageId {
        let standing = self.fences.values().rev().filter(|fence| fence.unfenced.is_none());
        let found = standing.flat_map(|fence| &fence.successors).find(|(successor, _)| successor == lineage);
        found.map_or(*lineage, |(_, fenced)| *fenced)
    }

    /// The newest position of each peer that a committer of this store had read.
    pub fn peers(&self) -> &BTreeMap<StoreId, Head> {
        &self.peers
    }

    /// How well a point was checked. What was imported was hashed before: that counts from the IMPORT on.
    pub fn verified(&self, point: &PointId) -> Option<Verification> {
        self.point(point)?.verified
    }

    /// How many seconds a point is kept at least.
    pub fn retention_seconds_min(&self) -> u64 {
        self.retention_seconds_min
    }

    /// The lowest version that may read.
    pub fn reader_min(&self) -> u32 {
        self.reader_min
    }

    /// The lowest version that may append.
    pub fn writer_min(&self) -> u32 {
        self.writer_min
    }

    /// What readers and writers must know, by name.
    pub fn features(&self) -> &BTreeSet<String> {
        &self.features
    }

    /// The position of the newest CHECKPOINT entry; 0: none.
    pub fn checkpoint_seq(&self) -> u64 {
        self.checkpoint
    }
}
