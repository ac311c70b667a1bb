//! Capture: from a volume or a list of objects to a tree in a session.

pub(crate) mod cut;
pub(crate) mod exceptions;
pub(crate) mod lane;
pub(crate) mod links;
pub(crate) mod objects;
pub(crate) mod parent;
pub(crate) mod volume;
pub(crate) mod walk;
