//! Pure decisions: (facts, now) -> plan. No I/O, no clock, no Kubernetes client.
//!
//! Objects come in as [`serde_json::Value`] with their [`ObjectKey`](firn_format::object::ObjectKey), facts as plain
//! data, and a plan goes out: an immutable numbered list that an executor carries out without thinking.
//!
//! ```text
//! // capture: which types to list, which objects to keep
//! let rules = capture::Rules::built_in();                        // .with(user_rules)
//! rules.decide_type(&resource_type, &verbs);                     // Decision, before listing
//! rules.decide(&resource_type, &object, &selection);             // Decision, per object
//! let volumes = volumes::live_volumes(objects.iter().map(|(k, v)| (k, v)));    // paths this host may read
//!
//! // restore: point + target -> plan
//! let mut target = Target::new(Served::Types(types));            // or Served::Everything for a directory
//! target.add(key, Some(object_on_target));                       // every existing object
//! let plan = restore::plan(captured, &target, &options);         // RestoreOptions { volumes, volumes_in_point, hold, .. }
//! if let Some(why) = plan.refusal() { /* nothing may be written */ }
//! for batch in plan.batches() {                                  // steps of one batch may run at once
//!     // Action::Create | Merge | Fill | Adopt are work; Skip | Conflict | NotRestored are only told
//! }                                                              // before a wave: wave.entry_gate(), after: wave.gate()
//! println!("{}", render::restore_plan(&plan, false));            // at most 80 columns
//! ```

pub mod capture;
pub mod failover;
mod object;
pub mod render;
pub mod restore;
pub mod retention;
pub mod schedule;
pub mod selector;
pub mod step;
pub mod target;
mod transform;
pub mod volumes;

pub use capture::{Decision, Rule, Rules, Selection};
pub use failover::{FailoverFacts, FailoverPlan};
pub use restore::{Existing, Replicas, RestoreOptions};
pub use retention::{Clocks, Retention, RetentionError};
pub use schedule::Schedule;
pub use selector::{Selector, SelectorError};
pub use step::{Action, Gate, Hold, Owner, RestorePlan, Standing, Step, VolumeFill, Wave};
pub use target::{Served, Target};
pub use volumes::{LiveVolume, LocalVolumes, VolumeTarget};
