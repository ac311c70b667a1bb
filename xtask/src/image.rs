//! Container images made of files of this machine: no registry, no daemon. The same files give the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

/// Packs a folder, or a program with the libraries it needs, into an archive for `ctr images import` and `docker load`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A folder that becomes the root, or a program that becomes the entry point
    from: PathBuf,
    /// The name of the image, with its tag
    name: String,
    /// The archive to write
    archive: PathBuf,
    /// What a container runs, once for each word [default: the program]
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    entrypoint: Vec<String>,
}

/// Makes one image and says what it is.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut entrypoint = arguments.entrypoint.clone();
    let tree = if arguments.from.is_dir() {
        Tree::of_folder(&arguments.from)?
    } else {
        let name = arguments.from.file_name().context("a program without a name")?;
        let path = Path::new("/usr/bin").join(name);
        if entrypoint.is_empty() {
            entrypoint.push(path.display().to_string());
        }
        let mut tree = Tree::default();
        tree.program(&path, &arguments.from)?;
        tree
    };
    let image = Image { name: &arguments.name, entrypoint, tree };
    let digest = image.pack(&arguments.archive)?;
    println!("{} in {}, configuration sha256:{digest}", arguments.name, arguments.archive.display());
    Ok(())
}

/// An image of one layer.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    /// With registry and tag: `registry.example.com/shop:1`.
    pub(crate) name: &'a str,
    /// What a container runs, word by word, unless its pod says otherwise.
    pub(crate) entrypoint: Vec<String>,
    pub(crate) tree: Tree,
}

/// The files of an image, by their absolute path in it. All belong to root and are as old as the epoch.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Sorted, so a folder comes before what lies in it.
    entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Debug)]
enum Entry {
    Folder { mode: u32 },
    File { source: PathBuf, mode: u32 },
    Link { target: PathBuf },
}

impl Tree {
    /// The folders, files and symbolic links that lie in a folder, with their modes; anything else is an error.
    pub(crate) fn of_folder(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        let mut open = vec![PathBuf::from("/")];
        while let Some(folder) = open.pop() {
            let here = root.join(folder.strip_prefix("/").context("a path that is not absolute")?);
            for entry in fs::read_dir(&here).with_context(|| format!("list {}", here.display()))? {
                let entry = entry.with_context(|| format!("list {}", here.display()))?;
                let (source, path) = (entry.path(), folder.join(entry.file_name()));
                let found = entry.metadata().with_context(|| format!("look at {}", source.display()))?;
                let mode = found.permissions().mode() & 0o7777;
                if found.is_dir() {
                    open.push(path.clone());
                    tree.add(&path, Entry::Folder { mode })?;
                } else if found.is_symlink() {
                    let target = fs::read_link(&source).with_context(|| format!("read {}", source.display()))?;
                    tree.link(&path, &target)?;
                } else if found.is_file() {
                    tree.add(&path, Entry::File { source, mode })?;
                } else {
                    bail!("{} is no folder, file or link", source.display());
                }
            }
        }
        Ok(tree)
    }

    /// A folder for anyone to write in, such as `/tmp`.
    pub(crate) fn open_folder(&mut self, path: &Path) -> Result<()> {
        self.add(path, Entry::Folder { mode: 0o1777 })
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, path: &Path, target: &Path) -> Result<()> {
        self.add(path, Entry::Link { target: target.to_owned() })
    }

    /// A program, and the shared libraries that it names, each where this machine has it.
    pub(crate) fn program(&mut self, path: &Path, source: &Path) -> Result<()> {
        self.add(path, Entry::File { source: source.to_owned(), mode: 0o755 })?;
        for library in libraries(source)? {
            self.add(&library, Entry::File { source: library.clone(), mode: 0o755 })?;
        }
        Ok(())
    }

    /// Adds an entry, and the folders above it that are not there yet.
    fn add(&mut self, path: &Path, entry: Entry) -> Result<()> {
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        let is_inside = path.strip_prefix("/").is_ok_and(|path| path.components().all(is_plain));
        ensure!(is_inside, "{} is no absolute path in an image", path.display());
        for folder in path.ancestors().skip(1).filter(|folder| *folder != Path::new("/")) {
            self.entries.entry(folder.to_owned()).or_insert(Entry::Folder { mode: 0o755 });
        }
        self.entries.insert(path.to_owned(), entry);
        Ok(())
    }

