//! Reader: blobs out of packs, each verified against its id.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use firn_format::tree::NodeSource;
use firn_format::{BlobId, BlobKind, Decompressor, DomainKeys, SegmentOpener, SessionCache, WriterKeys};
use firn_store::{Kind, Store};
use parking_lot::Mutex;

use crate::error::RepoError;
use crate::index::{Index, Location};
use crate::load;
use crate::open::Repository;

/// Metadata is read by whole segments, since a walk wants the neighbours next. So many are kept: a lookup touches one per
/// level of a tree, and a merge of two trees twice that.
const SEGMENTS_KEPT: usize = 12;

/// Blobs closer than this are fetched by one request: reading the gap is cheaper than asking again.
const GAP_BYTES_MAX: u64 = 256 << 10;

/// One request fetches at most this much, so that a fetching thread's memory is bounded.
const REQUEST_BYTES_MAX: u64 = 4 << 20;

/// What [`Reader::fetch`] hands blobs to, from any of its threads.
pub type Each<'a, E> = &'a (dyn Fn(&BlobId, Result<Vec<u8>, RepoError>) -> Result<(), E> + Sync);

/// What a reader may open.
pub enum ReadKeys {
    /// Trees and names: what a writer holds.
    Metadata(WriterKeys),
    /// Contents too.
    All(DomainKeys),
}

impl ReadKeys {
    /// The keys for ids and metadata.
    pub fn writer(&self) -> &WriterKeys {
        match self {
            Self::Metadata(keys) => keys,
            Self::All(keys) => keys.writer(),
        }
    }
}

/// Opens blobs of one domain and generation.
pub struct Reader {
    store: Arc<dyn Store>,
    index: Arc<Index>,
    keys: ReadKeys,
    sessions: Mutex<SessionCache>,
    segments: Mutex<VecDeque<(u32, Bytes)>>,
}

impl Reader {
    /// A reader over everything that `index` knows.
    pub fn new(store: Arc<dyn Store>, index: Arc<Index>, keys: ReadKeys) -> Self {
        Self { store, index, keys, sessions: Mutex::default(), segments: Mutex::default() }
    }

    /// A reader over everything that live points of these keys' domain and generation refer to.
    ///
    /// # Errors
    /// The store's. Where the index is damaged or gone, the packs are asked.
    pub fn open(repository: &Repository, keys: ReadKeys) -> Result<Self, RepoError> {
        let store = repository.store().clone();
        let index = load::index_for_reading(repository, keys.writer())?;
        Ok(Self::new(store, Arc::new(index), keys))
    }

    /// What it knows.
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// What it may open.
    pub fn keys(&self) -> &ReadKeys {
        &self.keys
    }

    /// One blob, whole and verified, from whichever of its places yields it.
    ///
    /// # Errors
    /// `UnknownBlob` if the index does not know it; else what is wrong with its first place, if none yields it.
    pub fn get(&self, id: &BlobId) -> Result<Vec<u8>, RepoError> {
        let at = self.index.get(id).ok_or(RepoError::UnknownBlob { id: *id })?;
        self.get_at(&at).or_else(|error| self.get_elsewhere(&at, error))
    }

    /// The blob from another place than `tried`, which failed with `error`.
    fn get_elsewhere(&self, tried: &Location<'_>, error: RepoError) -> Result<Vec<u8>, RepoError> {
        let is_tried =
            |at: &Location<'_>| (at.blob.segment, at.blob.position) == (tried.blob.segment, tried.blob.position);
        let mut others = self.index.places(&tried.blob.record.id).filter(|at| !is_tried(at));
        others.find_map(|at| self.get_at(&at).ok()).ok_or(error)
    }

    fn get_at(&self, at: &Location<'_>) -> Result<Vec<u8>, RepoError> {
        let opener = self.opener(at)?;
        let mut work = Decompressor::new()?;
        let start = at.blob.offset as usize;
        let range = start..start + at.blob.record.sealed_len as usize;
        if at.segment.facts.kind == BlobKind::Meta {
            let segment = self.segment(at)?;
            let sealed = segment.get(range).ok_or_else(|| damaged(at, "a blob beyond its segment"))?;
            return open(&opener, &mut work, at, sealed);
        }
        let from = u64::from(at.segment.offset);
        let sealed = self.range(at, from + range.start as u64..from + range.end as u64)?;
        open(&opener, &mut work, at, &sealed)
    }

