//! Aftermath: what depends on an entry that nobody has any more.

use firn_format::{Damage, Entry, Hash, Kind, Payload, PointId, State};

use crate::error::RepoError;
use crate::slots::{Opened, Slot};

/// What is given up with a slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loss {
    /// The hash of the entry that lay there, if the next one says it.
    pub hash: Option<Hash>,
    /// What kind it was, as far as the damaged bytes still say so; they prove nothing.
    pub kind: Option<&'static str>,
    /// Whether it may have been a point, or what a point stood on.
    pub may_matter: bool,
    /// The points that do not hold without it, the one that it was itself among them if that is known.
    pub points: Vec<PointId>,
}

/// What the slots behind a damaged one say.
#[derive(Default)]
pub(super) struct Aftermath {
    kind: Option<Kind>,
    /// A later entry names the entry that lay there as a point.
    is_point: bool,
    /// The first collection that ended behind it.
    collected: Option<u64>,
}

impl Aftermath {
    /// Reads all slots behind the damaged one.
    pub(super) fn look(
        state: &State,
        damage: &Damage,
        last: u64,
        read: &dyn Fn(u64) -> Result<Slot, RepoError>,
    ) -> Result<Self, RepoError> {
        let mut found = Self::default();
        if let Some(bytes) = read(damage.seq)?
            && let Ok(entry) = Entry::open_trusted(&bytes)
            && (entry.store, entry.seq) == (state.store(), damage.seq)
        {
            found.kind = entry.payload.kind();
        }
        let point = damage.original.map(PointId::from);
        for seq in damage.seq + 1..=last {
            let Ok(entry) = Opened::of(seq, read(seq)?).entry else { continue };
            if entry.store != state.store() || entry.seq != seq {
                continue;
            }
            if matches!(entry.payload, Payload::GcCommit(_)) {
                found.collected.get_or_insert(seq);
            }
            found.is_point |= point.is_some_and(|point| names(&entry.payload, point));
        }
        Ok(found)
    }

    /// What is lost if the slot is given up.
    ///
    /// # Errors
    /// Why it must not be.
    pub(super) fn judge(&self, state: &State, damage: &Damage) -> Result<Loss, String> {
        if let Some(seq) = self.collected {
            return Err(format!(
                "no mirror holds it, and a collection ended behind it, at {seq}: without this entry more may be needed than \
                 was then, and what went does not come back; only the entry itself mends it: name a replica with --from"
            ));
        }
        // One bit makes a GC_MARK of a GC_COMMIT, so the damaged bytes are not believed about these two.
        let may_be_collection = matches!(self.kind, None | Some(Kind::GcMark | Kind::GcCommit));
        if state.collection().is_some() && may_be_collection {
            return Err(
                "no mirror holds it, and a collection was open before it, which it may have ended: what went with that does \
                 not come back; only the entry itself mends it: name a replica with --from"
                    .into(),
            );
        }
        let says_point = matches!(self.kind, Some(Kind::Commit | Kind::Import));
        let points = damage.original.filter(|_| self.is_point || self.kind == Some(Kind::Commit));
        Ok(Loss {
            hash: damage.original,
            kind: self.kind.map(Kind::name),
            may_matter: self.is_point || says_point || self.kind.is_none(),
            points: points.map(PointId::from).into_iter().collect(),
        })
    }

    /// The point that the entry would have made, if it is void.
    pub(super) fn void_point(state: &State, opened: &Opened) -> Option<PointId> {
        let entry = opened.entry.as_ref().ok()?;
        let point = match &entry.payload {
            Payload::Commit(_) => PointId::from(opened.hash),
            Payload::Import(import) => PointId::from(import.hash),
            _ => return None,
        };
        state.validate(&entry.payload, &entry.signer).is_err().then_some(point)
    }
}

/// Whether an entry speaks of that point.
fn names(payload: &Payload, point: PointId) -> bool {
    match payload {
        Payload::SessionOpen(open) => open.parent == Some(point),
        Payload::Commit(commit) => commit.parent == Some(point),
        Payload::Fence(fence) => fence.tips.contains(&Some(point)),
        Payload::Hold(hold) => hold.points.contains(&point),
        Payload::Delete(delete) => delete.points.contains(&point),
        Payload::Verified(verified) => verified.points.contains(&point),
        _ => false,
    }
}
