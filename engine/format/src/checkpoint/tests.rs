//! Checkpoints say what the log says.
