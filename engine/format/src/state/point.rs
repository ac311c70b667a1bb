//! One recovery point as the state knows it.

use minicbor::{Decode, Encode};

use super::Place;
use crate::clock::TimeMs;
use crate::ids::{BlobId, DomainId, LineageId, PointId, RunId, SessionId, StoreId};
use crate::log::Level;

/// The best check of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Verification {
    /// How thorough.
    #[n(0)]
    pub level: Level,
    /// The position of the VERIFIED or IMPORT entry.
    #[n(1)]
    pub seq: u64,
    /// When, by the store's clock if it said one.
    #[n(2)]
    pub time_ms: TimeMs,
}

/// A live recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Point {
    /// The hash of its COMMIT entry, the same in every store.
    #[n(0)]
    pub id: PointId,
    /// What it is a point of.
    #[n(1)]
    pub lineage: LineageId,
    /// The lineage's epoch when it was committed.
    #[n(2)]
    pub epoch: u64,
    /// Where the log of this store made it live.
    #[n(3)]
    pub seq: u64,
    /// The store in whose log it was committed.
    #[n(4)]
    pub store: StoreId,
    /// The position of its COMMIT there.
    #[n(5)]
    pub store_seq: u64,
    /// The session that wrote it.
    #[n(6)]
    pub session: SessionId,
    /// The attempt.
    #[n(7)]
    pub run: RunId,
    /// The point that it was built on, live or not.
    #[n(8)]
    pub parent: Option<PointId>,
    /// The manifest's blob.
    #[n(9)]
    pub manifest: BlobId,
    /// The domain of manifest and summary.
    #[n(10)]
    pub domain: DomainId,
    /// Its generation.
    #[n(11)]
    pub generation: u32,
    /// The committer's clock.
    #[n(12)]
    pub time_ms: TimeMs,
    /// The clock of the store where it was committed.
    #[n(13)]
    pub store_time_ms: Option<TimeMs>,
    /// When it became live in this store, by this store's clock, else the appender's.
    #[n(14)]
    pub arrived_ms: TimeMs,
    /// The sealed summary.
    #[cbor(n(15), with = "minicbor::bytes")]
    pub summary: Vec<u8>,
    /// Committed here, but not part of what a peer's fence built on: listed, restorable, never the latest.
    #[n(16)]
    pub branch: bool,
    /// The best check.
    #[n(17)]
    pub verified: Option<Verification>,
    /// Whether a collection of this store changed what it needs: a peer's differences no longer fit.
    #[n(18)]
    pub collected: bool,
}

impl Point {
    pub(crate) fn place(&self) -> Place {
        (self.epoch, self.store_seq, self.seq)
    }

    /// The peer's store and position that it was imported from; `None`: committed here.
    pub fn imported_from(&self, here: StoreId) -> Option<(StoreId, u64)> {
        (self.store != here).then_some((self.store, self.store_seq))
    }
}
