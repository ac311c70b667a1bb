//! Scenarios without a cluster: whole flows over stores that stop, lie, rot and fill up. All follow from seeds.
#![expect(clippy::print_stdout, reason = "a failure is replayed from its seed; counts are part of the result")]

#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod property;
#[cfg(test)]
mod whole;
