//! Batch: some files that are made, filled and finished together, so that each blob they share is fetched once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use firn_format::tree::{Entry, FilePieces, Piece};
use firn_format::{BlobId, Counter, Progress};
use firn_repo::{Nodes, Reader, RepoError};
use firn_volume::{FileWriter, Standing, Target, VolumeError};
use parking_lot::Mutex;

use crate::capture::exceptions::Exceptions;
use crate::error::AgentError;
use crate::restore::verify::Stood;

/// Files open at once. Half of what a process may have by default.
const FILES_MAX: usize = 400;

/// Bytes of content in one batch: what one fetch is planned over. Large files are filled in several steps of this size.
const BYTES_MAX: u64 = 64 << 20;

/// A place that a blob's bytes go to.
struct Write {
    file: usize,
    at: u64,
    from: u32,
    len: u32,
}

/// A file that is being filled.
struct Open {
    entry: Entry,
    writer: FileWriter,
    damaged: AtomicBool,
}

/// What was found in the place of a file.
enum Compared {
    /// It looks right.
    Stood(Stood),
    /// Nothing, or something else.
    Wrong(Entry),
}

/// What a batch works with.
pub(crate) struct Filler<'a> {
    pub(crate) name: &'a str,
    pub(crate) reader: &'a Arc<Reader>,
    pub(crate) target: &'a Target,
    pub(crate) threads: usize,
    pub(crate) exceptions: &'a Exceptions<'a>,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) files: AtomicU64,
    pub(crate) damaged: AtomicU64,
    pub(crate) kept: AtomicU64,
}

/// Files that wait to be restored.
#[derive(Default)]
pub(crate) struct Batch {
    entries: Vec<Entry>,
    bytes: u64,
}

impl Batch {
    /// Takes a file; `true` if the batch is full.
    pub(crate) fn push(&mut self, entry: &Entry) -> bool {
        self.bytes = self.bytes.saturating_add(entry.size);
        self.entries.push(entry.clone());
        self.entries.len() >= FILES_MAX || self.bytes >= BYTES_MAX
    }
}

