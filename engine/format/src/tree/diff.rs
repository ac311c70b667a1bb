//! What differs between two trees, without reading the nodes that both have.

use super::entry::Entry;
use super::order::path_cmp;
use super::reader::{NodeSource, TreeReader};
use crate::BlobId;
use std::cmp::Ordering;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Only in the second tree.
    Added(Entry),
    /// Only in the first tree.
    Removed(Entry),
    /// In both, not the same.
    Changed {
        /// As it is in the first tree.
        before: Box<Entry>,
        /// As it is in the second tree.
        after: Box<Entry>,
    },
}

/// Walks two trees side by side. Nodes of one id are left out unread: equal nodes hold equal entries.
pub struct Diff<A, B> {
    before: TreeReader<A>,
    after: TreeReader<B>,
}

/// What to do next with the two positions.
enum Step {
    SkipBoth,
    OpenBefore,
    OpenAfter,
    OpenBoth,
    Compare,
}

impl<A, B> Diff<A, B>
where
    A: NodeSource,
    B: NodeSource<Error = A::Error>,
{
    /// From the tree `before` to the tree `after`. Reads nothing yet.
    pub fn new(before: (BlobId, A), after: (BlobId, B)) -> Self {
        Self { before: TreeReader::new(before.0, before.1), after: TreeReader::new(after.0, after.1) }
    }

    /// The next difference in the order of paths; None at the end.
    pub fn next_change(&mut self) -> Result<Option<Change>, A::Error> {
        loop {
            match self.step()? {
                Step::SkipBoth => {
                    self.before.skip_pending();
                    self.after.skip_pending();
                }
                Step::OpenBefore => drop(self.before.open_pending()?),
                Step::OpenAfter => drop(self.after.open_pending()?),
                Step::OpenBoth => {
                    self.before.open_pending()?;
                    self.after.open_pending()?;
                }
                Step::Compare => {
                    let (before, after) = (self.before.peek()?, self.after.peek()?);
                    let order = match (before, after) {
                        (None, None) => return Ok(None),
                        (Some(_), None) => Ordering::Less,
                        (None, Some(_)) => Ordering::Greater,
                        (Some(before), Some(after)) => path_cmp(&before.path, &after.path),
                    };
                    if let Some(change) = self.take(order)? {
                        return Ok(Some(change));
                    }
                }
            }
        }
    }

    /// Takes the smaller entry, or both if the paths are equal; None if they are equal altogether.
    fn take(&mut self, order: Ordering) -> Result<Option<Change>, A::Error> {
        let before = if order.is_le() { self.before.next_entry()? } else { None };
        let after = if order.is_ge() { self.after.next_entry()? } else { None };
        Ok(match (before, after) {
            (Some(before), Some(after)) if before == after => None,
            (Some(before), Some(after)) => {
                Some(Change::Changed { before: Box::new(before.clone()), after: Box::new(after.clone()) })
            }
            (Some(before), None) => Some(Change::Removed(before.clone())),
            (None, Some(after)) => Some(Change::Added(after.clone())),
            (None, None) => None,
        })
    }

    /// Nodes are opened only where the other side has no equal one: the larger level first, then the smaller path.
    fn step(&mut self) -> Result<Step, A::Error> {
        Ok(match (self.before.pending()?, self.after.pending()?) {
            (Some(before), Some(after)) => {
                if before.id == after.id {
                    return Ok(Step::SkipBoth);
                }
                match (before.level, after.level) {
                    (None, _) | (_, None) => Step::OpenBoth,
                    (Some(x), Some(y)) => match (path_cmp(before.first, after.first), x.cmp(&y)) {
                        (Ordering::Less, _) | (Ordering::Equal, Ordering::Greater) => Step::OpenBefore,
                        (Ordering::Greater, _) | (Ordering::Equal, Ordering::Less) => Step::OpenAfter,
                        (Ordering::Equal, Ordering::Equal) => Step::OpenBoth,
                    },
                }
            }
            (Some(before), None) => {
                let first = before.first.to_vec();
                if reaches(self.after.peek()?, &first) { Step::OpenBefore } else { Step::Compare }
            }
            (None, Some(after)) => {
                let first = after.first.to_vec();
                if reaches(self.before.peek()?, &first) { Step::OpenAfter } else { Step::Compare }
            }
            (None, None) => Step::Compare,
        })
    }
}

/// Whether a side that stands at `entry` (None: at its end) has come as far as a node that begins with `first`.
fn reaches(entry: Option<&Entry>, first: &[u8]) -> bool {
    entry.is_none_or(|entry| path_cmp(&entry.path, first).is_ge())
}
