//! Replication between small repositories whose points are real entries over objects of random bytes: no key opens them,
//! and none is needed.

mod crash;
mod damage;
mod fences;
mod flows;
mod ground;
