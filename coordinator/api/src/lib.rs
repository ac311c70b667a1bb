//! Firn's kinds.
