//! Writer: what the lanes of one session share: the index of before, the blobs of now, the way to the store.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use firn_format::{BlobId, Entropy, IndexPack, ObjectName, Pack, SessionKey, WriterKeys};
use firn_store::Store;
use parking_lot::Mutex;

use crate::error::RepoError;
use crate::index::Index;
use crate::upload::Uploader;

/// So many locks guard the blobs of this session: enough that lanes seldom meet.
const SHARDS: usize = 16;

/// What became of a put.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteStats {
    /// Bytes of blobs given to the lanes.
    pub bytes_offered: u64,
    /// Bytes of blobs that were new.
    pub bytes_new: u64,
    /// Blobs that were new.
    pub blobs_new: u64,
    /// Bytes put into the store.
    pub bytes_stored: u64,
    /// Packs put into the store.
    pub packs: u64,
}

/// Shared by all lanes of a session.
pub struct Writer {
    pub(crate) keys: WriterKeys,
    pub(crate) session_key: SessionKey,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) compression_level: i32,
    index: Arc<Index>,
    used: Vec<AtomicBool>,
    claimed: [Mutex<HashSet<BlobId>>; SHARDS],
    uploader: Uploader,
    bytes_offered: AtomicU64,
    bytes_new: AtomicU64,
    blobs_new: AtomicU64,
}

/// What a finished writer leaves for the commit.
pub(crate) struct Written {
    /// Packs put by this session.
    pub(crate) packs: Vec<IndexPack>,
    /// Packs of before that the session refers to.
    pub(crate) used: Vec<u32>,
    pub(crate) stats: WriteStats,
}

impl Writer {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        keys: WriterKeys,
        entropy: Arc<dyn Entropy>,
        index: Arc<Index>,
        compression_level: i32,
    ) -> Result<Self, RepoError> {
        let session_key = SessionKey::new(&keys, entropy.as_ref())?;
        let used = index.packs().iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Self {
            keys,
            session_key,
            entropy,
            compression_level,
            index,
            used,
            claimed: std::array::from_fn(|_| Mutex::default()),
            uploader: Uploader::start(store)?,
            bytes_offered: AtomicU64::new(0),
            bytes_new: AtomicU64::new(0),
            blobs_new: AtomicU64::new(0),
        })
    }

    /// The keys that everything of this session is made with.
    pub fn keys(&self) -> &WriterKeys {
        &self.keys
    }

    /// Whether the blob must be written: it is neither in the index nor claimed by a lane of this session. After `true`
    /// the caller owes the blob.
    pub(crate) fn claim(&self, id: &BlobId, bytes: usize) -> bool {
        self.bytes_offered.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.mark_used(id) {
            return false;
        }
        let new = self.claimed[shard(id)].lock().insert(*id);
        if new {
            self.blobs_new.fetch_add(1, Ordering::Relaxed);
            self.bytes_new.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        new
    }

    /// Notes that the point refers to a blob of before. `false` if the index does not know it. A blob that lies in several
    /// packs is read from whichever is whole, so the point needs them all: else the whole one might be collected.
    pub(crate) fn mark_used(&self, id: &BlobId) -> bool {
        let mut is_known = false;
        for at in self.index.places(id) {
            is_known = true;
            if let Some(used) = self.used.get(at.segment.pack as usize) {
                used.store(true, Ordering::Relaxed);
            }
        }
        is_known
    }

    /// Notes that the point refers to this blob, without its bytes at hand: the reference is taken over from the
    /// parent. `false` if the blob is known neither from before nor from this session; then it must be read again.
    pub fn refer(&self, id: &BlobId) -> bool {
        self.mark_used(id) || self.claimed[shard(id)].lock().contains(id)
    }

    /// Hands a full pack to the uploader; waits while its queue is full.
    pub(crate) fn send(&self, pack: Pack) -> Result<(), RepoError> {
        self.uploader.send(pack)
    }

    /// Ends the upload and says what there is, for a commit.
    ///
    /// # Errors
    /// `Unwritten` if a blob that a lane promised is in no pack: a lane was dropped before it was finished. Whoever refers
    /// to such a blob refers to nothing.
    pub(crate) fn finish(mut self) -> Result<Written, RepoError> {
        let mut claimed = std::mem::take(&mut self.claimed).map(Mutex::into_inner);
        let written = self.leave()?;
        for record in written.packs.iter().flat_map(|pack| &pack.segments).flat_map(|segment| &segment.records) {
            claimed[shard(&record.id)].remove(&record.id);
        }
        let blobs = claimed.iter().map(HashSet::len).sum::<usize>() as u64;
        if blobs > 0 { Err(RepoError::Unwritten { blobs }) } else { Ok(written) }
    }

    /// Ends the upload and says what there is, whole or not.
    pub(crate) fn leave(self) -> Result<Written, RepoError> {
        let (packs, bytes_stored) = self.uploader.finish()?;
        let used = (0u32..).zip(&self.used).filter(|(_, used)| used.load(Ordering::Relaxed)).map(|(n, _)| n).collect();
        let stats = WriteStats {
            bytes_offered: self.bytes_offered.into_inner(),
            bytes_new: self.bytes_new.into_inner(),
            blobs_new: self.blobs_new.into_inner(),
            bytes_stored,
            packs: packs.len() as u64,
        };
        Ok(Written { packs, used, stats })
    }
}

/// Which lock guards a blob of this session.
fn shard(id: &BlobId) -> usize {
    id.0[31] as usize % SHARDS
}

impl Written {
    /// Names of the packs that this session put.
    pub(crate) fn names(&self) -> impl Iterator<Item = ObjectName> + '_ {
        self.packs.iter().map(|pack| pack.name)
    }
}
