use bytes::Bytes;
use firn_format::manifest::{Manifest, Mount};
use firn_format::{LineageId, Payload, RunId, SessionId, WriterKeys};

use super::*;
use crate::ground::{CLUSTER, Ground};
use crate::{Keyring, Repository, Session, SessionPlan, Summary, check};

const ID: SessionId = SessionId([7; 16]);
const RUN: RunId = RunId([8; 16]);

fn lineage(keyring: &Keyring) -> LineageId {
    keyring.lineage(CLUSTER, "all")
}

fn open(repository: &mut Repository, keyring: &Keyring, id: SessionId) -> Result<Session, RepoError> {
    let lineage = lineage(keyring);
    let parent = repository.state().latest(&lineage).map(|point| point.id);
    let plan = SessionPlan { cluster: CLUSTER.into(), lineage, parent };
    Session::open_named(repository, keyring, plan, id, RUN)
}

/// What another process does, which has neither the log nor a key that signs: a volume of one file.
fn volume(ground: &Ground, keys: &WriterKeys, assignment: &Assignment, name: &str, text: &str) -> (Mount, Part) {
    let part = Part::begin(ground.memory.clone(), ground.context.entropy.clone(), keys.clone(), assignment).unwrap();
    let mount = crate::ground::volume(&part, &format!("volumes/local/{name}"), &[("file", text.repeat(100))]);
    (mount, part)
}

fn commit(repository: &mut Repository, keyring: &Keyring, session: Session, mut mounts: Vec<Mount>) -> WriteStats {
    mounts.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest = Manifest {
        cluster_uid: CLUSTER.into(),
        cluster_name: "east".into(),
        policy: "all".into(),
        mounts,
        complete: true,
        ..Manifest::default()
    };
    let summary = |_: &WriteStats| Summary { cluster: CLUSTER.into(), complete: true, ..Summary::default() };
    session.commit(repository, keyring, &manifest, &summary, Vec::new()).unwrap().stats
}

fn keys(repository: &mut Repository, keyring: &Keyring) -> WriterKeys {
    repository.writer_keys(keyring, CLUSTER).unwrap()
}

#[test]
fn parts_of_several_processes_make_one_point() {
    let ground = Ground::new(1);
    let (mut repository, keyring) = ground.create();
    let keys = keys(&mut repository, &keyring);
    for round in 0..3u8 {
        let mut session = open(&mut repository, &keyring, SessionId([round; 16])).unwrap();
        let mut mounts = Vec::new();
        for name in ["one", "two", "three"] {
            // The first stays as it was, the others change.
            let text = if name == "one" { name.to_owned() } else { format!("{name} {round}") };
            let (mount, part) = volume(&ground, &keys, session.assignment(), name, &text);
            let contribution = part.finish().unwrap();
            assert_eq!(contribution.stats.blobs_new, if name == "one" && round > 0 { 0 } else { 2 });
            session.admit(repository.store().as_ref(), &contribution).unwrap();
            mounts.push(mount);
        }
        let stats = commit(&mut repository, &keyring, session, mounts);
        assert_eq!(stats.blobs_new, if round == 0 { 7 } else { 5 });
        let report = check(&mut repository, &keyring, true).unwrap();
        assert_eq!(report.findings, []);
    }
    assert_eq!(repository.state().points().count(), 3);
}

#[test]
fn whoever_comes_next_goes_on_with_the_same_session() {
    let ground = Ground::new(2);
    let (mut repository, keyring) = ground.create();
    let keys = keys(&mut repository, &keyring);
    let session = open(&mut repository, &keyring, ID).unwrap();
    assert!(session.assignment().leftovers.is_empty());
    let (mount, part) = volume(&ground, &keys, session.assignment(), "one", "one");
    let done = part.finish().unwrap();
    // A second volume's part dies when its packs are stored, before it can say so; then the opener dies.
    let (_, part) = volume(&ground, &keys, session.assignment(), "two", "two");
    let lost = part.finish().unwrap();
    drop((session, repository));

    let (mut repository, keyring) = ground.open_unlocked(ground.memory.clone()).unwrap();
    let head = repository.head();
    let mut session = open(&mut repository, &keyring, ID).unwrap();
    assert_eq!(repository.head(), head, "the session is open; nothing was appended");
    session.admit(repository.store().as_ref(), &done).unwrap();
    let (again, part) = volume(&ground, &keys, session.assignment(), "two", "two");
    assert!(part.packs_found() > 0);
    let contribution = part.finish().unwrap();
    assert_eq!((contribution.stats.blobs_new, contribution.stats.packs), (0, 0));
    assert!(contribution.adds.iter().any(|name| lost.adds.contains(name)), "the packs of before are its own now");
    session.admit(repository.store().as_ref(), &contribution).unwrap();
    commit(&mut repository, &keyring, session, vec![mount, again]);
    assert_eq!(check(&mut repository, &keyring, true).unwrap().findings, []);
    assert!(repository.state().sessions().is_empty());

    // One that has ended does not begin again.
    let error = open(&mut repository, &keyring, ID).map(|_| ()).unwrap_err();
    assert!(matches!(error, RepoError::Refused { reason: firn_format::VoidReason::SessionReused, .. }), "{error}");
}

