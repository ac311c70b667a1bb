//! All answers that Firn gives: every reason of every condition, with what to do.

use crate::condition::{Reason, Status};

/// Repository, ProtectionPolicy, RecoveryPoint: the object can do what it is for.
pub const READY: &str = "Ready";
/// ProtectionPolicy: there is a whole point that is young enough.
pub const PROTECTED: &str = "Protected";
/// ProtectionPolicy: the last time that retention was due, it was applied.
pub const RETENTION_APPLIED: &str = "RetentionApplied";
/// BackupRun: it is done, and its point is there. Unknown while it is active.
pub const SUCCEEDED: &str = "Succeeded";

const fn yes(condition: &'static str, name: &'static str, advice: &'static str) -> Reason {
    Reason { condition, status: Status::True, name, advice }
}

const fn no(condition: &'static str, name: &'static str, advice: &'static str) -> Reason {
    Reason { condition, status: Status::False, name, advice }
}

const fn unknown(condition: &'static str, name: &'static str, advice: &'static str) -> Reason {
    Reason { condition, status: Status::Unknown, name, advice }
}

/// Of a Repository: [`READY`].
pub mod repository {
    use super::{READY as TYPE, Reason, no, unknown, yes};

    /// Points can be written.
    pub const READY: Reason = yes(TYPE, "Ready", "");
    /// It is being opened for the first time.
    pub const CONNECTING: Reason = unknown(TYPE, "Connecting", "");
    /// The Secret with the keys is not there, or lacks one.
    pub const KEYS_MISSING: Reason =
        no(TYPE, "KeysMissing", "create the Secret of spec.keys.secretRef with `firn install`, or correct its name");
    /// The repository does not admit the signing key, or no longer.
    pub const KEYS_REFUSED: Reason =
        no(TYPE, "KeysRefused", "admit the signing key with `firn key`, or put an admitted one into the Secret");
    /// The Secret with the credentials is not there.
    pub const CREDENTIALS_MISSING: Reason =
        no(TYPE, "CredentialsMissing", "create the Secret of spec.credentials.secretRef, or correct its name");
    /// The store refuses the credentials.
    pub const CREDENTIALS_REFUSED: Reason =
        no(TYPE, "CredentialsRefused", "renew the credentials; runs go on where they are as soon as they are good");
    /// The store does not answer.
    pub const STORE_UNREACHABLE: Reason =
        no(TYPE, "StoreUnreachable", "look at the network and the store; Firn tries again by itself");
    /// There is no repository under the URL.
    pub const NOT_INITIALIZED: Reason = no(
        TYPE,
        "NotInitialized",
        "make it with `firn init --repo URL`, from outside of this cluster, or correct the URL",
    );
    /// It was written by a newer Firn.
    pub const NEWER_FORMAT: Reason = no(TYPE, "NewerFormat", "upgrade Firn in this cluster; nothing was changed");
    /// Another cluster took its lineages over.
    pub const FENCED: Reason =
        no(TYPE, "Fenced", "this cluster no longer writes here since a failover; end it with a failback, or abort it");
    /// Something that points need is missing or broken.
    pub const DAMAGED: Reason =
        no(TYPE, "Damaged", "see `firn check`, then `firn repair`; points that are whole can be restored");
    /// The store shows an older or another log than before.
    pub const SECURITY_STOP: Reason =
        no(TYPE, "SecurityStop", "somebody put back or replaced the store: find out who, before anything is written");
    /// The clocks of the store and of this cluster disagree.
    pub const CLOCK_SKEW: Reason =
        no(TYPE, "ClockSkew", "set the nodes' clocks; nothing is forgotten while clocks disagree");
}

/// Of a ProtectionPolicy: [`READY`](super::READY).
pub mod policy {
    use super::{READY as TYPE, Reason, no, unknown, yes};

