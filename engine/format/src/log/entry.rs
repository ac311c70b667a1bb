//! One log entry: its bytes, its signature, its hash.

use minicbor::{Decode, Encode};

use super::payload::{Payload, cbor, exact};
use crate::clock::TimeMs;
use crate::error::FormatError;
use crate::ids::{Hash, Signer, StoreId};
use crate::signing::{SIGNATURE_BYTES, SigningKey};

/// What a signature of an entry covers before its body.
const CONTEXT: &[u8] = b"firn log v1\0";

/// The longest entry: the names of 14 TB in packs of 32 MiB. A reader refuses a longer one before it allocates.
pub const ENTRY_BYTES_MAX: usize = 16 << 20;

/// One entry of a store's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The store whose log it is in.
    pub store: StoreId,
    /// Its position, from 1.
    pub seq: u64,
    /// The hash of the bytes in the slot before; of entry 1: the fingerprint.
    pub prev: Hash,
    /// Whether a reader that does not know the kind must stop.
    pub critical: bool,
    /// The leadership under which it was written; decides nothing.
    pub term: u64,
    /// What it says.
    pub payload: Payload,
    /// The writer's clock.
    pub time_ms: TimeMs,
    /// The store's clock, if it said one.
    pub store_time_ms: Option<TimeMs>,
    /// Who signed it.
    pub signer: Signer,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Body {
    #[n(0)]
    store: StoreId,
    #[n(1)]
    seq: u64,
    #[n(2)]
    prev: Hash,
    #[n(3)]
    kind: u16,
    #[cbor(n(4), default)]
    critical: bool,
    #[cbor(n(5), default)]
    term: u64,
    #[cbor(n(6), with = "minicbor::bytes")]
    payload: Vec<u8>,
    #[n(7)]
    time_ms: TimeMs,
    #[n(8)]
    store_time_ms: Option<TimeMs>,
    #[n(9)]
    signer: Signer,
}

/// Bytes with a signature over them: `[body, signature]`.
#[derive(Encode, Decode)]
pub(crate) struct Signed {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) body: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) signature: [u8; SIGNATURE_BYTES],
}

impl Entry {
    /// The stored bytes, signed with `key`, whose public half takes the place of `signer`.
    ///
    /// # Errors
    /// [`FormatError::TooLarge`] above [`ENTRY_BYTES_MAX`].
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, FormatError> {
        let body = self.body(key.signer());
        let signature = key.sign(CONTEXT, &body);
        let bytes = cbor(&Signed { body, signature });
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(FormatError::TooLarge {
                what: self.what(),
                bytes: bytes.len() as u64,
                bytes_max: ENTRY_BYTES_MAX as u64,
            });
        }
        Ok(bytes)
    }

    /// The entry in stored `bytes`, and its hash. Its signature is checked; whether its signer may, and its place, are not.
    ///
    /// # Errors
    /// [`FormatError::Damaged`] when the bytes are no entry or the signature is not its signer's;
    /// [`FormatError::TooLarge`] above [`ENTRY_BYTES_MAX`].
    pub fn open(bytes: &[u8]) -> Result<(Self, Hash), FormatError> {
        let (entry, signed) = Self::parse(bytes)?;
        if !entry.signer.verifies(CONTEXT, &signed.body, &signed.signature) {
            return Err(FormatError::damaged(entry.what(), "the signature is not its signer's"));
        }
        Ok((entry, Hash::of(bytes)))
    }

    /// The entry in stored `bytes`, without a look at its signature: for bytes whose hash is already trusted.
    ///
    /// # Errors
    /// As [`Entry::open`].
    pub fn open_trusted(bytes: &[u8]) -> Result<Self, FormatError> {
        Self::parse(bytes).map(|(entry, _)| entry)
    }

    fn body(&self, signer: Signer) -> Vec<u8> {
        cbor(&Body {
            store: self.store,
            seq: self.seq,
            prev: self.prev,
            kind: self.payload.kind_number(),
            critical: self.critical,
            term: self.term,
            payload: self.payload.encode(),
            time_ms: self.time_ms,
            store_time_ms: self.store_time_ms,
            signer,
        })
    }

    fn parse(bytes: &[u8]) -> Result<(Self, Signed), FormatError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(FormatError::TooLarge {
                what: "log entry".into(),
                bytes: bytes.len() as u64,
                bytes_max: ENTRY_BYTES_MAX as u64,
            });
        }
        let broken = || FormatError::damaged("log entry", "it is not an entry");
        let signed: Signed = exact(bytes).ok_or_else(broken)?;
        let body: Body = exact(&signed.body).ok_or_else(broken)?;
        let entry = Self {
            store: body.store,
            seq: body.seq,
            prev: body.prev,
            critical: body.critical,
            term: body.term,
            payload: Payload::decode(body.kind, &body.payload),
            time_ms: body.time_ms,
            store_time_ms: body.store_time_ms,
            signer: body.signer,
        };
        Ok((entry, signed))
    }

    fn what(&self) -> String {
        format!("log entry {}", self.seq)
    }
}
