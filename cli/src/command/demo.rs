//! `firn demo`: the whole story on one machine, in a temporary folder, with the commands that a person would type.

mod folders;
mod manifests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::outcome::{Outcome, usage};
use crate::terminal::duration;
use crate::{args, demo_app, output};
use folders::{PREFIX, clean};

/// The demo's repositories open with this: there is nothing in them to hide.
const PASSWORD: &str = "demo";

/// How long the application may take to come up on a busy machine.
const APP_TIMEOUT: Duration = Duration::from_secs(30);

/// What a demo came to.
#[derive(Debug, Default, Serialize)]
struct Played {
    folder: PathBuf,
    seconds: f64,
    rpo_seconds: i64,
    rto_seconds: f64,
    /// The last order of the restored database.
    orders_restored: i64,
    /// Orders that were taken after the last point.
    orders_lost: i64,
    /// What the backups could not read as it was.
    exceptions: u64,
    /// Lines for a shell, to repeat all of it beside the folders to look at.
    commands: Vec<String>,
}

/// Plays, or cleans up.
pub fn run(args: &args::Demo, global: &args::Global) -> anyhow::Result<Outcome> {
    if args.clean {
        return clean(global);
    }
    let dir = match &args.dir {
        Some(dir) => std::path::absolute(dir).context("cannot find the current folder")?,
        None => std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id())),
    };
    if dir.exists() {
        return Err(usage(format!("{} exists already; nothing was changed; choose a new folder", dir.display())));
    }
    let began = Instant::now();
    let mut demo = Demo::prepare(dir, Voice::of(global))?;
    demo.play()?;
    demo.again()?;
    demo.played.seconds = began.elapsed().as_secs_f64();
    demo.say(&format!("All of it took {}. To look at: {}", duration(demo.played.seconds), demo.dir.display()));
    let removal =
        if args.dir.is_some() { "Remove it when you have seen it." } else { "`firn demo --clean` removes it." };
    demo.say(&format!("{removal} The commands, ready to repeat:\n"));
    output::print(global, &demo.played, || demo.played.commands.iter().map(|line| format!("  {line}\n")).collect())?;
    Ok(Outcome::Done)
}

/// Who is told the story.
#[derive(Debug, Clone, Copy)]
enum Voice {
    Out,
    /// Standard output is for programs.
    Err,
    Silent,
}

impl Voice {
    fn of(global: &args::Global) -> Self {
        match global.output {
            args::Output::Table => Self::Out,
            _ if global.quiet => Self::Silent,
            _ => Self::Err,
        }
    }
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
    voice: Voice,
    played: Played,
    /// Locked: as long as this process lives, nobody cleans up.
    _mark: File,
}

impl Demo {
    fn prepare(dir: PathBuf, voice: Voice) -> anyhow::Result<Self> {
        let failed = || format!("cannot make {}", dir.display());
        std::fs::create_dir_all(&dir).with_context(failed)?;
        let mark = folders::mark(&dir).with_context(failed)?;
        folders::lay_out(&dir).with_context(failed)?;
        let firn = std::env::current_exe().context("cannot find this program")?;
        let mut commands = Vec::new();
        if let Some(folder) = firn.parent().filter(|folder| !is_on_path(folder)) {
            commands.push(format!("export PATH={}:\"$PATH\"", quoted(&folder.display().to_string())));
        }
        commands.push(format!("export FIRN_PASSWORD={PASSWORD}"));
        commands.push(format!("export FIRN_CACHE_DIR={}", quoted(&dir.join("cache").display().to_string())));
        let played = Played { folder: dir.clone(), commands, ..Played::default() };
        Ok(Self { dir, firn, voice, played, _mark: mark })
    }

    fn say(&self, text: &str) {
        match self.voice {
            Voice::Out => anstream::println!("{text}"),
            Voice::Err => output::tell(text),
            Voice::Silent => {}
        }
    }

    /// Remembers a line to be repeated, in the folders that are laid out for that.
    fn note(&mut self, line: &str) {
        let (here, there) = (self.path("region-"), self.path("again/region-"));
        self.played.commands.push(line.replace(&here, &there));
    }

    /// Lays out the folders in which all of it can be repeated: region A as it was, with what was restored in its volumes.
    fn again(&self) -> anyhow::Result<()> {
        let again = self.dir.join("again");
        let volumes = self.dir.join("region-b/restored/volumes/shop");
        let laid = folders::lay_out(&again).and_then(|()| {
            for file in ["data/orders.sqlite", "logs/access.log"] {
                std::fs::copy(volumes.join(file), again.join("region-a/app").join(file))?;
            }
            Ok(())
        });
        laid.with_context(|| format!("cannot make {}", again.display()))
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Runs one command of Firn and returns what it printed. Exit code 2, exceptions, is no failure.
    fn firn(&mut self, words: &[&str]) -> anyhow::Result<(i32, Value)> {
        let shown: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        self.note(&format!("firn {}", shown.join(" ")));
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
        std::fs::write(dir.join(folders::PID), app.0.id().to_string()).context("cannot write to the demo's folder")?;
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
        let _first = self.backup("first", &repo_a)?;
        let ordered = self.backup("second", &repo_a)?;
        let (_, replicated) = self.firn(&["replicate", "--from", &repo_a, "--to", &repo_b])?;
        let points = replicated["points"].as_array().map_or(0, Vec::len);
        self.say(&format!("Replicated to region B: {points} points, every object hashed again where it arrived."));
        std::thread::sleep(Duration::from_secs(1));
        drop(app);
        let lost = demo_app::check(&self.dir.join("region-a/app/data/orders.sqlite"))?;
        std::fs::remove_dir_all(self.dir.join("region-a")).context("cannot destroy region A")?;
        self.note(&format!("rm -r {}", quoted(&self.path("region-a"))));
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
        (self.played.rpo_seconds, self.played.rto_seconds) = (rpo, rto);
        (self.played.orders_restored, self.played.orders_lost) = (ordered, lost - ordered);
        self.say(&format!("RPO {} (age of the last point in B)   RTO {}", duration(rpo as f64), duration(rto)));
        Ok(())
    }

    /// One backup, the database frozen by hooks. Returns the number of the last order in it.
    fn backup(&mut self, which: &str, repo: &str) -> anyhow::Result<i64> {
        let app = self.path("region-a/app");
        let [before, after] =
            [folders::FREEZE, folders::THAW].map(|(name, _)| format!("sh {}", quoted(&format!("{app}/{name}"))));
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
        let last: i64 = std::fs::read_to_string(Path::new(&app).join("ordered"))?
            .trim()
            .parse()
            .context("the hook left no number")?;
        self.say(&format!(
            "The {which} backup: {} objects, {} files, {} stored, in {}. Orders up to number {last}.",
            done["objects"],
            done["files"],
            output::bytes(done["bytes_stored"].as_u64().unwrap_or_default()),
            duration(done["seconds"].as_f64().unwrap_or_default())
        ));
        ensure!(code == 2, "the log was written while it was read, and the backup did not say so");
        self.played.exceptions += done["exceptions"].as_u64().unwrap_or_default();
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

/// Whether a shell finds this program when somebody types its name.
fn is_on_path(folder: &Path) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|known| known == folder))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