    /// Fetches every blob once, in the order in which they lie in packs, on `threads` threads, and hands each to `each`,
    /// from any of them. A blob that cannot be had is handed over as its error; the rest goes on. `each` returning an
    /// error ends everything.
    pub fn fetch<E: Send>(
        &self,
        ids: impl IntoIterator<Item = BlobId>,
        threads: usize,
        each: Each<'_, E>,
    ) -> Result<(), E> {
        let mut unknown = Vec::new();
        let mut places = Vec::new();
        for id in ids {
            match self.index.get(&id) {
                Some(at) => places.push(at),
                None => unknown.push(id),
            }
        }
        for id in unknown {
            each(&id, Err(RepoError::UnknownBlob { id }))?;
        }
        places.sort_unstable_by_key(|at| (at.segment.pack, at.segment.offset, at.blob.offset));
        places.dedup_by_key(|at| at.blob.record.id);
        let requests = coalesce(&places);
        let next = std::sync::atomic::AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let failure = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..threads.clamp(1, requests.len().max(1)) {
                scope.spawn(|| {
                    let mut work = None;
                    while !stop.load(Ordering::Relaxed) {
                        let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                        if let Err(error) = self.serve(&mut work, &places[request.clone()], each) {
                            failure.lock().get_or_insert(error);
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        failure.into_inner().map_or(Ok(()), Err)
    }

    /// One request's worth of neighbouring blobs.
    fn serve<E>(&self, work: &mut Option<Decompressor>, places: &[Location<'_>], each: Each<'_, E>) -> Result<(), E> {
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(()) };
        let start = position(first);
        let bytes = self.range(first, start..position(last) + u64::from(last.blob.record.sealed_len));
        let bytes = match bytes {
            Ok(bytes) => bytes,
            // One bad range must not hide its neighbours: each is tried alone.
            Err(_) if places.len() > 1 => {
                return places.iter().try_for_each(|at| each(&at.blob.record.id, self.get(&at.blob.record.id)));
            }
            Err(error) => return each(&first.blob.record.id, self.get_elsewhere(first, error)),
        };
        let mut opener: Option<(u32, SegmentOpener)> = None;
        for at in places {
            let begin = (position(at) - start) as usize;
            let blob = match &opener {
                Some((segment, opener)) if *segment == at.blob.segment => Ok(opener),
                _ => match self.opener(at) {
                    Ok(new) => Ok(&opener.insert((at.blob.segment, new)).1),
                    Err(error) => Err(error),
                },
            }
            .and_then(|opener| {
                let sealed = bytes.get(begin..begin + at.blob.record.sealed_len as usize);
                let sealed = sealed.ok_or_else(|| damaged(at, "a blob beyond its range"))?;
                if work.is_none() {
                    *work = Some(Decompressor::new()?);
                }
                let work = work.as_mut().ok_or(RepoError::ThreadDied { name: "firn-fetch" })?;
                open(opener, work, at, sealed)
            })
            .or_else(|error| self.get_elsewhere(at, error));
            each(&at.blob.record.id, blob)?;
        }
        Ok(())
    }

    fn range(&self, at: &Location<'_>, range: Range<u64>) -> Result<Bytes, RepoError> {
        let (pack, path) = (at.pack.name, at.pack.name.path());
        self.store.get_range(&path, range.clone()).map_err(|source| match source.kind {
            Kind::NotFound => RepoError::PackMissing { pack },
            // A line that breaks gives too few bytes as well.
            Kind::Short if self.store.head(&path).is_ok_and(|head| head.bytes < range.end) => {
                RepoError::PackShort { pack }
            }
            _ => RepoError::store("read a pack", source),
        })
    }

    /// The whole sealed segment, kept for its neighbours.
    fn segment(&self, at: &Location<'_>) -> Result<Bytes, RepoError> {
        let number = at.blob.segment;
        let mut kept = self.segments.lock();
        if let Some(place) = kept.iter().position(|(n, _)| *n == number) {
            let found = kept.remove(place).map(|entry| entry.1).unwrap_or_default();
            kept.push_front((number, found.clone()));
            return Ok(found);
        }
        drop(kept);
        let from = u64::from(at.segment.offset);
        let bytes = self.range(at, from..from + u64::from(at.segment.bytes))?;
        let mut kept = self.segments.lock();
        kept.push_front((number, bytes.clone()));
        kept.truncate(SEGMENTS_KEPT);
        Ok(bytes)
    }

    fn opener(&self, at: &Location<'_>) -> Result<SegmentOpener, RepoError> {
        let facts = &at.segment.facts;
        let wrapped = match (facts.kind, &facts.wrapped) {
            (BlobKind::Meta, _) => return Ok(SegmentOpener::meta(self.keys.writer(), facts)?),
            (BlobKind::Data, Some(wrapped)) => wrapped,
            (BlobKind::Data, None) => return Err(damaged(at, "a data segment without a session key")),
        };
        let ReadKeys::All(keys) = &self.keys else { return Err(RepoError::NoContentKey) };
        let secret = self.sessions.lock().unwrap(keys, wrapped)?;
        Ok(SegmentOpener::data(self.keys.writer(), &secret, facts)?)
    }
}

/// Tree nodes by way of a reader.
#[derive(Clone)]
pub struct Nodes(pub Arc<Reader>);

impl NodeSource for Nodes {
    type Error = RepoError;

    fn node(&mut self, id: &BlobId) -> Result<Vec<u8>, RepoError> {
        self.0.get(id)
    }
}

fn position(at: &Location<'_>) -> u64 {
    u64::from(at.segment.offset) + u64::from(at.blob.offset)
}

fn open(
    opener: &SegmentOpener,
    work: &mut Decompressor,
    at: &Location<'_>,
    sealed: &[u8],
) -> Result<Vec<u8>, RepoError> {
    opener.open_blob(work, at.blob.position, &at.blob.record, sealed).map_err(|source| RepoError::Blob {
        pack: at.pack.name,
        id: at.blob.record.id,
        source: Box::new(source),
    })
}

fn damaged(at: &Location<'_>, detail: &str) -> RepoError {
    let source = firn_format::FormatError::damaged(format!("blob {}", at.blob.record.id.short()), detail);
    RepoError::Blob { pack: at.pack.name, id: at.blob.record.id, source: Box::new(source) }
}

/// Ranges of `places` (sorted by pack and position) that one request fetches.
fn coalesce(places: &[Location<'_>]) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut start = 0;
    for n in 1..=places.len() {
        let ends = places.get(n).is_none_or(|at| {
            let (first, last) = (&places[start], &places[n - 1]);
            let end = position(at) + u64::from(at.blob.record.sealed_len);
            at.segment.pack != first.segment.pack
                || position(at) > position(last) + u64::from(last.blob.record.sealed_len) + GAP_BYTES_MAX
                || end - position(first) > REQUEST_BYTES_MAX
        });
        if ends {
            out.push(start..n);
            start = n;
        }
    }
    out
}
