//! `firn doctor`: whether a repository can be relied on from here, and what to do if not.

use std::io::Write as _;
use std::sync::Arc;

use firn_format::{Clock as _, Silent, SlotKind, SystemClock};
use firn_repo::{Context, Repository, SKEW_MS_MAX, list_keys, unlock};
use firn_store::{Kind, Store, probe_create_race};
use serde::Serialize;

use crate::args::{self, Global};
use crate::outcome::{DAMAGED, FAILED, Outcome, Report, SECURITY, Stop, failed};
use crate::table::{Column, Table};
use crate::{output, repository, secret};

/// What one examination found.
#[derive(Serialize)]
struct Finding {
    name: &'static str,
    verdict: Verdict,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    /// What it means for the exit code.
    #[serde(skip)]
    code: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Warning,
    Bad,
    Skipped,
}

impl Finding {
    fn new(name: &'static str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { name, verdict, detail: detail.into(), advice: None, code: 0 }
    }

    fn good(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Verdict::Good, detail)
    }

    fn bad(name: &'static str, code: u8, detail: impl Into<String>) -> Self {
        Self { code, ..Self::new(name, Verdict::Bad, detail) }
    }

    /// An error, with the exit code that it stands for.
    fn of_error(name: &'static str, error: &anyhow::Error) -> Self {
        Self::bad(name, Report::of(error).exit_code(), format!("{error:#}"))
    }

    fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

/// Examines, prints what was found, and fails if anything is bad.
pub fn run(args: &args::Doctor, global: &Global) -> anyhow::Result<Outcome> {
    let url = &args.repo.repo;
    let store = repository::store(url)?;
    let mut findings = vec![cache(url, global)];
    match Repository::open(store.clone(), repository::context(url, global, Arc::new(Silent))) {
        Ok(repository) => {
            findings.extend([race(store.as_ref()), clocks(store.as_ref()), log(&store), objects(&repository)]);
            findings.extend([
                keys(&repository),
                unlocked(&repository, global),
                points(&repository),
                fences(&repository),
            ]);
        }
        // Nothing is probed in a place that holds no repository.
        Err(error) => findings.insert(0, Finding::of_error("repository", &error.into())),
    }
    output::print(global, &findings, || text(&findings))?;
    let count = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
    let said = format!("{count} of {} examinations found something bad", findings.len());
    match findings.iter().map(|finding| finding.code).filter(|code| *code <= SECURITY).max() {
        Some(SECURITY) => Err(Stop::Security(said).into()),
        Some(DAMAGED) => Ok(Outcome::Damaged),
        _ if count > 0 => Err(failed(said)),
        _ => Ok(Outcome::Done),
    }
}

fn race(store: &dyn Store) -> Finding {
    let name = "store";
    match probe_create_race(store) {
        Ok(()) => Finding::good(name, "of many writers exactly one creates an object"),
        Err(error) if error.kind == Kind::NoConditionalPut => {
            Finding::of_error(name, &error.into()).advise("do not write here: two writers could overwrite one another")
        }
        Err(error) => {
            let advice = match error.kind {
                Kind::PermissionDenied | Kind::ReadOnly => {
                    "it can be read; to write, give this user or identity the right"
                }
                Kind::Full => "make room: only `firn forget` and `firn prune` may delete objects",
                _ => "try again; if it stays, look at the store's own diagnostics",
            };
            Finding::of_error(name, &error.into()).advise(advice)
        }
    }
}

fn clocks(store: &dyn Store) -> Finding {
    let name = "clocks";
    match store.time() {
        Ok(time) => {
            let ahead_ms = SystemClock.now_ms().saturating_sub(time.as_millisecond());
            let seconds = ahead_ms.unsigned_abs().div_ceil(1000);
            let detail = match ahead_ms {
                0.. => format!("this machine is {seconds} s ahead of the store"),
                _ => format!("this machine is {seconds} s behind the store"),
            };
            if ahead_ms.unsigned_abs() <= SKEW_MS_MAX.unsigned_abs() {
                Finding::good(name, format!("they agree: {detail}"))
            } else {
                Finding::bad(name, FAILED, detail).advise("set this machine's clock; retention and RPO depend on it")
            }
        }
        Err(error) => Finding::new(name, Verdict::Skipped, format!("the store does not tell the time: {error}")),
    }
}

/// What the cache remembers hides what happened to the store since: the log is read anew.
fn log(store: &Arc<dyn Store>) -> Finding {
    let name = "log";
    let repository = match Repository::open(store.clone(), Context::system()) {
        Ok(repository) => repository,
        Err(error) => return Finding::of_error(name, &error.into()),
    };
    match repository.damage() {
        None => Finding::good(name, format!("{} entries, each signed and in its place", repository.head().seq)),
        Some(damage) => Finding::bad(name, DAMAGED, damage.to_string())
            .advise("points before it can be restored; bring the entry back from a replica's mirror of this log"),
    }
}

