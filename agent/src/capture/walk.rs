//! Walk: the thread that goes through the volume, takes over what is unchanged and hands out what must be read.

use crossbeam_channel::Sender;
use firn_format::chunk::{BUNDLE_BYTES_MAX, BUNDLED_FILE_BYTES_MAX};
use firn_format::tree::EntryKind;
use firn_repo::Writer;
use firn_volume::{Found, Seen, VolumeError};

use crate::capture::lane::{Job, Ready, Shared, Task, What};
use crate::capture::parent::Parent;
use crate::capture::volume::Window;
use crate::error::AgentError;

/// Files in one bundle at most: even of empty ones a lane should not be busy for long.
const BUNDLE_FILES_MAX: usize = 1024;

/// Where the walk sends what it finds.
pub(crate) struct Walk<'a> {
    pub(crate) shared: &'a Shared<'a>,
    pub(crate) writer: &'a Writer,
    pub(crate) parent: Option<Parent>,
    pub(crate) window: &'a Window,
    pub(crate) jobs: Sender<Job>,
    pub(crate) ready: Sender<Ready>,
    pub(crate) bundle: Vec<Task>,
    pub(crate) bundle_bytes: u64,
    pub(crate) number: u64,
}

/// The receiving side is gone: it says why.
struct Gone;

impl Walk<'_> {
    /// Goes through the whole volume.
    pub(crate) fn run(mut self) -> Result<(), AgentError> {
        for seen in self.shared.source.walk() {
            if self.shared.progress.stopping() {
                return Err(AgentError::Stopped);
            }
            let seen = seen.map_err(|source| self.volume(source))?;
            let step = match seen {
                Seen::Exception(exception) => {
                    self.shared.exceptions.volume(&exception);
                    Ok(())
                }
                Seen::Found(found) => self.found(found)?,
            };
            if step.is_err() || !self.keep_in_window() {
                return Ok(());
            }
        }
        // If nobody listens any more, the collector says why.
        let _ = self.send_bundle();
        Ok(())
    }

    /// Waits while too much is under way. What is held back here is sent first, since others may wait for it.
    fn keep_in_window(&mut self) -> bool {
        (self.window.has_room(self.number) || self.send_bundle().is_ok()) && self.window.wait(self.number)
    }

    fn volume(&self, source: VolumeError) -> AgentError {
        AgentError::Volume { name: self.shared.name.to_owned(), source }
    }

    fn found(&mut self, mut found: Found) -> Result<Result<(), Gone>, AgentError> {
        let number = self.number;
        self.number += 1;
        if found.entry.kind == EntryKind::HardLink {
            return Ok(self.send(number, What::Later(found)));
        }
        let old = self.look_up(&found);
        let mut attributes_known = false;
        if let (Some(old), Some(parent)) = (&old, &mut self.parent) {
            attributes_known = parent.same_attributes(old, &found.entry);
            if attributes_known {
                found.entry.xattrs.clone_from(&old.xattrs);
            }
            if found.entry.kind == EntryKind::File {
                if !(parent.same_content(old, &found.entry) && parent.refer(self.writer, old)) {
                    return Ok(self.send_file(Task { number, found, rule: old.chunker }));
                }
                found.entry.content.clone_from(&old.content);
                found.entry.chunker = old.chunker;
            }
        } else if found.entry.kind == EntryKind::File {
            return Ok(self.send_file(Task { number, found, rule: None }));
        }
        if !attributes_known {
            self.read_xattrs(&mut found)?;
        }
        let names = found.names;
        Ok(self.send(number, What::Entry(found.entry, names)))
    }

    /// The parent's entry. A parent that cannot be read is given up, and everything is read afresh.
    fn look_up(&mut self, found: &Found) -> Option<firn_format::tree::Entry> {
        match self.parent.as_mut()?.at(&found.entry.path) {
            Ok(entry) => entry,
            Err(error) => {
                let text = format!("the tree of the point before cannot be read ({error}); all of it is read again");
                self.shared.progress.note(&text);
                self.parent = None;
                None
            }
        }
    }

    fn read_xattrs(&self, found: &mut Found) -> Result<(), AgentError> {
        match self.shared.source.read_xattrs(found) {
            Ok(xattrs) => found.entry.xattrs = xattrs,
            Err(VolumeError::Entry(exception)) => {
                self.shared.exceptions.volume(&exception);
                found.entry.flags.attributes_incomplete = true;
            }
            Err(other) => return Err(self.volume(other)),
        }
        Ok(())
    }

    fn send(&self, number: u64, what: What) -> Result<(), Gone> {
        self.ready.send(Ready { number, what }).map_err(|_| Gone)
    }

    fn send_file(&mut self, task: Task) -> Result<(), Gone> {
        let size = task.found.entry.size;
        if size > BUNDLED_FILE_BYTES_MAX as u64 {
            return self.jobs.send(Job::File(Box::new(task))).map_err(|_| Gone);
        }
        if self.bundle_bytes + size > BUNDLE_BYTES_MAX as u64 || self.bundle.len() >= BUNDLE_FILES_MAX {
            self.send_bundle()?;
        }
        self.bundle_bytes += size;
        self.bundle.push(task);
        Ok(())
    }

    fn send_bundle(&mut self) -> Result<(), Gone> {
        self.bundle_bytes = 0;
        match std::mem::take(&mut self.bundle) {
            tasks if tasks.is_empty() => Ok(()),
            tasks => self.jobs.send(Job::Bundle(tasks)).map_err(|_| Gone),
        }
    }
}
