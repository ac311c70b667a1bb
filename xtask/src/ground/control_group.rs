//! The control group of a node: the same path in every hierarchy of the machine. What runs in it, its pods, the shims
//! that outlive containerd and all their children, is the node's, and nothing else is.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::mounts::Mount;

/// What the kubelet and runc need, each mounted by itself or with others.
const CONTROLLERS: &[&str] = &["cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"];

/// The hierarchy by which a node's processes are known.
const KNOWN_BY: &str = "pids";

/// Below the node's group: containerd and the kubelet. Pods lie beside it, in a group that the kubelet makes.
const DAEMONS: &str = "daemons";

/// How long killed processes and groups that were just left may linger.
const PATIENCE: Duration = Duration::from_secs(20);

/// The control groups of the machine.
#[derive(Debug, Default)]
pub(crate) struct Hierarchies {
    /// Each hierarchy of the first version: where it is mounted, and its controllers.
    v1: Vec<(PathBuf, Vec<String>)>,
    /// Where the second version is mounted: runc may make groups there, too.
    v2: Vec<PathBuf>,
}

impl Hierarchies {
    /// Looks at what is mounted.
    pub(crate) fn look() -> Result<Self> {
        let mounts = Mount::all()?;
        let of_type = |kind: &'static str| mounts.iter().filter(move |mount| mount.file_system == kind);
        let v1 = of_type("cgroup")
            .map(|mount| (mount.point.clone(), mount.options.split(',').map(str::to_owned).collect()))
            .collect();
        Ok(Self { v1, v2: of_type("cgroup2").map(|mount| mount.point.clone()).collect() })
    }

    /// The controllers that a node needs and the machine does not offer.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        CONTROLLERS.iter().filter(|name| self.of(name).is_none()).copied().collect()
    }

    fn of(&self, controller: &str) -> Option<&Path> {
        let found = self.v1.iter().find(|(_, controllers)| controllers.iter().any(|one| one == controller));
        found.map(|(point, _)| point.as_path())
    }

    fn processes(&self, group: &str) -> Result<PathBuf> {
        Ok(self.of(KNOWN_BY).with_context(|| format!("no control groups of {KNOWN_BY}"))?.join(group))
    }

    /// Makes the group in every hierarchy, with the processors and memory of its parent.
    pub(crate) fn make(&self, group: &str) -> Result<()> {
        for (point, _) in &self.v1 {
            let folder = point.join(group);
            fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
            for file in ["cpuset.cpus", "cpuset.mems"] {
                // Only the hierarchy of cpuset has them; empty they would let nothing run.
                if let Ok(of_parent) = fs::read(point.join(file)) {
                    fs::write(folder.join(file), of_parent)
                        .with_context(|| format!("write {file} of {}", folder.display()))?;
                }
            }
        }
        let daemons = self.processes(group)?.join(DAEMONS);
        fs::create_dir_all(&daemons).with_context(|| format!("make {}", daemons.display()))
    }

    /// Moves a daemon that was just started into the group: its children will be born there.
    pub(crate) fn enter(&self, group: &str, pid: i32) -> Result<()> {
        let file = self.processes(group)?.join(DAEMONS).join("cgroup.procs");
        fs::write(&file, pid.to_string()).with_context(|| format!("move process {pid} into {}", file.display()))
    }

    /// Kills all that runs in the group; how many processes there were.
    pub(crate) fn kill_all(&self, group: &str) -> Result<usize> {
        let folder = self.processes(group)?;
        let begun = Instant::now();
        let mut killed = Vec::new();
        loop {
            let found = processes_below(&folder)?;
            if found.is_empty() {
                return Ok(killed.len());
            }
            if begun.elapsed() > PATIENCE {
                bail!(
                    "processes {found:?} of {} are still there {} s after SIGKILL",
                    folder.display(),
                    PATIENCE.as_secs()
                );
            }
            for pid in found {
                kill(pid, group)?;
                if !killed.contains(&pid) {
                    killed.push(pid);
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Removes the group, in which nothing runs any more, from every hierarchy.
    pub(crate) fn remove(&self, group: &str) -> Result<()> {
        let points = self.v1.iter().map(|(point, _)| point).chain(&self.v2);
        points.map(|point| point.join(group)).try_for_each(|folder| remove(&folder))
    }
}

/// Kills a process if it is in the group. The descriptor is opened before the check, so the signal
/// cannot reach a later process that was given the same id.
fn kill(pid: i32, group: &str) -> Result<()> {
    let Some(pid) = Pid::from_raw(pid) else { return Ok(()) };
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).unwrap_or_default();
    if !is_member(&groups, group) {
        return Ok(());
    }
    match pidfd_send_signal(&descriptor, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("kill process {}", pid.as_raw_nonzero())),
    }
}

/// Whether the text of /proc/PID/cgroup (`number:controllers:path`, a line each) names the group.
fn is_member(groups: &str, group: &str) -> bool {
    groups.lines().any(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return false };
        let first = path.trim_start_matches('/').split('/').next();
        controllers.split(',').any(|one| one == KNOWN_BY) && first == Some(group)
    })
}

/// The processes of a group and of those below it; none where there is no group.
fn processes_below(folder: &Path) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for folder in with_those_below(folder)? {
        match fs::read_to_string(folder.join("cgroup.procs")) {
            Ok(text) => found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error).with_context(|| format!("list {}", folder.display())),
        }
    }
    Ok(found)
}

/// A group and all below it, parents first; none where there is no group.
fn with_those_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error).with_context(|| format!("list {}", folder.display())),
        };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
        found.push(folder);
    }
    Ok(found)
}

fn is_gone(error: &std::io::Error) -> bool {
    // The kernel says the second of a group that is removed while it is read.
    error.kind() == std::io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

fn remove(folder: &Path) -> Result<()> {
    let begun = Instant::now();
    for folder in with_those_below(folder)?.iter().rev() {
        // A group stays busy for a moment after its last process.
        while let Err(error) = fs::remove_dir(folder) {
            if is_gone(&error) {
                break;
            }
            if begun.elapsed() > PATIENCE {
                return Err(error).with_context(|| format!("remove {}", folder.display()));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_belongs_to_a_group_or_to_one_below_it_and_to_no_other() {
        let of = |path: &str| format!("9:name=systemd:/\n8:pids:{path}\n3:cpuset:/firn-1\n0::/firn-1\n");
        assert!(is_member(&of("/firn-1"), "firn-1"));
        assert!(is_member(&of("/firn-1/kubepods/pod7/x"), "firn-1"));
        for stranger in ["/", "/firn-12", "/user/firn-1", ""] {
            assert!(!is_member(&of(stranger), "firn-1"), "{stranger}");
        }
        assert!(is_member("4:cpu,pids:/firn-1/daemons", "firn-1"));
        assert!(!is_member("", "firn-1"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let v1 = |names: &[&str]| (PathBuf::from("/x"), names.iter().map(|name| (*name).to_owned()).collect());
        let some = Hierarchies { v1: vec![v1(&["rw", "cpu", "cpuacct"]), v1(&["rw", "memory"])], v2: Vec::new() };
        assert_eq!(some.missing(), ["cpuset", "devices", "freezer", "pids"]);
    }
}