    /// The policy can be carried out.
    pub const ACCEPTED: Reason = yes(TYPE, "Accepted", "");
    /// The policy is suspended: nothing starts by schedule.
    pub const SUSPENDED: Reason = yes(TYPE, "Suspended", "set spec.suspend to false to go on");
    /// It was not looked at yet.
    pub const PENDING: Reason = unknown(TYPE, "Pending", "");
    /// Its Repository does not exist.
    pub const REPOSITORY_MISSING: Reason =
        no(TYPE, "RepositoryMissing", "create the Repository in Firn's own namespace, or correct spec.repositoryRef");
    /// Its Repository is not ready.
    pub const REPOSITORY_NOT_READY: Reason =
        no(TYPE, "RepositoryNotReady", "see the conditions of the Repository; runs start as soon as it is ready");
    /// Its Repository does not admit policies of this namespace.
    pub const REPOSITORY_NOT_ALLOWED: Reason = no(
        TYPE,
        "RepositoryNotAllowed",
        "label the namespace as spec.policyNamespaces of the Repository says, or name another",
    );
    /// It names namespaces that a policy of its namespace may not protect.
    pub const NAMESPACES_NOT_ALLOWED: Reason = no(
        TYPE,
        "NamespacesNotAllowed",
        "a policy outside Firn's own namespace protects its own namespace only: name no other",
    );
    /// Its schedule cannot be understood.
    pub const SCHEDULE_INVALID: Reason = no(TYPE, "ScheduleInvalid", "correct spec.schedule");
    /// No namespace and no object is selected.
    pub const SELECTS_NOTHING: Reason =
        no(TYPE, "SelectsNothing", "correct spec.namespaces and spec.objects, or label what is to be protected");
    /// Points cannot be made as fast as it wants.
    pub const TARGET_NOT_ATTAINABLE: Reason = no(
        TYPE,
        "TargetNotAttainable",
        "raise spec.schedule.rpoSeconds, or choose another method for the slow volumes",
    );
}

/// Of a ProtectionPolicy: [`PROTECTED`](super::PROTECTED).
pub mod protection {
    use super::{PROTECTED as TYPE, Reason, no, unknown, yes};

    /// The newest whole point is young enough.
    pub const WITHIN_TARGET: Reason = yes(TYPE, "WithinTarget", "");
    /// The first run is not done yet.
    pub const NO_POINT_YET: Reason = unknown(TYPE, "NoPointYet", "");
    /// The newest point is older than it may be.
    pub const TARGET_MISSED: Reason = no(TYPE, "TargetMissed", "see the last BackupRun, and why it failed or is late");
    /// There are points, but none is whole.
    pub const NO_WHOLE_POINT: Reason =
        no(TYPE, "NoWholePoint", "see the exceptions of the newest point with `firn points`");
    /// Runs fail, and no point is there.
    pub const RUNS_FAIL: Reason = no(TYPE, "RunsFail", "see the last BackupRun");
}

/// Of a ProtectionPolicy: [`RETENTION_APPLIED`](super::RETENTION_APPLIED).
pub mod retention {
    use super::{RETENTION_APPLIED as TYPE, Reason, no, yes};

    /// What the rules drop was forgotten.
    pub const APPLIED: Reason = yes(TYPE, "Applied", "");
    /// More than a quarter of the points would go at once.
    pub const NEEDS_CONFIRMATION: Reason =
        no(TYPE, "NeedsConfirmation", "look with `firn forget --dry-run`, then confirm with `firn forget --yes`");
    /// Clocks disagree.
    pub const CLOCKS_DISAGREE: Reason =
        no(TYPE, "ClocksDisagree", "set the nodes' clocks; nothing is forgotten while clocks disagree");
}

/// Of a BackupRun: [`SUCCEEDED`](super::SUCCEEDED).
pub mod run {
    use super::{Reason, SUCCEEDED as TYPE, no, unknown, yes};

    /// It waits for its turn: another run of its policy is active, or agents have no room.
    pub const PENDING: Reason = unknown(TYPE, "Pending", "");
    /// It runs.
    pub const RUNNING: Reason = unknown(TYPE, "Running", "");
    /// It cannot go on at the moment and tries again.
    pub const WAITING: Reason = unknown(TYPE, "Waiting", "Firn tries again by itself");
    /// Its point is there, and whole.
    pub const COMPLETED: Reason = yes(TYPE, "Completed", "");
    /// Its point is there; something could not be captured as it is, and the point says what.
    pub const COMPLETED_WITH_EXCEPTIONS: Reason =
        yes(TYPE, "CompletedWithExceptions", "see the exceptions of its point with `firn points`");
    /// It failed. Nothing that was there before is lost.
    pub const FAILED: Reason = no(TYPE, "Failed", "nothing was lost; create another run when the cause is gone");
    /// Its policy does not exist.
    pub const POLICY_MISSING: Reason = no(TYPE, "PolicyMissing", "create the policy, or correct spec.policyRef");
    /// Its policy cannot be carried out.
    pub const POLICY_NOT_READY: Reason = no(TYPE, "PolicyNotReady", "see the conditions of the policy");
    /// Nothing is selected.
    pub const SELECTS_NOTHING: Reason = no(TYPE, "SelectsNothing", "correct the selection of its policy");
    /// Somebody stopped it.
    pub const CANCELLED: Reason = no(TYPE, "Cancelled", "");
    /// Another cluster took its lineage over.
    pub const FENCED: Reason = no(TYPE, "Fenced", "this cluster no longer writes since a failover");
}

