//! The demo's application: its objects in A, its volumes, and the process that writes into them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::stage::{Cluster, Stage};

/// The nodes that the volumes are said to lie on. There are none: nothing runs, and claims bind all the same.
const NODE_A: &str = "node-1";
pub(super) const NODE_B: &str = "node-2";

/// The volumes that stand still at the freeze: the folder in A and the claim.
pub(super) const VOLUMES: &[(&str, &str)] = &[("data", "data-database-0"), ("pictures", "pictures")];

/// The file of the third volume, which is written all the while.
pub(super) const LOGS: &str = "access.log";

/// How many pictures there are, in folders of a hundred.
const PICTURES: u32 = 3_000;

/// How long the application may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const MANIFEST: &str = include_str!("../../demo/application.yaml");
const CATALOGS: &str = include_str!("../../demo/catalogs.yaml");
const OWNED: &str = include_str!("../../demo/owned.yaml");

/// The process that takes orders; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct App(Child);

impl Drop for App {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Fills A's volumes, starts the process, and creates the objects.
pub(super) fn install(stage: &Stage) -> Result<App> {
    let volumes = stage.dir().join("region-a/app");
    for folder in ["data", "logs", "pictures"] {
        fs::create_dir_all(volumes.join(folder)).with_context(|| format!("make {}", volumes.display()))?;
    }
    fill(&volumes.join("pictures")).context("fill a volume")?;
    let app =
        App(stage.program().arg("demo-app").arg(&volumes).stdout(Stdio::null()).spawn().context("start the app")?);
    let a = stage.cluster("a");
    a.apply(&MANIFEST.replace("VOLUMES", &stage.path("region-a/app")).replace("NODE", NODE_A))?;
    a.kubectl(&["wait", "--for=condition=Established", "crd/catalogs.shop.example.com", "--timeout=60s"], "")?;
    a.apply(CATALOGS)?;
    let owned = OWNED
        .replace("CATALOG_UID", &uid(&a, "catalogs.shop.example.com", "spring")?)
        .replace("DEPLOYMENT_UID", &uid(&a, "deployments", "web")?);
    a.apply(&owned)?;
    a.kubectl(&["-n", "shop", "wait", "--for=jsonpath={.status.phase}=Bound", "pvc", "--all", "--timeout=60s"], "")?;
    wait_for_orders(&volumes, app)
}

fn uid(cluster: &Cluster<'_>, kind: &str, name: &str) -> Result<String> {
    let found = cluster.list(&["-n", "shop", kind, name])?;
    let uid = found.first().and_then(|object| object.pointer("/metadata/uid")).and_then(Value::as_str);
    uid.map(str::to_owned).with_context(|| format!("no uid of {kind}/{name}"))
}

/// Small files, a large one with a hole, links, and names that are no ASCII.
fn fill(folder: &Path) -> Result<()> {
    for number in 0..PICTURES {
        let shelf = folder.join(format!("shelf-{:02}", number / 100));
        fs::create_dir_all(&shelf)?;
        fs::write(
            shelf.join(format!("picture {number}.txt")),
            format!("picture {number}\n").repeat(1 + number as usize % 90),
        )?;
    }
    let first = folder.join("shelf-00/picture 0.txt");
    fs::set_permissions(&first, fs::Permissions::from_mode(0o640))?;
    fs::hard_link(&first, folder.join("the same picture.txt"))?;
    symlink("shelf-00", folder.join("newest"))?;
    fs::write(folder.join("Größe.txt"), "groß\n")?;
    let sparse = fs::File::create(folder.join("sparse.bin"))?;
    sparse.set_len(64 << 20)?;
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"the end", (64 << 20) - 7)?;
    Ok(())
}

fn wait_for_orders(volumes: &Path, mut app: App) -> Result<App> {
    let begun = Instant::now();
    let log = volumes.join("logs").join(LOGS);
    let is_up = || {
        fs::metadata(&log).is_ok_and(|log| log.len() > 1_000_000)
            && look_into(&volumes.join("data/orders.sqlite")).is_ok_and(|database| database.last > 0)
    };
    while !is_up() {
        ensure!(app.0.try_wait()?.is_none(), "the application ended early");
        ensure!(begun.elapsed() < PATIENCE, "the application takes no orders");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(app)
}

/// What a database says of itself.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) verdict: String,
    pub(super) count: u64,
    pub(super) last: u64,
}

const LOOK: &str = "import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=30)
verdict = database.execute('PRAGMA integrity_check').fetchone()[0]
count, last = database.execute('SELECT count(*), coalesce(max(id), 0) FROM orders').fetchone()
print(verdict, count, last)";

/// Checks a database with Python's SQLite, which is not firn's. An error if it is not whole, or an order is missing.
pub(super) fn look_into(path: &Path) -> Result<Database> {
    ensure!(path.is_file(), "{} is missing", path.display());
    let output = Command::new("python3").args(["-c", LOOK]).arg(path).output().context("start python3")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = text.split_whitespace().collect();
    let ["ok", count, last] = words[..] else {
        bail!("{}: {text}{}", path.display(), String::from_utf8_lossy(&output.stderr).trim());
    };
    let database = Database { verdict: "ok".to_owned(), count: count.parse()?, last: last.parse()? };
    ensure!(database.count == database.last, "orders are missing: {} of {}", database.count, database.last);
    Ok(database)
}
