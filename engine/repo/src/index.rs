//! Index: which pack holds a blob, and where in it.
//!
//! In memory: flat arrays of packs, segments and records, and an open-addressing table over the first bytes of the ids. A
//! blob costs 56 bytes and its slot at most 8; a second place of the same blob is kept apart, as few have one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use firn_format::{
    BlobId, BlobRecord, IndexPack, IndexRun, IndexSegment, ObjectName, SEGMENT_HEADER_BYTES, SegmentFacts,
};

/// Where a blob lies.
#[derive(Debug, Clone, Copy)]
pub struct Location<'i> {
    /// The pack that holds it.
    pub pack: &'i PackFacts,
    /// The segment within the pack.
    pub segment: &'i SegmentPlace,
    /// Its place.
    pub blob: &'i BlobPlace,
}

/// A pack, as the index knows it.
#[derive(Debug, Clone)]
pub struct PackFacts {
    /// Its name.
    pub name: ObjectName,
    /// Its length in bytes.
    pub bytes: u64,
    /// The index run that told of it; absent if it was found lying there, left by a session that never ended.
    pub run: Option<ObjectName>,
}

/// A segment, as the index knows it.
#[derive(Debug, Clone)]
pub struct SegmentPlace {
    /// Number of the pack.
    pub pack: u32,
    /// From the start of the pack.
    pub offset: u32,
    /// Length of the header and the blobs area.
    pub bytes: u32,
    /// What opens it.
    pub facts: SegmentFacts,
}

/// A blob's place in its segment.
#[derive(Debug, Clone, Copy)]
pub struct BlobPlace {
    /// What the directory says of it.
    pub record: BlobRecord,
    /// Number of the segment.
    pub segment: u32,
    /// From the start of the segment.
    pub offset: u32,
    /// Number within the segment.
    pub position: u32,
}

const FREE: u32 = u32::MAX;

/// All blobs that may be referred to.
#[derive(Debug, Default)]
pub struct Index {
    packs: Vec<PackFacts>,
    by_name: HashMap<ObjectName, u32>,
    segments: Vec<SegmentPlace>,
    blobs: Vec<BlobPlace>,
    slots: Vec<u32>,
    /// Further places of blobs that lie more than once.
    copies: HashMap<BlobId, Vec<BlobPlace>>,
}

impl Index {
    /// How many distinct blobs it knows.
    pub fn len(&self) -> usize {
        self.blobs.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty()
    }

    /// The packs it knows, in the order in which they were told.
    pub fn packs(&self) -> &[PackFacts] {
        &self.packs
    }

