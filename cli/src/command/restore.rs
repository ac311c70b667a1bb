//! `firn restore`: a recovery point, or a part of it, onto a cluster or into a directory.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::args;
use crate::bring_back::{Executor, Restored, Scope, plan};
use crate::destination::{Destination, namespace_map, options};
use crate::outcome::{Outcome, Stop, failed, is_stop, usage};
use crate::point::{Opened, resolve_one};
use crate::terminal::{Terminal, duration};
use crate::{interrupt, output, repository, runtime};

/// What is printed at the end.
#[derive(Serialize)]
struct Done {
    point: String,
    destination: String,
    seconds: f64,
    #[serde(flatten)]
    restored: Restored,
}

/// Plans, shows or executes.
pub fn run(args: &args::Restore, global: &args::Global) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let terminal = Terminal::new(global.quiet);
    let runtime = runtime::new()?;
    let (repository, keyring) = repository::open_unlocked(&args.repo.repo, global, Arc::new(terminal.clone()))?;
    let id = resolve_one(&repository, &keyring, &args.point.point, args.point.lineage.as_deref())?;
    let point = Opened::open(&repository, &keyring, id)?;
    let scope = Scope { path: args.path.trim_matches('/').to_owned(), namespaces: args.namespaces.clone() };
    if !point.manifest.mounts.iter().any(|mount| scope.within(mount).is_some()) {
        return Err(usage(format!(
            "point {} holds nothing at `{}`; `firn ls` shows what it holds",
            id.short(),
            scope.path
        )));
    }
    let mapped = |name: &String| Ok(namespace_map(&args.mapping)?.remove(name).unwrap_or_else(|| name.clone()));
    let namespaces = args.namespaces.iter().map(mapped).collect::<anyhow::Result<Vec<_>>>()?;
    let destination = Destination::open(&args.cluster, args.to_dir.as_deref(), &namespaces, &runtime)?;
    let target = destination.look(&namespaces, &runtime)?;
    let options = options(&args.mapping, destination.volumes(&args.mapping)?, false)?;
    let planned = plan(&point, &scope, &target, options, &terminal)?;
    if args.dry_run {
        terminal.clear();
        output::print(global, &planned, || planned.text())?;
        return Ok(planned.outcome());
    }
    if let Some(why) = planned.plan.refusal() {
        return Err(failed(format!("nothing was restored: {why}")));
    }
    let executor =
        Executor { destination: &destination, point: &point, scope: &scope, runtime: &runtime, terminal: &terminal };
    let _in_order = interrupt::in_order();
    let mut restored = Restored::default();
    match executor.run(planned, &mut restored) {
        Err(error) if is_stop(&error) => {
            let so_far = restored.so_far();
            return Err(Stop::Interrupted(format!(
                "stopped: {so_far}; nothing was lost; run it again to go on from there"
            ))
            .into());
        }
        ran => ran?,
    }
    terminal.clear();
    let done =
        Done { point: id.hex(), destination: destination.name(), seconds: began.elapsed().as_secs_f64(), restored };
    output::print(global, &done, || text(&done))?;
    Ok(outcome(&done.restored))
}

/// Damaged data outweighs other exceptions.
pub fn outcome(restored: &Restored) -> Outcome {
    if restored.damaged > 0 { Outcome::Damaged } else { Outcome::of_exceptions(restored.exceptions) }
}

/// So many exceptions are printed for people; `-o json` has all that are named.
const SHOWN_MAX: usize = 20;

/// The counts, and what is not as it was.
pub fn lines(restored: &Restored) -> String {
    let mut out = format!(
        "  {} created, {} already there; {} in {}, {}\n",
        output::count(restored.created, "object"),
        restored.skipped,
        output::count(restored.files, "file"),
        output::count(restored.volumes, "volume"),
        output::bytes(restored.bytes)
    );
    if restored.damaged > 0 {
        out += &format!("{} damaged in the repository and not restored whole\n", restored.damaged);
    }
    if restored.exceptions > 0 {
        out += &format!("{}; everything else was restored:\n", output::count(restored.exceptions, "exception"));
        for (what, why) in restored.exception_list.iter().take(SHOWN_MAX) {
            out += &format!("  {what}: {why}\n");
        }
        if restored.exception_list.len() > SHOWN_MAX {
            out += &format!("  and {} more; -o json names them\n", restored.exception_list.len() - SHOWN_MAX);
        }
    }
    if !restored.different.is_empty() {
        let count = output::count(restored.different.len() as u64, "object");
        out += &format!("{count} there already and different, left as they are:\n");
        for what in restored.different.iter().take(SHOWN_MAX) {
            out += &format!("  {what}\n");
        }
        if restored.different.len() > SHOWN_MAX {
            out += &format!("  and {} more; -o json names them\n", restored.different.len() - SHOWN_MAX);
        }
    }
    for (what, why) in &restored.unready {
        out += &format!("  not ready: {what}: {why}\n");
    }
    out
}

fn text(done: &Done) -> String {
    format!(
        "point {} restored to {} in {}\n{}",
        &done.point[..12],
        done.destination,
        duration(done.seconds),
        lines(&done.restored)
    )
}
