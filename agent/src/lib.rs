//! Executes tasks: capture and restore; holds keys.
