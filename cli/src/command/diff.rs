//! `firn diff`: what changed from one recovery point to another.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use firn_format::manifest::Mount;
use firn_format::tree::{Change, Diff, Entry, Piece};
use firn_repo::{Nodes, Reader};
use serde::Serialize;

use crate::args::{self, Global};
use crate::outcome::Outcome;
use crate::output::Stream;
use crate::path_text::escape;
use crate::point::{Opened, resolve_one};
use crate::repository;
use crate::terminal::Terminal;

/// One difference. Names that are not UTF-8 have their bytes as `\xNN`.
#[derive(Serialize)]
struct Line {
    /// `added`, `removed`, or `changed`.
    change: &'static str,
    path: String,
    /// Of what changed: `content`, `kind`, `mode`, `owner`, `time`, `attributes`, `target`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    what: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_after: Option<u64>,
}

#[derive(Default)]
struct Counts {
    added: u64,
    removed: u64,
    changed: u64,
}

/// Compares two points, mount by mount.
pub fn run(args: &args::Diff, global: &Global) -> anyhow::Result<Outcome> {
    let terminal = Arc::new(Terminal::new(global.quiet));
    let (repository, keyring) = repository::open_unlocked(&args.repo.repo, global, terminal.clone())?;
    let open = |text: &str| {
        let id = resolve_one(&repository, &keyring, text, args.lineage.as_deref())?;
        Opened::open(&repository, &keyring, id)
    };
    let (before, after) = (open(&args.from)?, open(&args.to)?);
    terminal.clear();
    let mut comparison = Comparison { out: Stream::new(global), is_read: true, counts: Counts::default() };
    let mounts = before.manifest.mounts.iter().chain(&after.manifest.mounts);
    let paths: BTreeSet<&str> = mounts.map(|mount| mount.path.as_str()).collect();
    for path in paths {
        comparison.mount(&before, &after, path)?;
    }
    let Comparison { out, counts, .. } = comparison;
    out.finish(|| match counts {
        Counts { added: 0, removed: 0, changed: 0 } => "no difference\n".to_owned(),
        Counts { added, removed, changed } => format!("{added} added, {removed} removed, {changed} changed\n"),
    })?;
    Ok(Outcome::Done)
}

/// A comparison under way.
struct Comparison {
    out: Stream,
    is_read: bool,
    counts: Counts,
}

impl Comparison {
    fn mount(&mut self, before: &Opened, after: &Opened, path: &str) -> anyhow::Result<()> {
        match (before.manifest.mount(path), after.manifest.mount(path)) {
            (Some(x), Some(y)) => self.trees(before, x, after, y).with_context(|| format!("{path} cannot be compared")),
            // A mount that only one of them has is one difference, however much is in it.
            (Some(x), None) => self.push("removed", path.as_bytes(), Vec::new(), Some(x.bytes), None),
            (None, Some(y)) => self.push("added", path.as_bytes(), Vec::new(), None, Some(y.bytes)),
            (None, None) => Ok(()),
        }
    }

    fn trees(&mut self, before: &Opened, x: &Mount, after: &Opened, y: &Mount) -> anyhow::Result<()> {
        let (left, right) = (before.reader(x)?, after.reader(y)?);
        let mut content = Contents { left: Side::new(left), right: Side::new(right) };
        let mut diff = Diff::new((x.root, Nodes(left.clone())), (y.root, Nodes(right.clone())));
        let path = |entry: &Entry| match entry.path.as_slice() {
            [] => x.path.clone().into_bytes(),
            inside => [x.path.as_bytes(), inside].join(&b'/'),
        };
        while self.is_read
            && let Some(change) = diff.next_change()?
        {
            match change {
                Change::Added(entry) => self.push("added", &path(&entry), Vec::new(), None, size(&entry))?,
                Change::Removed(entry) => self.push("removed", &path(&entry), Vec::new(), size(&entry), None)?,
                Change::Changed { before, after } => {
                    let what = content.what_changed(&before, &after)?;
                    if !what.is_empty() {
                        self.push("changed", &path(&after), what, size(&before), size(&after))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        change: &'static str,
        path: &[u8],
        what: Vec<&'static str>,
        size_before: Option<u64>,
        size_after: Option<u64>,
    ) -> anyhow::Result<()> {
        let (sign, count) = match change {
            "added" => ('+', &mut self.counts.added),
            "removed" => ('-', &mut self.counts.removed),
            _ => ('~', &mut self.counts.changed),
        };
        *count += 1;
        let line = Line { change, path: escape(path), what, size_before, size_after };
        self.is_read = self.out.push(&line, || match line.what.as_slice() {
            [] => format!("{sign} {}", line.path),
            what => format!("{sign} {}  ({})", line.path, what.join(", ")),
        })?;
        Ok(())
    }
}

fn size(entry: &Entry) -> Option<u64> {
    entry.kind.has_content().then_some(entry.size)
}

/// The contents of both sides, where ids alone do not tell whether they are equal.
struct Contents<'r> {
    left: Side<'r>,
    right: Side<'r>,
}

impl Contents<'_> {
    /// What a person would call changed. Inode numbers and times of metadata are not among it.
    fn what_changed(&mut self, before: &Entry, after: &Entry) -> anyhow::Result<Vec<&'static str>> {
        let (x, y) = (&before.meta, &after.meta);
        let differences = [
            (before.kind != after.kind, "kind"),
            (before.kind == after.kind && self.content_differs(before, after)?, "content"),
            (x.mode != y.mode, "mode"),
            ((x.uid, x.gid) != (y.uid, y.gid), "owner"),
            ((x.mtime_s, x.mtime_ns) != (y.mtime_s, y.mtime_ns), "time"),
            (before.xattrs != after.xattrs, "attributes"),
            ((&before.target, before.device) != (&after.target, after.device), "target"),
        ];
        Ok(differences.into_iter().filter(|(differs, _)| *differs).map(|(_, word)| word).collect())
    }

    fn content_differs(&mut self, before: &Entry, after: &Entry) -> anyhow::Result<bool> {
        if before.size != after.size || before.flags.unreadable != after.flags.unreadable {
            return Ok(true);
        }
        if let (Some(x), Some(y)) = (before.digest, after.digest) {
            return Ok(x != y);
        }
        if before.content == after.content {
            return Ok(false);
        }
        // Equal small files may lie in different bundles.
        match (before.content.as_slice(), after.content.as_slice()) {
            ([x @ Piece::Slice { .. }], [y @ Piece::Slice { .. }]) => Ok(self.left.slice(x)? != self.right.slice(y)?),
            _ => Ok(true),
        }
    }
}

/// One side's bundles. Neighbours share them, so the last one is kept.
struct Side<'r> {
    reader: &'r Reader,
    bundle: Option<(firn_format::BlobId, Vec<u8>)>,
}

impl<'r> Side<'r> {
    fn new(reader: &'r Reader) -> Self {
        Self { reader, bundle: None }
    }

    fn slice(&mut self, piece: &Piece) -> anyhow::Result<Option<&[u8]>> {
        let Piece::Slice { id, offset, len } = *piece else { return Ok(None) };
        if self.bundle.as_ref().is_none_or(|(kept, _)| *kept != id) {
            self.bundle = Some((id, self.reader.get(&id)?));
        }
        let bytes = self.bundle.as_ref().and_then(|(_, bytes)| bytes.get(offset as usize..)?.get(..len as usize));
        Ok(Some(bytes.context("a file lies beyond its bundle")?))
    }
}