fn objects(repository: &Repository) -> Finding {
    let name = "objects";
    let state = repository.state();
    match state.lost().count() {
        0 => Finding::good(name, "none is known to be lost; `firn check` looks at each"),
        lost => {
            let touched = state.points().filter(|point| !state.missing(&point.id).is_empty()).count();
            Finding::bad(name, DAMAGED, format!("{lost} are lost, and {touched} points are damaged by it"))
                .advise("back up again: what still exists at the source is stored anew; or restore from a replica")
        }
    }
}

fn keys(repository: &Repository) -> Finding {
    let name = "keys";
    let keys = match list_keys(repository) {
        Ok(keys) => keys,
        Err(error) => return Finding::of_error(name, &error.into()),
    };
    let damaged = keys.iter().filter(|key| key.kind.is_none()).count();
    let kits = keys.iter().filter(|key| key.kind == Some(SlotKind::Kit)).count();
    let passphrases = keys.len() - damaged - kits;
    let detail = format!("passphrases: {passphrases}, kits: {kits}, damaged: {damaged}");
    if damaged > 0 || keys.is_empty() {
        return Finding::bad(name, DAMAGED, detail)
            .advise("while one still opens: `firn key export` or `firn key add` makes another");
    }
    match kits {
        0 => {
            Finding::new(name, Verdict::Warning, detail).advise("there is no recovery kit: `firn key export` makes one")
        }
        _ => Finding::good(name, detail),
    }
}

fn unlocked(repository: &Repository, global: &Global) -> Finding {
    let name = "secret";
    match secret::given(global) {
        Ok(None) => Finding::new(name, Verdict::Skipped, "none was given; set FIRN_PASSWORD to try it"),
        Ok(Some(given)) => match unlock(repository, &given.secret()) {
            Ok(keyring) if keyring.signing_key().is_ok() => Finding::good(name, "it opens the repository for all work"),
            Ok(_) => Finding::good(name, "it opens the repository for reading"),
            Err(error) => {
                Finding::of_error(name, &error.into()).advise("try another passphrase, or the kit: --key-file")
            }
        },
        Err(error) => Finding::of_error(name, &error),
    }
}

fn points(repository: &Repository) -> Finding {
    let name = "points";
    let state = repository.state();
    let Some(newest) = state.points().map(|point| point.arrived_ms).max() else {
        return Finding::new(name, Verdict::Warning, "there is none")
            .advise("`firn backup` or `firn replicate` makes one");
    };
    let (all, verified) = (state.points().len(), state.points().filter(|point| point.verified.is_some()).count());
    let age = output::age(newest, SystemClock.now_ms());
    Finding::good(name, format!("{all}, of which {verified} verified; the newest came {age} ago"))
}

fn fences(repository: &Repository) -> Finding {
    let name = "fences";
    let state = repository.state();
    let lineages = state.lineages();
    let fenced = lineages.keys().filter(|lineage| !state.may_commit(lineage)).count();
    match fenced {
        0 => Finding::good(name, "this side may write to every lineage"),
        _ => Finding::new(
            name,
            Verdict::Warning,
            format!("{fenced} of {} lineages are written elsewhere", lineages.len()),
        ),
    }
}

/// Whether what was seen of the log can be remembered: that is what notices a rollback.
fn cache(url: &str, global: &Global) -> Finding {
    let name = "cache";
    if url.starts_with("memory:") {
        return Finding::new(name, Verdict::Skipped, "nothing in memory is remembered");
    }
    let advice = "without it a log that was rolled back is not noticed: give --cache-dir DIR";
    let Some(dir) = repository::cache_dir(global) else {
        return Finding::new(name, Verdict::Warning, "this user has no home folder").advise(advice);
    };
    let tried = std::fs::create_dir_all(&dir)
        .and_then(|()| tempfile::tempfile_in(&dir))
        .and_then(|mut file| file.write_all(b"firn").and_then(|()| file.sync_all()));
    match tried {
        Ok(()) => Finding::good(name, format!("{} can be written", dir.display())),
        Err(error) => Finding::bad(name, FAILED, format!("{}: {error}", dir.display())).advise(advice),
    }
}

fn text(findings: &[Finding]) -> String {
    let mut table = Table::new(&[Column::Id(" "), Column::Id("WHAT"), Column::Text("FOUND")]);
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Good => "✓",
            Verdict::Warning => "!",
            Verdict::Bad => "✗",
            Verdict::Skipped => "-",
        };
        table.row([mark.to_owned(), finding.name.to_owned(), finding.detail.clone()]);
        if let Some(advice) = &finding.advice {
            table.row([String::new(), String::new(), format!("→ {advice}")]);
        }
    }
    table.to_string()
}
