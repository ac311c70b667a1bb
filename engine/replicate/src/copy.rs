//! Copy: one object from store to store, hashed on both sides.

use bytes::Bytes;
use firn_format::{Class, Hash, INDEX_BYTES_MAX, ObjectName, PACK_BYTES_MAX};
use firn_store::{Check, Kind, Store, StoreError, put_new_resolved};

use crate::error::ReplicateError;

/// Wrong bytes are read so often before they count as damage at rest and not on the way.
const READS_MAX: usize = 2;

/// An object under its names at both ends: bytes whose name is dead in the target get another there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) from: ObjectName,
    pub(crate) to: ObjectName,
}

/// How it went with one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Copied {
    /// So many bytes were sent, read back and hashed.
    Sent(u64),
    /// It lay there already, so many bytes, which were read and hashed.
    There(u64),
    /// The source does not have it (any more).
    Gone,
    /// What the source has is not the object.
    BadSource(String),
    /// What the target has is not the object.
    BadTarget(String),
    /// Nothing was done: somebody asked to stop.
    NotBegun,
}

/// Brings one object over, unless it is there.
pub(crate) fn copy(source: &dyn Store, target: &dyn Store, pair: &Pair) -> Result<Copied, ReplicateError> {
    match read(target, &pair.to).map_err(|source| ReplicateError::Store { doing: "read in the target", source })? {
        Read::Whole(bytes) => return Ok(Copied::There(bytes.len() as u64)),
        Read::Wrong(detail) => return Ok(Copied::BadTarget(detail)),
        Read::Missing => {}
    }
    let bytes = match read(source, &pair.from) {
        Ok(Read::Whole(bytes)) => bytes,
        Ok(Read::Missing) => return Ok(Copied::Gone),
        Ok(Read::Wrong(detail)) => return Ok(Copied::BadSource(detail)),
        // A disk that cannot read one object reads others.
        Err(error) if error.kind == Kind::Other => return Ok(Copied::BadSource(error.to_string())),
        Err(source) => return Err(ReplicateError::Store { doing: "read at the source", source }),
    };
    let length = bytes.len() as u64;
    match put_new_resolved(target, &pair.to.path(), bytes, Check::Length) {
        Ok(_) => {}
        Err(error) if error.kind == Kind::Differs => return Ok(Copied::BadTarget("it has another length".into())),
        Err(source) => return Err(ReplicateError::Store { doing: "put into the target", source }),
    }
    match read(target, &pair.to).map_err(|source| ReplicateError::Store { doing: "read back", source })? {
        Read::Whole(_) => Ok(Copied::Sent(length)),
        Read::Missing => Ok(Copied::BadTarget("it was put and is not there".into())),
        Read::Wrong(detail) => Ok(Copied::BadTarget(detail)),
    }
}

enum Read {
    Whole(Bytes),
    Missing,
    Wrong(String),
}

fn read(store: &dyn Store, name: &ObjectName) -> Result<Read, StoreError> {
    let bytes_max = match name.class {
        Class::Data | Class::Meta => PACK_BYTES_MAX as u64,
        Class::Index(_) => INDEX_BYTES_MAX as u64,
    };
    for _ in 0..READS_MAX {
        match store.get(&name.path(), bytes_max) {
            Ok(bytes) if Hash::of(&bytes) == name.hash => return Ok(Read::Whole(bytes)),
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(Read::Missing),
            Err(error) if error.kind == Kind::TooLarge => {
                return Ok(Read::Wrong("it is longer than any such object".into()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Read::Wrong("its hash is not its name".into()))
}
