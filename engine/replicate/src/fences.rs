//! Fences: how an old primary learns that it is one.

use std::collections::{BTreeMap, HashSet};

use firn_format::{Hash, LineageId, SigningKey, VoidReason};
use firn_repo::Repository;

use crate::error::ReplicateError;
use crate::evidence::Evidence;
use crate::import::{self, Outcome, Subject};
use crate::link;
use crate::mirror::{self, Mirror};
use crate::queue::{self, Item, ItemKind};

/// What a peer's fences changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FenceNews {
    /// Hashes of the FENCE entries that took effect.
    pub fences: Vec<Hash>,
    /// Hashes of the UNFENCE entries that did: what those fences left aside is ordinary again.
    pub unfences: Vec<Hash>,
}

/// Imports the fences in force in `peer`, its own and those that it imported, that `target` does not know, and what took back
/// those that hold in it, and nothing else: what a committer of `target` does before it opens a session and again before it commits. A lineage that is fenced then
/// refuses the commit.
///
/// # Errors
/// `RolledBack` and `Forked` if the peer's log is not the one that the target has seen; `PeerDamaged` after the fences
/// before the damage were imported; `PeerUnproven` for a third store's fence without evidence; `NotAllowed` if `key` may not import.
pub fn import_fences(
    peer: &mut Repository,
    target: &mut Repository,
    key: &SigningKey,
) -> Result<FenceNews, ReplicateError> {
    link::check(peer, target, key)?;
    target.refresh()?;
    let mut mirror = Mirror::open(peer, target)?;
    let mut items: BTreeMap<Item, Vec<LineageId>> = BTreeMap::new();
    for (item, info) in queue::fences(peer.state(), target.state()) {
        items.insert(item, queue::lineages_of(peer.state(), info));
    }
    if !items.is_empty() {
        mirror.catch_up(peer, target)?;
    }
    let mut news = FenceNews::default();
    for (item, lineages) in items {
        if item.store != peer.format().store {
            let rows = lineages.iter().map(|lineage| (lineage, &item));
            if !Evidence::gather(peer, target, item.store, rows)?.proves(&item) {
                return Err(ReplicateError::PeerUnproven {
                    url: peer.store().describe(),
                    store: item.store,
                    seq: item.seq,
                });
            }
        }
        let Some(entry) = mirror::entry_of(peer, target, &item)? else {
            return Err(ReplicateError::PeerDamaged { url: peer.store().describe(), seq: item.seq });
        };
        let subject = Subject { item: &item, entry: &entry, evidence: None };
        match import::append(peer.state(), target, key, subject, &HashSet::new())? {
            Outcome::Appended if item.kind == ItemKind::Unfence => news.unfences.push(item.hash),
            Outcome::Appended => news.fences.push(item.hash),
            Outcome::Already => {}
            Outcome::Refused(reason) if is_overtaken(item.kind, reason) => {}
            _ => return Err(ReplicateError::PeerDamaged { url: peer.store().describe(), seq: item.seq }),
        }
    }
    match peer.damage() {
        Some(damage) => Err(ReplicateError::PeerDamaged { url: peer.store().describe(), seq: damage.seq }),
        None => Ok(news),
    }
}

/// Whether the target refuses a fence, or its end, because it knows of something later.
pub(crate) fn is_overtaken(kind: ItemKind, reason: VoidReason) -> bool {
    match kind {
        ItemKind::Fence => reason == VoidReason::Epoch,
        ItemKind::Unfence => {
            matches!(reason, VoidReason::FenceNotInForce | VoidReason::FenceUsed | VoidReason::Split)
        }
        ItemKind::Point => false,
    }
}
