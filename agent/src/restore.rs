//! Restore: from a tree in a point to a directory, or to a list of objects.

pub(crate) mod batch;
pub(crate) mod entries;
pub(crate) mod objects;
pub(crate) mod verify;
pub(crate) mod volume;
