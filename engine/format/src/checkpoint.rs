//! The folded state as an object: a cold reader begins with it instead of the first entry (FORMAT.md §8.3).
