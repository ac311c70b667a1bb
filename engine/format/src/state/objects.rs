//! Every object name that the log has mentioned, interned, with what is known about it.

use std::collections::HashMap;

use crate::name::{Class, ObjectName};

/// Number of an object in the order of first mention.
pub(crate) type ObjectNo = u32;

const NONE: u32 = u32::MAX;

/// What is known about an object: bits.
pub(crate) mod flag {
    /// A point's entry listed or needed it.
    pub(crate) const LISTED: u8 = 1;
    /// A collection dropped or moved it; never needed again.
    pub(crate) const DEAD: u8 = 2;
    /// LOST named it.
    pub(crate) const LOST: u8 = 4;
    /// A collection made it from others.
    pub(crate) const SUCCESSOR: u8 = 8;
}

#[derive(Debug, Clone)]
struct Record {
    name: ObjectName,
    /// How many live points add it to what their base needs: 0 means that no live point needs it.
    adders: u32,
    /// The next record with the same key in `lookup`.
    next: u32,
    /// While it is lost: the LOST that said so. Once it is dead: what its bytes' next name bears. Else 0.
    seq: u64,
    flags: u8,
}

/// The table. Names are found by 8 bytes of their hash and then compared whole: half the memory of a map of names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Objects {
    records: Vec<Record>,
    lookup: HashMap<u64, u32>,
}

fn key(name: &ObjectName) -> u64 {
    let head = |bytes: &[u8]| bytes.iter().take(8).fold(0u64, |acc, byte| acc << 8 | u64::from(*byte));
    let class = match name.class {
        Class::Data => 1,
        Class::Meta => 2,
        Class::Index(session) => head(&session.0),
    };
    head(&name.hash.0) ^ class ^ name.reborn.unwrap_or(0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Objects {
    pub(crate) fn find(&self, name: &ObjectName) -> Option<ObjectNo> {
        let mut at = *self.lookup.get(&key(name))?;
        loop {
            let record = self.records.get(at as usize)?;
            if record.name == *name {
                return Some(at);
            }
            at = record.next;
        }
    }

    pub(crate) fn intern(&mut self, name: &ObjectName) -> ObjectNo {
        if let Some(found) = self.find(name) {
            return found;
        }
        let no = self.records.len() as u32;
        let next = self.lookup.insert(key(name), no).unwrap_or(NONE);
        self.records.push(Record { name: *name, adders: 0, next, seq: 0, flags: 0 });
        no
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn name(&self, no: ObjectNo) -> Option<&ObjectName> {
        self.records.get(no as usize).map(|record| &record.name)
    }

    pub(crate) fn flags(&self, no: ObjectNo) -> u8 {
        self.records.get(no as usize).map_or(0, |record| record.flags)
    }

    pub(crate) fn has(&self, no: ObjectNo, flag: u8) -> bool {
        self.flags(no) & flag != 0
    }

    pub(crate) fn named_has(&self, name: &ObjectName, flag: u8) -> bool {
        self.find(name).is_some_and(|no| self.has(no, flag))
    }

    pub(crate) fn set(&mut self, no: ObjectNo, flag: u8) {
        if let Some(record) = self.records.get_mut(no as usize) {
            record.flags |= flag;
        }
    }

    /// Ends the name: from now on its bytes are stored as the name with `seq`.
    pub(crate) fn end(&mut self, no: ObjectNo, seq: u64) {
        if let Some(record) = self.records.get_mut(no as usize) {
            (record.seq, record.flags) = (seq, (record.flags | flag::DEAD) & !flag::LOST);
        }
    }

    /// Notes that a LOST at `seq` names the object; a dead or lost one stays what it is.
    pub(crate) fn mark_lost(&mut self, no: ObjectNo, seq: u64) {
        if let Some(record) = self.records.get_mut(no as usize)
            && record.flags & (flag::DEAD | flag::LOST) == 0
        {
            (record.seq, record.flags) = (seq, record.flags | flag::LOST);
        }
    }

    /// Notes that the object is there again. No dead one is judged so.
    pub(crate) fn mark_found(&mut self, no: ObjectNo) {
        if let Some(record) = self.records.get_mut(no as usize) {
            (record.seq, record.flags) = (0, record.flags & !(flag::LOST | flag::DEAD));
        }
    }

    /// The position that the object's next name bears, if it is dead or lost.
    pub(crate) fn next_name_seq(&self, no: ObjectNo) -> Option<u64> {
        self.records.get(no as usize).map(|record| record.seq).filter(|seq| *seq > 0)
    }

    /// As [`Objects::intern`], with all that a checkpoint says of the object.
    pub(crate) fn restore(&mut self, name: &ObjectName, flags: u8, seq: u64) -> ObjectNo {
        let no = self.intern(name);
        if let Some(record) = self.records.get_mut(no as usize) {
            (record.flags, record.seq) = (flags, seq);
        }
        no
    }

    pub(crate) fn adders(&self, no: ObjectNo) -> u32 {
        self.records.get(no as usize).map_or(0, |record| record.adders)
    }

    pub(crate) fn gain(&mut self, no: ObjectNo) {
        if let Some(record) = self.records.get_mut(no as usize) {
            record.adders += 1;
        }
    }

    pub(crate) fn lose(&mut self, no: ObjectNo) {
        if let Some(record) = self.records.get_mut(no as usize) {
            record.adders = record.adders.saturating_sub(1);
        }
    }

    /// All objects in the order of first mention.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ObjectNo, &ObjectName, u8)> {
        self.records.iter().enumerate().map(|(no, record)| (no as u32, &record.name, record.flags))
    }
}
