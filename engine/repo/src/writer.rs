//! Writer: what the lanes of one session share: the index of before, the blobs of now, the way to the store.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use firn_format::{BlobId, Entropy, IndexPack, ObjectName, Pack, SessionKey, WriterKeys};
use firn_store::Store;
use parking_lot::Mutex;

use crate::error::RepoError;
use crate::index::Index;
use crate::upload::Uploader;

/// So many locks guard the blobs of this session: enough that lanes seldom meet.
const SHARDS: usize = 16;

/// So many objects can be named in one COMMIT, an entry of 16 MiB, with room for the rest of it: a name takes 35 bytes, that of an
/// index run 51, and there is one of those for thousands of packs.
pub(crate) const NAMES_MAX: usize = 450_000;

/// So many packs may be new in one point, 6.1 TiB of new data: the rest is for packs of before and for index runs.
const PACKS_MAX: usize = 400_000;

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
    /// Numbers of the packs that were found lying there: those that are used are new in the point, too.
    found: Vec<u32>,
    sent: AtomicUsize,
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
        let found =
            (0u32..).zip(index.packs()).filter(|(_, pack)| pack.run.is_none()).map(|(number, _)| number).collect();
        Ok(Self {
            keys,
            session_key,
            entropy,
            compression_level,
            index,
            used,
            found,
            sent: AtomicUsize::new(0),
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
    ///
    /// # Errors
    /// `PointTooLarge` as soon as a COMMIT could not name all packs; whatever an upload met.
    pub(crate) fn send(&self, pack: Pack) -> Result<(), RepoError> {
        let is_used = |number: &&u32| self.used.get(**number as usize).is_some_and(|used| used.load(Ordering::Relaxed));
        let sent = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        refuse_too_many(sent + self.found.iter().filter(is_used).count())?;
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

fn refuse_too_many(packs: usize) -> Result<(), RepoError> {
    if packs > PACKS_MAX { Err(RepoError::PointTooLarge { packs_max: PACKS_MAX }) } else { Ok(()) }
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

#[cfg(test)]
mod tests {
    use firn_format::log::{Commit, ENTRY_BYTES_MAX};
    use firn_format::{
        Class, DomainId, Entry, Hash, LineageId, Payload, PointId, RunId, SessionId, SigningKey, StoreId,
    };

    use super::*;

    #[test]
    fn a_commit_of_as_many_names_as_are_allowed_fits_an_entry() {
        assert!(refuse_too_many(PACKS_MAX).is_ok());
        let error = refuse_too_many(PACKS_MAX + 1).unwrap_err();
        assert!(error.is_permanent() && error.to_string().contains("400000 packs"), "{error}");
        let name = |class| ObjectName { class, hash: Hash([0xff; 32]), reborn: None };
        // Of the packs that are allowed beyond the new ones, one in twenty has come back under another name.
        let mut adds = vec![name(Class::Data); NAMES_MAX - NAMES_MAX / 20];
        adds.extend(vec![ObjectName { reborn: Some(u64::MAX), ..name(Class::Data) }; NAMES_MAX / 20 - 1000]);
        adds.extend(vec![name(Class::Index(SessionId([0xff; 16]))); 1000]);
        let commit = Commit {
            session: SessionId([1; 16]),
            run: RunId([1; 16]),
            lineage: LineageId([1; 16]),
            epoch: u64::MAX,
            parent: Some(PointId([1; 32])),
            manifest: BlobId([1; 32]),
            domain: DomainId([1; 16]),
            generation: u32::MAX,
            adds,
            needs_added: Vec::new(),
            needs_dropped: Vec::new(),
            peers: Vec::new(),
            summary: vec![1; 4096],
            rescues: Vec::new(),
            collected_to: u64::MAX,
        };
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        let entry = Entry {
            store: StoreId([1; 16]),
            seq: u64::MAX,
            prev: Hash::ZERO,
            critical: true,
            term: u64::MAX,
            payload: Payload::Commit(Box::new(commit)),
            time_ms: i64::MAX,
            store_time_ms: Some(i64::MAX),
            signer: key.signer(),
        };
        let bytes = entry.sign(&key).unwrap();
        assert!(bytes.len() <= ENTRY_BYTES_MAX - (256 << 10), "{}", bytes.len());
    }
}
