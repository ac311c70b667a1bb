//! Abort: a failover taken back, while no point of this side follows.

use std::collections::BTreeSet;

use firn_format::Payload;
use firn_format::log::Unfence;
use firn_format::state::FenceInfo;
use firn_repo::{Keyring, PointInfo, RepoError, Repository, list_points};
use serde::Serialize;

use super::primary;
use crate::args;
use crate::outcome::{Outcome, failed, usage};
use crate::output;

/// What is printed after a failover was taken back.
#[derive(Serialize)]
struct Aborted {
    /// Of the newest fence.
    reason: String,
    /// How many fences were taken back: one, unless it was begun several times.
    fences: usize,
    lineages: usize,
    /// Fences that stand, and why.
    remaining: Vec<String>,
    /// Whether the former primary may write again: its store was told, or never knew of the failover. Absent: nobody knows
    /// of a primary.
    primary_released: Option<bool>,
}

/// Gives the epochs back, here and in the primary's store.
pub(super) fn abort(
    args: &args::Failover,
    mut repository: Repository,
    keyring: &Keyring,
    global: &args::Global,
) -> anyhow::Result<Outcome> {
    let fences = unused_fences(args, &repository, keyring)?;
    if fences.is_empty() {
        return Err(failed("there is no failover to take back; nothing was changed"));
    }
    let primary = primary(args, &repository, global)?;
    let key = keyring.signing_key()?;
    let (mut taken, mut remaining) = (Vec::new(), Vec::new());
    for fence in fences {
        match repository.append(&Payload::Unfence(Unfence { fence: fence.hash }), key) {
            Ok(_) => taken.push(fence),
            // Points of this side stand on it.
            Err(RepoError::Refused { reason, .. }) => remaining.push((fence, reason)),
            Err(error) => return Err(error.into()),
        }
    }
    if taken.is_empty()
        && let Some((fence, why)) = remaining.first()
    {
        return Err(failed(format!("{} cannot be taken back: {why}; nothing was changed", fence.reason)));
    }
    let released = |mut found: Repository| match firn_replicate::import_fences(&mut repository, &mut found, key) {
        Ok(_) => {
            let mut lineages = taken.iter().flat_map(|fence| &fence.lineages);
            lineages.all(|fenced| found.state().may_commit(&fenced.lineage))
        }
        Err(error) => {
            anstream::eprintln!("the primary could not be told: {:#}", anyhow::Error::from(error));
            false
        }
    };
    let told = primary.repository.is_some_and(released);
    let primary_released = primary.url.map(|_| told);
    let lineages: BTreeSet<_> = taken.iter().flat_map(|fence| &fence.lineages).map(|fenced| fenced.lineage).collect();
    let aborted = Aborted {
        reason: taken.first().map(|fence| fence.reason.clone()).unwrap_or_default(),
        fences: taken.len(),
        lineages: lineages.len(),
        remaining: remaining.into_iter().map(|(fence, why)| format!("{}: {why}", fence.reason)).collect(),
        primary_released,
    };
    output::print(global, &aborted, || taken_back(&aborted))?;
    Ok(Outcome::of_exceptions(aborted.remaining.len() as u64))
}

/// The own fences that stand, newest first, of the cluster that is meant.
fn unused_fences(args: &args::Failover, repository: &Repository, keyring: &Keyring) -> anyhow::Result<Vec<FenceInfo>> {
    let own = repository.state().store();
    let points = list_points(repository, keyring);
    let (mut fences, mut clusters) = (Vec::new(), BTreeSet::new());
    let standing = |fence: &&FenceInfo| fence.store == own && fence.unfenced.is_none();
    for fence in repository.state().fences().values().rev().filter(standing) {
        let is_its = |point: &&PointInfo| fence.lineages.iter().any(|fenced| fenced.lineage == point.lineage);
        let of: BTreeSet<(&str, &str)> = points
            .iter()
            .filter(is_its)
            .filter_map(|point| point.summary.as_ref())
            .map(|summary| (summary.cluster.as_str(), summary.cluster_name.as_str()))
            .collect();
        let asked = |asked: &String| of.iter().any(|(uid, name)| asked == uid || asked == name);
        if args.cluster_name.as_ref().is_none_or(asked) {
            clusters.extend(of);
            fences.push(fence.clone());
        }
    }
    if clusters.len() > 1 && args.cluster_name.is_none() {
        let names: Vec<_> = clusters.iter().map(|(_, name)| *name).collect();
        let names = names.join(", ");
        return Err(usage(format!("several clusters were failed over; give --cluster-name, one of: {names}")));
    }
    Ok(fences)
}

fn taken_back(aborted: &Aborted) -> String {
    let then = match aborted.primary_released {
        Some(true) => "the former primary may write again",
        Some(false) => {
            "the former primary's repository could not be told now: if it knows of the failover, it learns of its end as \
             soon as its next backup can read this one"
        }
        None => "a former primary learns of it as soon as its next backup can read this repository",
    };
    let more = if aborted.fences > 1 { format!(" ({} fences)", aborted.fences) } else { String::new() };
    let remaining = aborted.remaining.iter().map(|remaining| format!("not taken back: {remaining}\n"));
    format!("taken back: {}{more}; {then}\n", aborted.reason) + &remaining.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_whether_the_former_primary_may_write() {
        let said = |primary_released| {
            taken_back(&Aborted {
                reason: "failover of a to b".into(),
                fences: 1,
                lineages: 1,
                remaining: Vec::new(),
                primary_released,
            })
        };
        assert!(said(Some(true)).ends_with("the former primary may write again\n"));
        assert!(said(Some(false)).contains("could not be told now") && said(Some(false)).contains("next backup"));
        assert!(said(None).contains("next backup"));
    }
}
