//! The programs of a cluster: found, or built once with Go and cached by version.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::places;

/// The Kubernetes release that the ground runs: the newest whose kubelet still accepts hybrid
/// cgroups.
const KUBERNETES_VERSION: &str = "v1.34.4";

/// The programs of one cluster, ready to start.
#[derive(Debug)]
pub(crate) struct Binaries {
    pub(crate) etcd: PathBuf,
    pub(crate) kube_apiserver: PathBuf,
    pub(crate) kube_controller_manager: PathBuf,
    pub(crate) kube_scheduler: PathBuf,
    pub(crate) kubectl: PathBuf,
    /// There only if the plan was made with nodes.
    pub(crate) kubelet: PathBuf,
}

/// What is built together: one Go module, since two would downgrade each other's dependencies.
#[derive(Debug)]
struct Recipe {
    name: &'static str,
    /// Only a node needs it.
    is_for_nodes: bool,
    /// In pieces, which are joined.
    go_mod: &'static [&'static str],
    go_sum: &'static [&'static str],
    /// Program and the package it is built from.
    programs: &'static [(&'static str, &'static str)],
    linker_flags: &'static str,
    duration: &'static str,
}

const KUBERNETES_MOD: &str = include_str!("../../ground/kubernetes/go.mod");
const KUBERNETES_SUM: &str = include_str!("../../ground/kubernetes/go.sum");

/// Kubernetes tells its clients a version that they can read only if the linker sets it.
const KUBERNETES_FLAGS: &str = "-X k8s.io/component-base/version.gitVersion=v1.34.4 \
                                -X k8s.io/component-base/version.gitMajor=1 \
                                -X k8s.io/component-base/version.gitMinor=34";

const RECIPES: &[Recipe] = &[
    Recipe {
        name: "kubernetes",
        is_for_nodes: false,
        go_mod: &[KUBERNETES_MOD],
        go_sum: &[KUBERNETES_SUM],
        programs: &[
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
            ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
            ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        ],
        linker_flags: KUBERNETES_FLAGS,
        duration: "about 7 minutes on two free cores",
    },
    // The same versions; a recipe of its own, so that a cache without it is completed and not built again.
    Recipe {
        name: "kubelet",
        is_for_nodes: true,
        go_mod: &[KUBERNETES_MOD, include_str!("../../ground/kubelet/more.mod")],
        go_sum: &[KUBERNETES_SUM, include_str!("../../ground/kubelet/more.sum")],
        programs: &[("kubelet", "k8s.io/kubernetes/cmd/kubelet")],
        linker_flags: KUBERNETES_FLAGS,
        duration: "about 1 minute after the control plane",
    },
    Recipe {
        name: "etcd",
        is_for_nodes: false,
        go_mod: &[include_str!("../../ground/etcd/go.mod")],
        go_sum: &[include_str!("../../ground/etcd/go.sum")],
        programs: &[("etcd", "go.etcd.io/etcd/server/v3")],
        linker_flags: "",
        duration: "about 1 minute on two free cores",
    },
];

/// Where each program comes from, and what has to be built first.
#[derive(Debug)]
pub(crate) struct Plan {
    cache: PathBuf,
    /// `$KUBEBUILDER_ASSETS`: programs that the user has already.
    assets: Option<PathBuf>,
    to_build: Vec<&'static Recipe>,
}

impl Plan {
    /// Looks at what is there; changes nothing. A control plane alone needs no kubelet.
    pub(crate) fn new(with_nodes: bool) -> Result<Self> {
        let cache = places::ground_cache()?.join("ground").join(KUBERNETES_VERSION);
        let assets = places::set("KUBEBUILDER_ASSETS").map(PathBuf::from);
        if let Some(assets) = assets.as_ref().filter(|assets| !assets.is_dir()) {
            bail!("KUBEBUILDER_ASSETS: {} is no folder", assets.display());
        }
        let to_build = RECIPES
            .iter()
            .filter(|recipe| with_nodes || !recipe.is_for_nodes)
            .filter(|recipe| {
                let is_given = |program: &str| assets.as_ref().is_some_and(|folder| folder.join(program).is_file());
                !recipe.programs.iter().all(|(program, _)| is_given(program)) && !recipe.is_built(&cache)
            })
            .collect();
        Ok(Self { cache, assets, to_build })
    }

