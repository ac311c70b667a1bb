//! Place: the folder that a volume comes back into. Nothing is followed on the way to it, and other data in it is left alone.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use firn_format::PointId;
use firn_format::manifest::Mount;
use firn_format::tree::{EntryKind, TreeReader, is_below};
use firn_repo::Nodes;
use firn_volume::{Privileges, Standing, Target, VolumeError};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::point::Opened;

/// The folder beside the volumes that says which of them are being filled. No namespace has such a name.
const BEGUN: &str = ".firn-restoring";

/// Rules of every step below the base.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// How often a look-up that raced with a rename is tried.
const RACES_MAX: u32 = 128;

/// Where a volume's contents go.
pub struct Place {
    /// The folder that the operator named; links in its own path are followed.
    base: PathBuf,
    /// The folder of all volumes below it; empty if it is that one itself.
    volumes: &'static str,
    namespace: String,
    claim: String,
}

impl Place {
    /// `base` and, below it and below `volumes`, a folder for the namespace with one for the claim, as they are called there.
    pub fn new(base: PathBuf, volumes: &'static str, namespace: &str, claim: &str) -> Self {
        Self { base, volumes, namespace: namespace.to_owned(), claim: claim.to_owned() }
    }

    /// Makes the folder if needed, notes that `point`'s `path` is being restored there, and opens it. Until
    /// [`Place::finish`] the same restore may go on in it, whatever it holds.
    ///
    /// # Errors
    /// A link or a file in the way.
    pub fn begin(&self, point: PointId, path: &str) -> io::Result<Folder> {
        std::fs::create_dir_all(&self.base)?;
        let folder = make(&self.base, &[self.volumes, &self.namespace, &self.claim])?;
        let notes = make(&self.base, &[self.volumes, BEGUN, &self.namespace])?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let note = open_at(&notes, &self.claim, flags, Mode::RUSR | Mode::WUSR)?;
        rustix::io::write(&note, text(point, path).as_bytes())?;
        rustix::fs::fsync(&note)?;
        rustix::fs::fsync(&notes)?;
        Ok(Folder(folder))
    }

    /// Ends what [`Place::begin`] began.
    pub fn finish(&self) -> io::Result<()> {
        let Some(notes) = find(&self.base, &[self.volumes, BEGUN, &self.namespace])? else { return Ok(()) };
        rustix::fs::unlinkat(&notes, &*self.claim, AtFlags::empty())?;
        rustix::fs::fsync(&notes)?;
        // Others may still need these.
        for (above, name) in [(&[self.volumes, BEGUN][..], self.namespace.as_str()), (&[self.volumes], BEGUN)] {
            if let Some(above) = find(&self.base, above)? {
                let _left = rustix::fs::unlinkat(&above, name, AtFlags::REMOVEDIR);
            }
        }
        Ok(())
    }

    /// Why the volume must not be written there, if so: what stands there is neither a part of it nor an interrupted restore
    /// of the same path of the same point. Times and sizes are compared, not bytes.
    pub fn in_the_way(&self, point: &Opened, mount: &Mount, path: &str) -> anyhow::Result<Option<String>> {
        let shown = self.base.join(self.volumes).join(&self.namespace).join(&self.claim);
        let found = match find(&self.base, &[self.volumes, &self.namespace, &self.claim]) {
            Ok(Some(found)) => Folder(found),
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(format!("{} cannot be entered: {error}", shown.display()))),
        };
        let is_empty = || Ok::<_, io::Error>(std::fs::read_dir(found.path())?.next().is_none());
        if is_empty().with_context(|| format!("cannot read {}", shown.display()))? || self.is_begun(point.id, path) {
            return Ok(None);
        }
        let why = |what: &str| Some(format!("{} holds other data ({what}); left as it is", shown.display()));
        match differing(point, mount, path, &found) {
            Ok(None) => Ok(None),
            Ok(Some(path)) => Ok(why(&format!("such as {path}"))),
            Err(error) => Ok(why(&format!("it could not be compared: {error:#}"))),
        }
    }

    fn is_begun(&self, point: PointId, path: &str) -> bool {
        let Ok(Some(notes)) = find(&self.base, &[self.volumes, BEGUN, &self.namespace]) else { return false };
        let Ok(note) = open_at(&notes, &self.claim, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()) else {
            return false;
        };
        let wanted = text(point, path);
        let mut found = vec![0; wanted.len() + 1];
        rustix::io::read(&note, &mut found[..]).is_ok_and(|len| found[..len] == *wanted.as_bytes())
    }
}

/// An open folder.
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens a folder below `base`, and makes what is missing of it.
    ///
    /// # Errors
    /// A link or a file in the way.
    pub fn make(base: &Path, below: &[&str]) -> io::Result<Self> {
        make(base, below).map(Self)
    }

    /// A path that leads to this very folder as long as it is open, whatever is put in its place.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

fn text(point: PointId, path: &str) -> String {
    format!("{} {path}\n", point.hex())
}

/// The first entry at and below `path` in whose place something else stands.
fn differing(point: &Opened, mount: &Mount, path: &str, folder: &Folder) -> anyhow::Result<Option<String>> {
    let target = Target::create(&folder.path(), Privileges::default())?;
    let mut tree = TreeReader::new(mount.root, Nodes(point.reader(mount)?.clone()));
    tree.seek(path.as_bytes())?;
    while let Some(entry) = tree.next_entry()? {
        if !path.is_empty() && entry.path != path.as_bytes() && !is_below(&entry.path, path.as_bytes()) {
            break;
        }
        let is_other = match entry.kind {
            // A folder is no data; what is none stands in the way.
            EntryKind::Directory => is_no_folder(folder, &entry.path),
            _ => match target.compare(entry) {
                Ok(standing) => standing == Standing::Different,
                Err(VolumeError::Entry(_)) => true,
                Err(error) => return Err(error.into()),
            },
        };
        if is_other {
            return Ok(Some(String::from_utf8_lossy(&entry.path).into_owned()));
        }
    }
    Ok(None)
}

fn is_no_folder(folder: &Folder, path: &[u8]) -> bool {
    if path.is_empty() {
        return false;
    }
    let opened = rustix::fs::openat2(
        &folder.0,
        path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY,
        Mode::empty(),
        RESOLVE,
    );
    matches!(opened, Err(Errno::NOTDIR | Errno::LOOP))
}

/// Opens a folder below `base`; `None` if there is none.
fn find(base: &Path, below: &[&str]) -> io::Result<Option<OwnedFd>> {
    walk(base, below, false)
}

/// Opens a folder below `base`, and makes what is missing of it.
fn make(base: &Path, below: &[&str]) -> io::Result<OwnedFd> {
    walk(base, below, true)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn walk(base: &Path, below: &[&str], makes: bool) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = match rustix::fs::openat(CWD, base, flags, Mode::empty()) {
        Ok(base) => base,
        Err(Errno::NOENT) if !makes => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    for name in below.iter().flat_map(|part| part.split('/')).filter(|name| !name.is_empty()) {
        if makes {
            match rustix::fs::mkdirat(&at, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        at = match open_at(&at, name, flags, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::NOENT) if !makes => return Ok(None),
            Err(Errno::LOOP) => return Err(io::Error::other(format!("{name} is a link, which is not followed"))),
            Err(errno) => return Err(errno.into()),
        };
    }
    Ok(Some(at))
}

fn open_at(dir: &OwnedFd, name: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    for _ in 0..RACES_MAX {
        match rustix::fs::openat2(dir, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, mode, RESOLVE) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}