/// A pack of the session that died: two segments of content that does not compress.
fn leave_content(ground: &Ground, keys: &WriterKeys) -> (Vec<u8>, Vec<ObjectName>) {
    let assignment =
        Assignment { session: ID, runs: BTreeSet::new(), packs: BTreeSet::new(), leftovers: BTreeSet::new() };
    let part = Part::begin(ground.memory.clone(), ground.context.entropy.clone(), keys.clone(), &assignment).unwrap();
    let mut content = vec![0; 2 << 20];
    firn_format::SeededEntropy::new(77).fill(&mut content).unwrap();
    let mut lane = part.lane().unwrap();
    content.chunks(100_000).for_each(|chunk| _ = lane.put_chunk(chunk).unwrap());
    lane.finish().unwrap();
    drop(lane);
    part.leave().unwrap();
    let packs = ground.memory.snapshot().into_keys().filter_map(|name| ObjectName::parse(&name)).collect();
    (content, packs)
}

#[test]
fn leftovers_are_known_by_their_directories_and_told_as_they_were() {
    let ground = Ground::new(6);
    let (mut repository, keyring) = ground.create();
    let keys = keys(&mut repository, &keyring);
    let (content, packs) = leave_content(&ground, &keys);
    let (pack, path) = (packs[0], packs[0].path());
    let bytes = ground.memory.snapshot()[&path].clone();
    let told = firn_format::rebuild(pack, &bytes, &keys).unwrap();
    assert!(packs.len() == 1 && told.segments.len() > 1);
    let assignment = Assignment {
        session: SessionId([8; 16]),
        runs: BTreeSet::new(),
        packs: BTreeSet::new(),
        leftovers: packs.into_iter().collect(),
    };
    let begin =
        |store: Arc<dyn Store>| Part::begin(store, ground.context.entropy.clone(), keys.clone(), &assignment).unwrap();
    let recording = Arc::new(firn_store::Recording::new(ground.memory.clone()));
    let part = begin(recording.clone());
    let read: u64 = recording.counts().values().map(|count| count.bytes).sum();
    assert!(part.packs_found() == 1 && read < 10_000, "{read} bytes were read of {}", bytes.len());
    assert_eq!(part.index.tell(&BTreeSet::from([0])), [told]);
    let mut lane = part.lane().unwrap();
    content.chunks(100_000).for_each(|chunk| _ = lane.put_chunk(chunk).unwrap());
    lane.finish().unwrap();
    drop(lane);
    let contribution = part.finish().unwrap();
    assert_eq!((contribution.stats.blobs_new, contribution.adds.contains(&pack)), (0, true));
    // Cut short anywhere, with something behind it, or with a flipped bit in what is read: not used.
    let (head, tail) = (firn_format::PACK_HEAD_BYTES, bytes.len() - 1);
    let cuts = [0, 95, head, head + 100, bytes.len() / 2, tail].map(|len| bytes.slice(..len));
    let flips = [3, 70, head - 5, head + 20].map(|at| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        Bytes::from(bytes)
    });
    for harmed in cuts.into_iter().chain(flips).chain([Bytes::from([&bytes[..], b"more"].concat())]) {
        ground.memory.overwrite(&path, harmed);
        assert_eq!(begin(ground.memory.clone()).packs_found(), 0);
    }
    ground.memory.delete(&path).unwrap();
    assert_eq!(begin(ground.memory.clone()).packs_found(), 0);
}

#[test]
fn a_contribution_that_is_not_whole_or_not_its_own_is_refused() {
    let ground = Ground::new(3);
    let (mut repository, keyring) = ground.create();
    let keys = keys(&mut repository, &keyring);
    let mut session = open(&mut repository, &keyring, ID).unwrap();
    let (_, part) = volume(&ground, &keys, session.assignment(), "one", "one");
    let good = part.finish().unwrap();
    let store = repository.store().clone();

    let stranger = ObjectName::of(Class::Data, b"of another point");
    let mut foreign = good.clone();
    foreign.needs.insert(stranger);
    assert!(matches!(session.admit(store.as_ref(), &foreign), Err(RepoError::Foreign { name }) if name == stranger));

    let run = ObjectName::of(Class::Index(SessionId([9; 16])), b"a run of another session");
    let mut foreign = good.clone();
    foreign.adds.insert(run);
    assert!(matches!(session.admit(store.as_ref(), &foreign), Err(RepoError::Foreign { name }) if name == run));

    let gone = *good.adds.iter().next().unwrap();
    ground.memory.delete(&gone.path()).unwrap();
    let error = session.admit(store.as_ref(), &good).unwrap_err();
    assert!(matches!(error, RepoError::Missing { count: 1, name } if name == gone), "{error}");
    // Nothing of what was refused is in the point.
    commit(&mut repository, &keyring, session, Vec::new());
    let point = repository.state().latest(&lineage(&keyring)).unwrap().id;
    let needs = repository.state().needs(&point);
    assert!(needs.iter().all(|name| !good.adds.contains(name)));
}

