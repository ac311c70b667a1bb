//! `firn demo`: the whole story on one machine, in a temporary folder, with the commands that a person would type.

mod manifests;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::args;
use crate::demo_app;
use crate::outcome::{Outcome, failed};
use crate::terminal::duration;

/// Folders that demos make begin with this.
const PREFIX: &str = "firn-demo-";

/// The demo's repositories open with this: there is nothing in them to hide.
const PASSWORD: &str = "demo";

/// How long the application may take to come up on a busy machine.
const APP_TIMEOUT: Duration = Duration::from_secs(30);

/// Plays, or cleans up.
pub fn run(args: &args::Demo, _: &args::Global) -> anyhow::Result<Outcome> {
    if args.clean {
        return clean();
    }
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id())),
    };
    if dir.exists() {
        return Err(failed(format!("{} exists already; `firn demo --clean` removes what demos left", dir.display())));
    }
    let began = Instant::now();
    let mut demo = Demo::prepare(dir)?;
    demo.play()?;
    demo.say(&format!(
        "All of it took {}. To look at: {}",
        duration(began.elapsed().as_secs_f64()),
        demo.dir.display()
    ));
    demo.say("`firn demo --clean` removes it. The commands, ready to repeat:");
    demo.say(&format!("\n  export FIRN_PASSWORD={PASSWORD}"));
    for command in &demo.commands {
        demo.say(&format!("  {command}"));
    }
    Ok(Outcome::Done)
}

fn clean() -> anyhow::Result<Outcome> {
    let mut removed = 0;
    for entry in std::fs::read_dir(std::env::temp_dir())? {
        let entry = entry?;
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.path().join("demo").is_file();
        if ours {
            std::fs::remove_dir_all(entry.path())
                .with_context(|| format!("cannot remove {}", entry.path().display()))?;
            removed += 1;
        }
    }
    anstream::println!("removed {removed} folders of demos");
    Ok(Outcome::Done)
}

/// The application's process; ended when the demo ends, however it does.
struct App(Child);

