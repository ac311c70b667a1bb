//! Mend: objects that the target lost, brought again from the source.

use std::collections::{BTreeSet, HashMap};

use firn_format::log::{Found, Moved};
use firn_format::{Class, Hash, ObjectName, Payload, PointId, State};

use crate::copy::{Copied, Pair};
use crate::error::ReplicateError;
use crate::replicate::Work;
use crate::report::Problem;

/// So many objects are named in one FOUND: at most 8 MiB of names.
const FOUND_MAX: usize = 50_000;

impl Work<'_> {
    /// Brings again what LOST entries of the target name, as far as a point of either end needs it, and says so in the
    /// target's log: a point that needs such an object is whole from then on. Bytes of its own that are sound after all
    /// count as well. Where damaged bytes lie under the name, the right ones get the other name that the log gives them.
    pub(crate) fn mend(&mut self) -> Result<(), ReplicateError> {
        let pairs = self.to_mend();
        let lineages = self.target.state().lineages().keys().chain(self.source.state().lineages().keys());
        let Some(lineage) = lineages.copied().next().filter(|_| !pairs.is_empty()) else { return Ok(()) };
        let broken = broken(self.target.state());
        self.open_session(lineage)?;
        for some in pairs.chunks(FOUND_MAX) {
            self.bring_again(some)?;
        }
        let here = self.target.state();
        self.report.mended = broken.into_iter().filter(|id| is_whole(here, id)).collect();
        Ok(())
    }

    /// The lost objects, with what the source calls them.
    fn to_mend(&self) -> Vec<Pair> {
        let (there, here) = (self.source.state(), self.target.state());
        let lost: BTreeSet<(Class, Hash)> = here.lost().map(|name| (name.class, name.hash)).collect();
        if lost.is_empty() {
            return Vec::new();
        }
        let whole = there.needed().filter(|name| lost.contains(&(name.class, name.hash)) && !there.is_lost(name));
        let names: HashMap<(Class, Hash), ObjectName> = whole.map(|name| ((name.class, name.hash), *name)).collect();
        let pairs = here.lost().filter_map(|to| match names.get(&(to.class, to.hash)) {
            Some(from) => Some(Pair { from: *from, to: *to }),
            None => here.needed_by_any(to).then_some(Pair { from: *to, to: *to }),
        });
        pairs.collect()
    }

    fn bring_again(&mut self, pairs: &[Pair]) -> Result<(), ReplicateError> {
        let mut found = Found { names: Vec::new(), moved: Vec::new(), rescues: Vec::new() };
        let (mut elsewhere, mut failed) = (Vec::new(), Vec::new());
        for (pair, copied) in pairs.iter().zip(self.copy_all(pairs)?) {
            match (copied, self.target.state().name_instead(&pair.to)) {
                (Copied::Sent(_) | Copied::There(_), _) => found.names.push(pair.to),
                (Copied::BadTarget(_), Some(to)) => elsewhere.push((pair.to, Pair { from: pair.from, to })),
                // Somebody asked to stop; the next run goes on.
                (Copied::NotBegun, _) => {}
                (copied, _) => failed.push((pair.to, detail(copied))),
            }
        }
        let copies: Vec<Pair> = elsewhere.iter().map(|(_, pair)| *pair).collect();
        for ((from, pair), copied) in elsewhere.iter().zip(self.copy_all(&copies)?) {
            match copied {
                Copied::Sent(_) | Copied::There(_) => found.moved.push(Moved { from: *from, to: pair.to }),
                Copied::NotBegun => {}
                copied => failed.push((*from, detail(copied))),
            }
        }
        self.append_found(&found)?;
        failed.retain(|(name, _)| self.target.state().needed_by_any(name));
        let objects = failed.len();
        if let Some((name, detail)) = failed.pop() {
            let problem = Problem::Lost { objects, name, detail };
            self.target.context().progress.note(&problem.to_string());
            self.report.problems.push(problem);
        }
        Ok(())
    }

    /// Says what was found, as far as it is still lost at the slot that the entry takes.
    fn append_found(&mut self, found: &Found) -> Result<(), ReplicateError> {
        let mut said = None;
        let appended = self.target.append_with(self.key, |here| {
            said = still(here, found);
            Ok(said.clone().map(Payload::Found))
        })?;
        if let Some(said) = said.filter(|_| appended.is_some()) {
            self.report.found.extend(said.names);
            self.report.found.extend(said.moved.iter().map(|moved| moved.from));
        }
        Ok(())
    }
}

/// What of it may be said in `here`; `None` if nothing is left.
fn still(here: &State, found: &Found) -> Option<Found> {
    let names: Vec<_> = found.names.iter().copied().filter(|name| here.is_lost(name)).collect();
    let fits = |moved: &Moved| here.name_instead(&moved.from) == Some(moved.to) && !here.dead(&moved.to);
    let moved: Vec<_> = found.moved.iter().copied().filter(fits).collect();
    let rescues = moved.iter().map(|moved| moved.to).filter(|name| here.is_candidate(name)).collect();
    (!names.is_empty() || !moved.is_empty()).then_some(Found { names, moved, rescues })
}

fn detail(copied: Copied) -> String {
    match copied {
        Copied::Gone => "the source has not got it".to_owned(),
        Copied::BadSource(detail) => format!("at the source: {detail}"),
        Copied::BadTarget(detail) => detail,
        // Nobody asks about these.
        Copied::Sent(_) | Copied::There(_) | Copied::NotBegun => String::new(),
    }
}

/// The points that lack something.
fn broken(state: &State) -> Vec<PointId> {
    let points = state.points().map(|point| point.id);
    points.filter(|id| !is_whole(state, id)).collect()
}

fn is_whole(state: &State, point: &PointId) -> bool {
    state.needs(point).iter().all(|name| !state.is_lost(name))
}
