//! The rules of the fold, one by one (FORMAT.md §8.2), on signed logs.

use super::*;
use crate::ids::{BlobId, CollectionId, DomainId, FamilyId, HoldId, LineageId, PointId, RunId, SessionId, StoreId};
use crate::log::{
    Commit, Delete, Fence, Found, GcCommit, GcMark, Head, Hold, Import, KeyAction, KeyChange, Level, Lost, Moved,
    Opaque, Release, Rescue, SessionEnd, SessionOpen, Unfence, Upgrade, Verified,
};
use crate::name::{Class, ObjectName};
use crate::signing::SigningKey;
use crate::verdict::VoidReason as Why;

/// A store with its log, written by the owner unless said otherwise.
pub(crate) struct Bench {
    pub(crate) key: SigningKey,
    pub(crate) format: FormatFile,
    pub(crate) fingerprint: Hash,
    pub(crate) slots: Vec<Option<Vec<u8>>>,
    pub(crate) state: State,
}

pub(crate) fn name(number: u16) -> ObjectName {
    ObjectName::of(Class::Data, &number.to_le_bytes())
}

pub(crate) fn names(numbers: &[u16]) -> Vec<ObjectName> {
    numbers.iter().map(|number| name(*number)).collect()
}

fn session(number: u8) -> SessionId {
    SessionId([number; 16])
}

pub(crate) const LINEAGE: LineageId = LineageId([1; 16]);

impl Bench {
    pub(crate) fn new(store: u8) -> Self {
        let key = SigningKey::from_seed(&[store; 32]).unwrap();
        let format = FormatFile {
            family: FamilyId([9; 16]),
            store: StoreId([store; 16]),
            owner: key.signer(),
            chunker: crate::format_file::ChunkerFacts::default(),
            chunker_check: [0; 8],
            created_ms: 1,
            features: Vec::new(),
        };
        let (format, fingerprint) = FormatFile::open(&format.sign(&key)).unwrap();
        let state = State::genesis(&format, fingerprint);
        Self { key, format, fingerprint, slots: Vec::new(), state }
    }

    pub(crate) fn entry(&self, payload: Payload) -> Entry {
        let position = self.state.may_append().unwrap();
        Entry {
            store: self.format.store,
            seq: position.seq,
            prev: position.prev,
            critical: true,
            term: 0,
            payload,
            time_ms: 1000 + position.seq as i64,
            store_time_ms: None,
            signer: self.key.signer(),
        }
    }

    pub(crate) fn push(&mut self, bytes: Vec<u8>) -> Verdict {
        let verdict = self.state.apply(Some(&bytes));
        self.slots.push(Some(bytes));
        verdict
    }

    pub(crate) fn put(&mut self, payload: Payload) -> Verdict {
        let bytes = self.entry(payload).sign(&self.key).unwrap();
        self.push(bytes)
    }

    pub(crate) fn put_as(&mut self, key: &SigningKey, payload: Payload) -> Verdict {
        let bytes = self.entry(payload).sign(key).unwrap();
        self.push(bytes)
    }

    /// What `validate` says must be what the fold does.
    fn both(&mut self, payload: Payload) -> Verdict {
        let foreseen = self.state.validate(&payload, &self.key.signer());
        let verdict = self.put(payload);
        assert_eq!(foreseen.err(), if let Verdict::Void(why) = verdict { Some(why) } else { None });
        verdict
    }

    pub(crate) fn last_hash(&self) -> Hash {
        Hash::of(self.slots.last().unwrap().as_ref().unwrap())
    }

    fn open_on(&mut self, number: u8, lineage: LineageId, parent: Option<PointId>) -> Verdict {
        let epoch = self.state.epoch(&lineage);
        let open = SessionOpen { session: session(number), run: RunId([number; 16]), lineage, epoch, parent };
        self.both(Payload::SessionOpen(open))
    }

