//! Verify: files that stand in the target and look right, compared byte by byte with what they should be.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use firn_format::tree::{Entry, FilePieces, Piece};
use firn_format::{BlobId, Counter};
use firn_repo::Nodes;
use firn_volume::{StandingFile, VolumeError};

use crate::error::AgentError;
use crate::restore::batch::Filler;

/// Slices of bundles in one file at most. A writer makes one; whoever makes so many has his file written anew.
const SLICES_MAX: usize = 1024;

/// A file that looks right.
pub(super) struct Stood {
    pub(super) entry: Entry,
    pub(super) file: StandingFile,
    pub(super) is_wrong: AtomicBool,
}

/// A part of a file that is part of a bundle: it has no id of its own to be compared by.
struct Slice {
    file: usize,
    at: u64,
    from: u32,
    len: u32,
}

impl Filler<'_> {
    /// Counts those that are right as kept. Returns those that are not.
    pub(super) fn verify(&self, stood: Vec<Stood>) -> Result<Vec<Entry>, AgentError> {
        let numbers: Vec<usize> = (0..stood.len()).collect();
        let slices = self.in_parallel(numbers, |number| match stood.get(number) {
            Some(file) => self.verify_chunks(number, file),
            None => Ok(Vec::new()),
        })?;
        let mut by_bundle: HashMap<BlobId, Vec<Slice>> = HashMap::new();
        for (id, slice) in slices.into_iter().flatten() {
            by_bundle.entry(id).or_default().push(slice);
        }
        self.reader.fetch(by_bundle.keys().copied(), self.threads, &|id, blob| {
            if self.progress.stopping() {
                return Err(AgentError::Stopped);
            }
            for slice in by_bundle.get(id).into_iter().flatten() {
                let Some(file) = stood.get(slice.file) else { continue };
                let wanted = blob.as_ref().ok().and_then(|blob| blob.get(slice.from as usize..));
                let wanted = wanted.and_then(|rest| rest.get(..slice.len as usize));
                // What cannot be had is said when it is to be written.
                let is_right = wanted.map_or(Ok(false), |wanted| file.file.has(wanted, slice.at));
                self.judge(file, is_right)?;
            }
            Ok(())
        })?;
        let mut wrong = Vec::new();
        for file in stood {
            if file.is_wrong.into_inner() {
                wrong.push(file.entry);
            } else {
                self.kept.fetch_add(1, Ordering::Relaxed);
                self.progress.add(Counter::Bytes, file.entry.size);
            }
        }
        Ok(wrong)
    }

    /// Compares all that has an id of its own; returns what has not.
    fn verify_chunks(&self, number: usize, file: &Stood) -> Result<Vec<(BlobId, Slice)>, AgentError> {
        let mut slices = Vec::new();
        let mut pieces = FilePieces::new(&file.entry, Nodes(self.reader.clone()));
        while !file.is_wrong.load(Ordering::Relaxed) {
            if self.progress.stopping() {
                return Err(AgentError::Stopped);
            }
            let is_right = match pieces.next_piece() {
                Ok(None) => break,
                Ok(Some((at, Piece::Hole { len }))) => file.file.has_zeros(at, len),
                Ok(Some((at, Piece::Chunk { id, len }))) => self.has_chunk(file, at, &id, len),
                Ok(Some((at, Piece::Slice { id, offset, len }))) if slices.len() < SLICES_MAX => {
                    slices.push((id, Slice { file: number, at, from: offset, len }));
                    Ok(true)
                }
                Ok(Some(_)) | Err(_) => Ok(false),
            };
            self.judge(file, is_right)?;
        }
        Ok(slices)
    }

    fn has_chunk(&self, file: &Stood, at: u64, id: &BlobId, len: u32) -> Result<bool, VolumeError> {
        let mut bytes = vec![0; len as usize];
        let got = file.file.read_at(&mut bytes, at)?;
        Ok(got == bytes.len() && self.reader.keys().writer().chunk_id(&bytes) == *id)
    }

    /// A file that cannot be read is wrong; trouble of the whole volume ends it.
    fn judge(&self, file: &Stood, is_right: Result<bool, VolumeError>) -> Result<(), AgentError> {
        match is_right {
            Ok(true) => {}
            Ok(false) | Err(VolumeError::Entry(_)) => file.is_wrong.store(true, Ordering::Relaxed),
            Err(source) => return Err(self.volume(source)),
        }
        Ok(())
    }
}
