//! Capture: objects and volumes into one session, and the manifest that says what they are worth.

use firn_agent::{CaptureOptions, CapturedVolume, ObjectCapture, ParentTree, capture_volume, carry_tree, lanes};
use firn_format::manifest::{Consistency, Exception, Manifest, Mount, MountKind, encode_exceptions};
use firn_format::{Clock as _, Counter, Progress as _, SystemClock};
use firn_plan::{Selection, volumes};
use firn_repo::Part;
use serde_json::json;

use crate::args;
use crate::cluster_objects::{Objects, Seen};
use crate::terminal::Terminal;
use crate::volume_size::{Measuring, measure};
use crate::volume_spec::{VolumeSpec, mount, of_mount};
use crate::{hooks, interrupt};

/// Exceptions after which the point still has all content that there was to be had: a socket has none, what is mounted below is another volume, what vanished is gone, a file
/// that changed is there as it was read.
const HARMLESS: &[&str] = &["socket", "other-filesystem", "vanished", "changed", "link-split", "device", "privilege"];

/// Whether the point lacks something that the volume has. Then it is no whole point, and does not end the life of one.
fn lacks_content(exception: &Exception) -> bool {
    !HARMLESS.contains(&exception.reason.as_str())
}

/// A capture under way.
pub struct Capture<'a> {
    part: &'a Part,
    before: Option<Manifest>,
    terminal: &'a Terminal,
    manifest: Manifest,
    named: Vec<Exception>,
    files: u64,
    bytes_read: u64,
    carried: u64,
}

/// What a capture came to.
pub struct Taken {
    /// What the point says of itself.
    pub manifest: Manifest,
    /// The exceptions that are named.
    pub named: Vec<Exception>,
    /// Entries of volumes.
    pub files: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Volumes and kinds taken over from the point before.
    pub carried: u64,
}

impl<'a> Capture<'a> {
    /// Nothing taken yet. `before` is the manifest of the point that this one builds on.
    pub fn new(part: &'a Part, before: Option<Manifest>, terminal: &'a Terminal, manifest: Manifest) -> Self {
        Self { part, before, terminal, manifest, named: Vec::new(), files: 0, bytes_read: 0, carried: 0 }
    }

    /// Reads everything.
    pub fn run(
        mut self,
        args: &args::Backup,
        specs: Vec<VolumeSpec>,
        objects: &Objects,
        runtime: &tokio::runtime::Runtime,
        selection: &Selection,
    ) -> anyhow::Result<Taken> {
        let seen = self.objects(objects, runtime, selection)?;
        let specs = self.volumes_to_read(specs, &seen);
        self.volumes(&specs, args)?;
        interrupt::refuse_stopped()?;
        let mut facts = objects.facts();
        facts["replicas"] = json!(seen.replicas);
        facts["left_out"] = json!(seen.left_out);
        facts["unseen"] = json!(seen.unseen);
        self.manifest.facts = facts.to_string();
        self.finish(&seen)
    }

    fn parent_mount(&self, path: &str) -> Option<&Mount> {
        let key = self.part.writer().keys().key_ref();
        let mounts = &self.before.as_ref()?.mounts;
        mounts
            .iter()
            .find(|mount| mount.path == path && (mount.domain, mount.generation) == (key.domain, key.generation))
    }

    fn parent_tree(&self, path: &str) -> Option<ParentTree> {
        let mount = self.parent_mount(path)?;
        Some(ParentTree { reader: self.part.reader().clone(), root: mount.root, cut_ms: mount.cut_ms })
    }

    fn except(&mut self, mount: &str, path: &str, reason: &str, detail: String) {
        self.manifest.exceptions += 1;
        self.named.push(Exception {
            path: path.to_owned(),
            reason: reason.to_owned(),
            detail,
            mount: mount.to_owned(),
        });
    }

    fn mount(&self, path: &str, kind: MountKind) -> Mount {
        let key = self.part.writer().keys().key_ref();
        Mount {
            path: path.to_owned(),
            root: firn_format::BlobId([0; 32]),
            domain: key.domain,
            generation: key.generation,
            kind,
            consistency: Consistency::None,
            cut_ms: SystemClock.now_ms(),
            stale: false,
            entries: 0,
            bytes: 0,
            exceptions: 0,
            method: String::new(),
        }
    }