    fn commit_of(&self, number: u8, adds: &[u16]) -> Commit {
        let open = self.state.sessions().get(&session(number)).cloned();
        Commit {
            session: session(number),
            run: RunId([number; 16]),
            lineage: open.as_ref().map_or(LINEAGE, |open| open.lineage),
            epoch: open.as_ref().map_or(0, |open| open.epoch),
            parent: open.and_then(|open| open.parent),
            manifest: BlobId([number; 32]),
            domain: DomainId([2; 16]),
            generation: 1,
            adds: names(adds),
            needs_added: Vec::new(),
            needs_dropped: Vec::new(),
            peers: Vec::new(),
            summary: vec![number; 40],
            rescues: Vec::new(),
            collected_to: self.state.moved_to(),
        }
    }

    /// A session and its point on the latest one of the lineage.
    pub(crate) fn point(&mut self, number: u8, adds: &[u16], drops: &[u16]) -> PointId {
        let parent = self.state.latest(&LINEAGE).map(|point| point.id);
        assert_eq!(self.open_on(number, LINEAGE, parent), Verdict::Applied);
        let commit = Commit { needs_dropped: names(drops), ..self.commit_of(number, adds) };
        assert_eq!(self.both(Payload::Commit(Box::new(commit))), Verdict::Applied);
        self.last_hash().into()
    }

    fn commit(&mut self, commit: Commit) -> Verdict {
        self.both(Payload::Commit(Box::new(commit)))
    }

    pub(crate) fn delete(&mut self, point: PointId) -> Verdict {
        self.both(Payload::Delete(Delete { points: vec![point], reason: String::new() }))
    }

    fn mark(&mut self, number: u8, candidates: &[u16]) -> Verdict {
        self.both(Payload::GcMark(GcMark { collection: CollectionId([number; 16]), candidates: names(candidates) }))
    }

    fn collect(&mut self, number: u8, dropped: &[u16], moved: &[(u16, u16)]) -> Verdict {
        let moved = moved.iter().map(|(from, to)| Moved { from: name(*from), to: name(*to) }).collect();
        self.both(Payload::GcCommit(GcCommit {
            collection: CollectionId([number; 16]),
            dropped: names(dropped),
            moved,
        }))
    }

    fn import(&mut self, from: &Bench, seq: usize, needs: Option<&[u16]>) -> Verdict {
        self.import_passing(from, seq, needs, &[])
    }

    /// An import that leaves the entries at `passed` behind.
    fn import_passing(&mut self, from: &Bench, seq: usize, needs: Option<&[u16]>, passed: &[u64]) -> Verdict {
        let entry = from.slots[seq - 1].clone().unwrap();
        let (store, hash) = (from.format.store, Hash::of(&entry));
        let (needs, rescues, passed, seq) = (needs.map(names), Vec::new(), passed.to_vec(), seq as u64);
        self.both(Payload::Import(Box::new(Import { store, seq, hash, entry, rescues, needs, passed })))
    }

    fn unfence(&mut self, fence: Hash) -> Verdict {
        self.both(Payload::Unfence(Unfence { fence }))
    }

    fn lose(&mut self, numbers: &[u16]) -> Verdict {
        self.both(Payload::Lost(Lost { names: names(numbers), reason: String::new() }))
    }

    fn branches(&self) -> Vec<PointId> {
        self.state.branches().map(|point| point.id).collect()
    }

    fn fence(&mut self, epoch: u64) -> Verdict {
        let tips = vec![self.state.latest(&LINEAGE).map(|point| point.id)];
        let (lineages, epochs) = (vec![LINEAGE], vec![epoch]);
        self.both(Payload::Fence(Fence {
            lineages,
            epochs,
            basis: Vec::new(),
            reason: "test".into(),
            tips,
            successors: Vec::new(),
        }))
    }

    fn refold(&self) -> State {
        fold(&self.format, self.fingerprint, self.slots.iter().map(Option::as_deref))
    }

