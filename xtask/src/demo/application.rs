//! The demo's application: its images, its objects in A, its volumes, and its pods.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::database::look_into;
use super::stage::{Cluster, Stage};
use crate::ground;
use crate::image::{Image, Tree};

/// The nodes that the volumes lie on.
const NODE_A: &str = "node-a";
pub(super) const NODE_B: &str = "node-b";

/// The volumes: the folder in A and the claim.
pub(super) const DATABASE: (&str, &str) = ("data", "data-database-0");
pub(super) const PICTURES: (&str, &str) = ("pictures", "pictures");
pub(super) const LOGS: (&str, &str) = ("logs", "logs");

/// The file of the third volume, which is written all the while.
pub(super) const LOG: &str = "access.log";

/// How many pictures there are, in folders of a hundred.
pub(super) const PICTURES_COUNT: u32 = 3_000;

/// The application stands still from one of these to the other; what it says at its freeze is the number of the last order.
const FREEZE: &str = "touch /shop/freeze; while [ ! -e /shop/frozen ]; do usleep 20000; done; cat /shop/frozen";
const RELEASE: &str = "rm -f /shop/freeze";

/// How long the application may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

const MANIFEST: &str = include_str!("../../demo/application.yaml");
const CATALOGS: &str = include_str!("../../demo/catalogs.yaml");
const OWNED: &str = include_str!("../../demo/owned.yaml");

/// Makes the application's images, the same program in each of its two roles, and gives them to both nodes.
pub(super) fn images(stage: &Stage) -> Result<()> {
    let dir = stage.dir().join("images");
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let mut database = ground::images::busybox()?;
    database.program(Path::new("/usr/bin/firn"), stage.program())?;
    let app = ["/usr/bin/firn", "demo-app", "/shop"].map(str::to_owned).to_vec();
    let shell = vec!["/bin/sh".to_owned()];
    import(stage, &dir.join("web.tar"), "registry.example.com/web:1", shell, ground::images::busybox()?)?;
    import(stage, &dir.join("database.tar"), "registry.example.com/database:1", app, database)
}

fn import(stage: &Stage, archive: &Path, name: &str, entrypoint: Vec<String>, tree: Tree) -> Result<()> {
    Image { name, entrypoint, tree }.pack(archive)?;
    ground::import(&stage.ground_dir(), archive).map(drop)
}

/// Fills A's volumes, creates the objects, and waits until the pods are ready and orders come in.
pub(super) fn install(stage: &Stage) -> Result<()> {
    let volumes = stage.dir().join("region-a/app");
    for (folder, _) in [DATABASE, PICTURES, LOGS] {
        fs::create_dir_all(volumes.join(folder)).with_context(|| format!("make {}", volumes.display()))?;
    }
    fill(&volumes.join(PICTURES.0)).context("fill a volume")?;
    let a = stage.cluster("a");
    let manifest = MANIFEST.replace("VOLUMES", &stage.path("region-a/app")).replace("NODE", NODE_A);
    a.apply(&manifest.replace("PORT", &stage.web_port().to_string()))?;
    a.kubectl(&["wait", "--for=condition=Established", "crd/catalogs.shop.example.com", "--timeout=60s"], "")?;
    a.apply(CATALOGS)?;
    let owned = OWNED
        .replace("CATALOG_UID", &uid(&a, "catalogs.shop.example.com", "spring")?)
        .replace("DEPLOYMENT_UID", &uid(&a, "deployments", "web")?);
    a.apply(&owned)?;
    a.kubectl(&["-n", "shop", "wait", "--for=jsonpath={.status.phase}=Bound", "pvc", "--all", "--timeout=60s"], "")?;
    a.kubectl(&["-n", "shop", "rollout", "status", "deployment/web", "--timeout=120s"], "")?;
    a.kubectl(&["-n", "shop", "rollout", "status", "statefulset/database", "--timeout=120s"], "")?;
    wait_for_orders(&volumes)
}

fn uid(cluster: &Cluster<'_>, kind: &str, name: &str) -> Result<String> {
    let found = cluster.list(&["-n", "shop", kind, name])?;
    let uid = found.first().and_then(|object| object.pointer("/metadata/uid")).and_then(Value::as_str);
    uid.map(str::to_owned).with_context(|| format!("no uid of {kind}/{name}"))
}

/// The names of the pods that are ready, sorted. An error if one is not.
pub(super) fn ready_pods(cluster: &Cluster<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for pod in cluster.list(&["-n", "shop", "pods"])? {
        let name = pod["metadata"]["name"].as_str().context("a pod without a name")?.to_owned();
        let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_ready = conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
        ensure!(is_ready, "{name} is not ready: {:#}", pod["status"]);
        names.push(name);
    }
    names.sort();
    Ok(names)
}

/// The shell commands for `--before` and `--after`: stand still, and copy what will be compared; go on.
pub(super) fn hooks(stage: &Stage) -> (String, String) {
    let (app, copy) = (stage.path("region-a/app"), stage.path("at-freeze"));
    let exec = format!("{} -n shop exec database-0 -- sh -c", stage.cluster("a").command());
    let before = format!("rm -rf {copy} && mkdir {copy} && {exec} '{FREEZE}' > {copy}/frozen && cp -a {app}/* {copy}");
    (before, format!("{exec} '{RELEASE}'"))
}

/// Stops the orders of a cluster; the number of the last one.
pub(super) fn freeze(cluster: &Cluster<'_>) -> Result<u64> {
    let text = cluster.kubectl(&["-n", "shop", "exec", "database-0", "--", "sh", "-c", FREEZE], "")?;
    text.trim().parse().with_context(|| format!("{text:?} is no number of an order"))
}

/// Lets the orders of a cluster go on.
pub(super) fn release(cluster: &Cluster<'_>) -> Result<()> {
    cluster.kubectl(&["-n", "shop", "exec", "database-0", "--", "sh", "-c", RELEASE], "").map(drop)
}

/// Where a picture lies in its volume.
pub(super) fn picture(number: u32) -> PathBuf {
    Path::new(&format!("shelf-{:02}", number / 100)).join(format!("picture-{number}.txt"))
}

/// Small files, a large one with a hole, links, and names that are no ASCII.
fn fill(folder: &Path) -> Result<()> {
    for number in 0..PICTURES_COUNT {
        let path = folder.join(picture(number));
        fs::create_dir_all(path.parent().context("a picture without a shelf")?)?;
        fs::write(path, format!("picture {number}\n").repeat(1 + number as usize % 90))?;
    }
    let first = folder.join(picture(0));
    fs::set_permissions(&first, fs::Permissions::from_mode(0o640))?;
    fs::hard_link(&first, folder.join("the same picture.txt"))?;
    fs::write(folder.join("shelf-00/index.html"), "<h1>the newest</h1>\n")?;
    symlink("shelf-00", folder.join("newest"))?;
    fs::write(folder.join("Größe.txt"), "groß\n")?;
    let sparse = fs::File::create(folder.join("sparse.bin"))?;
    sparse.set_len(64 << 20)?;
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"the end", (64 << 20) - 7)?;
    Ok(())
}

fn wait_for_orders(volumes: &Path) -> Result<()> {
    let begun = Instant::now();
    let log = volumes.join(LOGS.0).join(LOG);
    let is_up = || {
        fs::metadata(&log).is_ok_and(|log| log.len() > 1_000_000)
            && look_into(&volumes.join(DATABASE.0)).is_ok_and(|database| database.last > 0)
    };
    while !is_up() {
        ensure!(begun.elapsed() < PATIENCE, "the application takes no orders");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
