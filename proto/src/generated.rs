//! Code that is made from `firn.proto` by `cargo xtask proto` and checked in, so that nobody who uses it builds a generator.

/// Messages and services of `firn.proto`; the limits of their fields are written there.
#[expect(clippy::allow_attributes, reason = "the generator writes what it writes")]
#[rustfmt::skip]
pub mod messages;
#[rustfmt::skip]
mod shapes;
