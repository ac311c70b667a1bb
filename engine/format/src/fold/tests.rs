//! The rules of the fold, one by one.
