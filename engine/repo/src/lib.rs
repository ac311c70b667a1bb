//! The verbs of a repository: create, open, write, commit, read, check, collect.
