//! Sets what an entry says about owner, mode, attributes and times on an object that is held by a descriptor.

use std::os::fd::BorrowedFd;

use firn_format::tree::{Entry, EntryKind};
use rustix::fs::{AtFlags, CWD, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use crate::exception::{Exception, Reason};
use crate::privileges::{CAPABILITY, LeftOut, Privileges, is_label};
use crate::xattr::{Object, proc_path};

/// Set-user-id and set-group-id. On directories the latter is inheritance, not power.
pub(crate) const SET_ID: u32 = 0o6000;

/// Who restores, and what may be restored.
#[derive(Debug)]
pub(crate) struct Applier {
    pub(crate) privileges: Privileges,
    pub(crate) is_root: bool,
    pub(crate) left_out: LeftOut,
}

impl Applier {
    /// Gives `object` the metadata of `entry`, in the order in which nothing undoes or prevents another: owner (it clears
    /// set-id bits and capabilities), attributes (a mode without the right to write would not let an ordinary user set
    /// them), mode, times. Returns what could not be set.
    pub(crate) fn apply(&self, object: Object<'_>, entry: &Entry) -> Vec<Exception> {
        let mut exceptions = Vec::new();
        let owned = self.apply_owner(object, entry, &mut exceptions);
        self.apply_xattrs(object, entry, owned, &mut exceptions);
        if entry.kind != EntryKind::Symlink {
            self.apply_mode(object, entry, owned, &mut exceptions);
        }
        if let Err(errno) = set_mtime(object, entry) {
            exceptions.push(Exception::new(&*entry.path, Reason::Metadata, format!("cannot set times: {errno}")));
        }
        exceptions
    }

    /// The mode that an entry gets under the privileges in force.
    pub(crate) fn mode(&self, entry: &Entry) -> u32 {
        if entry.kind == EntryKind::Directory || self.privileges.set_id {
            entry.meta.mode
        } else {
            entry.meta.mode & !SET_ID
        }
    }

    /// Returns whether the owner is the entry's.
    fn apply_owner(&self, object: Object<'_>, entry: &Entry, exceptions: &mut Vec<Exception>) -> bool {
        let (owner, group) = (Uid::from_raw(entry.meta.uid), Gid::from_raw(entry.meta.gid));
        let result = match object {
            Object::Open(fd) => rustix::fs::fchown(fd, Some(owner), Some(group)),
            Object::Held(fd) => rustix::fs::chownat(fd, c"", Some(owner), Some(group), AtFlags::EMPTY_PATH),
        };
        match result {
            Ok(()) => true,
            Err(Errno::PERM) if !self.is_root => {
                self.left_out.count(Reason::Owner, owner_class(entry.kind), &entry.path);
                false
            }
            Err(errno) => {
                exceptions.push(Exception::new(&*entry.path, Reason::Owner, format!("cannot set owner: {errno}")));
                false
            }
        }
    }

    fn apply_mode(&self, object: Object<'_>, entry: &Entry, owned: bool, exceptions: &mut Vec<Exception>) {
        let mut mode = self.mode(entry);
        // The bit would lend the power of whoever restores, not of the owner that was meant.
        if !owned && entry.kind != EntryKind::Directory {
            mode &= !SET_ID;
        }
        if mode != entry.meta.mode {
            exceptions.push(Exception::new(&*entry.path, Reason::Privilege, "set-id bits were left out"));
        }
        let bits = Mode::from_raw_mode(mode);
        let result = match object {
            Object::Open(fd) => rustix::fs::fchmod(fd, bits),
            Object::Held(fd) => rustix::fs::chmodat(CWD, proc_path(fd), bits, AtFlags::empty()),
        };
        if let Err(errno) = result {
            exceptions.push(Exception::new(&*entry.path, Reason::Metadata, format!("cannot set mode: {errno}")));
        }
    }

    fn apply_xattrs(&self, object: Object<'_>, entry: &Entry, owned: bool, exceptions: &mut Vec<Exception>) {
        if let Err(errno) = self.remove_foreign_xattrs(object, entry) {
            let detail = format!("cannot remove extended attributes: {errno}");
            exceptions.push(Exception::new(&*entry.path, Reason::Xattr, detail));
        }
        for xattr in &entry.xattrs {
            if is_label(&xattr.name) && !self.privileges.labels {
                let what = "trusted and security attributes were left out";
                self.left_out.count(Reason::Privilege, what, &entry.path);
                continue;
            }
            if xattr.name == CAPABILITY && (!self.privileges.capabilities || !owned) {
                exceptions.push(Exception::new(&*entry.path, Reason::Privilege, "capabilities were left out"));
                continue;
            }
            if let Err(errno) = object.set(&xattr.name, &xattr.value) {
                let detail = format!("cannot set {}: {errno}", String::from_utf8_lossy(&xattr.name));
                exceptions.push(Exception::new(&*entry.path, Reason::Xattr, detail));
            }
        }
    }

    /// Whether `object` has the attributes that [`Applier::apply`] would give it, and no others that it would take away.
    pub(crate) fn has_xattrs(&self, object: Object<'_>, entry: &Entry) -> bool {
        let Privileges { labels, capabilities, .. } = self.privileges;
        let counts = |name: &[u8]| if is_label(name) { labels } else { name != CAPABILITY || capabilities };
        let Ok(mut there) = object.read() else { return false };
        // Labels that the machine gave stay.
        there.retain(|xattr| !is_label(&xattr.name) || entry.xattrs.iter().any(|wanted| wanted.name == xattr.name));
        there.retain(|xattr| counts(&xattr.name));
        there.iter().eq(entry.xattrs.iter().filter(|xattr| counts(&xattr.name)))
    }

    /// Takes away what the object has and the entry has not: attributes of an older state, ACLs inherited on creation.
    fn remove_foreign_xattrs(&self, object: Object<'_>, entry: &Entry) -> Result<(), Errno> {
        for name in object.names()? {
            let wanted = entry.xattrs.iter().any(|xattr| xattr.name == name);
            if !wanted && !is_label(&name) {
                object.remove(&name)?;
            }
        }
        Ok(())
    }
}

fn owner_class(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File | EntryKind::HardLink => "owners of files could not be set without root's rights",
        EntryKind::Directory => "owners of directories could not be set without root's rights",
        EntryKind::Symlink => "owners of symbolic links could not be set without root's rights",
        _ => "owners of special files could not be set without root's rights",
    }
}

fn set_mtime(object: Object<'_>, entry: &Entry) -> Result<(), Errno> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: entry.meta.mtime_s, tv_nsec: entry.meta.mtime_ns.into() },
    };
    match object {
        Object::Open(fd) => rustix::fs::futimens(fd, &times),
        Object::Held(fd) => set_mtime_held(fd, &times),
    }
}

fn set_mtime_held(fd: BorrowedFd<'_>, times: &Timestamps) -> Result<(), Errno> {
    rustix::fs::utimensat(fd, c"", times, AtFlags::EMPTY_PATH)
}
