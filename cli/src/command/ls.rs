//! `firn ls`: what a recovery point holds.

use std::sync::Arc;

use anyhow::Context as _;
use firn_format::PointId;
use firn_format::manifest::{Manifest, Mount, MountKind};
use firn_format::tree::{Entry, EntryKind, TreeReader, is_below};
use firn_repo::Nodes;
use serde::Serialize;

use crate::args::{self, Global};
use crate::outcome::{Outcome, usage};
use crate::output::Stream;
use crate::path_text::{escape, shorten, unescape};
use crate::point::{Opened, resolve_all};
use crate::terminal::Terminal;
use crate::{output, repository};

/// One line: a mount, a directory, a file, an object. Names that are not UTF-8 have their bytes as `\xNN`.
#[derive(Serialize)]
struct Line {
    /// The point, where several are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    point: Option<String>,
    path: String,
    kind: &'static str,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistency: Option<firn_format::Consistency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    /// Of a mount: when it was cut.
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// `changed`, `unreadable`, `carried`: what happened while it was captured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<&'static str>,
}

/// Lists what lies at a path of a point.
pub fn run(args: &args::Ls, global: &Global) -> anyhow::Result<Outcome> {
    let terminal = Arc::new(Terminal::new(global.quiet));
    let (repository, keyring) = repository::open_unlocked(&args.repo.repo, global, terminal.clone())?;
    let ids = resolve_all(&repository, &keyring, &args.point)?;
    terminal.clear();
    let path = unescape(args.path.trim_matches('/'));
    let mut listing = Listing { out: Stream::new(global), is_read: true, found: false, point: None };
    for id in &ids {
        let point = Opened::open(&repository, &keyring, *id)?;
        if ids.len() > 1 {
            listing.head(&point, global)?;
        }
        listing.point(&point, &path, args.recursive)?;
    }
    // A point without a mount has an empty root.
    if !listing.found && !path.is_empty() {
        let points: Vec<_> = ids.iter().map(PointId::short).collect();
        let (points, path) = (points.join(", "), escape(&path));
        return Err(usage(format!("point {points} has nothing at {}; `firn ls` lists what it has", shorten(&path))));
    }
    listing.out.finish(String::new)?;
    Ok(Outcome::Done)
}

/// The mount that `path` is or lies in.
fn mount_of<'m>(manifest: &'m Manifest, path: &[u8]) -> Option<&'m Mount> {
    let holds = |mount: &&Mount| mount.path.as_bytes() == path || is_below(path, mount.path.as_bytes());
    manifest.mounts.iter().find(holds)
}

/// A listing under way.
struct Listing {
    out: Stream,
    is_read: bool,
    found: bool,
    /// Which it is, where there are several.
    point: Option<PointId>,
}

impl Listing {
    /// Another point begins.
    fn head(&mut self, point: &Opened, global: &Global) -> anyhow::Result<()> {
        self.point = Some(point.id);
        if global.output == args::Output::Table && self.is_read {
            let Manifest { cluster_name, policy, .. } = &point.manifest;
            let text = || output::clean(&format!("point {} of {cluster_name}/{policy}:", point.id.short()));
            self.is_read = self.out.push(&(), text)?;
        }
        Ok(())
    }