    pub(crate) fn needs(&self, point: &PointId) -> Vec<ObjectName> {
        let mut needs = self.state.needs(point);
        needs.sort_unstable();
        needs
    }
}

fn sorted(numbers: &[u16]) -> Vec<ObjectName> {
    let mut names = names(numbers);
    names.sort_unstable();
    names
}

#[test]
fn only_admitted_signers_with_the_role_append() {
    let mut bench = Bench::new(1);
    let other = SigningKey::from_seed(&[77; 32]).unwrap();
    let mark = || Payload::GcMark(GcMark { collection: CollectionId([1; 16]), candidates: Vec::new() });
    let key = |action, signer: &SigningKey, roles| {
        let (signer, roles, label) = (Some(signer.signer()), Some(roles), Some("label".into()));
        Payload::Key(KeyChange { action, signer, roles, label, domain: None, generation: None, domain_public: None })
    };
    assert_eq!(bench.put_as(&other, mark()), Verdict::Void(Why::NotAllowed));
    assert_eq!(bench.put(key(KeyAction::Admit, &other, Roles::COMMIT)), Verdict::Applied);
    assert_eq!(bench.put_as(&other, mark()), Verdict::Void(Why::NotAllowed));
    assert_eq!(bench.put_as(&other, key(KeyAction::Admit, &other, Roles::OWNER)), Verdict::Void(Why::NotAllowed));
    assert_eq!(bench.put(key(KeyAction::Admit, &other, Roles::COLLECT)), Verdict::Applied);
    assert_eq!(bench.put_as(&other, mark()), Verdict::Applied);
    assert_eq!(bench.put(key(KeyAction::Revoke, &other, Roles::default())), Verdict::Applied);
    assert_eq!(bench.put_as(&other, mark()), Verdict::Void(Why::NotAllowed));
    let owner = SigningKey::from_seed(&[1; 32]).unwrap();
    assert_eq!(bench.put(key(KeyAction::Revoke, &owner, Roles::default())), Verdict::Void(Why::LastOwner));
    assert_eq!(bench.put(key(KeyAction::Admit, &owner, Roles::COMMIT)), Verdict::Void(Why::LastOwner));
}

#[test]
fn a_session_is_used_once_and_holds_its_parent() {
    let mut bench = Bench::new(1);
    let first = bench.point(1, &[1], &[]);
    assert_eq!(bench.open_on(1, LINEAGE, None), Verdict::Void(Why::SessionReused));
    assert_eq!(bench.open_on(2, LineageId([8; 16]), Some(first)), Verdict::Void(Why::ParentNotLive));
    assert_eq!(bench.open_on(3, LINEAGE, Some(first)), Verdict::Applied);
    assert_eq!(bench.delete(first), Verdict::Void(Why::PointHeld));
    let other_parent = Commit { parent: None, ..bench.commit_of(3, &[2]) };
    assert_eq!(bench.commit(other_parent), Verdict::Void(Why::SessionMismatch));
    assert_eq!(bench.both(Payload::Kill(SessionEnd { session: session(3) })), Verdict::Applied);
    let late = Commit { parent: Some(first), ..bench.commit_of(3, &[2]) };
    assert_eq!(bench.commit(late), Verdict::Void(Why::SessionNotOpen));
    assert_eq!(bench.delete(first), Verdict::Applied);
    assert_eq!(bench.delete(first), Verdict::Void(Why::PointNotLive));
    assert!(!bench.state.needed_by_any(&name(1)));
}

