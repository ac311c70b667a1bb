//! What the bytes of a repository mean: ids, keys, sealing, packs, index, tree, log. Plain functions, no I/O.
//!
//! `docs/FORMAT.md` is the text that this crate implements.

pub mod clock;
pub mod error;
pub mod ids;
pub mod name;
pub mod object;
pub mod progress;

pub use clock::{Clock, Entropy, EntropyError, ManualClock, SeededEntropy, SystemClock, SystemEntropy, TimeMs};
pub use error::FormatError;
pub use ids::{
    BlobId, CollectionId, DomainId, FamilyId, Hash, HoldId, LineageId, ParseIdError, PointId, RunId, SessionId, Signer,
    StoreId,
};
pub use name::{Class, ObjectName};
pub use progress::{Counter, Progress, Silent};
