//! `memory:` stores: objects in this process, for tests and rehearsals.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow, Range};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};

use crate::name::{check_name, check_prefix};
use crate::{Head, Kind, Listed, Operation, Put, Result, Store, StoreError};

/// Lines of a list that are copied at a time, so that the lock is not held while the caller looks at them.
const LIST_PAGE_LEN: usize = 1_000;

/// Named stores of this process; they live until it ends, as `memory:NAME` may be opened again at any time.
static NAMED: LazyLock<Mutex<BTreeMap<String, Arc<MemoryStore>>>> = LazyLock::new(Mutex::default);

type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    modified: Timestamp,
}

/// A store in this process's memory; as durable as the process.
pub struct MemoryStore {
    label: String,
    objects: RwLock<BTreeMap<String, Object>>,
    clock: Clock,
}

impl MemoryStore {
    /// An empty store of its own, with the machine's clock.
    pub fn new() -> Self {
        Self::from_snapshot(BTreeMap::new())
    }

    /// The process-wide store of that name; created empty at first use.
    pub fn named(label: &str) -> Arc<Self> {
        let mut named = NAMED.lock();
        let store = named.entry(label.to_owned()).or_insert_with(|| {
            let mut store = Self::new();
            label.clone_into(&mut store.label);
            Arc::new(store)
        });
        Arc::clone(store)
    }

    /// A store of its own that holds the objects of `snapshot`. Their bytes are shared, not copied.
    pub fn from_snapshot(snapshot: BTreeMap<String, Bytes>) -> Self {
        let modified = Timestamp::now();
        let objects = snapshot.into_iter().map(|(name, bytes)| (name, Object { bytes, modified })).collect();
        Self { label: String::new(), objects: RwLock::new(objects), clock: Box::new(Timestamp::now) }
    }

    /// The same store with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// All objects by name. Bytes are shared, not copied.
    pub fn snapshot(&self) -> BTreeMap<String, Bytes> {
        let objects = self.objects.read();
        objects.iter().map(|(name, object)| (name.clone(), object.bytes.clone())).collect()
    }

    /// Sets an object whatever was there: what the contract forbids. For damage tests and doubles of bad stores.
    pub fn overwrite(&self, name: &str, bytes: Bytes) {
        let modified = (self.clock)();
        let object = Object { bytes, modified };
        self.objects.write().insert(name.to_owned(), object);
    }

    fn error(&self, operation: Operation, name: &str, kind: Kind) -> StoreError {
        StoreError::new(operation, name, self.describe(), kind)
    }

    fn object(&self, operation: Operation, name: &str) -> Result<Bytes> {
        check_name(operation, name, || self.describe())?;
        match self.objects.read().get(name) {
            Some(object) => Ok(object.bytes.clone()),
            None => Err(self.error(operation, name, Kind::NotFound)),
        }
    }

    /// Up to a page of lines after `after` (which need not exist).
    fn page(&self, prefix: &str, after: Option<&str>) -> Vec<Listed> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let objects = self.objects.read();
        objects
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(prefix))
            .take(LIST_PAGE_LEN)
            .map(|(name, object)| Listed {
                name: name.clone(),
                bytes: object.bytes.len() as u64,
                modified: object.modified,
            })
            .collect()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put> {
        check_name(Operation::Put, name, || self.describe())?;
        let mut objects = self.objects.write();
        if objects.contains_key(name) {
            return Ok(Put::Exists);
        }
        let modified = (self.clock)();
        objects.insert(name.to_owned(), Object { bytes, modified });
        Ok(Put::Created)
    }

    fn get(&self, name: &str, bytes_max: u64) -> Result<Bytes> {
        let bytes = self.object(Operation::Get, name)?;
        if bytes.len() as u64 > bytes_max {
            return Err(self.error(Operation::Get, name, Kind::TooLarge));
        }
        Ok(bytes)
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        check_name(Operation::GetRange, name, || self.describe())?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let bytes = self.object(Operation::GetRange, name)?;
        if range.end > bytes.len() as u64 {
            return Err(self.error(Operation::GetRange, name, Kind::Short));
        }
        // Both ends are at most the length of bytes in memory, so they fit.
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }

    fn head(&self, name: &str) -> Result<Head> {
        let bytes = self.object(Operation::Head, name)?.len() as u64;
        Ok(Head { bytes })
    }

    fn list(&self, prefix: &str, after: Option<&str>, each: &mut dyn FnMut(Listed) -> ControlFlow<()>) -> Result<()> {
        check_prefix(prefix, || self.describe())?;
        let mut after = after.map(str::to_owned);
        loop {
            let page = self.page(prefix, after.as_deref());
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.name.clone());
            let is_last = page.len() < LIST_PAGE_LEN;
            for listed in page {
                if each(listed).is_break() {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn delete(&self, name: &str) -> Result<()> {
        check_name(Operation::Delete, name, || self.describe())?;
        self.objects.write().remove(name);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("memory:{}", self.label)
    }

    fn time(&self) -> Result<Timestamp> {
        Ok((self.clock)())
    }
}
