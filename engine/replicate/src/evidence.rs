//! Evidence: what the source mirrors of a third store's log, looked through before anything of it is carried on.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use firn_format::log::{KeyAction, KeyChange};
use firn_format::{Entry, Hash, LineageId, Payload, PointId, Roles, Signer, StoreId};
use firn_repo::Repository;

use crate::error::ReplicateError;
use crate::lanes;
use crate::mirror::{self, BATCH};
use crate::queue::Item;

/// What a stretch of a third store's log says. The source's importer saw that an entry took effect there; whether its signer
/// might sign it, and whether the entries hold together, is looked at again.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// The COMMITs, by position. As many as the log has points: the state holds more about each.
    commits: BTreeMap<u64, Commit>,
    /// Who may sign what, at the end of the stretch.
    signers: BTreeMap<Signer, Roles>,
    /// The items of the stretch whose signers might sign them.
    proven: BTreeSet<Hash>,
    /// Entries that are new in the target's mirror.
    pub(crate) entries_mirrored: u64,
    /// Where the mirror contradicts itself.
    pub(crate) broken_at: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Commit {
    point: PointId,
    lineage: LineageId,
    epoch: u64,
}

/// The stretch of one store's log.
struct Stretch<'a> {
    source: &'a Repository,
    target: &'a Repository,
    store: StoreId,
    items: BTreeMap<u64, Item>,
    /// Up to here the target's mirror has all.
    mirrored_to: u64,
}

impl Evidence {
    /// Looks through what the source mirrors of `store`'s log, from where the target knows of it to the last of `items`,
    /// and puts it into the target's mirror.
    ///
    /// # Errors
    /// `Forked` if the target has seen another log of that store; failures of the stores.
    pub(crate) fn gather<'i>(
        source: &Repository,
        target: &Repository,
        store: StoreId,
        items: impl Iterator<Item = (&'i LineageId, &'i Item)>,
    ) -> Result<Self, ReplicateError> {
        let (mut from, mut by_seq) = (u64::MAX, BTreeMap::new());
        for (lineage, item) in items {
            let known = target.state().lineages().get(lineage).map_or(0, |lineage| lineage.imported_to(&store));
            from = from.min(known).min(item.seq.saturating_sub(1));
            by_seq.insert(item.seq, *item);
        }
        let mirrored_to = mirror::imported_to(target, store);
        let stretch = Stretch { source, target, store, items: by_seq, mirrored_to };
        let evidence = stretch.walk(from.max(1))?;
        match from > 1 && evidence.proven.len() < stretch.items.len() {
            // Who admitted the signers is written further back.
            true => stretch.walk(1),
            false => Ok(evidence),
        }
    }

    /// Whether the item's signer might sign it, as far as the mirror tells.
    pub(crate) fn proves(&self, item: &Item) -> bool {
        self.proven.contains(&item.hash)
    }

    /// The positions of the lineage's COMMITs under an epoch behind `after` and before `before`, with their points.
    pub(crate) fn commits(
        &self,
        lineage: LineageId,
        epoch: u64,
        after: u64,
        before: u64,
    ) -> impl Iterator<Item = (u64, PointId)> {
        let stretch = (after < before).then(|| self.commits.range(after + 1..before));
        let commits = stretch.into_iter().flatten();
        commits
            .filter(move |(_, commit)| (commit.lineage, commit.epoch) == (lineage, epoch))
            .map(|(seq, commit)| (*seq, commit.point))
    }

    fn read(&mut self, stretch: &Stretch<'_>, entry: &Entry, hash: Hash) {
        let roles = self.signers.get(&entry.signer).copied().unwrap_or_default();
        let role = match &entry.payload {
            Payload::Void(void) if roles.has_any(Roles::OWNER) => {
                let restored = void.entry.as_ref().and_then(|bytes| Entry::open(bytes).ok());
                let fits = |(restored, _): &(Entry, Hash)| restored.store == entry.store && restored.seq == void.seq;
                if let Some((Entry { payload: Payload::Key(key), .. }, _)) = restored.filter(fits) {
                    self.change_key(&key);
                }
                return;
            }
            Payload::Key(key) if roles.has_any(Roles::OWNER) => return self.change_key(key),
            Payload::Commit(commit) => {
                let point = hash.into();
                self.commits.insert(entry.seq, Commit { point, lineage: commit.lineage, epoch: commit.epoch });
                if stretch.target.state().point(&point).is_some() {
                    // The target imported it, so its signer was looked at then.
                    self.signers.insert(entry.signer, roles.and(Roles::COMMIT));
                }
                Roles::COMMIT
            }
            Payload::Fence(_) | Payload::Unfence(_) => Roles::FENCE,
            _ => return,
        };
        if stretch.items.get(&entry.seq).is_some_and(|item| item.hash == hash) && roles.has_any(role.and(Roles::OWNER))
        {
            self.proven.insert(hash);
        }
    }

    fn change_key(&mut self, key: &KeyChange) {
        match (key.action, key.signer) {
            (KeyAction::Admit, Some(signer)) => _ = self.signers.insert(signer, key.roles.unwrap_or_default()),
            (KeyAction::Revoke, Some(signer)) => _ = self.signers.remove(&signer),
            _ => {}
        }
    }
}