    /// Writes the layer.
    fn write(&self, to: impl Write) -> Result<()> {
        let mut layer = tar::Builder::new(to);
        for (path, entry) in &self.entries {
            let name = path.strip_prefix("/").context("a path that is not absolute")?;
            let written = match entry {
                Entry::Folder { mode } => {
                    layer.append_data(&mut header(EntryType::Directory, *mode, 0), name, io::empty())
                }
                Entry::Link { target } => layer.append_link(&mut header(EntryType::Symlink, 0o777, 0), name, target),
                Entry::File { source, mode } => {
                    let file = File::open(source).with_context(|| format!("open {}", source.display()))?;
                    let size = file.metadata().with_context(|| format!("look at {}", source.display()))?.len();
                    // A file that shrinks meanwhile must not become a layer that ends too early.
                    let mut contents = file.take(size);
                    let written = layer.append_data(&mut header(EntryType::Regular, *mode, size), name, &mut contents);
                    ensure!(contents.limit() == 0, "{} became shorter while it was read", source.display());
                    written
                }
            };
            written.with_context(|| format!("pack {}", path.display()))?;
        }
        layer.into_inner().context("end the layer")?.flush().context("write the layer")
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// The libraries that the loader would load for a program; none for a static one.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).env("LC_ALL", "C").output().context("start ldd")?;
    let (text, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if said.contains("not a dynamic executable") || text.contains("statically linked") {
        return Ok(Vec::new());
    }
    ensure!(output.status.success(), "ldd {}: {}", program.display(), said.trim());
    parse_ldd(&text).with_context(|| format!("libraries of {}", program.display()))
}

/// Reads `name => /path (0x…)` and, for the loader itself, `/path (0x…)`; what the kernel provides has no path.
fn parse_ldd(text: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in text.lines() {
        let place = line.split_once("=> ").map_or(line, |(_, place)| place).trim();
        ensure!(!place.starts_with("not found"), "{} is missing", line.trim());
        if place.starts_with('/') {
            found.push(PathBuf::from(place.rsplit_once(" (").map_or(place, |(path, _)| path)));
        }
    }
    Ok(found)
}

impl Image<'_> {
    /// Writes the archive, whole or not at all; gives the digest of the image's configuration.
    pub(crate) fn pack(&self, archive: &Path) -> Result<String> {
        let beside = |ending: &str| {
            let mut name = archive.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let (layer, draft) = (beside(".layer"), beside(".draft"));
        let packed = self.pack_by_way_of(&layer, &draft);
        // It is not there if it could not be made, which is the error to tell.
        let _gone = fs::remove_file(&layer);
        let digest = packed.with_context(|| format!("pack the image {}", self.name))?;
        fs::rename(&draft, archive).with_context(|| format!("write {}", archive.display()))?;
        Ok(digest)
    }

    fn pack_by_way_of(&self, layer: &Path, draft: &Path) -> Result<String> {
        let create =
            |path: &Path| File::create(path).map(BufWriter::new).with_context(|| format!("write {}", path.display()));
        let mut hashing = Hashing { to: create(layer)?, hash: Sha256::new() };
        self.tree.write(&mut hashing)?;
        let layer_digest = hex(hashing.hash);
        let mut file = File::open(layer).context("read the layer again")?;
        let size = file.metadata().context("look at the layer")?.len();

        let configuration = self.configuration(&layer_digest)?.to_string();
        let digest = hex(Sha256::new_with_prefix(&configuration));
        let layer_name = format!("{layer_digest}/layer.tar");
        let manifest = json!([{
            "Config": format!("{digest}.json"),
            "RepoTags": [self.name],
            "Layers": [layer_name],
        }])
        .to_string();

        let mut outer = tar::Builder::new(create(draft)?);
        let mut append = |name: &str, size: u64, contents: &mut dyn Read| {
            outer.append_data(&mut header(EntryType::Regular, 0o644, size), name, contents)
        };
        append("manifest.json", manifest.len() as u64, &mut manifest.as_bytes()).context("write the manifest")?;
        append(&format!("{digest}.json"), configuration.len() as u64, &mut configuration.as_bytes())
            .context("write the configuration")?;
        append(&layer_name, size, &mut file).context("write the layer")?;
        outer.into_inner().context("end the archive")?.flush().context("write the archive")?;
        Ok(digest)
    }

    fn configuration(&self, layer_digest: &str) -> Result<serde_json::Value> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => bail!("no image for {other} is known"),
        };
        Ok(json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "Env": ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        }))
    }
}

