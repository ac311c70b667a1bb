//! Open: a repository without its keys: FORMAT, and what the log says, guarded against rollback and fork.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use firn_format::format_file::FORMAT_BYTES_MAX;
use firn_format::{Damage, Entry, FormatFile, Halt, Hash, State, name};
use firn_store::Store;

use crate::catalog::{Catalog, Remembered};
use crate::checkpoint;
use crate::context::Context;
use crate::error::{Diverged, LogHead, RepoError};
use crate::slots;

/// Entries on their way to the catalog are held up to this many bytes.
const TAIL_BYTES_MAX: usize = 4 << 20;

/// An open repository. Reading needs no key; a damaged log opens too, see [`Repository::damage`].
pub struct Repository {
    store: Arc<dyn Store>,
    context: Context,
    state: State,
    catalog: Catalog,
    /// The newest checkpoint that the catalog holds; 0: none.
    remembered_checkpoint: u64,
    /// Whether a list showed what lies behind what was known at first.
    is_listed: bool,
}

impl Repository {
    /// Opens the repository in `store`: from what the catalog remembers, else from the newest checkpoint.
    ///
    /// # Errors
    /// `NotARepository`; `RolledBack` and `Forked` if the log is not the one that this machine has seen; `Newer`.
    pub fn open(store: Arc<dyn Store>, context: Context) -> Result<Self, RepoError> {
        let (format, fingerprint) = read_format(store.as_ref())?;
        let progress = context.progress.clone();
        let (catalog, remembered) = match &context.cache_dir {
            Some(dir) => Catalog::open(dir, format.family, format.store, progress),
            None => (Catalog::none(progress), Remembered::default()),
        };
        let guard = Guard { store: store.as_ref(), catalog: &catalog };
        if let Some((seen_fingerprint, _)) = remembered.seen
            && seen_fingerprint != fingerprint
        {
            return Err(guard.forked(LogHead { seq: 0, hash: seen_fingerprint }, LogHead { seq: 0, hash: fingerprint }));
        }
        let seen = remembered.seen.map(|(_, head)| head);
        let mut is_whole = true;
        if let Some(seen) = seen.filter(|seen| seen.seq > 0) {
            is_whole = guard.check(seen)?;
        }
        let remembered_checkpoint = remembered.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.seq);
        let recalled = if is_whole { recall(&format, fingerprint, remembered, &catalog) } else { None };
        let is_warm = recalled.is_some();
        let state = recalled.unwrap_or_else(|| State::genesis(&format, fingerprint));
        let mut repository = Self { store, context, state, catalog, remembered_checkpoint, is_listed: false };
        if is_warm {
            repository.read_on()?
        } else {
            repository.read_afresh()?
        }
        Ok(repository)
    }

    /// Reads what others have appended since.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub fn refresh(&mut self) -> Result<(), RepoError> {
        let head = self.head();
        let guard = Guard { store: self.store.as_ref(), catalog: &self.catalog };
        // If what was folded is gone or torn in the store, the state is what the store still proves.
        if head.seq == 0 || guard.check(head)? { self.read_on() } else { self.read_afresh() }
    }

    /// As [`Repository::refresh`], but a list says what there is: entries that are lost one after another look like the end of
    /// the log to whoever tries the next few places only.
    pub(crate) fn refresh_by_list(&mut self) -> Result<(), RepoError> {
        let head = self.head();
        let guard = Guard { store: self.store.as_ref(), catalog: &self.catalog };
        if head.seq > 0 && !guard.check(head)? {
            return self.read_afresh();
        }
        let mut tail = Tail::new(&self.catalog);
        slots::feed_listed(self.store.as_ref(), &mut self.state, &mut |seq, slot| tail.push(seq, slot))?;
        tail.flush();
        self.is_listed = true;
        self.refuse_newer()?;
        self.remember();
        Ok(())
    }

    /// What an append begins with: by a list, unless one was looked at before.
    pub(crate) fn refresh_to_append(&mut self) -> Result<(), RepoError> {
        if self.is_listed { self.refresh() } else { self.refresh_by_list() }
    }

    /// Where it lies.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The seams that it was opened with.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Where this machine's processes say for which sessions of this store they work; none without a cache folder.
    pub(crate) fn sessions_dir(&self) -> Option<PathBuf> {
        let FormatFile { family, store, .. } = self.format();
        let cache = self.context.cache_dir.as_ref()?;
        Some(cache.join(family.hex()).join(format!("{store}.sessions")))
    }

    /// FORMAT.
    pub fn format(&self) -> &FormatFile {
        self.state.format()
    }

    /// The hash of FORMAT: what `init` printed.
    pub fn fingerprint(&self) -> Hash {
        self.state.fingerprint()
    }

    /// What the log means, as of the last [`Repository::open`], [`Repository::refresh`] or append.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The first damaged place of the log, if there is one. What was before it can be read; nothing can be appended.
    pub fn damage(&self) -> Option<&Damage> {
        self.state.damage()
    }

    /// The newest entry that the state knows.
    pub fn head(&self) -> LogHead {
        LogHead { seq: self.state.next_seq() - 1, hash: self.state.head_hash() }
    }

    /// The stored bytes of a log entry, for a mirror; `None` if nothing lies there.
    pub fn raw_entry(&self, seq: u64) -> Result<Option<Bytes>, RepoError> {
        slots::read(self.store.as_ref(), seq)
    }

    /// The error for a log that must not be written to, if it is one.
    pub(crate) fn refuse_halted(&self) -> Result<(), RepoError> {
        match self.state.may_append() {
            Ok(_) => Ok(()),
            Err(Halt::Newer { needs }) => Err(RepoError::Newer { url: self.store.describe(), needs }),
            Err(Halt::Damaged(damage)) => Err(RepoError::LogDamaged {
                url: self.store.describe(),
                seq: damage.seq,
                detail: damage.fault.to_string(),
            }),
        }
    }

    /// Takes in an entry that this process has just appended.
    pub(crate) fn take(&mut self, seq: u64, bytes: Bytes) {
        let _verdict = self.state.apply(Some(&bytes));
        self.catalog.remember_entries(&[(seq, bytes)]);
        self.remember();
    }

    /// Reads the entries behind the state.
    fn read_on(&mut self) -> Result<(), RepoError> {
        let mut tail = Tail::new(&self.catalog);
        slots::feed_next(self.store.as_ref(), &mut self.state, &mut |seq, slot| tail.push(seq, slot))?;
        tail.flush();
        self.refuse_newer()?;
        self.remember();
        Ok(())
    }

    /// Reads the newest checkpoint and all that a list shows behind it.
    pub(crate) fn read_afresh(&mut self) -> Result<(), RepoError> {
        let progress = self.context.progress.as_ref();
        progress.phase("reading the log");
        let store = self.store.as_ref();
        let (format, fingerprint, catalog) = (self.state.format().clone(), self.state.fingerprint(), &self.catalog);
        let mut state = checkpoint::newest(store, &format, fingerprint, progress, &mut |found| {
            catalog.remember_checkpoint(found);
        })?;
        let remembered_checkpoint = state.checkpoint_seq();
        let mut tail = Tail::new(catalog);
        slots::feed_listed(store, &mut state, &mut |seq, slot| tail.push(seq, slot))?;
        tail.flush();
        (self.state, self.remembered_checkpoint, self.is_listed) = (state, remembered_checkpoint, true);
        self.refuse_newer()?;
        self.remember();
        Ok(())
    }

    /// Folds the whole log anew, from its first entry and without a word from any checkpoint, and takes the result for the
    /// state. `each` sees the state as it is before each slot. If the log is damaged, what a checkpoint says is the state
    /// again, and the damage is returned. Only one state is in memory at a time.
    pub(crate) fn fold_afresh(
        &mut self,
        each: &mut dyn FnMut(&State, &slots::Opened) -> Result<(), RepoError>,
    ) -> Result<Option<Damage>, RepoError> {
        let last = self.head().seq.max(self.state.wants() - 1);
        self.state = State::genesis(&self.state.format().clone(), self.state.fingerprint());
        let store = self.store.clone();
        slots::feed_to(&|seq| slots::read(store.as_ref(), seq), &mut self.state, last, &|_| 0, each)?;
        self.refuse_newer()?;
        let damage = self.state.damage().copied();
        if damage.is_some() {
            self.read_afresh()?;
        }
        Ok(damage)
    }

    fn refuse_newer(&self) -> Result<(), RepoError> {
        match self.state.may_read() {
            Err(Halt::Newer { needs }) => Err(RepoError::Newer { url: self.store.describe(), needs }),
            _ => Ok(()),
        }
    }

    /// Brings the catalog up to date.
    fn remember(&mut self) {
        if !self.catalog.is_open() {
            return;
        }
        self.catalog.remember_head(self.fingerprint(), self.head());
        let newest = self.state.checkpoint_seq();
        if newest > self.remembered_checkpoint {
            // A cache: what cannot be had now is had later.
            if let Ok(Some(checkpoint)) = checkpoint::fetch(self.store.as_ref(), newest) {
                self.catalog.remember_checkpoint(&checkpoint);
            }
            self.remembered_checkpoint = newest;
        }
    }
}