impl Stretch<'_> {
    /// Reads from `from` to the last item. The family's owner may sign everything in each of its stores.
    fn walk(&self, from: u64) -> Result<Evidence, ReplicateError> {
        let signers = BTreeMap::from([(self.source.format().owner, Roles::OWNER)]);
        let mut evidence = Evidence { signers, ..Evidence::default() };
        let to = self.items.keys().next_back().copied().unwrap_or(0);
        let (mut next, mut last) = (from, None);
        while next <= to {
            let seqs: Vec<u64> = (next..=to).take(BATCH).collect();
            next += seqs.len() as u64;
            let slots = lanes::map(BATCH, &seqs, |seq| self.slot(*seq))?;
            let mut whole: Vec<(u64, Bytes)> = Vec::new();
            for (seq, bytes) in seqs.into_iter().zip(slots) {
                let Some((bytes, (entry, hash))) = bytes.and_then(|bytes| self.open(seq, bytes)) else {
                    // The source could not have it either, or lost it: the chain goes as far as it goes.
                    last = None;
                    continue;
                };
                if !follows(last, &entry) {
                    evidence.broken_at.get_or_insert(seq);
                }
                last = Some((seq, hash));
                evidence.read(self, &entry, hash);
                if seq > self.mirrored_to && evidence.broken_at.is_none() {
                    whole.push((seq, bytes));
                }
            }
            let put = |(seq, bytes): &(u64, Bytes)| mirror::put(self.source, self.target, self.store, *seq, bytes);
            let put = lanes::map(BATCH, &whole, put)?;
            evidence.entries_mirrored += put.into_iter().filter(|is_new| *is_new).count() as u64;
        }
        Ok(evidence)
    }

    /// What the source has of a slot: its mirror may be damaged, what it imported stands in its own log, too.
    fn slot(&self, seq: u64) -> Result<Option<Bytes>, ReplicateError> {
        match self.items.get(&seq) {
            Some(item) => mirror::as_source_has_it(self.source, item),
            None => mirror::mirrored(self.source, self.store, seq),
        }
    }

    /// The entry in a slot, if it is one of that store in that place.
    fn open(&self, seq: u64, bytes: Bytes) -> Option<(Bytes, (Entry, Hash))> {
        let opened = Entry::open(&bytes).ok()?;
        (opened.0.store == self.store && opened.0.seq == seq).then_some((bytes, opened))
    }
}

/// Whether the entry was built on the one before it, or ends the slot that lay there.
fn follows(last: Option<(u64, Hash)>, entry: &Entry) -> bool {
    let voids = |seq| matches!(&entry.payload, Payload::Void(void) if void.seq == seq);
    last.is_none_or(|(seq, hash)| entry.prev == hash || voids(seq))
}