    /// What a point has at a path.
    fn point(&mut self, point: &Opened, path: &[u8], recursive: bool) -> anyhow::Result<()> {
        if let Some(mount) = mount_of(&point.manifest, path) {
            let inside = path.get(mount.path.len() + 1..).unwrap_or_default();
            return self.tree(point, mount, inside, recursive);
        }
        for mount in point.manifest.mounts.iter().filter(|mount| is_below(mount.path.as_bytes(), path)) {
            self.mount(mount)?;
            if recursive {
                self.tree(point, mount, b"", true)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, mut line: Line, name: &str) -> anyhow::Result<()> {
        self.found = true;
        line.point = self.point.map(|point| point.hex());
        if self.is_read {
            self.is_read = self.out.push(&line, || long(&line, name))?;
        }
        Ok(())
    }

    fn mount(&mut self, mount: &Mount) -> anyhow::Result<()> {
        let line = mount_line(mount);
        let name = match mount.kind {
            MountKind::Objects => format!("{}/  ({} objects)", line.path, mount.entries),
            MountKind::Files => format!("{}/  ({} entries, {})", line.path, mount.entries, consistency(mount)),
            MountKind::Block => format!("{}  ({})", line.path, consistency(mount)),
        };
        self.push(line, &name)
    }

    /// What lies at `inside` of a mount's tree: an entry, or what a directory holds.
    fn tree(&mut self, point: &Opened, mount: &Mount, inside: &[u8], recursive: bool) -> anyhow::Result<()> {
        let mut tree = TreeReader::new(mount.root, Nodes(point.reader(mount)?.clone()));
        let damaged = || format!("{} cannot be read to its end", mount.path);
        let entry = tree.lookup(inside).with_context(damaged)?;
        // The mount itself is there even if nothing is in it.
        self.found |= entry.is_some() || inside.is_empty();
        if let Some(entry) = entry.filter(|entry| entry.kind != EntryKind::Directory) {
            return self.entry(mount, &entry, entry.name());
        }
        if recursive {
            tree.seek(inside).with_context(damaged)?;
            while let Some(entry) = tree.next_entry().with_context(damaged)? {
                if entry.path != inside && !is_below(&entry.path, inside) {
                    break;
                }
                if entry.path != inside && self.is_read {
                    let shown = [mount.path.as_bytes(), &entry.path].join(&b'/');
                    self.entry(mount, entry, &shown)?;
                }
            }
            return Ok(());
        }
        let mut children = tree.list(inside).with_context(damaged)?;
        while let Some(child) = children.next_child().with_context(damaged)? {
            let path = if inside.is_empty() { child.name.clone() } else { [inside, &child.name].join(&b'/') };
            // What only shows in the paths below it is a directory about which nothing else is known.
            let entry = child.entry.unwrap_or_else(|| Entry::new(path, EntryKind::Directory));
            self.entry(mount, &entry, &child.name)?;
        }
        Ok(())
    }

    fn entry(&mut self, mount: &Mount, entry: &Entry, name: &[u8]) -> anyhow::Result<()> {
        let line = entry_line(mount, entry);
        let mut name = escape(name);
        match entry.kind {
            EntryKind::Directory => name.push('/'),
            EntryKind::Symlink => name += &format!(" -> {}", escape(&entry.target)),
            EntryKind::HardLink => name += &format!(" = {}", escape(&entry.target)),
            _ => {}
        }
        if !line.flags.is_empty() {
            name += &format!("  ({})", line.flags.join(", "));
        }
        self.push(line, &name)
    }
}

fn consistency(mount: &Mount) -> String {
    let word = format!("{:?}", mount.consistency).to_lowercase();
    if mount.stale { format!("{word}, carried from an earlier point") } else { word }
}

fn mount_line(mount: &Mount) -> Line {
    Line {
        point: None,
        path: escape(mount.path.as_bytes()),
        kind: match mount.kind {
            MountKind::Objects => "objects",
            MountKind::Files => "files",
            MountKind::Block => "block",
        },
        size: mount.bytes,
        entries: Some(mount.entries),
        consistency: Some(mount.consistency),
        mode: None,
        uid: None,
        gid: None,
        time: output::time(mount.cut_ms),
        target: None,
        flags: if mount.stale { vec!["carried"] } else { Vec::new() },
    }
}

fn entry_line(mount: &Mount, entry: &Entry) -> Line {
    let has_meta = mount.kind == MountKind::Files && *entry != Entry::new(entry.path.clone(), entry.kind);
    let flags =
        [(entry.flags.changed, "changed"), (entry.flags.unreadable, "unreadable"), (entry.flags.carried, "carried")];
    let path = if entry.path.is_empty() {
        mount.path.clone().into_bytes()
    } else {
        [mount.path.as_bytes(), &entry.path].join(&b'/')
    };
    Line {
        point: None,
        path: escape(&path),
        kind: kind(entry.kind),
        size: entry.size,
        entries: None,
        consistency: None,
        mode: has_meta.then(|| format!("{:04o}", entry.meta.mode)),
        uid: has_meta.then_some(entry.meta.uid),
        gid: has_meta.then_some(entry.meta.gid),
        time: if has_meta { time(entry) } else { None },
        target: (!entry.target.is_empty()).then(|| escape(&entry.target)),
        flags: flags.into_iter().filter(|(set, _)| *set).map(|(_, word)| word).collect(),
    }
}

fn time(entry: &Entry) -> Option<String> {
    let nanoseconds = i32::try_from(entry.meta.mtime_ns).ok()?;
    Some(jiff::Timestamp::new(entry.meta.mtime_s, nanoseconds).ok()?.to_string())
}

fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Symlink => "symlink",
        EntryKind::HardLink => "hardlink",
        EntryKind::Fifo => "fifo",
        EntryKind::CharDevice => "char-device",
        EntryKind::BlockDevice => "block-device",
        EntryKind::Socket => "socket",
        EntryKind::Object => "object",
        EntryKind::BlockVolume => "block-volume",
    }
}

/// Mode, size, time, name.
fn long(line: &Line, name: &str) -> String {
    let first = match line.kind {
        "directory" | "objects" | "files" => 'd',
        "symlink" => 'l',
        "hardlink" => 'h',
        "fifo" => 'p',
        "char-device" => 'c',
        "block-device" | "block-volume" | "block" => 'b',
        "socket" => 's',
        "object" => 'o',
        _ => '-',
    };
    let mode = line.mode.as_deref().and_then(|mode| u32::from_str_radix(mode, 8).ok());
    let has_size = matches!(line.kind, "file" | "object" | "block-volume" | "objects" | "files" | "block");
    let size = if has_size { output::bytes(line.size) } else { "-".to_owned() };
    // RFC 3339 to the minute: a point is searched by eye here, and compared by `-o json`.
    let time = line.time.as_deref().map_or("-".to_owned(), |time| time.chars().take(16).collect::<String>() + "Z");
    format!("{first}{:9} {size:>10} {time:17} {name}", mode.map_or_else(|| "-".repeat(9), permissions))
}

fn permissions(mode: u32) -> String {
    let mut text: Vec<char> =
        (0..9).map(|bit| if mode >> (8 - bit) & 1 == 1 { ['r', 'w', 'x'][bit % 3] } else { '-' }).collect();
    for (at, bit, letter) in [(2, 0o4000, 's'), (5, 0o2000, 's'), (8, 0o1000, 't')] {
        if mode & bit != 0 {
            text[at] = if text[at] == 'x' { letter } else { letter.to_ascii_uppercase() };
        }
    }
    text.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_read_as_ls_writes_them() {
        let shown: Vec<_> = [0o755, 0o4711, 0o2640, 0o1777, 0o1776, 0].map(permissions).into();
        assert_eq!(shown, ["rwxr-xr-x", "rws--x--x", "rw-r-S---", "rwxrwxrwt", "rwxrwxrwT", "---------"]);
    }
}
