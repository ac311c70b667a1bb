//! Packs, read whole: hash, table, directories, and every blob.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use firn_format::{
    BlobKind, Class, Counter, Decompressor, FormatError, Hash, IndexPack, IndexSegment, KeyRef, ObjectName,
    PACK_BYTES_MAX, PackTable, SegmentOpener, rebuild,
};

use super::domain::{Domain, format_problem, object_error};
use super::{Problem, Work};
use crate::error::RepoError;
use crate::open::Repository;
use crate::pool::{self, Limits};

/// Opening blobs is work for processors; each thread holds a pack of up to 32 MiB, and one waits behind it.
const PACKS_BYTES_MAX: u64 = 96 << 20;

/// Reads every pack that a live point needs.
pub(super) fn read_all(
    repository: &Repository,
    domains: &BTreeMap<KeyRef, Domain>,
    listing: &BTreeMap<ObjectName, u64>,
    work: &mut Work,
) -> Result<(), RepoError> {
    let is_pack = |name: &&ObjectName| !matches!(name.class, Class::Index(_)) && !work.objects_wrong.contains_key(name);
    let packs: Vec<ObjectName> = repository.state().needed().filter(is_pack).copied().collect();
    let bytes_of = |name: &ObjectName| listing.get(name).copied().unwrap_or_default();
    let progress = repository.context().progress.as_ref();
    progress.phase("reading all data");
    progress.total(Counter::Bytes, packs.iter().map(bytes_of).sum());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let limits = Limits { threads, items_max: 2 * threads, bytes_max: PACKS_BYTES_MAX };
    let store = repository.store().as_ref();
    pool::in_order(
        limits,
        packs,
        bytes_of,
        |name| {
            let checked = match store.get(&name.path(), PACK_BYTES_MAX as u64) {
                Ok(bytes) => Ok((bytes.len() as u64, check_pack(name, &bytes, domains))),
                Err(error) => Err(error),
            };
            (name, checked)
        },
        |(name, checked)| {
            let problem = match checked {
                Ok((bytes, blobs)) => {
                    work.bytes_read += bytes;
                    progress.add(Counter::Bytes, bytes);
                    blobs.map(|blobs| work.blobs += blobs).err()
                }
                Err(error) => Some(object_error(error)?),
            };
            if let Some(problem) = problem {
                work.object(name, problem);
            }
            work.refuse_stopped(progress)?;
            Ok(ControlFlow::Continue(()))
        },
    )
}

/// How many blobs the pack holds, if all of it is what was written.
fn check_pack(name: ObjectName, bytes: &Bytes, domains: &BTreeMap<KeyRef, Domain>) -> Result<u64, Problem> {
    if Hash::of(bytes) != name.hash {
        return Err(Problem::Damaged("its bytes are not what its name says".into()));
    }
    let key = PackTable::key_of(bytes).map_err(|error| format_problem(&error))?;
    let Some(domain) = domains.get(&key) else {
        return Err(Problem::Damaged(format!("it belongs to {key}, of which there is no point")));
    };
    let pack = rebuild(name, bytes, domain.keys.writer()).map_err(|error| format_problem(&error))?;
    let mut work = Decompressor::new().map_err(|error| format_problem(&error))?;
    for segment in &pack.segments {
        open_segment(segment, bytes, domain, &mut work).map_err(|error| format_problem(&error))?;
    }
    compare(&pack, domain)?;
    Ok(pack.segments.iter().map(|segment| segment.records.len() as u64).sum())
}

fn open_segment(
    segment: &IndexSegment,
    bytes: &Bytes,
    domain: &Domain,
    work: &mut Decompressor,
) -> Result<(), FormatError> {
    let facts = &segment.facts;
    let opener = match (facts.kind, &facts.wrapped) {
        (BlobKind::Meta, _) => SegmentOpener::meta(domain.keys.writer(), facts)?,
        (BlobKind::Data, Some(wrapped)) => {
            let secret = domain.sessions.lock().unwrap(&domain.keys, wrapped)?;
            SegmentOpener::data(domain.keys.writer(), &secret, facts)?
        }
        (BlobKind::Data, None) => return Err(FormatError::damaged("a data segment", "it has no session key")),
    };
    for (position, at, record) in segment.blobs() {
        let end = at as usize + record.sealed_len as usize;
        let sealed = bytes.get(at as usize..end);
        let sealed = sealed.ok_or_else(|| FormatError::damaged("a segment", "a blob lies beyond its pack"))?;
        opener.open_blob(work, position, record, sealed)?;
    }
    Ok(())
}

/// What the index says of the pack's blobs must be what the pack says.
fn compare(pack: &IndexPack, domain: &Domain) -> Result<(), Problem> {
    for segment in &pack.segments {
        for (position, at, record) in segment.blobs() {
            let Some(known) = domain.index().places(&record.id).find(|known| known.pack.name == pack.name) else {
                continue;
            };
            let same = known.blob.position == position
                && known.segment.offset + known.blob.offset == at
                && known.blob.record == *record
                && known.segment.facts == segment.facts;
            // A pack may hold a blob twice; then the index knows one of them.
            let is_same_segment = known.segment.offset == segment.offset && known.blob.position == position;
            if !same && is_same_segment {
                return Err(Problem::Damaged(format!("the index tells blob {} otherwise", record.id.short())));
            }
        }
    }
    Ok(())
}
