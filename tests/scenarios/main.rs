//! Scenarios without a cluster.
