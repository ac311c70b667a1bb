//! `cargo xtask demo`: the whole job on two real clusters, told as it goes.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::{ground, places};
use application::{DATABASE, LOG, LOGS, NODE_B, PICTURES, PICTURES_COUNT};
use objects::Snapshot;
use stage::{Cluster, Stage, bytes, ground_of};

mod application;
mod database;
mod files;
mod objects;
mod stage;
mod web;

/// In a folder of a demo: what may be removed by the next one.
const MARKER: &str = "demo";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Play with a debug build of firn, which is slower
    #[arg(long)]
    debug: bool,
    /// Leave the clusters running and the folder as it is
    #[arg(long)]
    keep: bool,
    /// Where to play [default: ~/.local/state/firn/demo]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Plays it; whatever happens, the clusters and the folder are taken away afterwards, unless they are to be kept.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let dir = match &arguments.dir {
        Some(dir) => dir.clone(),
        None => places::state()?.join("demo"),
    };
    ensure!(places::program("python3").is_some(), "python3 is needed: it looks into the restored database");
    println!("This will build firn, start two clusters, play, and remove both; about 1.5 GB of memory.");
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
    let stage = Stage::new(dir, firn, ready)?;
    let begun = Instant::now();
    println!("\nTwo clusters run, a and b: control plane, RBAC on, containerd, kubelet.");
    application::images(&stage)?;
    application::install(&stage)?;
    let a = stage.cluster("a");
    let before = objects::of_application(&a)?;
    println!(
        "Region A runs a shop: {} objects of {} kinds, three volumes, pods {}: orders come in, pictures go out.",
        before.len(),
        before.kinds(),
        application::ready_pods(&a)?.join(" and ")
    );
    let ordered = protect(&stage)?;
    // Orders of these seconds will be lost: the RPO is not to be nothing.
    thread::sleep(Duration::from_secs(2));
    let lost = destroy(&stage)?;
    let report = fail_over(&stage)?;
    verify(&stage, &before, ordered, lost)?;
    println!(
        "\nRPO {}: the age of the newest point in B when the failover began.   RTO {:.1} s: from the command to the last pod ready.",
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
        let (before, after) = application::hooks(stage);
        let words = ["backup", "--repo", &repo_a, "--context", "a", "--before", &before, "--after", &after];
        // Code 2: the log is written while it is read, and the point says so.
        let done = stage.firn(&words, &[0, 2])?;
        ordered = read_number(&stage.dir().join("at-freeze/frozen"))?;
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

/// Region A ends: its processes and pods, its volumes and its repository. Gives its last order.
fn destroy(stage: &Stage) -> Result<u64> {
    ground::kill(&stage.ground_dir(), "a")?;
    let folder = stage.dir().join("region-a");
    let database = database::look_into(&folder.join("app").join(DATABASE.0))?;
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
    // Code 2: what the point says of the log is said again.
    let report = stage.firn(&words, &[0, 2])?;
    // The RTO counts only if all was ready when the command ended.
    ensure!(report["unready"].as_array().is_some_and(Vec::is_empty), "not ready: {:#}", report["unready"]);
    println!(
        "Failover: {} objects created, {} already there; {} files in {} volumes, {}; {} held until traffic is switched.",
        report["created"],
        report["skipped"],
        report["files"],
        report["volumes"],
        bytes(&report["bytes"]),
        report["held"].as_array().map_or(0, Vec::len)
    );
    for exception in report["exception_list"].as_array().into_iter().flatten() {
        let name = exception[0].as_str().unwrap_or_default();
        ensure!(name.ends_with(LOG), "not whole: {exception}");
        println!("  exception: {name}: {}", exception[1].as_str().unwrap_or_default());
    }
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
    println!("Pods of region B: {}, ready.", application::ready_pods(&b)?.join(" and "));
    verify_files(stage)?;
    verify_database(stage, &b, ordered, lost)
}

/// The two volumes of the web server: the files, and what it serves of them.
fn verify_files(stage: &Stage) -> Result<()> {
    const FETCHED_EVERY: usize = 100;
    let (frozen, restored) = (stage.dir().join("at-freeze"), stage.dir().join("region-b/volumes/shop"));
    let same = files::compare(&frozen.join(PICTURES.0), &restored.join(PICTURES.1))?;
    println!(
        "Pictures, byte by byte, against a copy taken at the freeze: {} files, {}.",
        same.files,
        bytes(&same.bytes.into())
    );
    let (address, port) = (stage.cluster("b").node_address()?, stage.web_port());
    let mut fetched = 0;
    for number in (0..PICTURES_COUNT).step_by(FETCHED_EVERY) {
        let path = Path::new(PICTURES.0).join(application::picture(number));
        let was = fs::read(frozen.join(&path)).with_context(|| format!("read {}", path.display()))?;
        ensure!(web::get(address, port, &path)? == was, "B serves another {}", path.display());
        fetched += 1;
    }
    println!("Over HTTP from B's web pod: {fetched} of them, the same.");
    let more = files::is_continued(&frozen.join(LOGS.0).join(LOG), &restored.join(LOGS.1).join(LOG))?;
    println!(
        "The log, which was never frozen: all that the copy has, and {more} bytes written since, by A and then by B."
    );
    Ok(())
}

/// The database, which takes orders again: it is asked while it stands still.
fn verify_database(stage: &Stage, b: &Cluster<'_>, ordered: u64, lost: u64) -> Result<()> {
    let (frozen, restored) = (stage.dir().join("at-freeze"), stage.dir().join("region-b/volumes/shop"));
    let last = application::freeze(b)?;
    let database = database::look_into(&restored.join(DATABASE.1))?;
    let same = database::compare(&frozen.join(DATABASE.0), &restored.join(DATABASE.1))?;
    application::release(b)?;
    ensure!(same == ordered, "the copy holds {same} orders, the point {ordered}");
    ensure!(database.last == last, "the pod says order {last}, its volume {}", database.last);
    ensure!(last > ordered, "B takes no orders");
    println!(
        "Database: integrity_check {}; all {same} orders of the point are there; {} later ones of region A are lost; \
         B has taken {} since.",
        database.verdict,
        lost - ordered,
        database.count - ordered
    );
    Ok(())
}

/// Waits until B's controllers have bound every claim to the volume made for it.
fn bound_claims(b: &Cluster) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(60);
    const CLAIMS: usize = 3;
    let begun = Instant::now();
    loop {
        let claims = b.list(&["-n", "shop", "persistentvolumeclaims"])?;
        let open: Vec<_> = claims.iter().filter(|claim| claim["status"]["phase"] != "Bound").collect();
        if open.is_empty() && claims.len() == CLAIMS {
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
