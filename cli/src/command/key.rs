//! `firn key`: what opens a repository.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use firn_format::{PassphraseCost, SlotKind};
use firn_repo::{KeyInfo, add_passphrase, export_kit, list_keys};
use serde::Serialize;

use crate::args::{self, Global, KeyAction};
use crate::outcome::{Outcome, usage};
use crate::table::{Column, Table};
use crate::terminal::Terminal;
use crate::{output, repository, secret};

/// A key object as it is printed.
#[derive(Serialize)]
struct Line {
    name: String,
    /// `passphrase`, `kit`, or `damaged`.
    kind: &'static str,
    label: String,
    created: Option<String>,
}

#[derive(Serialize)]
struct Added {
    name: String,
    label: String,
}

#[derive(Serialize)]
struct Exported {
    file: PathBuf,
    fingerprint: String,
}

/// Lists, adds or exports keys.
pub fn run(args: &args::Key, global: &Global) -> anyhow::Result<Outcome> {
    match &args.action {
        KeyAction::List { repo } => list(&repo.repo, global),
        KeyAction::Add { repo, new_password_file, label } => {
            add(&repo.repo, global, new_password_file.as_deref(), label)
        }
        KeyAction::Export { repo, file } => export(&repo.repo, global, file),
    }
}

/// Needs no secret: what can open a repository is no secret.
fn list(url: &str, global: &Global) -> anyhow::Result<Outcome> {
    let repository = repository::open(url, global, Arc::new(Terminal::new(global.quiet)))?;
    let keys = list_keys(&repository)?;
    let lines: Vec<_> = keys.iter().map(line).collect();
    output::print(global, &lines, || {
        let columns = [Column::Id("NAME"), Column::Id("KIND"), Column::Id("CREATED"), Column::Text("LABEL")];
        let mut table = Table::new(&columns);
        for key in &keys {
            let created = if key.kind.is_some() { output::minute(key.created_ms) } else { "?".to_owned() };
            table.row([short(&key.name), kind(key).to_owned(), created, key.label.clone()]);
        }
        table.to_string()
    })?;
    Ok(if keys.iter().any(|key| key.kind.is_none()) { Outcome::Damaged } else { Outcome::Done })
}

fn line(key: &KeyInfo) -> Line {
    Line {
        name: key.name.clone(),
        kind: kind(key),
        label: key.label.clone(),
        created: key.kind.and_then(|_| output::time(key.created_ms)),
    }
}

fn kind(key: &KeyInfo) -> &'static str {
    match key.kind {
        Some(SlotKind::Passphrase(_)) => "passphrase",
        Some(SlotKind::Kit) => "kit",
        None => "damaged",
    }
}

/// Enough of `keys/<hash>` to tell keys apart.
fn short(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().chars().take(12).collect()
}

fn add(url: &str, global: &Global, file: Option<&Path>, label: &str) -> anyhow::Result<Outcome> {
    let passphrase = secret::new_passphrase(file)?;
    let (repository, keyring) = repository::open_unlocked(url, global, Arc::new(Terminal::new(global.quiet)))?;
    let name = add_passphrase(&repository, &keyring, &passphrase, PassphraseCost::DEFAULT, label)?;
    let added = Added { name, label: label.to_owned() };
    output::print(global, &added, || {
        format!("the new passphrase opens the repository, too (key {})\n", short(&added.name))
    })?;
    Ok(Outcome::Done)
}

fn export(url: &str, global: &Global, path: &Path) -> anyhow::Result<Outcome> {
    let (repository, keyring) = repository::open_unlocked(url, global, Arc::new(Terminal::new(global.quiet)))?;
    // First the file: a kit that cannot be written would be of no use to anybody.
    let file = new_private_file(path)?;
    let written = export_kit(&repository, &keyring, "kit").map_err(anyhow::Error::from).and_then(|kit| {
        write_durably(file, path, kit.encode().as_bytes())
            .with_context(|| format!("cannot write {}; make another kit", path.display()))
    });
    if written.is_err() {
        // It holds no whole kit, and would stand in the way of the next attempt.
        let _removed = fs::remove_file(path);
    }
    written?;
    let exported = Exported { file: path.to_owned(), fingerprint: repository.fingerprint().hex() };
    output::print(global, &exported, || {
        format!(
            "wrote a recovery kit: {}\nIt opens the repository and all its replicas without the passphrase. Print it, \
             keep it away\nfrom this machine, and delete the file. To use it: --key-file FILE\n",
            path.display()
        )
    })?;
    Ok(Outcome::Done)
}

fn new_private_file(path: &Path) -> anyhow::Result<File> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(usage(format!("{} exists; nothing was changed; choose another file", path.display())))
        }
        other => other.with_context(|| format!("cannot make {}; nothing was changed", path.display())),
    }
}

fn write_durably(mut file: File, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
