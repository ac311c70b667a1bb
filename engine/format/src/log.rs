//! The log: a store's only commit point (FORMAT.md §8).

mod entry;
mod kind;
mod payload;
mod roles;

pub(crate) use entry::Signed;
pub use entry::{ENTRY_BYTES_MAX, Entry};
pub use kind::Kind;
pub use payload::{
    Checkpoint, Commit, Delete, Direction, Fence, Found, GcCommit, GcMark, Head, Hold, Import, KeyAction, KeyChange,
    Level, Link, Lost, Moved, Opaque, PASSED_MAX, Payload, Release, Rescue, Retention, SessionEnd, SessionOpen,
    Unfence, Upgrade, Verified, Void,
};
pub(crate) use payload::{cbor, exact};
pub use roles::Roles;

#[cfg(test)]
mod tests;
