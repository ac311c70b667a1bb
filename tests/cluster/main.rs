//! Scenarios on real API servers: two control planes, `a` and `b`, started once for all tests.

#![expect(unreachable_pub, reason = "a program exports nothing; here `pub` says what a file offers the others")]

mod cases;
mod fences;
mod limits;
mod mapping;
mod recovery;
mod scale;
mod site;