    fn objects(
        &mut self,
        objects: &Objects,
        runtime: &tokio::runtime::Runtime,
        selection: &Selection,
    ) -> anyhow::Result<Seen> {
        if matches!(objects, Objects::None) {
            return Ok(Seen::default());
        }
        self.terminal.phase("reading objects");
        let mut mount = self.mount("objects", MountKind::Objects);
        let mut capture = ObjectCapture::new(self.part, self.parent_tree("objects"), self.terminal)?;
        let seen = objects.capture(runtime, selection, &mut capture)?;
        let captured = capture.finish()?;
        mount.root = captured.root.id;
        mount.entries = captured.objects;
        mount.bytes = captured.bytes;
        mount.exceptions = (seen.exceptions.len() + captured.exceptions.len()) as u64;
        // What was carried is as old as it is.
        mount.cut_ms = captured.carried_cut_ms.unwrap_or(mount.cut_ms).min(mount.cut_ms);
        mount.method = "list".to_owned();
        mount.stale = seen.carried > 0;
        self.carried += u64::from(seen.carried > 0);
        self.bytes_read += captured.bytes;
        self.manifest.complete &= mount.exceptions == 0;
        if !seen.unseen.is_empty() {
            let namespaces = selection.namespaces.join(", ");
            self.terminal.note(&format!(
                "left out, since this user may not list them outside of {namespaces}: {}",
                seen.unseen.join(", ")
            ));
        }
        for (what, word, why) in &seen.exceptions {
            self.except("objects", what, word, why.clone());
        }
        self.manifest.exceptions += captured.exceptions.len() as u64;
        self.named.extend(captured.exceptions);
        self.manifest.mounts.push(mount);
        Ok(seen)
    }

    /// The volumes to read: those named, and those of captured claims whose path this host has. The others are exceptions.
    fn volumes_to_read(&mut self, mut specs: Vec<VolumeSpec>, seen: &Seen) -> Vec<VolumeSpec> {
        let named = |specs: &[VolumeSpec], namespace: &str, claim: &str| {
            specs.iter().any(|spec| spec.namespace == namespace && spec.claim == claim)
        };
        let pairs = seen.storage.iter().map(|(key, object)| (key, object));
        for volume in volumes::live_volumes(pairs) {
            if !named(&specs, &volume.namespace, &volume.claim) && !volume.block && volume.path.is_dir() {
                specs.push(VolumeSpec { namespace: volume.namespace, claim: volume.claim, path: volume.path });
            }
        }
        for (key, _) in seen.storage.iter().filter(|(key, _)| key.resource == "persistentvolumeclaims") {
            let namespace = key.namespace.clone().unwrap_or_default();
            if !named(&specs, &namespace, &key.name) {
                let path = mount(&namespace, &key.name);
                let why = "its contents cannot be read from here: it is bound to no local or hostPath volume that this host has";
                self.leave_behind(&path, "not-readable-here", why.to_owned());
            }
        }
        self.carry_unlisted(&specs, seen);
        specs.sort_by_key(VolumeSpec::mount);
        specs
    }

    /// Where claims could not be listed, nobody knows which volumes there are: those of the point before stand for them.
    fn carry_unlisted(&mut self, specs: &[VolumeSpec], seen: &Seen) {
        let of_claims =
            |(what, word, _): &(String, &str, String)| what.contains("persistentvolumeclaims") && *word != "no-name";
        if !seen.exceptions.iter().any(of_claims) {
            return;
        }
        let before =
            self.before.iter().flat_map(|before| &before.mounts).filter(|mount| mount.kind != MountKind::Objects);
        let mut unlisted: Vec<String> = before.map(|mount| mount.path.clone()).collect();
        unlisted.retain(|path| !specs.iter().any(|spec| spec.mount() == *path));
        unlisted.retain(|path| !self.manifest.mounts.iter().any(|mount| mount.path == *path));
        for path in unlisted {
            self.leave_behind(&path, "unlisted", "its claim could not be listed".to_owned());
        }
    }

