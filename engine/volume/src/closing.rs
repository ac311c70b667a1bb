//! The last pass of a restore: links and special files, then each directory's metadata when the pass leaves it.

use std::os::fd::{AsFd, OwnedFd};

use firn_format::tree::{Entry, EntryKind, is_below};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, makedev};
use rustix::io::Errno;

use crate::beneath::{device_number, identity, open_at, path_fault, split_name, stat_at, stat_fd};
use crate::error::VolumeError;
use crate::exception::{Exception, Reason};
use crate::target::{PLANTED_MAX, Target, kind_of, planted};
use crate::xattr::Object;

/// Takes all entries of the tree in order. Made by [`Target::close`].
#[derive(Debug)]
pub struct Closing {
    target: Target,
    /// Directories that the pass is in, outermost first, as entries without content.
    directories: Vec<Entry>,
}

impl Closing {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, directories: Vec::new() }
    }

    /// Takes the next entry in tree order: makes a link, FIFO or device, enters a directory, passes over a file.
    /// Directories that are left by this step get their metadata. Returns what could not be restored.
    pub fn push(&mut self, entry: &Entry) -> Result<Vec<Exception>, VolumeError> {
        let mut exceptions = Vec::new();
        while let Some(directory) = self.directories.pop_if(|directory| !is_below(&entry.path, &directory.path)) {
            self.leave(&directory, &mut exceptions)?;
        }
        let result = match entry.kind {
            EntryKind::File => Ok(Vec::new()),
            EntryKind::Directory => {
                self.directories.push(entry.clone());
                Ok(Vec::new())
            }
            EntryKind::Symlink => self.symlink(entry),
            EntryKind::HardLink => self.hard_link(entry).map(|()| Vec::new()),
            EntryKind::Fifo => self.special(entry, FileType::Fifo),
            EntryKind::CharDevice => self.device(entry, FileType::CharacterDevice),
            EntryKind::BlockDevice => self.device(entry, FileType::BlockDevice),
            EntryKind::Socket => Err(VolumeError::entry(&entry.path, Reason::Socket, "sockets are not restored")),
            EntryKind::Object | EntryKind::BlockVolume => {
                Err(VolumeError::entry(&entry.path, Reason::Name, "not a part of a file tree"))
            }
        };
        note(result, &mut exceptions)?;
        Ok(exceptions)
    }

    /// Leaves the directories that are left, the root last.
    pub fn done(mut self) -> Result<Vec<Exception>, VolumeError> {
        let mut exceptions = Vec::new();
        while let Some(directory) = self.directories.pop() {
            self.leave(&directory, &mut exceptions)?;
        }
        Ok(exceptions)
    }

    fn leave(&self, directory: &Entry, exceptions: &mut Vec<Exception>) -> Result<(), VolumeError> {
        note(self.finish_directory(directory), exceptions)
    }

    fn finish_directory(&self, entry: &Entry) -> Result<Vec<Exception>, VolumeError> {
        if let Some(fault) = path_fault(&entry.path) {
            return Err(VolumeError::entry(&entry.path, Reason::Name, fault));
        }
        let fd = self.target.beneath().open_dir(&entry.path);
        let fd = fd.map_err(|errno| VolumeError::writing("open directory", &entry.path, errno))?;
        Ok(self.target.applier().apply(Object::Open(fd.as_fd()), entry))
    }

    fn symlink(&self, entry: &Entry) -> Result<Vec<Exception>, VolumeError> {
        let make = |dir: &OwnedFd, name: &[u8]| rustix::fs::symlinkat(&*entry.target, dir, name);
        let fd =
            self.place(entry, make, |fd| Ok(rustix::fs::readlinkat(fd, c"", Vec::new())?.as_bytes() == entry.target))?;
        Ok(self.target.applier().apply(Object::Held(fd.as_fd()), entry))
    }

    fn device(&self, entry: &Entry, kind: FileType) -> Result<Vec<Exception>, VolumeError> {
        if !self.target.applier().privileges.devices {
            return Err(VolumeError::entry(&entry.path, Reason::Device, "devices are left out"));
        }
        self.special(entry, kind)
    }

    fn special(&self, entry: &Entry, kind: FileType) -> Result<Vec<Exception>, VolumeError> {
        let device = makedev((entry.device >> 32) as u32, entry.device as u32);
        let make = |dir: &OwnedFd, name: &[u8]| rustix::fs::mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, device);
        // A node with a second name would take its new owner and mode there too.
        let is_it = |fd: &OwnedFd| {
            let stat = stat_fd(fd.as_fd())?;
            Ok(device_number(&stat) == entry.device && stat.stx_nlink == 1)
        };
        let fd = self.place(entry, make, is_it)?;
        Ok(self.target.applier().apply(Object::Held(fd.as_fd()), entry))
    }

    /// Makes an object with `make` and holds it; one that stands there and is right is kept. Only what was held and
    /// looked at gets metadata: between making and holding anything may have been put in its place.
    fn place(
        &self,
        entry: &Entry,
        make: impl Fn(&OwnedFd, &[u8]) -> Result<(), Errno>,
        is_it: impl Fn(&OwnedFd) -> Result<bool, Errno>,
    ) -> Result<OwnedFd, VolumeError> {
        let (dir, name) = self.target.parent(&entry.path)?;
        for _ in 0..PLANTED_MAX {
            match make(&dir, name) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(VolumeError::writing("make", &entry.path, errno)),
            }
            match open_at(dir.as_fd(), name, OFlags::PATH, Mode::empty()) {
                Ok(fd) => {
                    let checked =
                        stat_fd(fd.as_fd()).and_then(|stat| Ok(kind_of(&stat) == Some(entry.kind) && is_it(&fd)?));
                    match checked {
                        Ok(true) => return Ok(fd),
                        Ok(false) => self.target.clear_way(&dir, name, &entry.path)?,
                        Err(errno) => return Err(VolumeError::writing("look at", &entry.path, errno)),
                    }
                }
                Err(Errno::NOENT) => {}
                Err(Errno::XDEV) => {
                    return Err(VolumeError::entry(
                        &entry.path,
                        Reason::Occupied,
                        "another file system is mounted here",
                    ));
                }
                Err(errno) => return Err(VolumeError::writing("hold", &entry.path, errno)),
            }
        }
        Err(planted(&entry.path))
    }

    /// Gives the file at the entry's target a further name, through a descriptor of that file.
    fn hard_link(&self, entry: &Entry) -> Result<(), VolumeError> {
        let first = self.first_name(entry)?;
        let (dir, name) = self.target.parent(&entry.path)?;
        for _ in 0..PLANTED_MAX {
            match self.link(&first, entry, &dir, name) {
                Ok(()) => {}
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(VolumeError::writing("link", &entry.path, errno)),
            }
            match stat_at(dir.as_fd(), name) {
                Ok(stat) if identity(&stat) == first.identity => return Ok(()),
                Ok(_) => self.target.clear_way(&dir, name, &entry.path)?,
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(VolumeError::writing("stat", &entry.path, errno)),
            }
        }
        Err(planted(&entry.path))
    }

    /// Holds the file that the link is to name, if it is what was restored there.
    fn first_name(&self, entry: &Entry) -> Result<First, VolumeError> {
        if entry.target.is_empty() || path_fault(&entry.target).is_some() {
            return Err(VolumeError::entry(&entry.path, Reason::Name, "hard link to a path that cannot be"));
        }
        let fd = self.target.beneath().open_path(&entry.target, OFlags::PATH);
        let fd = fd.map_err(|errno| VolumeError::writing("find the first name of", &entry.path, errno))?;
        let stat =
            stat_fd(fd.as_fd()).map_err(|errno| VolumeError::writing("stat the first name of", &entry.path, errno))?;
        // Both names carry the metadata of one file. Owner and mode may have been left out; the time was not.
        let restored = kind_of(&stat).is_some_and(|kind| kind != EntryKind::Directory)
            && stat.stx_mtime.tv_sec == entry.meta.mtime_s;
        if !restored {
            return Err(VolumeError::entry(
                &entry.path,
                Reason::Hostile,
                "its first name is not the file restored there",
            ));
        }
        Ok(First { identity: identity(&stat), fd })
    }

    fn link(&self, first: &First, entry: &Entry, dir: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        match rustix::fs::linkat(&first.fd, c"", dir, name, AtFlags::EMPTY_PATH) {
            // Needs a right that containers often lack. By name then, following nothing; the caller compares inodes.
            Err(Errno::NOENT | Errno::PERM) => {
                let (first_dir, first_name) = split_name(&entry.target);
                let first_dir = self.target.beneath().open_dir(first_dir)?;
                rustix::fs::linkat(first_dir, first_name, dir, name, AtFlags::empty())
            }
            result => result,
        }
    }
}

/// The file behind a hard link.
#[derive(Debug)]
struct First {
    fd: OwnedFd,
    identity: (u64, u64),
}

/// Keeps what concerns one entry, passes on what concerns all.
fn note(result: Result<Vec<Exception>, VolumeError>, exceptions: &mut Vec<Exception>) -> Result<(), VolumeError> {
    match result {
        Ok(more) => exceptions.extend(more),
        Err(VolumeError::Entry(exception)) => exceptions.push(exception),
        Err(error) => return Err(error),
    }
    Ok(())
}
