//! Replication between small repositories whose points are real entries over objects of random bytes: no key opens them,
//! and none is needed.
#![expect(clippy::print_stdout, reason = "a failure is replayed from its seed")]

#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod fences;
#[cfg(test)]
mod flows;
#[cfg(test)]
mod ground;
mod mend;
#[cfg(test)]
mod onward;
#[cfg(test)]
mod storm;