#[test]
fn needs_are_differences_that_survive_deletion_of_what_they_differ_from() {
    let mut bench = Bench::new(1);
    let first = bench.point(1, &[1, 2, 3], &[]);
    let second = bench.point(2, &[4], &[2]);
    // Adding and dropping in one entry is adding; dropping what is not needed does nothing; adding twice is once.
    let third = bench.point(3, &[5, 5, 1, 2], &[2, 99]);
    let expected = [sorted(&[1, 2, 3]), sorted(&[1, 3, 4]), sorted(&[1, 2, 3, 4, 5])];
    assert_eq!([first, second, third].map(|point| bench.needs(&point)), expected);
    assert_eq!(bench.delete(second), Verdict::Applied);
    assert_eq!([bench.needs(&first), bench.needs(&third)], [expected[0].clone(), expected[2].clone()]);
    assert_eq!(bench.delete(first), Verdict::Applied);
    assert_eq!(bench.needs(&third), expected[2]);
    assert_eq!(bench.delete(third), Verdict::Applied);
    assert!((1..=5).all(|number| !bench.state.needed_by_any(&name(number))));
    assert_eq!(bench.state.unneeded().count(), 5);
}

#[test]
fn holds_keep_points() {
    let mut bench = Bench::new(1);
    let point = bench.point(1, &[1], &[]);
    let hold = HoldId([4; 16]);
    let held = Payload::Hold(Hold { hold, points: vec![point], reason: "restore".into(), until_ms: Some(5) });
    assert_eq!(bench.both(held.clone()), Verdict::Applied);
    assert_eq!(bench.both(held), Verdict::Void(Why::HoldMismatch));
    assert_eq!(bench.delete(point), Verdict::Void(Why::PointHeld));
    assert_eq!(bench.both(Payload::Release(Release { hold })), Verdict::Applied);
    assert_eq!(bench.delete(point), Verdict::Applied);
}

#[test]
fn a_collection_drops_only_candidates_that_nobody_needs() {
    let mut bench = Bench::new(1);
    bench.point(1, &[1, 2], &[]);
    assert_eq!(bench.collect(1, &[1], &[]), Verdict::Void(Why::CollectionNotOpen));
    assert_eq!(bench.mark(1, &[1, 3]), Verdict::Applied);
    assert_eq!(bench.collect(1, &[2], &[]), Verdict::Void(Why::NotCandidate));
    assert_eq!(bench.collect(1, &[1], &[]), Verdict::Void(Why::Needed));
    assert_eq!(bench.collect(1, &[3, 3], &[]), Verdict::Void(Why::Malformed));
    assert_eq!(bench.collect(1, &[3], &[]), Verdict::Applied);
    assert_eq!(bench.collect(1, &[3], &[]), Verdict::Void(Why::CollectionNotOpen));
    assert!(bench.state.dead(&name(3)));
    // A dead name is dead for ever; the same bytes come back under another.
    assert_eq!(bench.open_on(2, LINEAGE, None), Verdict::Applied);
    let dead = bench.commit_of(2, &[3]);
    assert_eq!(bench.commit(dead.clone()), Verdict::Void(Why::DeadName));
    let again = bench.state.name_to_store(name(3));
    assert_eq!(again.reborn, bench.state.died_at(&name(3)));
    assert_eq!(bench.commit(Commit { adds: vec![again], ..dead }), Verdict::Applied);
    assert_eq!(bench.mark(2, &[3]), Verdict::Void(Why::DeadName));
}

#[test]
fn who_needs_a_candidate_rescues_it() {
    let mut bench = Bench::new(1);
    let first = bench.point(1, &[1, 2], &[]);
    assert_eq!(bench.delete(first), Verdict::Applied);
    assert_eq!(bench.mark(1, &[1, 2]), Verdict::Applied);
    assert_eq!(bench.open_on(2, LINEAGE, None), Verdict::Applied);
    let commit = Commit { needs_added: names(&[1]), ..bench.commit_of(2, &[]) };
    assert_eq!(bench.commit(commit.clone()), Verdict::Void(Why::NotRescued));
    assert_eq!(bench.commit(Commit { rescues: names(&[1]), ..commit }), Verdict::Applied);
    assert_eq!(bench.both(Payload::Rescue(Rescue { names: names(&[9]) })), Verdict::Void(Why::NotCandidate));
    assert_eq!(bench.collect(1, &[1], &[]), Verdict::Void(Why::NotCandidate));
    assert_eq!(bench.both(Payload::Rescue(Rescue { names: names(&[2]) })), Verdict::Applied);
    assert_eq!(bench.collect(1, &[2], &[]), Verdict::Void(Why::NotCandidate));
    assert_eq!(bench.state.candidates().count(), 0);
}

