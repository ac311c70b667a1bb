//! Firn's kinds in Kubernetes, `firn.io/v1alpha1`: what a user writes, and what Firn answers.
//!
//! ```text
//! Repository         where points rest, who may use it, how it is maintained
//! ProtectionPolicy   what is protected, when, and how long points are kept
//! BackupRun          one run of a policy; its spec never changes
//! RecoveryPoint      the mirror of one point; deleting it deletes nothing unless it says so
//!
//! Condition          the answer: a type, a status, a reason, what to do
//! Reason             one answer of those that Firn can give; listed in `reasons`
//! tenant             which policies may use a repository, and which namespaces they may protect
//! definitions        the four CustomResourceDefinitions, as an API server takes them
//! ```
//!
//! No client and no decision lives here: types, their schemas, and pure functions over them.

pub mod condition;
mod definitions;
mod point;
mod policy;
pub mod reasons;
mod reference;
mod repository;
mod run;
mod schedule;
mod schema;
pub mod tenant;
mod volumes;

pub use condition::{Condition, Reason, Status};
pub use definitions::definitions;
pub use point::{Consistency, RecoveryPoint, RecoveryPointSpec, RecoveryPointStatus, Verification};
pub use policy::{
    ConsistencyGoal, Coverage, LastPoint, NamespaceSelection, ObjectSelection, ProtectionPolicy, ProtectionPolicySpec,
    ProtectionPolicyStatus, Retention,
};
pub use reference::{PointRef, PolicyRef, RepositoryRef, RunRef, SecretRef};
pub use repository::{
    CheckLevel, ClusterIdentity, Credentials, DeletionPolicy, Keys, LastCheck, LastPrune, Maintenance, Pruning,
    Repository, RepositorySpec, RepositoryStatus, RollingCheck,
};
pub use run::{BackupRun, BackupRunSpec, BackupRunStatus, Numbers};
pub use schedule::{Cron, Schedule};
pub use volumes::{EmptyDirs, VolumeMethod, VolumeRule, VolumeSelection};

/// The API group of every kind.
pub const GROUP: &str = "firn.io";
/// The version of every kind.
pub const VERSION: &str = "v1alpha1";
