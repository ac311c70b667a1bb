//! What the bytes of a repository mean: ids, keys, sealing, packs, index, tree, log. Plain functions, no I/O.
//!
//! `docs/FORMAT.md` is the text that this crate implements.

mod checkpoint;
pub mod chunk;
pub mod clock;
pub mod compress;
pub mod error;
pub mod fold;
pub mod format_file;
mod head;
pub mod ids;
pub mod index;
pub mod keys;
pub mod kit;
pub mod log;
pub mod manifest;
pub mod name;
pub mod object;
pub mod pack;
pub mod progress;
mod seal;
pub mod sealed_box;
pub mod segment;
pub mod session;
pub mod signing;
pub mod slot;
pub mod state;
pub mod tree;
pub mod verdict;

pub use checkpoint::{CHECKPOINT_BYTES_MAX, Difference};
pub use chunk::{Chunker, Rule, rule_for};
pub use clock::{Clock, Entropy, EntropyError, ManualClock, SeededEntropy, SystemClock, SystemEntropy, TimeMs};
pub use compress::{COMPRESSION_LEVEL, Codec, Compressor, Decompressor};
pub use error::FormatError;
pub use fold::fold;
pub use format_file::{ChunkerFacts, FormatFile};
pub use ids::{
    BlobId, CollectionId, DomainId, FamilyId, Hash, HoldId, LineageId, ParseIdError, PointId, RunId, SessionId, Signer,
    StoreId,
};
pub use index::{INDEX_BYTES_MAX, INDEX_PLAIN_BYTES_MAX, IndexPack, IndexRun, IndexSegment};
pub use keys::{DomainKeys, KeyRef, NamingKey, Root, WriterKeys};
pub use kit::Kit;
pub use log::{Entry, Kind, Payload, Roles};
pub use manifest::{
    Consistency, EXCEPTIONS_MAX, Exception, Manifest, Mount, MountKind, decode_exceptions, encode_exceptions,
};
pub use name::{Class, ObjectName};
pub use pack::{PACK_BYTES_MAX, PACK_HEAD_BYTES, PACK_SEGMENTS_MAX, Pack, PackBuilder, PackTable, rebuild};
pub use progress::{Counter, Progress, Silent};
pub use sealed_box::{box_key, open_box, seal_box};
pub use segment::{
    BLOB_BYTES_MAX, BlobKind, BlobRecord, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES, SealedSegment, SegmentBuilder,
    SegmentFacts, SegmentHeader, SegmentOpener,
};
pub use session::{SessionCache, SessionKey, SessionSecret, WrappedSession};
pub use signing::SigningKey;
pub use slot::{KeySlot, Passphrase, PassphraseCost, Secret, SlotKind, Unlocked, open_slot, seal_kit, seal_passphrase};
pub use state::{Point, State};
pub use verdict::{Damage, Halt, Position, Verdict, VoidReason};