impl Filler<'_> {
    /// Restores the files of the batch: what stands there is compared first, then what is not right is written.
    pub(crate) fn fill(&self, batch: Batch) -> Result<(), AgentError> {
        let compared = self.in_parallel(batch.entries, |entry| self.compare(entry))?;
        let (mut stood, mut wrong) = (Vec::new(), Vec::new());
        for compared in compared.into_iter().flatten() {
            match compared {
                Compared::Stood(file) => stood.push(file),
                Compared::Wrong(entry) => wrong.push(entry),
            }
        }
        wrong.extend(self.verify(stood)?);
        self.write_all(wrong)
    }

    fn write_all(&self, entries: Vec<Entry>) -> Result<(), AgentError> {
        let open = self.in_parallel(entries, |entry| self.open(entry))?;
        let mut open: Vec<Open> = open.into_iter().flatten().collect();
        let mut writes: HashMap<BlobId, Vec<Write>> = HashMap::new();
        let mut planned = 0;
        for number in 0..open.len() {
            let mut pieces = FilePieces::new(&open[number].entry, Nodes(self.reader.clone()));
            loop {
                let (at, piece) = match pieces.next_piece() {
                    Ok(Some(found)) => found,
                    Ok(None) => break,
                    Err(error) => {
                        self.damage(&open[number], &error);
                        break;
                    }
                };
                let (id, from, len) = match piece {
                    Piece::Hole { len } => {
                        self.settle(open[number].writer.punch(at, len))?;
                        continue;
                    }
                    Piece::Chunk { id, len } if self.stands(&open[number], at, &id, len) => continue,
                    Piece::Chunk { id, len } => (id, 0, len),
                    Piece::Slice { id, offset, len } => (id, offset, len),
                    Piece::Map { .. } => continue,
                };
                writes.entry(id).or_default().push(Write { file: number, at, from, len });
                planned += u64::from(len);
                if planned >= BYTES_MAX {
                    self.fetch(&open, std::mem::take(&mut writes))?;
                    planned = 0;
                }
            }
        }
        self.fetch(&open, writes)?;
        if open.iter().any(|file| file.writer.existing_bytes() > 0) {
            // Else a power cut might leave the old bytes under the new time.
            self.target.sync().map_err(|source| self.volume(source))?;
        }
        self.in_parallel(std::mem::take(&mut open), |file| self.finish(file))?;
        Ok(())
    }

    /// Looks at what stands there; `None` if the entry cannot be.
    fn compare(&self, entry: Entry) -> Result<Option<Compared>, AgentError> {
        self.progress.add(Counter::Entries, 1);
        let Some(standing) = self.settle(self.target.compare(&entry))? else { return Ok(None) };
        if standing != Standing::Same {
            return Ok(Some(Compared::Wrong(entry)));
        }
        Ok(Some(match self.target.standing_file(&entry) {
            Ok(Some(file)) => Compared::Stood(Stood { entry, file, is_wrong: AtomicBool::new(false) }),
            // What cannot be read is made anew.
            Ok(None) | Err(VolumeError::Entry(_)) => Compared::Wrong(entry),
            Err(source) => return Err(self.volume(source)),
        }))
    }

    /// Makes or opens the file; `None` if it cannot be made.
    fn open(&self, entry: Entry) -> Result<Option<Open>, AgentError> {
        let writer = self.settle(self.target.update(&entry))?;
        Ok(writer.map(|writer| Open { entry, writer, damaged: AtomicBool::new(false) }))
    }

    /// Whether the chunk stands in an older state of the file already.
    fn stands(&self, file: &Open, at: u64, id: &BlobId, len: u32) -> bool {
        if at + u64::from(len) > file.writer.existing_bytes() {
            return false;
        }
        let mut bytes = vec![0; len as usize];
        let read = file.writer.read_at(&mut bytes, at);
        let stands = read.is_ok_and(|read| read == bytes.len()) && self.reader.keys().writer().chunk_id(&bytes) == *id;
        if stands {
            self.progress.add(Counter::Bytes, u64::from(len));
        }
        stands
    }

    fn fetch(&self, open: &[Open], writes: HashMap<BlobId, Vec<Write>>) -> Result<(), AgentError> {
        let ids: Vec<BlobId> = writes.keys().copied().collect();
        self.reader.fetch(ids, self.threads, &|id, blob| {
            if self.progress.stopping() {
                return Err(AgentError::Stopped);
            }
            for write in writes.get(id).into_iter().flatten() {
                let Some(file) = open.get(write.file) else { continue };
                match &blob {
                    Ok(blob) => self.write(file, write, blob)?,
                    Err(error) => self.damage(file, error),
                }
            }
            Ok(())
        })
    }

    fn write(&self, file: &Open, write: &Write, blob: &[u8]) -> Result<(), AgentError> {
        let from = write.from as usize;
        let Some(bytes) = blob.get(from..from + write.len as usize) else {
            let source = firn_format::FormatError::damaged("a piece", "it reaches beyond its blob");
            self.damage(file, &RepoError::Format(source));
            return Ok(());
        };
        if self.settle(file.writer.write_at(bytes, write.at))?.is_none() {
            file.damaged.store(true, Ordering::Relaxed);
        }
        self.progress.add(Counter::Bytes, bytes.len() as u64);
        Ok(())
    }

    fn finish(&self, file: Open) -> Result<(), AgentError> {
        let Open { entry, writer, damaged } = file;
        if damaged.into_inner() {
            // The file keeps another time than the entry's, so that it is never taken for finished.
            drop(writer);
            return Ok(());
        }
        self.files.fetch_add(1, Ordering::Relaxed);
        for exception in self.settle(writer.finish(&entry))?.into_iter().flatten() {
            self.exceptions.volume(&exception);
        }
        Ok(())
    }

    /// Names a file that cannot be had whole, once.
    fn damage(&self, file: &Open, error: &RepoError) {
        if file.damaged.swap(true, Ordering::Relaxed) {
            return;
        }
        self.damaged.fetch_add(1, Ordering::Relaxed);
        let path = String::from_utf8_lossy(&file.entry.path).into_owned();
        self.exceptions.note(path, "damaged", error.to_string());
    }

    /// Turns trouble with one entry into an exception.
    fn settle<T>(&self, result: Result<T, VolumeError>) -> Result<Option<T>, AgentError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(VolumeError::Entry(exception)) => {
                self.exceptions.volume(&exception);
                Ok(None)
            }
            Err(source) => Err(self.volume(source)),
        }
    }

    pub(super) fn volume(&self, source: VolumeError) -> AgentError {
        AgentError::Volume { name: self.name.to_owned(), source }
    }

    pub(super) fn in_parallel<T: Send, R: Send>(
        &self,
        items: Vec<T>,
        work: impl Fn(T) -> Result<R, AgentError> + Sync,
    ) -> Result<Vec<R>, AgentError> {
        let share = items.len().div_ceil(self.threads.max(1)).max(1);
        let mut items = items.into_iter().peekable();
        let results = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            while items.peek().is_some() {
                let part: Vec<T> = items.by_ref().take(share).collect();
                let (work, results) = (&work, &results);
                scope.spawn(move || {
                    let done: Result<Vec<R>, AgentError> = part.into_iter().map(work).collect();
                    results.lock().push(done);
                });
            }
        });
        let parts = results.into_inner();
        let mut all = Vec::new();
        for part in parts {
            all.extend(part?);
        }
        Ok(all)
    }
}
