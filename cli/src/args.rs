//! Arguments: what a person can say to `firn`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Protect a Kubernetes cluster, replicate it to another region, bring it back there.
#[derive(Debug, Parser)]
#[command(name = "firn", version, max_term_width = 80, arg_required_else_help = true, after_help = TOP_EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
}

const TOP_EXAMPLES: &str = "\
Examples:
  firn demo                                  the whole story, nothing needed
  firn init --repo file:///backup/a          make a repository
  firn backup --repo file:///backup/a --context a
  firn replicate --from file:///backup/a --to file:///backup/b
  firn failover --repo file:///backup/b --context b

Exit codes: 0 done · 1 failed, nothing lost · 2 done with exceptions ·
3 damaged data found · 4 security stop (rollback, fork, wrong key) · 64 usage";

/// Options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for every command")]
pub struct Global {
    /// How to print results.
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Table, global = true)]
    pub output: Output,
    /// File whose first line is the passphrase [or env FIRN_PASSWORD].
    #[arg(long, value_name = "FILE", global = true)]
    pub password_file: Option<PathBuf>,
    /// Recovery kit made by `firn key export`.
    #[arg(long, value_name = "FILE", global = true)]
    pub key_file: Option<PathBuf>,
    /// Where the local cache lies; it may be deleted at any time.
    #[arg(long, value_name = "DIR", env = "FIRN_CACHE_DIR", global = true)]
    pub cache_dir: Option<PathBuf>,
    /// Say less: no progress.
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// Which repository.
#[derive(Debug, Args)]
pub struct Repo {
    /// Repository: file:///path, az://account/container/prefix or memory:name.
    #[arg(short, long, value_name = "URL", env = "FIRN_REPO")]
    pub repo: String,
}

/// Which kubeconfig and context.
#[derive(Debug, Clone, Args)]
pub struct Cluster {
    /// Context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Kubeconfig [or env KUBECONFIG].
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a repository, or a replica of one
    Init(Init),
    /// Capture objects and volumes as one recovery point
    Backup(Backup),
    /// List recovery points
    Points(Points),
    /// List what a recovery point holds
    Ls(Ls),
    /// Compare two recovery points
    Diff(Diff),
    /// Bring back a recovery point, or a part of it
    Restore(Restore),
    /// Copy new recovery points to another repository, verified
    Replicate(Replicate),
    /// Bring a lost cluster back on another one
    Failover(Failover),
    /// Prove that everything is there and unchanged
    Check(Check),
    /// Drop recovery points
    Forget(Forget),
    /// Delete what no recovery point needs
    Prune(Prune),
    /// Manage passphrases and recovery kits
    Key(Key),
    /// Find out whether a repository can be relied on from here
    Doctor(Doctor),
    /// Play the whole story in a temporary folder
    Demo(Demo),
    /// Print shell completions
    Completions(Completions),
    /// The application that the demo protects
    #[command(hide = true)]
    DemoApp(DemoApp),
}

/// `firn init`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  export FIRN_PASSWORD=…
  firn init --repo file:///backup/a
  firn init --repo file:///backup/b --replica-of file:///backup/a")]
pub struct Init {
    /// Which repository.
    #[command(flatten)]
    pub repo: Repo,
    /// Make a replica: another store of the same content under the same keys.
    #[arg(long, value_name = "URL")]
    pub replica_of: Option<String>,
}

/// `firn backup`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn backup --repo file:///backup/a --context prod
  firn backup --repo file:///backup/a --from-dir ./manifests \\
      --volume shop/data=/srv/data
  firn backup --repo file:///backup/a --volume www=/srv/www \\
      --before 'systemctl stop app' --after 'systemctl start app'")]
