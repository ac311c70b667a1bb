//! `firn prune`: deletes what no recovery point needs.

use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::Context as _;
use firn_format::ObjectName;
use firn_repo::{Keyring, Repository, collect};
use serde::Serialize;

use crate::args::{self, Global};
use crate::outcome::Outcome;
use crate::terminal::Terminal;
use crate::{output, repository};

/// What was deleted, or would be.
#[derive(Debug, Default, Serialize)]
pub struct Pruned {
    dry_run: bool,
    objects: u64,
    bytes: u64,
    /// Objects of no point that may be an open session's.
    waiting_objects: u64,
    /// The sessions that they wait for.
    waiting_for: Vec<String>,
    /// Sessions that had been open for more than a day and were declared dead.
    killed: Vec<String>,
}

/// Deletes, or says what would be deleted.
pub fn run(args: &args::Prune, global: &Global) -> anyhow::Result<Outcome> {
    let terminal = Arc::new(Terminal::new(global.quiet));
    let (mut repository, keyring) = repository::open_unlocked(&args.repo.repo, global, terminal.clone())?;
    let pruned = if args.dry_run { foresee(&repository)? } else { prune(&mut repository, &keyring)? };
    terminal.clear();
    output::print(global, &pruned, || text(&pruned))?;
    Ok(Outcome::Done)
}

/// Collects.
pub fn prune(repository: &mut Repository, keyring: &Keyring) -> anyhow::Result<Pruned> {
    let collected = collect(repository, keyring.signing_key()?)?;
    Ok(Pruned {
        dry_run: false,
        objects: collected.objects,
        bytes: collected.bytes,
        waiting_objects: collected.waiting_objects,
        waiting_for: collected.waiting_for.iter().map(|session| session.hex()).collect(),
        killed: collected.killed.iter().map(|session| session.hex()).collect(),
    })
}

/// What a collection would find, by the same rules, without an entry in the log.
fn foresee(repository: &Repository) -> anyhow::Result<Pruned> {
    let state = repository.state();
    let waiting_for: Vec<_> = state.sessions().keys().map(|session| session.hex()).collect();
    let mut found = Pruned { dry_run: true, ..Pruned::default() };
    for folder in ["data/", "meta/", "index/"] {
        let listed = repository.store().list(folder, None, &mut |listed| {
            let Some(name) = ObjectName::parse(&listed.name).filter(|name| !state.needed_by_any(name)) else {
                return ControlFlow::Continue(());
            };
            if state.listed(&name) || state.dead(&name) || waiting_for.is_empty() {
                found.objects += 1;
                found.bytes += listed.bytes;
            } else {
                found.waiting_objects += 1;
            }
            ControlFlow::Continue(())
        });
        listed.context("cannot list the objects; nothing was changed")?;
    }
    if found.waiting_objects > 0 {
        found.waiting_for = waiting_for;
    }
    Ok(found)
}

/// What was done, for people.
pub fn text(pruned: &Pruned) -> String {
    let Pruned { objects, bytes, waiting_objects, .. } = pruned;
    let verb = if pruned.dry_run { "would delete" } else { "deleted" };
    let mut out = match objects {
        0 => "nothing to delete: every object is needed by a point\n".to_owned(),
        _ => format!("{verb} {objects} objects that no point needs: {}\n", output::bytes(*bytes)),
    };
    if !pruned.killed.is_empty() {
        let count = pruned.killed.len();
        out += &format!("{count} backups that had begun more than a day ago and never ended were declared dead\n");
    }
    if *waiting_objects > 0 {
        let count = pruned.waiting_for.len();
        out += &format!("{waiting_objects} more wait for {count} running backups to end; prune again later\n");
    }
    out
}