    /// What `ensure` will do, a line for each thing.
    pub(crate) fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(assets) = &self.assets {
            lines.push(format!("use the programs in {} (KUBEBUILDER_ASSETS)", assets.display()));
        }
        if self.to_build.is_empty() {
            lines.push(format!("use Kubernetes {KUBERNETES_VERSION} built in {}", self.cache.display()));
        }
        for recipe in &self.to_build {
            lines.push(format!(
                "build {} with Go into {} ({}; once)",
                recipe.programs.iter().map(|(program, _)| *program).collect::<Vec<_>>().join(", "),
                self.cache.display(),
                recipe.duration
            ));
        }
        lines
    }

    /// Whether Go is needed.
    pub(crate) fn needs_go(&self) -> bool {
        !self.to_build.is_empty()
    }

    /// Builds what is missing; a second command that wants the same waits and finds it built.
    pub(crate) fn ensure(self) -> Result<Binaries> {
        if self.needs_go() {
            if places::program("go").is_none() {
                bail!("go is needed to build Kubernetes, and is not on the PATH");
            }
            fs::create_dir_all(&self.cache).with_context(|| format!("make {}", self.cache.display()))?;
            let _lock = lock(&self.cache.join("lock"))?;
            for recipe in self.to_build.iter().filter(|recipe| !recipe.is_built(&self.cache)) {
                recipe.build(&self.cache)?;
            }
        }
        Ok(self.binaries())
    }

    /// The programs as they stand; some may not be there before `ensure`.
    pub(crate) fn binaries(&self) -> Binaries {
        let find = |program: &str| {
            self.assets
                .as_ref()
                .map(|folder| folder.join(program))
                .filter(|path| path.is_file())
                .unwrap_or_else(|| self.cache.join(program))
        };
        Binaries {
            etcd: find("etcd"),
            kube_apiserver: find("kube-apiserver"),
            kube_controller_manager: find("kube-controller-manager"),
            kube_scheduler: find("kube-scheduler"),
            kubectl: find("kubectl"),
            kubelet: find("kubelet"),
        }
    }
}

impl Recipe {
    /// The marker holds the whole recipe: a program counts as built only by this very recipe.
    fn is_built(&self, cache: &Path) -> bool {
        fs::read_to_string(self.marker(cache)).is_ok_and(|text| text == self.fingerprint())
            && self.programs.iter().all(|(program, _)| cache.join(program).is_file())
    }

    fn marker(&self, cache: &Path) -> PathBuf {
        cache.join(format!("{}.built", self.name))
    }

    fn fingerprint(&self) -> String {
        format!("{}\n{}{}", self.linker_flags, self.go_mod.concat(), self.go_sum.concat())
    }

    fn build(&self, cache: &Path) -> Result<()> {
        let begun = Instant::now();
        eprintln!("building {} ({}) …", self.name, self.duration);
        let module = cache.join(format!("{}.module", self.name));
        fs::create_dir_all(&module).with_context(|| format!("make {}", module.display()))?;
        fs::write(module.join("go.mod"), self.go_mod.concat()).context("write go.mod")?;
        fs::write(module.join("go.sum"), self.go_sum.concat()).context("write go.sum")?;
        for (program, package) in self.programs {
            let status = Command::new("go")
                .current_dir(&module)
                .args(["build", "-mod=readonly", "-buildvcs=false", "-ldflags", self.linker_flags, "-o"])
                .arg(cache.join(program))
                .arg(package)
                .stdout(std::io::stderr())
                .status()
                .context("start go build")?;
            if !status.success() {
                bail!("go build of {package} failed ({status}); the module is in {}", module.display());
            }
        }
        fs::write(self.marker(cache), self.fingerprint()).context("write the marker of a completed build")?;
        eprintln!("built {} in {:.0} s", self.name, begun.elapsed().as_secs_f64());
        Ok(())
    }
}

fn lock(path: &Path) -> Result<File> {
    let locked = || -> std::io::Result<File> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok(file)
    };
    locked().with_context(|| format!("lock {}", path.display()))
}