/// Entries on their way from the store to the catalog.
struct Tail<'a> {
    catalog: &'a Catalog,
    entries: Vec<(u64, Bytes)>,
    bytes: usize,
}

impl<'a> Tail<'a> {
    fn new(catalog: &'a Catalog) -> Self {
        Self { catalog, entries: Vec::new(), bytes: 0 }
    }

    fn push(&mut self, seq: u64, slot: &slots::Slot) {
        let Some(bytes) = slot.as_ref().filter(|_| self.catalog.is_open()) else { return };
        self.bytes += bytes.len();
        self.entries.push((seq, bytes.clone()));
        if self.bytes > TAIL_BYTES_MAX {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.entries.is_empty() {
            self.catalog.remember_entries(&self.entries);
        }
        self.entries.clear();
        self.bytes = 0;
    }
}

/// What was seen must still be there.
struct Guard<'a> {
    store: &'a dyn Store,
    catalog: &'a Catalog,
}

impl Guard<'_> {
    /// Whether `seen` lies where it was seen. `false` if it is damaged or lost while later entries are there: the log must be
    /// read afresh, and its damage will show.
    fn check(&self, seen: LogHead) -> Result<bool, RepoError> {
        let Some(bytes) = slots::read(self.store, seen.seq)? else {
            let last = slots::list(self.store, 0)?.last().map_or(0, |slot| slot.0);
            if last > seen.seq {
                return Ok(false);
            }
            let hash = if last == 0 { None } else { slots::read(self.store, last)? };
            let found = LogHead { seq: last, hash: hash.map_or(Hash::ZERO, |bytes| Hash::of(&bytes)) };
            return Err(RepoError::RolledBack(self.diverged(seen, found)));
        };
        let hash = Hash::of(&bytes);
        if hash == seen.hash {
            return Ok(true);
        }
        match Entry::open(&bytes) {
            // Somebody with a key wrote another entry at this place.
            Ok(_) => Err(self.forked(seen, LogHead { seq: seen.seq, hash })),
            Err(_) => Ok(false),
        }
    }

    fn diverged(&self, seen: LogHead, found: LogHead) -> Box<Diverged> {
        Box::new(Diverged { url: self.store.describe(), seen, found, cache: self.catalog.path() })
    }

    fn forked(&self, seen: LogHead, found: LogHead) -> RepoError {
        RepoError::Forked(self.diverged(seen, found))
    }
}

