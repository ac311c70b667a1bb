//! Everybody at once: a primary that commits, forgets and collects, a replica that forgets and collects, two replicators.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use firn_format::log::{Delete, GcCommit, GcMark, KeyAction, KeyChange, SessionEnd};
use firn_format::{CollectionId, ObjectName, Payload, Roles, SigningKey, State};
use firn_replicate::{Problem, ReplicateOptions, replicate};
use firn_repo::{RepoError, Repository};
use firn_store::{Head, Listed, MemoryStore, Put, Store};

use crate::ground::{DAILY, Ground, HOURLY, check_same, check_whole, open, run};

const ROUNDS: usize = 40;

/// Forgets the oldest point of a lineage that has more than two, and collects what nobody needs then.
fn forget_and_collect(store: &Arc<MemoryStore>, key: &SigningKey, round: usize) {
    let mut repository = open(store);
    let oldest = |state: &State| {
        let lineage = [DAILY, HOURLY][round % 2];
        let points: Vec<_> = state.points_of(&lineage).map(|point| point.id).collect();
        let deleted = points.first().filter(|point| points.len() > 2 && !state.is_held(point));
        deleted.map(|point| Payload::Delete(Delete { points: vec![*point], reason: String::new() }))
    };
    tolerate(repository.append_with(key, |state| Ok(oldest(state))));
    let mut listed = Vec::new();
    for prefix in ["data/", "meta/", "index/"] {
        store
            .list(prefix, None, &mut |line| {
                listed.extend(ObjectName::parse(&line.name));
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    let collection = CollectionId([round as u8; 16]);
    let waste = |state: &State| {
        let waste = listed.iter().copied().filter(|name| !state.needed_by_any(name) && !state.dead(name));
        Payload::GcMark(GcMark { collection, candidates: waste.collect() })
    };
    tolerate(repository.append_with(key, |state| Ok(Some(waste(state)))));
    let mut gone = Vec::new();
    let ended = repository.append_with(key, |state| {
        let waits = state.collection().is_some_and(|open| !open.barrier.is_empty());
        let may_go = |name: &&ObjectName| !state.needed_by_any(name) && (state.listed(name) || !waits);
        gone = state.candidates().filter(may_go).copied().collect();
        Ok(Some(Payload::GcCommit(GcCommit { collection, dropped: gone.clone(), moved: Vec::new() })))
    });
    if tolerate(ended) {
        gone.iter().for_each(|name| store.delete(&name.path()).unwrap());
    }
}

fn collector_key() -> SigningKey {
    SigningKey::from_seed(&[6; 32]).unwrap()
}

fn admit(ground: &Ground, store: &Arc<MemoryStore>, roles: Roles) {
    let change = KeyChange {
        action: KeyAction::Admit,
        signer: Some(collector_key().signer()),
        roles: Some(roles),
        label: None,
        domain: None,
        generation: None,
        domain_public: None,
    };
    ground.append(store, Payload::Key(change));
}

/// Whether it took effect; another may have come first.
fn tolerate<T>(result: Result<Option<T>, RepoError>) -> bool {
    match result {
        Ok(appended) => appended.is_some(),
        Err(RepoError::Refused { .. } | RepoError::Busy { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn no_point_is_ever_without_its_objects() {
    let mut ground = Ground::new(80);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    for store in [&a, &b] {
        admit(&ground, store, Roles::COMMIT.and(Roles::COLLECT));
    }
    let is_over = AtomicBool::new(false);
    let importer = SigningKey::from_seed(&[5; 32]).unwrap();
    let problems = std::thread::scope(|scope| {
        let replicators: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut problems: Vec<Problem> = Vec::new();
                    while !is_over.load(Ordering::SeqCst) {
                        problems.extend(run(a.clone(), b.clone(), &importer).unwrap().problems);
                    }
                    problems
                })
            })
            .collect();
        let collector = scope.spawn(|| {
            let rounds = (0..).take_while(|_| !is_over.load(Ordering::SeqCst));
            rounds.for_each(|round| forget_and_collect(&b, &collector_key(), round));
        });
        for round in 0..ROUNDS {
            let lineage = if round % 4 == 0 { DAILY } else { HOURLY };
            ground.commit(&a, lineage, 4, round % 3);
            forget_and_collect(&a, &collector_key(), round);
            if round % 5 == 0 {
                run(a.clone(), b.clone(), &importer).unwrap();
                check_whole(&Arc::new(MemoryStore::from_snapshot(b.snapshot())));
            }
        }
        is_over.store(true, Ordering::SeqCst);
        collector.join().unwrap();
        replicators.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(problems, []);
    assert!(ground.replicate().problems.is_empty());
    check_same(&a, &b);
    (0..4).for_each(|round| forget_and_collect(&b, &collector_key(), round));
    check_same(&a, &b);
    assert!(open(&b).state().dead_names().count() > 0);
}

/// Runs `meanwhile` once, right before a read of a pack: that with number `at`, from 0.
struct Meddled<F: Fn(&str) + Send + Sync> {
    inner: Arc<MemoryStore>,
    at: usize,
    reads: AtomicUsize,
    meanwhile: F,
    /// Whether packs are stored with one bit wrong.
    is_rotten: bool,
}

impl<F: Fn(&str) + Send + Sync> Store for Meddled<F> {
    fn put_new(&self, name: &str, bytes: Bytes) -> firn_store::Result<Put> {
        if self.is_rotten && name.starts_with("data/") {
            let mut bytes = bytes.to_vec();
            bytes[0] ^= 1;
            return self.inner.put_new(name, bytes.into());
        }
        self.inner.put_new(name, bytes)
    }
    fn get(&self, name: &str, bytes_max: u64) -> firn_store::Result<Bytes> {
        if name.starts_with("data/") && self.reads.fetch_add(1, Ordering::SeqCst) == self.at {
            (self.meanwhile)(name);
        }
        self.inner.get(name, bytes_max)
    }
    fn get_range(&self, name: &str, range: Range<u64>) -> firn_store::Result<Bytes> {
        self.inner.get_range(name, range)
    }
    fn head(&self, name: &str) -> firn_store::Result<Head> {
        self.inner.head(name)
    }
    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        each: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> firn_store::Result<()> {
        self.inner.list(prefix, after, each)
    }
    fn delete(&self, name: &str) -> firn_store::Result<()> {
        self.inner.delete(name)
    }
    fn describe(&self) -> String {
        self.inner.describe()
    }
    fn time(&self) -> firn_store::Result<jiff::Timestamp> {
        self.inner.time()
    }
}

fn meddled<F: Fn(&str) + Send + Sync>(inner: &Arc<MemoryStore>, at: usize, meanwhile: F) -> Meddled<F> {
    Meddled { inner: inner.clone(), at, reads: AtomicUsize::new(0), meanwhile, is_rotten: false }
}

#[test]
fn what_the_source_deletes_meanwhile_is_no_damage() {
    let mut ground = Ground::new(81);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let first = ground.commit(&a, DAILY, 6, 0);
    let second = ground.commit(&a, DAILY, 3, 6);
    let (key, inner) = (collector_key(), a.clone());
    admit(&ground, &a, Roles::OWNER);
    let source = meddled(&a, 0, move |_| {
        let mut there: Repository = open(&inner);
        let needs = there.state().needs(&first);
        let collection = CollectionId([1; 16]);
        let delete = Payload::Delete(Delete { points: vec![first], reason: String::new() });
        let mark = Payload::GcMark(GcMark { collection, candidates: needs.clone() });
        let collected = Payload::GcCommit(GcCommit { collection, dropped: needs.clone(), moved: Vec::new() });
        for payload in [delete, mark, collected] {
            there.append(&payload, &key).unwrap();
        }
        needs.iter().for_each(|name| inner.delete(&name.path()).unwrap());
    });
    let report = run(Arc::new(source), b.clone(), &ground.importer).unwrap();
    assert_eq!((report.points, report.problems), (vec![second], vec![]));
    check_same(&a, &b);
}

#[test]
fn what_the_target_stored_wrongly_is_not_imported() {
    let mut ground = Ground::new(82);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    ground.commit(&a, DAILY, 6, 0);
    let rotten = Meddled { is_rotten: true, ..meddled(&b, 0, |_| ()) };
    let report = run(a.clone(), Arc::new(rotten), &ground.importer).unwrap();
    assert!(report.points.is_empty(), "{report:?}");
    assert!(matches!(&report.problems[..], [Problem::TargetObject { .. }]));
    check_whole(&b);
}

#[test]
fn what_the_target_collects_meanwhile_is_sent_again_under_another_name() {
    let mut ground = Ground::new(83);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let point = ground.commit(&a, DAILY, 6, 0);
    admit(&ground, &b, Roles::OWNER);
    let inner = b.clone();
    // The two packs are asked for and read back in turn: before the last read, a collector kills the session.
    let target = meddled(&b, 3, move |reading| {
        let mut here = open(&inner);
        let session = *here.state().sessions().keys().next().unwrap();
        let stored = inner.snapshot().into_keys().filter(|name| name != reading);
        let names: Vec<_> = stored.filter_map(|name| ObjectName::parse(&name)).collect();
        assert!(names.len() > 1);
        let collection = CollectionId([1; 16]);
        let kill = Payload::Kill(SessionEnd { session });
        let mark = Payload::GcMark(GcMark { collection, candidates: names.clone() });
        let collected = Payload::GcCommit(GcCommit { collection, dropped: names.clone(), moved: Vec::new() });
        for payload in [kill, mark, collected] {
            here.append(&payload, &collector_key()).unwrap();
        }
        names.iter().for_each(|name| inner.delete(&name.path()).unwrap());
    });
    let (mut source, mut target) = (open(&a), Repository::open(Arc::new(target), crate::ground::context(7)).unwrap());
    let report = replicate(&mut source, &mut target, &ground.importer, &ReplicateOptions { lanes: 1 }).unwrap();
    assert_eq!((report.points, report.problems), (vec![point], vec![]));
    assert!(report.objects_copied > 6);
    check_same(&a, &b);
}