/// Of a RecoveryPoint: [`READY`](super::READY).
pub mod point {
    use super::{READY as TYPE, Reason, no, yes};

    /// It can be restored, and is whole.
    pub const COMPLETE: Reason = yes(TYPE, "Complete", "");
    /// It can be restored, but for what its exceptions name.
    pub const WITH_EXCEPTIONS: Reason = yes(TYPE, "WithExceptions", "see what is missing with `firn points`");
    /// It can be restored by its id; a fence left it aside, so that it is never the latest.
    pub const LEFT_ASIDE: Reason = yes(TYPE, "LeftAside", "another cluster went on from an earlier point");
    /// Some of what it needs is lost.
    pub const DATA_LOST: Reason =
        no(TYPE, "DataLost", "see `firn check` and `firn repair`; what is not lost can still be restored");
    /// Its description cannot be opened with the keys at hand.
    pub const UNREADABLE: Reason = no(TYPE, "Unreadable", "its keys are not the ones of this Repository");
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const ALL: &[(&str, &[Reason])] = &[
        (
            "Repository",
            &[
                repository::READY,
                repository::CONNECTING,
                repository::KEYS_MISSING,
                repository::KEYS_REFUSED,
                repository::CREDENTIALS_MISSING,
                repository::CREDENTIALS_REFUSED,
                repository::STORE_UNREACHABLE,
                repository::NOT_INITIALIZED,
                repository::NEWER_FORMAT,
                repository::FENCED,
                repository::DAMAGED,
                repository::SECURITY_STOP,
                repository::CLOCK_SKEW,
            ],
        ),
        (
            "ProtectionPolicy",
            &[
                policy::ACCEPTED,
                policy::SUSPENDED,
                policy::PENDING,
                policy::REPOSITORY_MISSING,
                policy::REPOSITORY_NOT_READY,
                policy::REPOSITORY_NOT_ALLOWED,
                policy::NAMESPACES_NOT_ALLOWED,
                policy::SCHEDULE_INVALID,
                policy::SELECTS_NOTHING,
                policy::TARGET_NOT_ATTAINABLE,
                protection::WITHIN_TARGET,
                protection::NO_POINT_YET,
                protection::TARGET_MISSED,
                protection::NO_WHOLE_POINT,
                protection::RUNS_FAIL,
                retention::APPLIED,
                retention::NEEDS_CONFIRMATION,
                retention::CLOCKS_DISAGREE,
            ],
        ),
        (
            "BackupRun",
            &[
                run::PENDING,
                run::RUNNING,
                run::WAITING,
                run::COMPLETED,
                run::COMPLETED_WITH_EXCEPTIONS,
                run::FAILED,
                run::POLICY_MISSING,
                run::POLICY_NOT_READY,
                run::SELECTS_NOTHING,
                run::CANCELLED,
                run::FENCED,
            ],
        ),
        (
            "RecoveryPoint",
            &[point::COMPLETE, point::WITH_EXCEPTIONS, point::LEFT_ASIDE, point::DATA_LOST, point::UNREADABLE],
        ),
    ];

    #[test]
    fn reasons_are_words_and_each_says_one_thing() {
        for (kind, reasons) in ALL {
            let mut seen = HashSet::new();
            for reason in *reasons {
                assert!(seen.insert((reason.condition, reason.name)), "{kind}: {} twice", reason.name);
                assert!(reason.name.chars().all(|c| c.is_ascii_alphabetic()), "{kind}: {}", reason.name);
                assert!(reason.name.starts_with(|c: char| c.is_ascii_uppercase()), "{kind}: {}", reason.name);
                assert!(!reason.advice.ends_with('.'), "{kind}: {}", reason.name);
            }
        }
    }

    #[test]
    fn whoever_hears_no_hears_what_to_do() {
        for reason in ALL.iter().flat_map(|(_, reasons)| *reasons) {
            if reason.status == Status::False && *reason != run::CANCELLED {
                assert!(!reason.advice.is_empty(), "{}", reason.name);
            }
        }
    }
}
