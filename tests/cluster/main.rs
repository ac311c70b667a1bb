//! Scenarios on real API servers.
