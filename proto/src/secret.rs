//! A value in a message that is never printed.

use std::fmt;

use zeroize::Zeroize;

/// A secret in a message: printed as its length, wiped when it is dropped. The buffers that it crossed the network in are
/// not wiped.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
#[prost(skip_debug)]
pub struct Secret {
    /// The value.
    #[prost(bytes = "vec", tag = "1")]
    pub value: Vec<u8>,
}

impl Secret {
    /// A secret with this value.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self { value: value.into() }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.value.len())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}