#[test]
fn unlisted_objects_wait_for_the_sessions_that_were_open_at_the_mark() {
    let mut bench = Bench::new(1);
    let first = bench.point(1, &[1], &[]);
    assert_eq!(bench.open_on(2, LINEAGE, None), Verdict::Applied);
    assert_eq!(bench.delete(first), Verdict::Applied);
    assert_eq!(bench.mark(1, &[1, 7]), Verdict::Applied);
    assert_eq!(bench.open_on(3, LINEAGE, None), Verdict::Applied);
    assert_eq!(bench.collect(1, &[1, 7], &[]), Verdict::Void(Why::SessionBarrier));
    assert_eq!(bench.both(Payload::Abort(SessionEnd { session: session(2) })), Verdict::Applied);
    assert_eq!(bench.collect(1, &[1, 7], &[]), Verdict::Applied);
}

#[test]
fn moves_replace_names_everywhere() {
    let mut bench = Bench::new(1);
    let first = bench.point(1, &[1, 2], &[]);
    let second = bench.point(2, &[3], &[1]);
    let third = bench.point(3, &[], &[2, 3]);
    assert_eq!(bench.open_on(9, LINEAGE, Some(third)), Verdict::Applied);
    let stale = bench.commit_of(9, &[6]);
    assert_eq!(bench.mark(1, &[1, 2, 3]), Verdict::Applied);
    assert_eq!(bench.collect(1, &[], &[(1, 4), (2, 4), (3, 5)]), Verdict::Applied);
    assert_eq!(bench.needs(&first), sorted(&[4]));
    assert_eq!(bench.needs(&second), sorted(&[4, 5]));
    assert_eq!(bench.needs(&third), sorted(&[]));
    assert_eq!(bench.commit(stale.clone()), Verdict::Void(Why::StaleCollection));
    let fresh = Commit { collected_to: bench.state.moved_to(), ..stale };
    assert_eq!(bench.commit(fresh), Verdict::Applied);
    assert_eq!(bench.delete(first), Verdict::Applied);
    assert!(bench.state.needed_by_any(&name(4)) && bench.state.needed_by_any(&name(5)));
    assert_eq!(bench.delete(second), Verdict::Applied);
    assert!(!bench.state.needed_by_any(&name(4)) && !bench.state.needed_by_any(&name(5)));
    assert!(bench.state.dead(&name(1)) && !bench.state.dead(&name(4)));
}

#[test]
fn imports_come_in_order_and_once() {
    let (mut a, mut b) = (Bench::new(1), Bench::new(2));
    let first = a.point(1, &[1, 2], &[]);
    let second = a.point(2, &[3], &[1]);
    assert_eq!(b.import(&a, 1, None), Verdict::Void(Why::ImportMismatch));
    assert_eq!(b.import(&a, 4, None), Verdict::Void(Why::NeedsMissing));
    assert_eq!(b.import(&a, 2, None), Verdict::Applied);
    assert_eq!(b.import(&a, 4, None), Verdict::Applied);
    assert_eq!(b.import(&a, 2, None), Verdict::Void(Why::OutOfOrder));
    assert_eq!(b.needs(&second), sorted(&[2, 3]));
    assert_eq!(b.state.point(&first).unwrap().imported_from(b.format.store), Some((a.format.store, 2)));
    assert_eq!(a.import(&a.twin(), 2, None), Verdict::Void(Why::OwnEntry));
    // Without its parent, or after a move here, the import says all needs.
    let third = a.point(3, &[4], &[]);
    let seq = a.slots.len();
    assert_eq!(b.mark(1, &[3]), Verdict::Applied);
    assert_eq!(b.collect(1, &[], &[(3, 30)]), Verdict::Applied);
    assert_eq!(b.import(&a, seq, None), Verdict::Void(Why::NeedsMissing));
    assert_eq!(b.import(&a, seq, Some(&[2, 30, 4])), Verdict::Applied);
    assert_eq!(b.needs(&third), sorted(&[2, 4, 30]));
    // The replica's own points of this lineage wait for a fence.
    assert_eq!(b.open_on(1, LINEAGE, Some(third)), Verdict::Applied);
    let own = b.commit_of(1, &[5]);
    assert_eq!(b.commit(own), Verdict::Void(Why::HeldElsewhere));
}

