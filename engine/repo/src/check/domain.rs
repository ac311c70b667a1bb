//! One domain's index, read run by run, so that a bad run is a finding and not the end.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use firn_format::{
    BlobId, Class, DomainKeys, FormatError, Hash, INDEX_BYTES_MAX, IndexRun, KeyRef, ObjectName, SessionCache, State,
};
use parking_lot::Mutex;

use super::closure::Closure;
use super::{Problem, Work};
use crate::error::RepoError;
use crate::index::Index;
use crate::keyring::Keyring;
use crate::open::Repository;
use crate::pool::{self, Limits};
use crate::reader::{ReadKeys, Reader};

/// Index runs are small, and reading them is waiting.
const RUNS: Limits = Limits { threads: 4, items_max: 16, bytes_max: 128 << 20 };

/// What is known of one domain and generation.
pub(super) struct Domain {
    pub(super) keys: DomainKeys,
    pub(super) reader: Arc<Reader>,
    pub(super) sessions: Mutex<SessionCache>,
    /// The index runs that tell of each pack of the index.
    pub(super) tellers: HashMap<ObjectName, Vec<ObjectName>>,
    /// What lies below each node that was walked.
    pub(super) closures: HashMap<BlobId, Arc<Closure>>,
    /// Nodes whose order and form were checked.
    pub(super) walked: HashSet<BlobId>,
}

impl Domain {
    pub(super) fn index(&self) -> &Index {
        self.reader.index()
    }
}

/// Reads the index of every domain that a live point needs.
pub(super) fn load(
    repository: &Repository,
    keyring: &Keyring,
    work: &mut Work,
) -> Result<BTreeMap<KeyRef, Domain>, RepoError> {
    let mut loading: BTreeMap<KeyRef, Loading> = BTreeMap::new();
    for point in repository.state().points() {
        let key = KeyRef { domain: point.domain, generation: point.generation };
        loading_of(&mut loading, keyring, key)?;
    }
    let is_run = |name: &&ObjectName| matches!(name.class, Class::Index(_)) && !work.objects_wrong.contains_key(name);
    let runs: Vec<ObjectName> = repository.state().needed().filter(is_run).copied().collect();
    let (state, store) = (repository.state(), repository.store().as_ref());
    pool::in_order(
        RUNS,
        runs,
        |_| 1 << 20,
        |name| (name, store.get(&name.path(), INDEX_BYTES_MAX as u64)),
        |(name, bytes)| {
            let run = match bytes {
                Ok(bytes) => open(state, name, bytes, keyring, &mut loading, work),
                Err(error) => Err(object_error(error)?),
            };
            if let Err(problem) = run {
                work.object(name, problem);
            }
            Ok(ControlFlow::Continue(()))
        },
    )?;
    loading.into_iter().map(|(key, loading)| Ok((key, loading.finish(repository, keyring, key)?))).collect()
}

/// What a store's error says about an object; errors that say nothing about it end the check.
pub(super) fn object_error(error: firn_store::StoreError) -> Result<Problem, RepoError> {
    use firn_store::Kind;
    match error.kind {
        Kind::NotFound => Ok(Problem::Missing),
        Kind::TooLarge => Ok(Problem::Damaged("it is longer than such an object can be".into())),
        // A place on a disk that cannot be read, for instance.
        Kind::Other | Kind::Short => Ok(Problem::Damaged(error.to_string())),
        _ => Err(RepoError::store("read an object", error)),
    }
}

/// What a format's error says about an object.
pub(super) fn format_problem(error: &FormatError) -> Problem {
    Problem::Damaged(error.to_string())
}

fn open(
    state: &State,
    name: ObjectName,
    bytes: Bytes,
    keyring: &Keyring,
    loading: &mut BTreeMap<KeyRef, Loading>,
    work: &mut Work,
) -> Result<(), Problem> {
    work.bytes_read += bytes.len() as u64;
    if Hash::of(&bytes) != name.hash {
        return Err(Problem::Damaged("its bytes are not what its name says".into()));
    }
    let key = IndexRun::key_of(&bytes).map_err(|error| format_problem(&error))?;
    let into = loading_of(loading, keyring, key).map_err(|error| Problem::Damaged(error.to_string()))?;
    let run = IndexRun::open(&bytes, into.keys.writer()).map_err(|error| format_problem(&error))?;
    into.add(state, name, &run);
    Ok(())
}

fn loading_of<'l>(
    loading: &'l mut BTreeMap<KeyRef, Loading>,
    keyring: &Keyring,
    key: KeyRef,
) -> Result<&'l mut Loading, RepoError> {
    match loading.entry(key) {
        Entry::Occupied(known) => Ok(known.into_mut()),
        Entry::Vacant(vacant) => Ok(vacant.insert(Loading::new(keyring, key)?)),
    }
}

struct Loading {
    keys: DomainKeys,
    index: Index,
    tellers: HashMap<ObjectName, Vec<ObjectName>>,
}

impl Loading {
    fn new(keyring: &Keyring, key: KeyRef) -> Result<Self, RepoError> {
        let keys = keyring.domain_keys(key.domain, key.generation)?;
        Ok(Self { keys, index: Index::default(), tellers: HashMap::new() })
    }

    /// What the run calls a pack may have ended here, and its bytes come back under another name.
    fn add(&mut self, state: &State, name: ObjectName, run: &IndexRun) {
        for pack in &run.packs {
            self.tellers.entry(state.name_to_store(pack.name)).or_default().push(name);
        }
        self.index.add_run(name, run, |told| Some(state.name_to_store(*told)));
    }

    fn finish(self, repository: &Repository, keyring: &Keyring, key: KeyRef) -> Result<Domain, RepoError> {
        let reading = ReadKeys::All(keyring.domain_keys(key.domain, key.generation)?);
        let reader = Reader::new(repository.store().clone(), Arc::new(self.index), reading);
        Ok(Domain {
            keys: self.keys,
            reader: Arc::new(reader),
            sessions: Mutex::default(),
            tellers: self.tellers,
            closures: HashMap::new(),
            walked: HashSet::new(),
        })
    }
}