/// Hashes what is written through it.
struct Hashing<W> {
    to: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn hex(hash: Sha256) -> String {
    let mut text = String::new();
    for byte in hash.finalize() {
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("root/etc/deep")).expect("folders");
        fs::write(folder.path().join("root/etc/deep/file"), "contents").expect("a file");
        fs::write(folder.path().join("root/run"), "#!/bin/sh\n").expect("a file");
        fs::set_permissions(folder.path().join("root/run"), fs::Permissions::from_mode(0o4755)).expect("a mode");
        symlink("etc/deep", folder.path().join("root/way")).expect("a link");
        folder
    }

    fn pack(folder: &Path, name: &str) -> (String, Vec<u8>) {
        let tree = Tree::of_folder(&folder.join("root")).expect("a tree");
        let image = Image { name: "example.com/x:1", entrypoint: vec!["/run".to_owned()], tree };
        let digest = image.pack(&folder.join(name)).expect("packed");
        (digest, fs::read(folder.join(name)).expect("an archive"))
    }

    /// Name, mode and contents of each entry.
    fn entries(archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(archive);
        let read = archive.entries().expect("entries").map(|entry| {
            let mut entry = entry.expect("an entry");
            assert_eq!((entry.header().mtime().ok(), entry.header().uid().ok()), (Some(0), Some(0)));
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).expect("contents");
            let name = entry.path().expect("a path").display().to_string();
            (name, entry.header().mode().expect("a mode"), contents)
        });
        read.collect()
    }

    #[test]
    fn an_archive_says_what_lies_in_it() {
        let folder = folder();
        let (digest, archive) = pack(folder.path(), "one.tar");
        let outer = entries(&archive);
        let manifest: serde_json::Value = serde_json::from_slice(&outer[0].2).expect("a manifest");
        assert_eq!(manifest[0]["RepoTags"][0], "example.com/x:1");
        assert_eq!(manifest[0]["Config"], format!("{digest}.json"));
        assert_eq!(manifest[0]["Config"], outer[1].0.as_str());
        assert_eq!(digest, hex(Sha256::new_with_prefix(&outer[1].2)));
        assert_eq!(manifest[0]["Layers"][0], outer[2].0.as_str());
        let configuration: serde_json::Value = serde_json::from_slice(&outer[1].2).expect("a configuration");
        let layer = hex(Sha256::new_with_prefix(&outer[2].2));
        assert_eq!(configuration["rootfs"]["diff_ids"][0], format!("sha256:{layer}"));

        let files = entries(&outer[2].2);
        let names: Vec<_> = files.iter().map(|(name, ..)| name.trim_end_matches('/')).collect();
        assert_eq!(names, ["etc", "etc/deep", "etc/deep/file", "run", "way"]);
        assert_eq!(files[2].2, b"contents");
        assert_eq!(files[3].1, 0o4755);
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let folder = folder();
        let first = pack(folder.path(), "one.tar");
        let later = File::options().write(true).open(folder.path().join("root/run")).expect("a file");
        later.set_modified(std::time::UNIX_EPOCH).expect("another time");
        assert!(first == pack(folder.path(), "two.tar"));
        fs::write(folder.path().join("root/run"), "#!/bin/sh\n\n").expect("other contents");
        assert!(first.0 != pack(folder.path(), "two.tar").0);
        let left: Vec<_> =
            fs::read_dir(folder.path()).expect("a list").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }

    #[test]
    fn what_an_image_cannot_hold_is_refused() {
        let mut tree = Tree::default();
        for path in ["etc/file", "/etc/../file", "../file"] {
            assert!(tree.link(Path::new(path), Path::new("x")).is_err(), "{path}");
        }
        let folder = folder();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("root/socket")).expect("a socket");
        assert!(Tree::of_folder(&folder.path().join("root")).is_err());
    }

    #[test]
    fn libraries_are_read_from_what_the_loader_says() {
        let text = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\t/lib64/ld.so (0x3)\n";
        assert_eq!(parse_ldd(text).expect("libraries"), [Path::new("/lib/libc.so.6"), Path::new("/lib64/ld.so")]);
        assert!(parse_ldd("\tlibx.so => not found\n").is_err());
    }
}