impl Bench {
    /// The same log again, so that a bench can import from itself.
    fn twin(&self) -> Bench {
        let mut twin = Bench::new(self.format.store.0[0]);
        twin.slots = self.slots.clone();
        twin.state = twin.refold();
        twin
    }
}

#[test]
fn a_fence_moves_a_lineage_and_leaves_a_branch() {
    let (mut a, mut b) = (Bench::new(1), Bench::new(2));
    let first = a.point(1, &[1], &[]);
    assert_eq!(b.import(&a, 2, None), Verdict::Applied);
    let tail = a.point(2, &[2], &[]);
    assert_eq!(b.fence(0), Verdict::Void(Why::Epoch));
    assert_eq!(b.fence(1), Verdict::Applied);
    let fence_seq = b.slots.len();
    assert_eq!(b.import(&a, 4, None), Verdict::Void(Why::Epoch));
    let promoted = b.point(3, &[3], &[]);
    // The old source learns of it: its tail is a branch, live but never the latest, and it commits no more.
    assert_eq!(a.open_on(4, LINEAGE, Some(tail)), Verdict::Applied);
    let overtaken = a.commit_of(4, &[4]);
    assert_eq!(a.import(&b, fence_seq, None), Verdict::Applied);
    assert_eq!(a.commit(overtaken), Verdict::Void(Why::Epoch));
    assert_eq!(a.import(&b, fence_seq, None), Verdict::Void(Why::OutOfOrder));
    assert_eq!(a.state.branches().map(|point| point.id).collect::<Vec<_>>(), [tail]);
    assert_eq!(a.state.latest(&LINEAGE).unwrap().id, first);
    assert!(a.state.needed_by_any(&name(2)));
    assert_eq!(a.import(&b, b.slots.len(), None), Verdict::Applied);
    assert_eq!(a.state.latest(&LINEAGE).unwrap().id, promoted);
    assert_eq!(a.open_on(5, LINEAGE, Some(tail)), Verdict::Void(Why::ParentNotLive));
    assert_eq!(a.open_on(6, LINEAGE, Some(promoted)), Verdict::Applied);
    let own = a.commit_of(6, &[5]);
    assert_eq!(a.commit(own), Verdict::Void(Why::HeldElsewhere));
    // Failback: the old source fences in its turn.
    assert_eq!(a.fence(2), Verdict::Applied);
    a.point(7, &[6], &[]);
    assert_eq!(a.state.fences().len(), 2);
}

#[test]
fn the_same_epoch_in_two_stores_is_a_split_until_one_fences_higher() {
    let (mut a, mut b) = (Bench::new(1), Bench::new(2));
    a.point(1, &[1], &[]);
    assert_eq!(b.import(&a, 2, None), Verdict::Applied);
    assert_eq!((a.fence(1), b.fence(1)), (Verdict::Applied, Verdict::Applied));
    let fence_seq = a.slots.len();
    assert_eq!(b.import(&a, fence_seq, None), Verdict::Applied);
    assert!(b.state.lineages()[&LINEAGE].split);
    a.point(2, &[2], &[]);
    assert_eq!(b.import(&a, a.slots.len(), None), Verdict::Void(Why::Split));
    assert_eq!(b.fence(2), Verdict::Applied);
    assert!(!b.state.lineages()[&LINEAGE].split);
}