pub struct Backup {
    /// Which repository.
    #[command(flatten)]
    pub repo: Repo,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: Cluster,
    /// Take objects from a directory of manifests instead of a cluster.
    #[arg(long, value_name = "DIR", conflicts_with = "context")]
    pub from_dir: Option<PathBuf>,
    /// Capture a directory as volume NAME (namespace/claim, or a claim in namespace `local`).
    #[arg(long = "volume", value_name = "NAME=PATH")]
    pub volumes: Vec<String>,
    /// Only these namespaces.
    #[arg(short, long = "namespace", value_name = "NAMESPACE")]
    pub namespaces: Vec<String>,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Command that quiets the application before volumes are read. It does not see Firn's secrets, nor AZURE_*, AWS_* and
    /// GOOGLE_*.
    #[arg(long, value_name = "COMMAND")]
    pub before: Option<String>,
    /// Command that releases it afterwards, whatever happened. If it fails, the point is whole, and the exit code is 2.
    #[arg(long, value_name = "COMMAND")]
    pub after: Option<String>,
    /// Name of the policy that the point belongs to.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub policy: String,
    /// Name of the cluster, where it has none of its own (directories).
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub cluster_name: String,
}

/// `firn points`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn points --repo file:///backup/a
  firn points --repo file:///backup/a --cluster prod -o json")]
pub struct Points {
    /// Which repository.
    #[command(flatten)]
    pub repo: Repo,
    /// Only points of this cluster.
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Only points of this policy.
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
}

/// Which point.
#[derive(Debug, Args)]
pub struct Point {
    /// Recovery point: the first digits of its id, or `latest`.
    #[arg(value_name = "POINT", default_value = "latest")]
    pub point: String,
    /// Which lineage `latest` means, where there are several: `cluster/policy` or the first digits of its id.
    #[arg(long, value_name = "LINEAGE")]
    pub lineage: Option<String>,
    /// The latest of every lineage, where there are several.
    #[arg(long, conflicts_with = "lineage")]
    pub all_lineages: bool,
}

/// `firn ls`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn ls --repo file:///backup/a
  firn ls --repo file:///backup/a latest volumes/shop/data/logs")]
pub struct Ls {
    /// Which repository.
    #[command(flatten)]
    pub repo: Repo,
    /// Which point.
    #[command(flatten)]
    pub point: Point,
    /// A path in the point.
    #[arg(value_name = "PATH", default_value = "")]
    pub path: String,
    /// Everything below, too.
    #[arg(short = 'R', long)]
    pub recursive: bool,
}

/// `firn diff`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn diff --repo file:///backup/a 3f2a latest")]
pub struct Diff {
    /// Which repository.
    #[command(flatten)]
    pub repo: Repo,
    /// The older point.
    #[arg(value_name = "FROM")]
    pub from: String,
    /// The newer point.
    #[arg(value_name = "TO", default_value = "latest")]
    pub to: String,
    /// Which lineage `latest` means, where there are several.
    #[arg(long, value_name = "LINEAGE")]
    pub lineage: Option<String>,
}

/// What to do with objects and data that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Existing {
    /// Leave them as they are, and say so.
    Skip,
    /// Do nothing at all if any exists and differs.
    Fail,
}

/// How objects are changed on their way.
#[derive(Debug, Clone, Args)]
pub struct Mapping {
    /// Restore namespace A as B.
    #[arg(long = "namespace-map", value_name = "A=B")]
    pub namespace_map: Vec<String>,
    /// Use storage class B where A was used.
    #[arg(long = "storage-class-map", value_name = "A=B")]
    pub storage_class_map: Vec<String>,
    /// Fill volumes into DIR/<namespace>/<claim> and make local volumes of them.
    #[arg(long, value_name = "DIR")]
    pub local_volumes: Option<PathBuf>,
    /// Node label that the local volumes are bound to.
    #[arg(long, value_name = "KEY=VALUE", requires = "local_volumes")]
    pub node_affinity: Option<String>,
    /// What to do with objects that exist already, and with volumes whose folders hold other data; neither is overwritten.
    #[arg(long, value_enum, default_value_t = Existing::Skip)]
    pub existing: Existing,
}