impl Drop for App {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

struct Demo {
    dir: PathBuf,
    firn: PathBuf,
    commands: Vec<String>,
}

impl Demo {
    fn prepare(dir: PathBuf) -> anyhow::Result<Self> {
        for folder in ["region-a/app/data", "region-a/app/logs", "region-a/manifests", "region-b"] {
            std::fs::create_dir_all(dir.join(folder)).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        std::fs::write(dir.join("demo"), "made by `firn demo`; `firn demo --clean` removes this folder\n")?;
        for (name, text) in manifests::ALL {
            std::fs::write(dir.join("region-a/manifests").join(name), text)?;
        }
        let firn = std::env::current_exe().context("cannot find this program")?;
        Ok(Self { dir, firn, commands: Vec::new() })
    }

    fn say(&self, text: &str) {
        anstream::println!("{text}");
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Runs one command of Firn and returns what it printed. Exit code 2, exceptions, is no failure.
    fn firn(&mut self, words: &[&str]) -> anyhow::Result<(i32, Value)> {
        let shown: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        self.commands.push(format!("firn {}", shown.join(" ")));
        let output = Command::new(&self.firn)
            .args(words)
            .args(["-o", "json", "--quiet"])
            .env("FIRN_PASSWORD", PASSWORD)
            .env("FIRN_CACHE_DIR", self.dir.join("cache"))
            .env_remove("FIRN_REPO")
            .stderr(Stdio::piped())
            .output()
            .context("cannot run a command of the demo")?;
        let code = output.status.code().unwrap_or(-1);
        if code != 0 && code != 2 {
            bail!("`firn {}` ended with {code}:\n{}", shown.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        let value = if output.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&output.stdout)? };
        Ok((code, value))
    }

    fn start_app(&self) -> anyhow::Result<App> {
        let dir = self.dir.join("region-a/app");
        let mut app = App(Command::new(&self.firn).arg("demo-app").arg(&dir).stdout(Stdio::null()).spawn()?);
        let began = Instant::now();
        while !demo_app::is_up(&dir) {
            ensure!(app.0.try_wait()?.is_none(), "the demo's application ended early");
            ensure!(began.elapsed() < APP_TIMEOUT, "the demo's application does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(app)
    }

    fn play(&mut self) -> anyhow::Result<()> {
        let (repo_a, repo_b) =
            (format!("file://{}", self.path("region-a/repo")), format!("file://{}", self.path("region-b/repo")));
        self.say(
            "Region A runs a shop: a Deployment, a StatefulSet, a custom resource, and a database that takes orders.",
        );
        let app = self.start_app()?;
        self.firn(&["init", "--repo", &repo_a])?;
        self.backup("first", &repo_a)?;
        let ordered = self.backup("second", &repo_a)?;
        let (_, replicated) = self.firn(&["replicate", "--from", &repo_a, "--to", &repo_b])?;
        let points = replicated["points"].as_array().map_or(0, Vec::len);
        self.say(&format!("Replicated to region B: {points} points, every object hashed again where it arrived."));
        std::thread::sleep(Duration::from_secs(1));
        drop(app);
        let lost = demo_app::check(&self.dir.join("region-a/app/data/orders.sqlite"))?;
        std::fs::remove_dir_all(self.dir.join("region-a")).context("cannot destroy region A")?;
        self.say(&format!(
            "Region A is gone: its cluster, its volumes and its repository. Its last order was number {lost}."
        ));
        let restored = self.path("region-b/restored");
        let words = ["failover", "--repo", &repo_b, "--to-dir", &restored, "--yes"];
        let (_, report) = self.firn(&words)?;
        self.verify(Path::new(&restored), ordered, lost)?;
        let rto = report["rto_seconds"].as_f64().unwrap_or_default();
        let rpo = report["rpo_seconds"].as_i64().unwrap_or_default();
        self.say(&format!(
            "Region B serves again: {} objects, {} files in {} volumes.",
            report["created"], report["files"], report["volumes"]
        ));
        self.say(&format!("RPO {} (age of the last point in B)   RTO {}", duration(rpo as f64), duration(rto)));
        Ok(())
    }

    /// One backup, the database frozen by hooks. Returns the number of the last order in it.
    fn backup(&mut self, which: &str, repo: &str) -> anyhow::Result<i64> {
        let app = self.path("region-a/app");
        let ordered = self.dir.join(format!("ordered-{which}"));
        let before = format!(
            "touch {app}/freeze; while [ ! -e {app}/frozen ]; do sleep 0.02; done; cp {app}/frozen {}",
            ordered.display()
        );
        let after = format!("rm -f {app}/freeze");
        let manifests = self.path("region-a/manifests");
        let (data, logs) = (format!("shop/data={app}/data"), format!("shop/logs={app}/logs"));
        let words = [
            "backup",
            "--repo",
            repo,
            "--from-dir",
            &manifests,
            "--cluster-name",
            "region-a",
            "--volume",
            &data,
            "--volume",
            &logs,
            "--before",
            &before,
            "--after",
            &after,
        ];
        let (code, done) = self.firn(&words)?;
        let last: i64 = std::fs::read_to_string(&ordered)?.trim().parse().context("the hook left no number")?;
        self.say(&format!(
            "The {which} backup: {} objects, {} files, {} stored, in {}. Orders up to number {last}.",
            done["objects"],
            done["files"],
            crate::output::bytes(done["bytes_stored"].as_u64().unwrap_or_default()),
            duration(done["seconds"].as_f64().unwrap_or_default())
        ));
        ensure!(code == 2, "the log was written while it was read, and the backup did not say so");
        for exception in done["exception_list"].as_array().into_iter().flatten() {
            self.say(&format!(
                "  exception: {} {}: {}",
                exception["path"].as_str().unwrap_or_default(),
                exception["reason"].as_str().unwrap_or_default(),
                exception["detail"].as_str().unwrap_or_default()
            ));
        }
        Ok(last)
    }

    fn verify(&self, restored: &Path, ordered: i64, lost: i64) -> anyhow::Result<()> {
        let last = demo_app::check(&restored.join("volumes/shop/data/orders.sqlite"))?;
        ensure!(last == ordered, "the restored database ends at order {last}, the point at {ordered}");
        self.say(&format!(
            "The database in B is whole (integrity_check ok) and ends at order {last}; {} orders are lost.",
            lost - last
        ));
        let secret = restored.join("objects/core/v1/secrets/shop/database.json");
        let secret: Value = serde_json::from_slice(&std::fs::read(&secret).context("the Secret is missing")?)?;
        ensure!(secret["data"]["password"] == "c2VjcmV0", "the Secret is not what it was");
        ensure!(restored.join("objects/apps/v1/deployments/shop/web.json").is_file(), "the Deployment is missing");
        ensure!(
            restored.join("objects/shop.example.com/v1/catalogs/shop/spring.json").is_file(),
            "the custom resource is missing"
        );
        Ok(())
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
