//! Repository to repository: resumable, verified, order-preserving.
