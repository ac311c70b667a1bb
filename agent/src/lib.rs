//! Executes tasks: captures volumes and objects into a session, brings volumes back out of a point; holds keys.
//!
//! [`capture_volume`] and [`ObjectCapture`] write trees; [`restore_volume`] reads them. Who decides what is captured and
//! restored sits elsewhere; these do it, and name what they could not do.

mod capture;
mod error;
mod restore;
mod room;

pub use capture::objects::{CapturedObjects, ObjectCapture};
pub use capture::volume::{CaptureOptions, CapturedVolume, ParentTree, capture_volume, carry_tree};
pub use error::AgentError;
pub use restore::objects::{ObjectText, read_objects};
pub use restore::volume::{RestoreOptions, RestoredVolume, restore_volume};
pub use room::lanes;
