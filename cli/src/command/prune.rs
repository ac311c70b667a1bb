//! `firn prune`: deletes what no recovery point needs.

use std::sync::Arc;

use firn_repo::{Collected, Keyring, Repository, collect, foresee};
use serde::Serialize;

use crate::args::{self, Global};
use crate::outcome::Outcome;
use crate::terminal::Terminal;
use crate::{interrupt, output, repository};

/// What was deleted, or would be.
#[derive(Debug, Default, Serialize)]
pub struct Pruned {
    dry_run: bool,
    objects: u64,
    /// How many of them are old checkpoints of the log.
    checkpoints: u64,
    bytes: u64,
    /// Objects of no point that may be an open session's.
    waiting_objects: u64,
    /// The sessions that they wait for.
    waiting_for: Vec<String>,
    /// Sessions that had been open for more than a week and were declared dead.
    killed: Vec<String>,
}

/// Deletes, or says what would be deleted.
pub fn run(args: &args::Prune, global: &Global) -> anyhow::Result<Outcome> {
    let terminal = Arc::new(Terminal::new(global.quiet));
    let (mut repository, keyring) = repository::open_unlocked(&args.repo.repo, global, terminal.clone())?;
    let pruned = if args.dry_run { pruned(foresee(&mut repository)?, true) } else { prune(&mut repository, &keyring)? };
    terminal.clear();
    output::print(global, &pruned, || text(&pruned))?;
    Ok(Outcome::Done)
}

/// Collects.
pub fn prune(repository: &mut Repository, keyring: &Keyring) -> anyhow::Result<Pruned> {
    let _in_order = interrupt::in_order();
    Ok(pruned(collect(repository, keyring.signing_key()?)?, false))
}

fn pruned(collected: Collected, dry_run: bool) -> Pruned {
    Pruned {
        dry_run,
        objects: collected.objects,
        checkpoints: collected.checkpoints,
        bytes: collected.bytes,
        waiting_objects: collected.waiting_objects,
        waiting_for: collected.waiting_for.iter().map(|session| session.hex()).collect(),
        killed: collected.killed.iter().map(|session| session.hex()).collect(),
    }
}

/// What was done, for people.
pub fn text(pruned: &Pruned) -> String {
    let Pruned { objects, checkpoints, bytes, waiting_objects, .. } = pruned;
    let verb = if pruned.dry_run { "would delete" } else { "deleted" };
    let mut out = match objects {
        0 => "nothing to delete: every object is needed by a point\n".to_owned(),
        _ => format!("{verb} {objects} objects that no point needs: {}\n", output::bytes(*bytes)),
    };
    if *checkpoints > 0 {
        out += &format!("{checkpoints} of them are old checkpoints of the log\n");
    }
    if !pruned.killed.is_empty() {
        let count = pruned.killed.len();
        out += &format!("{count} backups that had begun more than a week ago and never ended were declared dead\n");
    }
    if *waiting_objects > 0 {
        let count = pruned.waiting_for.len();
        out += &format!("{waiting_objects} more wait for {count} running backups to end; prune again later\n");
    }
    out
}
