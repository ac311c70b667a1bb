//! Identifiers: fixed-length byte strings that cannot be mistaken for one another.

use std::fmt;

use minicbor::{Decode, Decoder, Encode, Encoder};

/// A text that is not the hexadecimal form of an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of {bytes} bytes in hexadecimal: {text:?}")]
pub struct ParseIdError {
    /// What was given, cut to 80 characters.
    pub text: String,
    /// How many bytes the identifier has.
    pub bytes: usize,
}

fn hex_into(text: &str, out: &mut [u8]) -> Result<(), ParseIdError> {
    let wrong = || ParseIdError { text: text.chars().take(80).collect(), bytes: out.len() };
    let digits = text.as_bytes();
    if digits.len() != out.len() * 2 {
        return Err(wrong());
    }
    let mut parsed = Vec::with_capacity(out.len());
    for pair in digits.chunks_exact(2) {
        let high = (pair[0] as char).to_digit(16).ok_or_else(wrong)?;
        let low = (pair[1] as char).to_digit(16).ok_or_else(wrong)?;
        parsed.push((high * 16 + low) as u8);
    }
    out.copy_from_slice(&parsed);
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The identifier in these bytes, if their number is right.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Lower-case hexadecimal.
            pub fn hex(&self) -> String {
                self.to_string()
            }

            /// The first 12 hexadecimal digits, for people.
            pub fn short(&self) -> String {
                self.to_string().chars().take(12).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl std::str::FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let mut bytes = [0; $len];
                hex_into(text, &mut bytes)?;
                Ok(Self(bytes))
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                let at = d.position();
                Self::from_slice(d.bytes()?).ok_or_else(|| {
                    minicbor::decode::Error::message(concat!("wrong length of ", stringify!($name))).at(at)
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// BLAKE3 of stored bytes: the name of an object, or the hash of a log entry.
    Hash, 32
);
id!(
    /// Keyed BLAKE3 of a blob's plain bytes (a chunk or a tree node).
    BlobId, 32
);
id!(
    /// A recovery point: the hash of its COMMIT entry, the same in every store.
    PointId, 32
);
id!(
    /// All stores with the same content under the same keys.
    FamilyId, 16
);
id!(
    /// One URL with one log.
    StoreId, 16
);
id!(
    /// The unit of deduplication, keys and trust; by default one per cluster.
    DomainId, 16
);
id!(
    /// (cluster, policy): parent, retention, fence and `latest` are per lineage.
    LineageId, 16
);
id!(
    /// One writer's time between SESSION_OPEN and COMMIT, ABORT or KILL.
    SessionId, 16
);
id!(
    /// One attempt to make a point; tells "mine" from "another's" after an ambiguous result.
    RunId, 16
);
id!(
    /// One collection, from GC_MARK to GC_COMMIT.
    CollectionId, 16
);
id!(
    /// One long reader's hold on points.
    HoldId, 16
);
id!(
    /// An Ed25519 public key: who signed a log entry.
    Signer, 32
);

impl Hash {
    /// BLAKE3 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// All zeros: "nothing lies there".
    pub const ZERO: Hash = Hash([0; 32]);
}

impl From<Hash> for PointId {
    fn from(hash: Hash) -> Self {
        PointId(hash.0)
    }
}

impl From<PointId> for Hash {
    fn from(point: PointId) -> Self {
        Hash(point.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_round_trips_and_refuses_what_is_not() {
        let id = StoreId([0xa5; 16]);
        assert_eq!(id.hex().parse::<StoreId>().unwrap(), id);
        for wrong in ["", "a5", "zz", &"a5".repeat(17), &"é".repeat(16), &"+5".repeat(16)] {
            assert!(wrong.parse::<StoreId>().is_err(), "{wrong}");
        }
    }
}