/// `firn restore`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn restore --repo file:///backup/a --to-dir ./out
  firn restore --repo file:///backup/a latest volumes/shop/data --to-dir ./out
  firn restore --repo file:///backup/a --context test --dry-run \\
      --namespace-map shop=shop-test")]
pub struct Restore {
    /// Which repository.
    #[command(flatten)]
    pub repo: Repo,
    /// Which point.
    #[command(flatten)]
    pub point: Point,
    /// Only what lies below this path of the point.
    #[arg(value_name = "PATH", default_value = "")]
    pub path: String,
    /// Onto which cluster.
    #[command(flatten)]
    pub cluster: Cluster,
    /// Into a directory instead: DIR/objects/… and DIR/volumes/….
    #[arg(long, value_name = "DIR", conflicts_with = "context")]
    pub to_dir: Option<PathBuf>,
    /// Only these namespaces.
    #[arg(short, long = "namespace", value_name = "NAMESPACE")]
    pub namespaces: Vec<String>,
    /// How objects are changed.
    #[command(flatten)]
    pub mapping: Mapping,
    /// Show what would be done and why; change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// `firn replicate`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn replicate --from file:///backup/a --to file:///backup/b
  firn replicate --from file:///backup/a --to file:///backup/b \\
      --bandwidth 200MiB")]
pub struct Replicate {
    /// The source.
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// The replica; made if it does not exist and the password is at hand.
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// Bytes per second at most, such as 200MiB.
    #[arg(long, value_name = "RATE")]
    pub bandwidth: Option<String>,
}

/// `firn failover`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn failover --repo file:///backup/b --context b
  firn failover --repo file:///backup/b --context b --yes \\
      --primary file:///backup/a
  firn failover --repo file:///backup/b --abort")]
pub struct Failover {
    /// The repository of the region that lives.
    #[command(flatten)]
    pub repo: Repo,
    /// The cluster to bring it back on.
    #[command(flatten)]
    pub cluster: Cluster,
    /// Into a directory instead of a cluster.
    #[arg(long, value_name = "DIR", conflicts_with = "context")]
    pub to_dir: Option<PathBuf>,
    /// The primary's repository, to fence it there too and to fetch what it still has; taken from the link if there is one.
    #[arg(long, value_name = "URL")]
    pub primary: Option<String>,
    /// Which cluster to bring back, where the repository has several.
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// How objects are changed.
    #[command(flatten)]
    pub mapping: Mapping,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
    /// Go on although the primary is reachable and healthy.
    #[arg(long)]
    pub yes_primary_is_alive: bool,
    /// Give the epoch back, while no point of this side follows.
    #[arg(long)]
    pub abort: bool,
    /// Show the plan; change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// `firn check`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn check --repo file:///backup/a
  firn check --repo file:///backup/a --read-data
  firn check --repo file:///backup/a --repair --from file:///backup/b")]
pub struct Check {
    /// Which repository.
    #[command(flatten)]
    pub repo: Repo,
    /// Read and verify every byte.
    #[arg(long)]
    pub read_data: bool,
    /// Mend what can be mended without guessing; it is shown first. Nothing is overwritten.
    #[arg(long)]
    pub repair: bool,
    /// Replica that may hold a mirror of the log [default: those that the log names].
    #[arg(long, value_name = "URL", requires = "repair")]
    pub from: Vec<String>,
    /// Do not ask.
    #[arg(long, requires = "repair")]
    pub yes: bool,
}

/// `firn forget`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn forget --repo file:///backup/a --dry-run \\
      --keep-last 24 --keep-daily 14 --keep-monthly 12
  firn forget --repo file:///backup/a --keep-within 30d --prune
  firn forget --repo file:///backup/a 3f2a 77c1")]
pub struct Forget {
    /// Which repository.
    #[command(flatten)]
    pub repo: Repo,
    /// These points.
    #[arg(value_name = "POINT", conflicts_with = "rules")]
    pub points: Vec<String>,
    /// How long points are kept.
    #[command(flatten)]
    pub keep: Keep,
    /// Drop more than a quarter of a lineage.
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would be dropped.
    #[arg(long)]
    pub dry_run: bool,
    /// Delete what no point needs afterwards.
    #[arg(long)]
    pub prune: bool,
}

/// Rules: a point that any of them keeps is kept.
#[derive(Debug, Args)]
#[group(id = "rules", multiple = true)]
pub struct Keep {
    /// Keep the newest N of each lineage.
    #[arg(long = "keep-last", value_name = "N")]
    pub last: Option<usize>,
    /// Keep one of each of the newest N hours (UTC) that have points.
    #[arg(long = "keep-hourly", value_name = "N")]
    pub hourly: Option<usize>,
    /// Keep one of each of the newest N days.
    #[arg(long = "keep-daily", value_name = "N")]
    pub daily: Option<usize>,
    /// Keep one of each of the newest N weeks, from Monday.
    #[arg(long = "keep-weekly", value_name = "N")]
    pub weekly: Option<usize>,
    /// Keep one of each of the newest N months.
    #[arg(long = "keep-monthly", value_name = "N")]
    pub monthly: Option<usize>,
    /// Keep one of each of the newest N years.
    #[arg(long = "keep-yearly", value_name = "N")]
    pub yearly: Option<usize>,
    /// Keep what is younger, such as 36h or 14d.
    #[arg(long = "keep-within", value_name = "DURATION")]
    pub within: Option<String>,
}

/// `firn prune`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn prune --repo file:///backup/a --dry-run")]
pub struct Prune {
    /// Which repository.
    #[command(flatten)]
    pub repo: Repo,
    /// Show what would be deleted.
    #[arg(long)]
    pub dry_run: bool,
}

/// `firn key`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn key list --repo file:///backup/a
  firn key export --repo file:///backup/a kit.txt
  FIRN_NEW_PASSWORD=… firn key add --repo file:///backup/a --label team")]
pub struct Key {
    /// What to do.
    #[command(subcommand)]
    pub action: KeyAction,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// Let another passphrase open the repository [env FIRN_NEW_PASSWORD]
    #[command(after_help = "Examples:
  FIRN_NEW_PASSWORD=… firn key add --repo file:///backup/a --label team
  firn key add --repo file:///backup/a --new-password-file new.txt")]
    Add {
        /// Which repository.
        #[command(flatten)]
        repo: Repo,
        /// File whose first line is the new passphrase.
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
        /// A name for people.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Write a recovery kit: the one thing to keep on paper
    #[command(after_help = "Examples:
  firn key export --repo file:///backup/a kit.txt")]
    Export {
        /// Which repository.
        #[command(flatten)]
        repo: Repo,
        /// Where to write it; it must not exist.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// List what opens the repository
    #[command(after_help = "Examples:
  firn key list --repo file:///backup/a
  firn key list --repo file:///backup/a -o json")]
    List {
        /// Which repository.
        #[command(flatten)]
        repo: Repo,
    },
}

/// `firn doctor`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn doctor --repo file:///backup/a")]
pub struct Doctor {
    /// Which repository.
    #[command(flatten)]
    pub repo: Repo,
}

/// `firn demo`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn demo
  firn demo --dir ./demo -o json
  firn demo --clean")]
pub struct Demo {
    /// Remove the folders that this user's demos left in the temporary directory.
    #[arg(long, conflicts_with = "dir")]
    pub clean: bool,
    /// Where to play; a new folder under the temporary directory if not given.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `firn demo-app`
#[derive(Debug, Args)]
pub struct DemoApp {
    /// Where its volumes lie.
    pub dir: PathBuf,
}

/// `firn completions`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  firn completions bash > /etc/bash_completion.d/firn")]
pub struct Completions {
    /// Which shell.
    pub shell: clap_complete::Shell,
}
