//! Names of objects in a store, as text and as bytes (FORMAT.md §1).

use std::fmt;

use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::ids::{Hash, SessionId, StoreId};

/// What kind of content-named object a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A pack of data segments.
    Data,
    /// A pack of metadata segments.
    Meta,
    /// An index run of the session.
    Index(SessionId),
}

/// The name of a pack or an index run: its class, the hash of its bytes, and, if the same bytes had to come back after a
/// collection had listed the plain name, the position of that collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Which folder it lies in.
    pub class: Class,
    /// BLAKE3 of the stored bytes.
    pub hash: Hash,
    /// The GC_COMMIT that ended the life of the name before.
    pub reborn: Option<u64>,
}

/// Where a repository's description lies.
pub const FORMAT: &str = "FORMAT";

impl ObjectName {
    /// The name of `bytes` in `class`.
    pub fn of(class: Class, bytes: &[u8]) -> Self {
        Self { class, hash: Hash::of(bytes), reborn: None }
    }

    /// The name in a store, such as `data/ab/abcd…`.
    pub fn path(&self) -> String {
        let hex = self.hash.hex();
        let stem = match self.class {
            Class::Data => format!("data/{}/{hex}", &hex[..2]),
            Class::Meta => format!("meta/{}/{hex}", &hex[..2]),
            Class::Index(session) => format!("index/{session}/{hex}"),
        };
        match self.reborn {
            Some(seq) => format!("{stem}.{seq}"),
            None => stem,
        }
    }

    /// Reads back what [`ObjectName::path`] wrote; `None` for any other text.
    pub fn parse(path: &str) -> Option<Self> {
        let (folder, rest) = path.split_once('/')?;
        let (middle, last) = rest.split_once('/')?;
        let (hex, reborn) = match last.split_once('.') {
            Some((hex, seq)) => (hex, Some(seq.parse().ok()?)),
            None => (last, None),
        };
        let hash: Hash = hex.parse().ok()?;
        let class = match folder {
            "data" => Class::Data,
            "meta" => Class::Meta,
            "index" => Class::Index(middle.parse().ok()?),
            _ => return None,
        };
        let name = Self { class, hash, reborn };
        (name.path() == path).then_some(name)
    }

    fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(57);
        match self.class {
            Class::Data => out.push(1),
            Class::Meta => out.push(2),
            Class::Index(_) => out.push(3),
        }
        out.extend_from_slice(&self.hash.0);
        if let Class::Index(session) = self.class {
            out.extend_from_slice(&session.0);
        }
        if let Some(seq) = self.reborn {
            out.extend_from_slice(&seq.to_le_bytes());
        }
        out
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (class, rest) = bytes.split_first()?;
        let (hash, rest) = rest.split_at_checked(32)?;
        let (class, rest) = match class {
            1 => (Class::Data, rest),
            2 => (Class::Meta, rest),
            3 => {
                let (session, rest) = rest.split_at_checked(16)?;
                (Class::Index(SessionId::from_slice(session)?), rest)
            }
            _ => return None,
        };
        let reborn = match rest.len() {
            0 => None,
            _ => Some(u64::from_le_bytes(rest.try_into().ok()?)),
        };
        Some(Self { class, hash: Hash::from_slice(hash)?, reborn })
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl<C> Encode<C> for ObjectName {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.to_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for ObjectName {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = d.position();
        Self::from_bytes(d.bytes()?).ok_or_else(|| minicbor::decode::Error::message("not an object name").at(at))
    }
}

/// `log/<20 digits>`.
pub fn log_path(seq: u64) -> String {
    format!("log/{seq:020}")
}

/// The position in a `log/…` name.
pub fn parse_log_path(path: &str) -> Option<u64> {
    let seq = path.strip_prefix("log/")?.parse().ok()?;
    (log_path(seq) == path).then_some(seq)
}

/// `signers/<20 digits>`: tells of the KEY entry at that position.
pub fn signer_path(seq: u64) -> String {
    format!("signers/{seq:020}")
}

/// The position in a `signers/…` name.
pub fn parse_signer_path(path: &str) -> Option<u64> {
    let seq = path.strip_prefix("signers/")?.parse().ok()?;
    (signer_path(seq) == path).then_some(seq)
}

/// `checkpoint/<20 digits>/<hash>`.
pub fn checkpoint_path(seq: u64, hash: Hash) -> String {
    format!("checkpoint/{seq:020}/{hash}")
}

/// `mirror/<store>/<20 digits>`.
pub fn mirror_path(store: StoreId, seq: u64) -> String {
    format!("mirror/{store}/{seq:020}")
}

/// `keys/<hash>`.
pub fn key_path(hash: Hash) -> String {
    format!("keys/{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_as_text_and_as_bytes() {
        let hash = Hash::of(b"x");
        for class in [Class::Data, Class::Meta, Class::Index(SessionId([7; 16]))] {
            for reborn in [None, Some(0), Some(u64::MAX)] {
                let name = ObjectName { class, hash, reborn };
                assert_eq!(ObjectName::parse(&name.path()), Some(name));
                assert_eq!(ObjectName::from_bytes(&name.to_bytes()), Some(name));
                let cbor = minicbor::to_vec(name).unwrap();
                assert_eq!(minicbor::decode::<ObjectName>(&cbor).unwrap(), name);
            }
        }
    }

    #[test]
    fn other_texts_are_not_names() {
        let hash = Hash::of(b"x").hex();
        for text in ["", "data", "data/ab", &format!("data/zz/{hash}"), &format!("data/{}/{hash}.", &hash[..2])] {
            assert_eq!(ObjectName::parse(text), None, "{text}");
        }
        assert_eq!(parse_log_path("log/1"), None);
        assert_eq!(parse_log_path(&log_path(1)), Some(1));
    }
}
