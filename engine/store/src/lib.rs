//! Where bytes rest: one contract over local, memory and Azure stores.
