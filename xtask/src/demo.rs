//! `cargo xtask demo`: the whole job on two real control planes, told as it goes.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::{ground, places};
use application::{App, LOGS, NODE_B, VOLUMES};
use objects::Snapshot;
use stage::{Cluster, Stage, bytes};

mod application;
mod files;
mod objects;
mod stage;

/// In a folder of a demo: what may be removed by the next one.
const MARKER: &str = "demo";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Play with a debug build of firn, which is slower
    #[arg(long)]
    debug: bool,
    /// Leave the control planes running and the folder as it is
    #[arg(long)]
    keep: bool,
    /// Where to play [default: ~/.local/state/firn/demo]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Plays it; whatever happens, the control planes and the folder are taken away afterwards, unless they are to be kept.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let dir = match &arguments.dir {
        Some(dir) => dir.clone(),
        None => places::state()?.join("demo"),
    };
    ensure!(places::program("python3").is_some(), "python3 is needed: it looks into the restored database");
    println!("This will build firn, start two control planes, play, and remove both; about 1 GB of memory.");
    let firn = stage::build_firn(!arguments.debug)?;
    clear(&dir)?;
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    fs::write(dir.join(MARKER), "made by `cargo xtask demo`; the next one removes this folder\n")?;
    let dir = dir.canonicalize().context("find the folder just made")?;
    let played = play(&dir, firn);
    if arguments.keep {
        println!(
            "kept: {} (`cargo xtask ground down --dir {}` stops the rest)",
            dir.display(),
            ground_of(&dir).display()
        );
        return played;
    }
    let cleared = clear(&dir);
    played.and(cleared)
}

fn ground_of(dir: &Path) -> PathBuf {
    dir.join("ground")
}

/// Removes what an earlier demo left, if it is one's.
fn clear(dir: &Path) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    ensure!(dir.join(MARKER).is_file(), "{} is no folder of a demo; it is left as it is", dir.display());
    ground::down(&ground_of(dir))?;
    fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display()))
}

