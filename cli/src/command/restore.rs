//! `firn restore`: a recovery point, or a part of it, onto a cluster or into a directory.

use std::sync::Arc;
use std::time::Instant;

use firn_format::PointId;
use serde::Serialize;

use crate::args;
use crate::bring_back::{Executor, Planned, Restored, Scope, plan};
use crate::destination::{Destination, namespace_map, options};
use crate::outcome::{Outcome, Stop, failed, is_stop, usage};
use crate::point::{Opened, resolve_all};
use crate::terminal::{Terminal, duration};
use crate::{interrupt, output, repository, runtime};

/// What is printed at the end.
#[derive(Serialize)]
struct Done {
    /// The first of `points`.
    point: String,
    points: Vec<String>,
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
    let ids = resolve_all(&repository, &keyring, &args.point)?;
    let points = ids.iter().map(|id| Opened::open(&repository, &keyring, *id)).collect::<anyhow::Result<Vec<_>>>()?;
    let scope = Scope { path: args.path.trim_matches('/').to_owned(), namespaces: args.namespaces.clone() };
    let holds = |point: &&Opened| point.manifest.mounts.iter().any(|mount| scope.within(mount).is_some());
    let points: Vec<&Opened> = points.iter().filter(holds).collect();
    if points.is_empty() {
        let named: Vec<_> = ids.iter().map(PointId::short).collect();
        return Err(usage(format!(
            "point {} holds nothing at `{}`; `firn ls` shows what it holds",
            named.join(", "),
            scope.path
        )));
    }
    let mapped = |name: &String| Ok(namespace_map(&args.mapping)?.remove(name).unwrap_or_else(|| name.clone()));
    let namespaces = args.namespaces.iter().map(mapped).collect::<anyhow::Result<Vec<_>>>()?;
    let destination = Destination::open(&args.cluster, args.to_dir.as_deref(), &namespaces, &runtime)?;
    let plan_of = |point: &Opened| {
        let target = destination.look(&namespaces, &runtime)?;
        let options = options(&args.mapping, destination.volumes(&args.mapping)?, false)?;
        plan(point, &scope, &target, options, &terminal)
    };
    // All of them before anything is written: none may be refused in the middle.
    let mut plans = points.iter().map(|point| plan_of(point)).collect::<anyhow::Result<Vec<_>>>()?;
    if args.dry_run {
        terminal.clear();
        return show(global, &plans);
    }
    if let Some(why) = plans.iter().find_map(|planned| planned.plan.refusal()) {
        return Err(failed(format!("nothing was restored: {why}")));
    }
    let _in_order = interrupt::in_order();
    let mut restored = Restored::default();
    for (number, point) in points.iter().enumerate() {
        let executor =
            Executor { destination: &destination, point, scope: &scope, runtime: &runtime, terminal: &terminal };
        // What the one before brought is there by now.
        let planned = if number == 0 { plans.swap_remove(0) } else { plan_of(point)? };
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
    }
    terminal.clear();
    let ids: Vec<String> = points.iter().map(|point| point.id.hex()).collect();
    let done = Done {
        point: ids[0].clone(),
        points: ids,
        destination: destination.name(),
        seconds: began.elapsed().as_secs_f64(),
        restored,
    };
    output::print(global, &done, || text(&done))?;
    Ok(outcome(&done.restored))
}

/// Prints what would be done: one plan as it is, several as a list.
fn show(global: &args::Global, plans: &[Planned]) -> anyhow::Result<Outcome> {
    match plans {
        [planned] => output::print(global, planned, || planned.text())?,
        _ => output::print(global, &plans, || plans.iter().map(Planned::text).collect::<Vec<_>>().join("\n"))?,
    }
    let worst = |a: Outcome, b: Outcome| if a == Outcome::Damaged || b == Outcome::Done { a } else { b };
    Ok(plans.iter().map(Planned::outcome).fold(Outcome::Done, worst))
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
    let points: Vec<_> = done.points.iter().map(|id| &id[..12]).collect();
    format!(
        "point {} restored to {} in {}\n{}",
        points.join(", "),
        done.destination,
        duration(done.seconds),
        lines(&done.restored)
    )
}
