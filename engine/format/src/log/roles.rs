//! What a signer may append.

use minicbor::{Decode, Encode};

/// A set of roles, as stored: one bit each. Unknown bits are kept and mean nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Roles(#[n(0)] pub u32);

impl Roles {
    /// Everything, and the only role for keys, upgrades, voids and retention.
    pub const OWNER: Roles = Roles(1);
    /// Sessions and points of this store.
    pub const COMMIT: Roles = Roles(2);
    /// Points and fences of peers.
    pub const IMPORT: Roles = Roles(4);
    /// Collections.
    pub const COLLECT: Roles = Roles(8);
    /// Fences.
    pub const FENCE: Roles = Roles(16);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Roles) -> Roles {
        Roles(self.0 | other.0)
    }

    /// Whether any role is in both sets.
    pub const fn has_any(self, of: Roles) -> bool {
        self.0 & of.0 != 0
    }
}
