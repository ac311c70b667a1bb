//! Repository: from a URL and what was given to an open repository.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use firn_format::log::Link;
use firn_format::{Hash, Progress, Silent};
use firn_repo::{Class, Context, Keyring, RepoError, Repository, unlock};
use firn_store::{Kind, Store};

use crate::args::Global;
use crate::outcome::{Stop, usage};
use crate::{output, secret};

/// The store that a URL names.
pub fn store(url: &str) -> anyhow::Result<Arc<dyn Store>> {
    if url.strip_prefix("file://").is_some_and(|path| Path::new(path).is_file()) {
        return Err(usage(format!("{url} is a file; a repository is a folder")));
    }
    firn_store::open(url).map_err(|error| match (error.kind, &error.source) {
        (Kind::BadUrl, Some(why)) => usage(format!("{url:?} names no repository: {why}")),
        (Kind::BadUrl, None) => usage(format!("{url:?} names no repository")),
        _ => error.into(),
    })
}

/// What a repository at `url` is opened with. What lies in memory is not remembered on disk.
pub fn context(url: &str, global: &Global, progress: Arc<dyn Progress>) -> Context {
    let context = Context::system().with_progress(progress);
    match cache_dir(global).filter(|_| !url.starts_with("memory:")) {
        Some(dir) => context.with_cache_dir(dir),
        None => context,
    }
}

/// Opens a repository. If its log is damaged, that is said, and it can be read as far as it goes.
pub fn open(url: &str, global: &Global, progress: Arc<dyn Progress>) -> anyhow::Result<Repository> {
    let repository = Repository::open(store(url)?, context(url, global, progress))?;
    notice_another(url, &repository, global);
    if let Some(damage) = repository.damage() {
        output::tell(&format!("warning: {url}: {damage}; what follows is as of before; run `firn doctor`"));
    }
    Ok(repository)
}

/// Says so if another repository lay at `url` when this machine was there last: whoever knows a passphrase, or has it used
/// everywhere, may have put this one in its place. Without a cache folder nobody knows.
fn notice_another(url: &str, repository: &Repository, global: &Global) {
    let Some(place) = place(url, repository, global) else { return };
    let fingerprint = repository.fingerprint().hex();
    let seen = std::fs::read_to_string(&place).unwrap_or_default();
    if seen == fingerprint {
        return;
    }
    if !seen.is_empty() {
        output::tell(&format!(
            "warning: {url} is another repository than this machine has seen there: its fingerprint is {}, and was {}; if \
             nobody made it anew, do not trust it; to accept it, remove {}",
            output::clean(&fingerprint[..16]),
            output::clean(&seen.chars().take(16).collect::<String>()),
            place.display()
        ));
        return;
    }
    pin(url, repository, global);
}

/// Remembers that this repository lies at `url`. If that cannot be remembered, the work goes on.
pub fn pin(url: &str, repository: &Repository, global: &Global) {
    let Some(place) = place(url, repository, global) else { return };
    let folder = place.parent().map_or(Ok(()), std::fs::create_dir_all);
    let _kept = folder.and_then(|()| std::fs::write(&place, repository.fingerprint().hex()));
}

/// The file that remembers what lies at `url`.
fn place(url: &str, repository: &Repository, global: &Global) -> Option<PathBuf> {
    let dir = cache_dir(global).filter(|_| !url.starts_with("memory:"))?;
    let url = repository.store().describe();
    Some(dir.join("places").join(Hash::of(url.trim_end_matches('/').as_bytes()).hex()))
}

/// Opens a repository and unlocks it with the secret that was given.
pub fn open_unlocked(url: &str, global: &Global, progress: Arc<dyn Progress>) -> anyhow::Result<(Repository, Keyring)> {
    // First the cheap question, so that nobody waits for an answer that needs a secret.
    let given = secret::required(global)?;
    let repository = open(url, global, progress)?;
    let keyring = unlock(&repository, &given.secret())?;
    Ok((repository, keyring))
}

/// Opens the repository that a link names. One that cannot be had, or cannot be read, is passed over with a word.
///
/// # Errors
/// A security stop: it was rolled back or forked, or another repository lies there. It may hide a fence.
pub fn open_peer(link: &Link, global: &Global) -> anyhow::Result<Option<Repository>> {
    let opened = firn_store::open(&link.url)
        .map_err(|source| RepoError::store("open a linked repository", source))
        .and_then(|store| Repository::open(store, context(&link.url, global, Arc::new(Silent))));
    match opened {
        Ok(peer) if peer.fingerprint() == link.fingerprint => Ok(Some(peer)),
        Ok(_) => Err(Stop::Security(format!(
            "{} is not the repository that it was when it was linked; nothing was changed; if it was made anew, bring \
             it the points with `firn replicate`, which links it again",
            link.url
        ))
        .into()),
        Err(error) if error.class() == Class::Security => {
            let what = format!("the linked repository {} cannot be trusted; nothing was changed", link.url);
            Err(anyhow::Error::from(error).context(what))
        }
        Err(error) => {
            output::tell(&format!("note: the linked repository {} was not read: {:#}", link.url, anyhow!(error)));
            Ok(None)
        }
    }
}

/// Opens a repository, if it can be reached; why not is nobody's concern here.
pub fn open_quietly(url: &str, global: &Global) -> Option<Repository> {
    Repository::open(firn_store::open(url).ok()?, context(url, global, Arc::new(Silent))).ok()
}

/// Where caches lie: `--cache-dir`, else `XDG_CACHE_HOME/firn`, else `~/.cache/firn`; none without a home.
pub fn cache_dir(global: &Global) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    global.cache_dir.clone().or_else(|| {
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        base.map(|base| base.join("firn"))
    })
}
