//! Directories: what packs hold, from their tables and directories alone, without a byte of their blobs.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use bytes::Bytes;
use firn_format::{
    Class, IndexPack, IndexSegment, ObjectName, PACK_BYTES_MAX, PACK_HEAD_BYTES, PackTable, SEGMENT_HEADER_BYTES,
    SegmentHeader, WriterKeys,
};
use firn_store::Store;

use crate::error::RepoError;
use crate::pool::{self, Limits};

/// A request for each segment, one after another: many packs at once. A directory of the smallest blobs has 3 MiB, a pack's
/// together 24; most have a few kilobytes.
const PACKS: Limits = Limits { threads: 8, items_max: 32, bytes_max: 96 << 20 };

/// What a pack's directories may weigh, as far as is known before they are read.
const PACK_WEIGHT: u64 = 3 << 20;

/// Hands those of `names` that are packs of this domain and of their full length to `each`, in order.
///
/// # Errors
/// Only what the store cannot say now.
pub(super) fn read(
    store: &dyn Store,
    keys: &WriterKeys,
    names: BTreeSet<ObjectName>,
    each: &mut dyn FnMut(IndexPack),
) -> Result<(), RepoError> {
    pool::in_order(
        PACKS,
        names.into_iter().filter(|name| !matches!(name.class, Class::Index(_))),
        |_| PACK_WEIGHT,
        |name| Pack { store, keys, name, path: name.path() }.read(),
        |found| {
            found?.into_iter().for_each(&mut *each);
            Ok(ControlFlow::Continue(()))
        },
    )
}

struct Pack<'a> {
    store: &'a dyn Store,
    keys: &'a WriterKeys,
    name: ObjectName,
    path: String,
}

impl Pack<'_> {
    /// What it holds; `None` if it is another domain's, was cut short, or is not what its table and directories say.
    fn read(&self) -> Result<Option<IndexPack>, RepoError> {
        let Some(bytes_len) = self.ask(self.store.head(&self.path).map(|head| head.bytes))? else { return Ok(None) };
        let first = (PACK_HEAD_BYTES + SEGMENT_HEADER_BYTES) as u64;
        if bytes_len > PACK_BYTES_MAX as u64 {
            return Ok(None);
        }
        let Some(head) = self.range(0..first.min(bytes_len))? else { return Ok(None) };
        if !PackTable::key_of(&head).is_ok_and(|key| key == self.keys.key_ref()) {
            return Ok(None);
        }
        let Ok(table) = PackTable::open(&head, self.keys) else { return Ok(None) };
        if table.pack_len() != bytes_len || table.kind.class() != self.name.class {
            return Ok(None);
        }
        let mut segments = Vec::with_capacity(table.segments.len());
        let mut header = head.slice(PACK_HEAD_BYTES.min(head.len())..);
        for (number, (offset, len)) in table.segments.iter().enumerate() {
            let is_last = number + 1 == table.segments.len();
            let Some((segment, next)) = self.segment(&table, &header, *offset, *len, is_last)? else { return Ok(None) };
            segments.push(segment);
            header = next;
        }
        Ok(Some(IndexPack { name: self.name, bytes_len: bytes_len as u32, segments }))
    }

    /// One segment, whose header begins with `header`, and the beginning of the next: it lies right behind the directory.
    fn segment(
        &self,
        table: &PackTable,
        header: &[u8],
        offset: u32,
        len: u32,
        is_last: bool,
    ) -> Result<Option<(IndexSegment, Bytes)>, RepoError> {
        let Ok(header) = SegmentHeader::parse(header) else { return Ok(None) };
        if header.facts.kind != table.kind || header.bytes_len() != u64::from(len) {
            return Ok(None);
        }
        let end = u64::from(offset) + u64::from(len);
        let from = end - header.directory_len() as u64;
        let to = if is_last { end } else { end + SEGMENT_HEADER_BYTES as u64 };
        let Some(bytes) = self.range(from..to)? else { return Ok(None) };
        let (directory, next) = (bytes.slice(..header.directory_len()), bytes.slice(header.directory_len()..));
        let Ok(records) = header.open_directory(self.keys, &directory) else { return Ok(None) };
        Ok(Some((IndexSegment { offset, facts: header.facts, blobs_len: header.blobs_len, records }, next)))
    }

    fn range(&self, range: Range<u64>) -> Result<Option<Bytes>, RepoError> {
        self.ask(self.store.get_range(&self.path, range))
    }

    /// Another's pack may go meanwhile, or be what no pack is; either way it is not ours to use.
    fn ask<T>(&self, answer: firn_store::Result<T>) -> Result<Option<T>, RepoError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_permanent() => Ok(None),
            Err(source) => Err(RepoError::store("read a pack", source)),
        }
    }
}