fn play(dir: &Path, firn: PathBuf) -> Result<()> {
    let ready = ground::up(&ground_of(dir), &["a".to_owned(), "b".to_owned()], true)?;
    let stage = Stage::new(dir, firn, ready);
    let begun = Instant::now();
    println!("\nTwo control planes run, a and b: etcd, API server, controllers, scheduler; RBAC on.");
    let app = application::install(&stage)?;
    let before = objects::of_application(&stage.cluster("a"))?;
    println!(
        "Region A runs a shop: {} objects of {} kinds, three volumes, a process that takes orders.",
        before.len(),
        before.kinds()
    );
    let ordered = protect(&stage)?;
    // Orders of these seconds will be lost: the RPO is not to be nothing.
    thread::sleep(Duration::from_secs(2));
    let lost = destroy(&stage, app)?;
    let report = fail_over(&stage)?;
    verify(&stage, &before, ordered, lost)?;
    println!(
        "\nRPO {}: the age of the newest point in B when the failover began.   RTO {:.1} s: from the command to the last object.",
        seconds(report["rpo_seconds"].as_f64()),
        report["rto_seconds"].as_f64().unwrap_or_default()
    );
    println!("All of it took {:.0} s.", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Two backups, the database frozen by hooks, and a replica. Gives the number of the last order that is safe.
fn protect(stage: &Stage) -> Result<u64> {
    let (repo_a, repo_b) = (stage.url("region-a/repo"), stage.url("region-b/repo"));
    stage.firn(&["init", "--repo", &repo_a], &[0])?;
    let mut ordered = 0;
    for which in ["first", "second"] {
        let app = stage.path("region-a/app");
        let frozen = stage.path("at-freeze");
        let before = format!(
            "touch {app}/freeze; while [ ! -e {app}/frozen ]; do sleep 0.02; done; rm -rf {frozen}; mkdir {frozen}; \
             cp -a {app}/frozen {app}/data {app}/pictures {app}/logs {frozen}"
        );
        let after = format!("rm -f {app}/freeze");
        let words = ["backup", "--repo", &repo_a, "--context", "a", "--before", &before, "--after", &after];
        // Code 2: the log is written while it is read, and the point says so.
        let done = stage.firn(&words, &[0, 2])?;
        ordered = read_number(&Path::new(&frozen).join("frozen"))?;
        println!(
            "The {which} backup: {} objects, {} files, {} read, {} stored, {:.2} s; orders up to number {ordered}.",
            done["objects"],
            done["files"],
            bytes(&done["bytes_read"]),
            bytes(&done["bytes_stored"]),
            done["seconds"].as_f64().unwrap_or_default()
        );
        for exception in done["exception_list"].as_array().into_iter().flatten() {
            let word = |name: &str| exception[name].as_str().unwrap_or_default();
            println!("  exception: {}/{} {}", word("mount"), word("path"), word("reason"));
        }
    }
    let replicated = stage.firn(&["replicate", "--from", &repo_a, "--to", &repo_b], &[0])?;
    println!(
        "Replicated to region B: {} points, {} sent, hashed again where it arrived.",
        replicated["points"].as_array().map_or(0, Vec::len),
        bytes(&replicated["bytes_copied"])
    );
    Ok(ordered)
}

fn read_number(path: &Path) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    text.trim().parse().with_context(|| format!("{text:?} is no number"))
}

/// Region A ends: its processes, its application, its volumes and its repository. Gives its last order.
fn destroy(stage: &Stage, app: App) -> Result<u64> {
    ground::kill(&ground_of(stage.dir()), "a")?;
    drop(app);
    let folder = stage.dir().join("region-a");
    let database = application::look_into(&folder.join("app/data/orders.sqlite"))?;
    fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    println!(
        "Region A is lost: every process killed, its volumes and its repository removed. Its last order was number {}.",
        database.last
    );
    Ok(database.last)
}

fn fail_over(stage: &Stage) -> Result<Value> {
    let (repo_b, volumes) = (stage.url("region-b/repo"), stage.path("region-b/volumes"));
    let node = format!("kubernetes.io/hostname={NODE_B}");
    let target = ["--local-volumes", &volumes, "--node-affinity", &node];
    let words = [&["failover", "--repo", &repo_b, "--context", "b"], &target[..], &["--yes"]].concat();
    let report = stage.firn(&words, &[0])?;
    println!(
        "Failover: {} objects created, {} already there; {} files in {} volumes, {}; {} held until traffic is switched.",
        report["created"],
        report["skipped"],
        report["files"],
        report["volumes"],
        bytes(&report["bytes"]),
        report["held"].as_array().map_or(0, Vec::len)
    );
    Ok(report)
}

/// Compares what B has with what A had.
fn verify(stage: &Stage, before: &Snapshot, ordered: u64, lost: u64) -> Result<()> {
    let b = stage.cluster("b");
    bound_claims(&b)?;
    let after = objects::with_names_of(&b, before)?;
    let differences = before.differences(&after);
    if !differences.is_empty() {
        bail!("region B is not what region A was:\n  {}", differences.join("\n  "));
    }
    println!(
        "Objects, one by one: {} of {} are what they were. Left to B: {}.",
        after.len(),
        before.len(),
        objects::LEFT_TO_B
    );
    let restored = stage.dir().join("region-b/volumes/shop");
    let frozen = stage.dir().join("at-freeze");
    let mut told = Vec::new();
    for (name, claim) in VOLUMES {
        let same = files::compare(&frozen.join(name), &restored.join(claim))?;
        told.push(format!("{claim} {} files, {}", same.files, bytes(&same.bytes.into())));
    }
    println!("Data, byte by byte, against a copy taken at the freeze: {}.", told.join("; "));
    let lines = files::is_continued(&frozen.join("logs").join(LOGS), &restored.join("logs").join(LOGS))?;
    println!(
        "The log, which was never frozen: all that the copy has, and {lines} bytes of what was written during the capture."
    );
    let database = application::look_into(&restored.join("data-database-0/orders.sqlite"))?;
    ensure!(database.last == ordered, "the database ends at order {}, the point at {ordered}", database.last);
    println!(
        "Database: integrity_check {}, {} orders, the last is number {}; {} orders of region A came after the cut.",
        database.verdict,
        database.count,
        database.last,
        lost - database.last
    );
    Ok(())
}

/// Waits until B's controllers have bound every claim to the volume made for it.
fn bound_claims(b: &Cluster) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(60);
    let begun = Instant::now();
    loop {
        let claims = b.list(&["-n", "shop", "persistentvolumeclaims"])?;
        let open: Vec<_> = claims.iter().filter(|claim| claim["status"]["phase"] != "Bound").collect();
        if open.is_empty() && claims.len() == VOLUMES.len() + 1 {
            println!("Claims: {} of {} bound to new local volumes on node {NODE_B}.", claims.len(), claims.len());
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "claims that are not bound: {open:?}");
        thread::sleep(Duration::from_millis(200));
    }
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.0} s"))
}
