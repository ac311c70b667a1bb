//! Lane: one thread's way from plain bytes to full packs: id, known?, compress, seal, pack.

use std::sync::Arc;

use firn_format::tree::NodeSink;
use firn_format::{BlobId, BlobKind, Codec, Compressor, PackBuilder, SegmentBuilder};

use crate::error::RepoError;
use crate::writer::Writer;

/// A segment is closed at this size: large enough that its header and directory vanish, small enough that a collection
/// which keeps whole segments wastes little.
const SEGMENT_BYTES: usize = 1 << 20;

/// A pack is closed at this size. A lane that is interrupted loses at most this much work, and each lane and each upload on
/// its way holds one pack in memory: 16 MiB keeps two lanes under 100 MiB and still makes few objects.
const PACK_BYTES: usize = 16 << 20;

/// One thread's writer. Blobs become durable at [`Lane::finish`] or before.
pub struct Lane {
    shared: Arc<Writer>,
    compressor: Compressor,
    compressed: Vec<u8>,
    data: OpenPack,
    meta: OpenPack,
}

struct OpenPack {
    kind: BlobKind,
    segment: Option<SegmentBuilder>,
    pack: Option<PackBuilder>,
}

impl Lane {
    pub(crate) fn new(shared: Arc<Writer>) -> Result<Self, RepoError> {
        let compressor = Compressor::new(shared.compression_level)?;
        let open = |kind| OpenPack { kind, segment: None, pack: None };
        Ok(Self { shared, compressor, compressed: Vec::new(), data: open(BlobKind::Data), meta: open(BlobKind::Meta) })
    }

    /// What this lane shares with the others.
    pub fn writer(&self) -> &Writer {
        &self.shared
    }

    /// Stores a chunk, unless it is known.
    pub fn put_chunk(&mut self, plain: &[u8]) -> Result<BlobId, RepoError> {
        let id = self.shared.keys.chunk_id(plain);
        self.put(BlobKind::Data, id, plain)?;
        Ok(id)
    }

    /// Stores a manifest or another node that is no part of a tree, unless it is known.
    pub fn put_metadata(&mut self, plain: &[u8]) -> Result<BlobId, RepoError> {
        let id = self.shared.keys.node_id(plain);
        self.put(BlobKind::Meta, id, plain)?;
        Ok(id)
    }

    fn put(&mut self, kind: BlobKind, id: BlobId, plain: &[u8]) -> Result<(), RepoError> {
        if !self.shared.claim(&id, plain.len()) {
            return Ok(());
        }
        let codec = self.compressor.compress(plain, &mut self.compressed);
        let stored = match codec {
            Codec::Plain => plain,
            Codec::Zstd => &self.compressed,
        };
        let open = match kind {
            BlobKind::Data => &mut self.data,
            BlobKind::Meta => &mut self.meta,
        };
        let segment = match &mut open.segment {
            Some(segment) => segment,
            none => none.insert(begin(kind, &self.shared)?),
        };
        segment.push(id, plain.len(), codec, stored)?;
        if segment.bytes_len() >= SEGMENT_BYTES {
            open.close_segment(&self.shared)?;
        }
        Ok(())
    }

    /// Hands over what is open. The lane may be used again.
    pub fn finish(&mut self) -> Result<(), RepoError> {
        for open in [&mut self.data, &mut self.meta] {
            open.close_segment(&self.shared)?;
            open.close_pack(&self.shared)?;
        }
        Ok(())
    }
}

impl NodeSink for Lane {
    type Error = RepoError;

    fn put_node(&mut self, plain: Vec<u8>) -> Result<BlobId, RepoError> {
        self.put_metadata(&plain)
    }
}

impl OpenPack {
    fn close_segment(&mut self, shared: &Writer) -> Result<(), RepoError> {
        let Some(segment) = self.segment.take() else { return Ok(()) };
        let sealed = segment.finish()?;
        if self.pack.as_ref().is_some_and(|pack| !pack.fits(sealed.bytes().len())) {
            self.close_pack(shared)?;
        }
        let pack = match &mut self.pack {
            Some(pack) => pack,
            none => none.insert(PackBuilder::new(self.kind, &shared.keys)),
        };
        pack.push(sealed)?;
        if pack.bytes_len() >= PACK_BYTES {
            self.close_pack(shared)?;
        }
        Ok(())
    }

    fn close_pack(&mut self, shared: &Writer) -> Result<(), RepoError> {
        match self.pack.take() {
            Some(pack) => shared.send(pack.finish(shared.entropy.as_ref())?),
            None => Ok(()),
        }
    }
}

/// A new segment, with room for what closes it and one large blob more.
fn begin(kind: BlobKind, shared: &Writer) -> Result<SegmentBuilder, RepoError> {
    let room = SEGMENT_BYTES + SEGMENT_BYTES / 2;
    let entropy = shared.entropy.as_ref();
    Ok(match kind {
        BlobKind::Data => SegmentBuilder::data(&shared.keys, &shared.session_key, entropy, room)?,
        BlobKind::Meta => SegmentBuilder::meta(&shared.keys, entropy, room)?,
    })
}