#[test]
fn what_is_about_to_go_is_not_assigned() {
    let ground = Ground::new(4);
    let (mut repository, keyring) = ground.create();
    let keys = keys(&mut repository, &keyring);
    let mut session = open(&mut repository, &keyring, ID).unwrap();
    let (mount, part) = volume(&ground, &keys, session.assignment(), "one", "one");
    let contribution = part.finish().unwrap();
    session.admit(repository.store().as_ref(), &contribution).unwrap();
    commit(&mut repository, &keyring, session, vec![mount]);
    let pack = *contribution.adds.iter().find(|name| name.class == Class::Data).unwrap();
    let assignment = Assignment::of_live_points(repository.state(), ID);
    assert!(assignment.packs.contains(&pack) && !assignment.runs.is_empty());
    let lost = firn_format::log::Lost { names: vec![pack], reason: "gone".into() };
    repository.append(&Payload::Lost(lost), keyring.signing_key().unwrap()).unwrap();
    assert!(!Assignment::of_live_points(repository.state(), ID).packs.contains(&pack));
}

#[test]
fn what_a_lane_promised_and_did_not_write_is_in_no_point() {
    let ground = Ground::new(5);
    let (mut repository, keyring) = ground.create();
    let session = open(&mut repository, &keyring, ID).unwrap();
    let mut dropped = session.part().lane().unwrap();
    let id = dropped.put_chunk(b"never written").unwrap();
    drop(dropped);
    assert!(session.part().writer().refer(&id), "the session takes it for known");
    let committed =
        session.commit(&mut repository, &keyring, &Manifest::default(), &|_| Summary::default(), Vec::new());
    assert!(matches!(committed, Err(RepoError::Unwritten { blobs: 1 })), "{committed:?}");
    assert!(repository.state().latest(&lineage(&keyring)).is_none());
    // Who only stops is not refused: the next session stores it again.
    let session = open(&mut repository, &keyring, SessionId([9; 16])).unwrap();
    let mut dropped = session.part().lane().unwrap();
    dropped.put_chunk(b"never written").unwrap();
    drop(dropped);
    assert_eq!(session.leave(&mut repository, &keyring).unwrap().packs, 0);
}

#[test]
fn what_a_collection_has_marked_is_rescued_by_who_goes_on() {
    let ground = Ground::new(5);
    let (mut repository, keyring) = ground.create();
    let keys = keys(&mut repository, &keyring);
    let session = open(&mut repository, &keyring, ID).unwrap();
    let (_, part) = volume(&ground, &keys, session.assignment(), "one", "one");
    let left = part.finish().unwrap();
    let marked = crate::collect(&mut repository, keyring.signing_key().unwrap()).unwrap();
    assert_eq!(marked.waiting_objects, left.adds.len() as u64);

    // It dies; the next run begins; then the collection's wait is over.
    session.abort(&mut repository, &keyring).unwrap();
    let lineage = lineage(&keyring);
    let other = SessionPlan { cluster: CLUSTER.into(), lineage, parent: None };
    let still_open = Session::open(&mut repository, &keyring, other).unwrap();
    let mut next = open(&mut repository, &keyring, SessionId([9; 16])).unwrap();
    let collected = crate::collect(&mut repository, keyring.signing_key().unwrap()).unwrap();
    assert_eq!(collected.objects, 1, "the index run, which nobody goes on with: {collected:?}");
    let (mount, part) = volume(&ground, &keys, next.assignment(), "one", "one");
    assert_eq!(part.packs_found(), 2);
    let contribution = part.finish().unwrap();
    assert_eq!(contribution.stats.blobs_new, 0);
    next.admit(repository.store().as_ref(), &contribution).unwrap();
    commit(&mut repository, &keyring, next, vec![mount]);
    still_open.abort(&mut repository, &keyring).unwrap();
    crate::collect(&mut repository, keyring.signing_key().unwrap()).unwrap();
    assert_eq!(check(&mut repository, &keyring, true).unwrap().findings, []);
}
