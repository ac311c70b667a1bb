//! Coordinator and agents over real sockets on loopback.

mod ground;
mod refusals;
mod renewal;
mod streams;