fn read_format(store: &dyn Store) -> Result<(FormatFile, Hash), RepoError> {
    let bytes = match store.get(name::FORMAT, FORMAT_BYTES_MAX as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => {
            return Err(without_format(store)?);
        }
        Err(source) => return Err(RepoError::store("read FORMAT", source)),
    };
    Ok(FormatFile::open(&bytes)?)
}

/// What it means that there is no FORMAT: nothing is there, or it was lost.
fn without_format(store: &dyn Store) -> Result<RepoError, RepoError> {
    let url = store.describe();
    // The first entry is as old as FORMAT, and stays as long.
    match store.head(&name::log_path(1)) {
        Ok(_) => Ok(RepoError::FormatMissing { url, name: name::log_path(1) }),
        Err(error) if error.is_not_found() => Ok(RepoError::NotARepository { url }),
        Err(source) => Err(RepoError::store("look for the log", source)),
    }
}

/// The state that the catalog remembers, if it fits together.
fn recall(format: &FormatFile, fingerprint: Hash, remembered: Remembered, catalog: &Catalog) -> Option<State> {
    let (_, seen) = remembered.seen?;
    let mut state = match remembered.checkpoint {
        Some(stored) => match State::from_checkpoint(stored.object, &stored.entry, format, fingerprint) {
            Ok(state) => state,
            Err(error) => {
                catalog.renew(&error.to_string());
                return None;
            }
        },
        None => State::genesis(format, fingerprint),
    };
    for (seq, bytes) in &remembered.entries {
        // What lies behind the head that was seen is read from the store: in a damaged log it is what was damaged.
        if *seq == state.wants() && *seq <= seen.seq {
            let _verdict = state.apply(Some(bytes));
        }
    }
    let fits = state.damage().is_none()
        && match state.next_seq() - 1 {
            last if last == seen.seq => state.head_hash() == seen.hash || last == 0,
            last => last < seen.seq,
        };
    if !fits {
        catalog.renew("its entries do not fit together");
        return None;
    }
    Some(state)
}

#[cfg(test)]
mod scale;
#[cfg(test)]
mod tests;