    /// The blob's place, if it is known.
    pub fn get(&self, id: &BlobId) -> Option<Location<'_>> {
        self.location(self.blobs.get(self.find(id)? as usize)?)
    }

    /// All places of the blob, the first being that of [`Index::get`]; none if it is not known.
    pub fn places(&self, id: &BlobId) -> impl Iterator<Item = Location<'_>> {
        let copies = if self.copies.is_empty() { None } else { self.copies.get(id) };
        self.get(id).into_iter().chain(copies.into_iter().flatten().filter_map(|blob| self.location(blob)))
    }

    fn location<'i>(&'i self, blob: &'i BlobPlace) -> Option<Location<'i>> {
        let segment = self.segments.get(blob.segment as usize)?;
        let pack = self.packs.get(segment.pack as usize)?;
        Some(Location { pack, segment, blob })
    }

    /// All known blobs with their places, in the order in which they were told.
    pub fn iter(&self) -> impl Iterator<Item = Location<'_>> {
        self.blobs.iter().filter_map(|blob| self.location(blob))
    }

    /// All that it knows of the packs with these numbers, as they were told.
    pub(crate) fn tell(&self, numbers: &BTreeSet<u32>) -> Vec<IndexPack> {
        let mut packs: BTreeMap<u32, IndexPack> = BTreeMap::new();
        for number in numbers {
            let Some(PackFacts { name, bytes, .. }) = self.packs.get(*number as usize) else { continue };
            packs.insert(*number, IndexPack { name: *name, bytes_len: *bytes as u32, segments: Vec::new() });
        }
        if packs.is_empty() {
            return Vec::new();
        }
        let mut blobs: BTreeMap<u32, Vec<&BlobPlace>> = BTreeMap::new();
        for blob in self.blobs.iter().chain(self.copies.values().flatten()) {
            if self.segments.get(blob.segment as usize).is_some_and(|segment| packs.contains_key(&segment.pack)) {
                blobs.entry(blob.segment).or_default().push(blob);
            }
        }
        for (number, SegmentPlace { pack, offset, bytes, facts }) in (0u32..).zip(&self.segments) {
            let Some(pack) = packs.get_mut(pack) else { continue };
            let mut blobs = blobs.remove(&number).unwrap_or_default();
            blobs.sort_unstable_by_key(|blob| blob.position);
            let records = blobs.into_iter().map(|blob| blob.record).collect();
            let blobs_len = bytes.saturating_sub(SEGMENT_HEADER_BYTES as u32);
            pack.segments.push(IndexSegment { offset: *offset, facts: *facts, blobs_len, records });
        }
        packs.into_values().collect()
    }

    /// Takes in what a run tells. `place` says under which name a pack lies now, if it may be used: a run was perhaps
    /// written elsewhere, or before its packs ended and came back. A blob that is known already keeps its place.
    pub fn add_run(
        &mut self,
        run: ObjectName,
        told: &IndexRun,
        mut place: impl FnMut(&ObjectName) -> Option<ObjectName>,
    ) {
        for pack in &told.packs {
            if let Some(name) = place(&pack.name) {
                self.add_pack_at(name, Some(run), pack);
            }
        }
    }

    /// Takes in one pack that lies under its own name; `run` told of it, or none did.
    pub fn add_pack(&mut self, run: Option<ObjectName>, pack: &IndexPack) {
        self.add_pack_at(pack.name, run, pack);
    }

    fn add_pack_at(&mut self, name: ObjectName, run: Option<ObjectName>, pack: &IndexPack) {
        if self.by_name.contains_key(&name) {
            return;
        }
        let pack_number = self.packs.len() as u32;
        self.by_name.insert(name, pack_number);
        self.packs.push(PackFacts { name, bytes: u64::from(pack.bytes_len), run });
        for segment in &pack.segments {
            let number = self.segments.len() as u32;
            let bytes = (SEGMENT_HEADER_BYTES as u32).saturating_add(segment.blobs_len);
            self.segments.push(SegmentPlace { pack: pack_number, offset: segment.offset, bytes, facts: segment.facts });
            for (position, offset, record) in segment.blobs() {
                // The run counts from the start of the pack.
                let offset = offset.saturating_sub(segment.offset);
                self.add_blob(BlobPlace { record: *record, segment: number, offset, position });
            }
        }
    }

    fn add_blob(&mut self, blob: BlobPlace) {
        if (self.blobs.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut slot = home(&blob.record.id) as usize & mask;
        while self.slots[slot] != FREE {
            if self.blobs[self.slots[slot] as usize].record.id == blob.record.id {
                self.copies.entry(blob.record.id).or_default().push(blob);
                return;
            }
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = self.blobs.len() as u32;
        self.blobs.push(blob);
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(1024);
        let mask = size - 1;
        self.slots = vec![FREE; size];
        for (number, blob) in self.blobs.iter().enumerate() {
            let mut slot = home(&blob.record.id) as usize & mask;
            while self.slots[slot] != FREE {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = number as u32;
        }
    }

    fn find(&self, id: &BlobId) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut slot = home(id) as usize & mask;
        while self.slots[slot] != FREE {
            let number = self.slots[slot];
            if self.blobs[number as usize].record.id == *id {
                return Some(number);
            }
            slot = (slot + 1) & mask;
        }
        None
    }
}

/// Ids are keyed hashes, so that their first bytes are as good as any hash of them.
fn home(id: &BlobId) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&id.0[..8]);
    u64::from_le_bytes(first)
}