    /// A volume that could not be captured: carried from the parent if that has it, and an exception either way.
    fn leave_behind(&mut self, path: &str, reason: &str, why: String) {
        self.manifest.complete = false;
        let carried = self.parent_mount(path).cloned();
        if let Some(mut mount) = carried
            && matches!(carry_tree(self.part, mount.root), Ok(true))
        {
            mount.stale = true;
            self.carried += 1;
            self.except(path, "", "carried", format!("{why}; the state of the point before stands for it"));
            self.manifest.mounts.push(mount);
            return;
        }
        self.except(path, "", reason, why);
    }

    fn volumes(&mut self, specs: &[VolumeSpec], args: &args::Backup) -> anyhow::Result<()> {
        if specs.is_empty() {
            return Ok(());
        }
        self.terminal.phase("reading volumes");
        let held = hooks::hold(args.before.as_deref(), args.after.as_deref())?;
        let consistency = if args.before.is_some() { Consistency::Frozen } else { Consistency::Live };
        let _measuring = self.expect(specs);
        for spec in specs {
            if spec.holds(&args.repo.repo) {
                self.leave_behind(&spec.mount(), "holds-repository", "the repository itself lies in it".to_owned());
                continue;
            }
            self.volume(spec, consistency)?;
        }
        if let Err(why) = held.release() {
            self.except("", "", "after-hook", why);
        }
        Ok(())
    }

    /// Tells how much is to come: about as much as there was before; what was not there before is counted.
    fn expect(&self, specs: &[VolumeSpec]) -> Option<Measuring> {
        let before: Option<u64> = specs.iter().map(|spec| Some(self.parent_mount(&spec.mount())?.entries)).sum();
        match before {
            Some(entries) => {
                self.terminal.total(Counter::Entries, entries);
                None
            }
            None => {
                let folders = specs.iter().map(|spec| spec.path.clone()).collect();
                self.terminal.is_shown().then(|| measure(folders, self.terminal))
            }
        }
    }

    fn volume(&mut self, spec: &VolumeSpec, consistency: Consistency) -> anyhow::Result<()> {
        let path = spec.mount();
        let mut mount = self.mount(&path, MountKind::Files);
        let parent = self.parent_tree(&path);
        let options = CaptureOptions { mount: &path, parent, lanes: lanes(), progress: self.terminal };
        let captured = match capture_volume(self.part, &spec.path, options) {
            Ok(captured) => captured,
            Err(firn_agent::AgentError::Volume { source, .. }) => {
                let source = anyhow::Error::from(source);
                self.leave_behind(&path, "unreadable", format!("{}: {source:#}", spec.path.display()));
                return Ok(());
            }
            Err(other) => return Err(other.into()),
        };
        let CapturedVolume { root, bytes_read, exceptions, named } = captured;
        mount.root = root.id;
        mount.entries = root.entries;
        mount.bytes = root.bytes;
        mount.consistency = consistency;
        mount.exceptions = exceptions;
        mount.method = "walk".to_owned();
        self.files += root.entries;
        self.bytes_read += bytes_read;
        self.manifest.exceptions += exceptions;
        self.manifest.complete &= exceptions == named.len() as u64 && !named.iter().any(lacks_content);
        self.named.extend(named);
        self.manifest.mounts.push(mount);
        Ok(())
    }

    /// The whole manifest, its exceptions stored beside it.
    fn finish(mut self, seen: &Seen) -> anyhow::Result<Taken> {
        let mut manifest = std::mem::take(&mut self.manifest);
        manifest.end_ms = SystemClock.now_ms();
        manifest.mounts.sort_by(|a, b| firn_format::tree::path_cmp(a.path.as_bytes(), b.path.as_bytes()));
        let of_volumes = manifest.mounts.iter().filter_map(|mount| Some(of_mount(&mount.path)?.0.to_owned()));
        let mut namespaces = seen.namespaces.clone();
        namespaces.extend(of_volumes);
        manifest.namespaces = namespaces.into_iter().collect();
        if !self.named.is_empty() {
            let mut lane = self.part.lane()?;
            manifest.exceptions_node = Some(lane.put_metadata(&encode_exceptions(&self.named).0)?);
            lane.finish()?;
        }
        let Self { named, files, bytes_read, carried, .. } = self;
        Ok(Taken { manifest, named, files, bytes_read, carried })
    }
}
