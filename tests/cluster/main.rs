//! Scenarios on real clusters: two control planes, `a` and `b`, started once for all tests; with a node where pods are
//! to run.

#![expect(unreachable_pub, reason = "a program exports nothing; here `pub` says what a file offers the others")]

mod cases;
mod crds;
mod fences;
mod limits;
mod mapping;
mod node;
mod recovery;
mod scale;
mod site;