#[test]
fn a_fence_is_taken_back_until_it_is_built_upon() {
    let mut bench = Bench::new(1);
    bench.point(1, &[1], &[]);
    assert_eq!(bench.fence(5), Verdict::Applied);
    let fence = bench.last_hash();
    assert_eq!(bench.unfence(fence), Verdict::Applied);
    assert_eq!((bench.state.epoch(&LINEAGE), bench.state.next_epoch(&LINEAGE)), (0, 6));
    assert_eq!(bench.unfence(fence), Verdict::Void(Why::FenceNotInForce));
    // An epoch is given once.
    assert_eq!(bench.fence(5), Verdict::Void(Why::Epoch));
    assert_eq!(bench.fence(6), Verdict::Applied);
    let fence = bench.last_hash();
    bench.point(2, &[2], &[]);
    assert_eq!(bench.unfence(fence), Verdict::Void(Why::FenceUsed));
    let wrong = Fence {
        lineages: vec![LINEAGE],
        epochs: vec![9],
        basis: vec![Head { store: StoreId([2; 16]), seq: 1, hash: Hash::ZERO }],
        reason: String::new(),
        tips: vec![None],
        successors: Vec::new(),
    };
    assert_eq!(bench.both(Payload::Fence(wrong)), Verdict::Void(Why::TipMismatch));
}

#[test]
fn lost_names_are_not_built_upon_until_they_are_stored_again() {
    let mut bench = Bench::new(1);
    let first = bench.point(1, &[1], &[]);
    assert_eq!(bench.lose(&[1]), Verdict::Applied);
    assert_eq!(bench.state.missing(&first), names(&[1]));
    assert_eq!(bench.open_on(2, LINEAGE, None), Verdict::Applied);
    let commit = Commit { needs_added: names(&[1]), ..bench.commit_of(2, &[]) };
    assert_eq!(bench.commit(commit), Verdict::Void(Why::LostName));
    let healed = bench.commit_of(2, &[1]);
    assert_eq!(bench.commit(healed), Verdict::Applied);
    assert!(bench.state.missing(&first).is_empty());
}

#[test]
fn verification_upgrades_and_unknown_kinds() {
    let mut bench = Bench::new(1);
    let point = bench.point(1, &[1], &[]);
    for (level, after) in [(Level::AllData, Level::AllData), (Level::Structure, Level::AllData)] {
        assert_eq!(bench.both(Payload::Verified(Verified { points: vec![point], level })), Verdict::Applied);
        assert_eq!(bench.state.verified(&point).unwrap().level, after);
    }
    let upgrade = |reader_min, writer_min| Payload::Upgrade(Upgrade { reader_min, writer_min, features: Vec::new() });
    assert_eq!(bench.both(upgrade(0, 1)), Verdict::Void(Why::Lowered));
    assert_eq!(bench.both(upgrade(1, 2)), Verdict::Applied);
    assert!(bench.state.may_read().is_ok() && bench.state.may_append().is_err());
    let mut bench = Bench::new(1);
    let unknown = |critical| (Payload::Opaque(Opaque { kind: 99, bytes: vec![1] }), critical);
    for ((payload, critical), verdict) in
        [(unknown(false), Verdict::Void(Why::UnknownKind)), (unknown(true), Verdict::Newer)]
    {
        let entry = Entry { critical, ..bench.entry(payload) };
        let bytes = entry.sign(&bench.key).unwrap();
        assert_eq!(bench.push(bytes), verdict);
    }
    assert!(bench.state.may_read().is_err());
}

mod damage;
mod late;
mod laws;
mod lost;
mod unfence;
