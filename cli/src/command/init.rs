//! `firn init`: a new repository, or a replica of one.

use std::sync::Arc;

use firn_format::Secret;
use firn_repo::{CreateOptions, create};
use serde::Serialize;

use crate::args;
use crate::outcome::{Outcome, usage};
use crate::terminal::Terminal;
use crate::{output, repository, secret};

#[derive(Serialize)]
struct Made {
    url: String,
    fingerprint: String,
    family: String,
    store: String,
    replica_of: Option<String>,
}

/// Makes a repository.
pub fn run(args: &args::Init, global: &args::Global) -> anyhow::Result<Outcome> {
    let url = &args.repo.repo;
    let given = secret::required(global)?;
    if args.replica_of.is_none() && matches!(given.secret(), Secret::Kit(_)) {
        return Err(usage("a new repository begins with a passphrase: set FIRN_PASSWORD or give --password-file FILE"));
    }
    let terminal = Arc::new(Terminal::new(global.quiet));
    let source = match &args.replica_of {
        Some(from) => Some(repository::open_unlocked(from, global, terminal.clone())?),
        None => None,
    };
    let options = CreateOptions {
        replica_of: source.as_ref().map(|(repository, keyring)| (repository, keyring)),
        ..CreateOptions::default()
    };
    let context = repository::context(url, global, terminal.clone());
    let created = create(repository::store(url)?, context, &given.secret(), &options)?;
    terminal.clear();
    let repository = created.repository;
    let made = Made {
        url: repository.store().describe(),
        fingerprint: repository.fingerprint().hex(),
        family: repository.format().family.hex(),
        store: repository.format().store.hex(),
        replica_of: source.map(|(repository, _)| repository.store().describe()),
    };
    repository::pin(url, &repository, global);
    output::print(global, &made, || if global.quiet { format!("{}\n", made.fingerprint) } else { text(&made) })?;
    Ok(Outcome::Done)
}

fn text(made: &Made) -> String {
    let Made { url, fingerprint, family, .. } = made;
    let mut out = match &made.replica_of {
        Some(from) => format!("made a replica of {from}: {url}\n"),
        None => format!("made a repository: {url}\n"),
    };
    out += &format!("  fingerprint  {fingerprint}\n  family       {family}\n\n");
    match &made.replica_of {
        Some(from) => {
            out += "Every passphrase and kit that opens the other opens this one. Next, fill it:\n";
            out += &format!("  firn replicate --from {from} --to {url}\n");
        }
        None => {
            out += "Whoever loses the passphrase loses the data. Next, write a recovery kit, and keep it\n";
            out += "away from this machine; then back up:\n";
            out += &format!("  firn key export --repo {url} kit.txt\n");
            out += &format!("  firn backup --repo {url} --context NAME\n");
        }
    }
    out
}
