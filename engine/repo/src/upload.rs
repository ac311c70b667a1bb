//! Uploader: a few threads that put packs into the store, each verified by its length afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};
use firn_format::{IndexPack, Pack};
use firn_store::{Check, Store, StoreError, put_new_resolved};
use parking_lot::Mutex;

use crate::error::RepoError;

/// Packs on their way at once. Two hide the latency of a disk's fsync; a remote store wants more, and each costs up to a
/// pack of memory.
const THREADS: usize = 2;

/// Full packs that wait. One keeps the lanes from stalling at each pack; more would only cost memory.
const QUEUE: usize = 1;

pub(crate) struct Uploader {
    queue: Sender<Pack>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    failed: AtomicBool,
    error: Mutex<Option<RepoError>>,
    done: Mutex<Done>,
}

#[derive(Default)]
struct Done {
    packs: Vec<IndexPack>,
    bytes: u64,
}

impl Uploader {
    pub(crate) fn start(store: Arc<dyn Store>) -> Result<Self, RepoError> {
        let (queue, work) = crossbeam_channel::bounded(QUEUE);
        let shared = Arc::new(Shared::default());
        let threads = (0..THREADS)
            .map(|n| {
                let (store, work, shared) = (store.clone(), work.clone(), shared.clone());
                std::thread::Builder::new()
                    .name(format!("firn-upload-{n}"))
                    .spawn(move || run(store.as_ref(), &work, &shared))
                    .map_err(|source| RepoError::Thread { source })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { queue, threads, shared })
    }

    /// Waits for a place in the queue. Fails as soon as any upload has failed.
    pub(crate) fn send(&self, pack: Pack) -> Result<(), RepoError> {
        if self.shared.failed.load(Ordering::Acquire) {
            return Err(self.shared.error());
        }
        self.queue.send(pack).map_err(|_| self.shared.error())
    }

    /// Waits for everything sent. The packs come in the order of their names, whichever was through first.
    pub(crate) fn finish(self) -> Result<(Vec<IndexPack>, u64), RepoError> {
        drop(self.queue);
        for thread in self.threads {
            if thread.join().is_err() {
                return Err(RepoError::ThreadDied { name: "firn-upload" });
            }
        }
        if self.shared.failed.load(Ordering::Acquire) {
            return Err(self.shared.error());
        }
        let mut done = std::mem::take(&mut *self.shared.done.lock());
        done.packs.sort_unstable_by_key(|pack| pack.name);
        Ok((done.packs, done.bytes))
    }
}

impl Shared {
    /// The first failure, for each lane that asks: any of them may be the one that is heard.
    fn error(&self) -> RepoError {
        match self.error.lock().as_ref() {
            Some(RepoError::Store { doing, source }) => {
                let cause = source.source.as_ref().map(|cause| cause.to_string().into());
                let (name, url) = (source.name.clone(), source.url.clone());
                let source = StoreError { operation: source.operation, name, url, kind: source.kind, source: cause };
                RepoError::Store { doing, source }
            }
            Some(RepoError::ShortPut { name, bytes, stored }) => {
                RepoError::ShortPut { name: name.clone(), bytes: *bytes, stored: *stored }
            }
            _ => RepoError::ThreadDied { name: "firn-upload" },
        }
    }
}

fn run(store: &dyn Store, work: &Receiver<Pack>, shared: &Shared) {
    for pack in work {
        // After a failure the queue is only emptied, so that no lane waits for ever.
        if shared.failed.load(Ordering::Relaxed) {
            continue;
        }
        match put(store, pack) {
            Ok(index) => {
                let mut done = shared.done.lock();
                done.bytes += u64::from(index.bytes_len);
                done.packs.push(index);
            }
            Err(error) => {
                shared.error.lock().get_or_insert(error);
                shared.failed.store(true, Ordering::Release);
            }
        }
    }
}

fn put(store: &dyn Store, pack: Pack) -> Result<IndexPack, RepoError> {
    let path = pack.index.name.path();
    let bytes = pack.bytes.len() as u64;
    let _either = put_new_resolved(store, &path, pack.bytes.into(), Check::Length)
        .map_err(|source| RepoError::store("put a pack", source))?;
    let stored = store.head(&path).map_err(|source| RepoError::store("read back a pack", source))?.bytes;
    if stored != bytes {
        return Err(RepoError::ShortPut { name: path, bytes, stored });
    }
    Ok(pack.index)
}
