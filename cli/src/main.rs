//! `firn`: the command line.
fn main() {}
