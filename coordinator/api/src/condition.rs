//! Conditions: how Firn answers, one per type, each with a reason that implies the status and says what to do.

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Longer messages are cut: what a terminal shows of them is less, and each is written on every change.
const MESSAGE_CHARS_MAX: usize = 1024;

/// What a condition says of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// It is not known yet.
    Unknown,
}

impl Status {
    /// As a condition carries it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One answer of those that Firn can give. All of them are constants in [`reasons`](crate::reasons), so that a type, a
/// status and a reason that do not belong together cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason {
    /// The type of the condition.
    pub condition: &'static str,
    /// What it says of it.
    pub status: Status,
    /// The reason, in one word.
    pub name: &'static str,
    /// What a person can do, as a clause without a full stop; empty if there is nothing to do.
    pub advice: &'static str,
}

impl Reason {
    /// The condition with this reason. `detail` says what happened, without a full stop; the advice is put after it.
    #[must_use]
    pub fn condition(&self, detail: &str, generation: Option<i64>, now: &Time) -> Condition {
        let parts = [detail.trim(), self.advice];
        let said: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Condition {
            type_: self.condition.to_owned(),
            status: self.status.as_str().to_owned(),
            reason: self.name.to_owned(),
            message: cut(&said.join("; ")),
            last_transition_time: now.clone(),
            observed_generation: generation,
        }
    }
}

/// A text of at most [`MESSAGE_CHARS_MAX`] characters.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        None => text.to_owned(),
        Some(_) => text.chars().take(MESSAGE_CHARS_MAX - 1).chain(['…']).collect(),
    }
}

/// Puts a condition among the others, in the place of the one of its type. The time of transition stays as it was if
/// the status stays. Says whether anything changed: if not, nothing need be written.
pub fn merge(conditions: &mut Vec<Condition>, mut new: Condition) -> bool {
    match conditions.iter_mut().find(|old| old.type_ == new.type_) {
        None => {
            conditions.push(new);
            true
        }
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            let changed = *old != new;
            *old = new;
            changed
        }
    }
}

/// The condition of a type, if there is one.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], condition: &str) -> Option<&'a Condition> {
    conditions.iter().find(|known| known.type_ == condition)
}

/// What the conditions say of a type; unknown if they say nothing.
#[must_use]
pub fn status(conditions: &[Condition], condition: &str) -> Status {
    match find(conditions, condition).map(|known| known.status.as_str()) {
        Some("True") => Status::True,
        Some("False") => Status::False,
        _ => Status::Unknown,
    }
}

/// Whether the condition of this type has this reason.
#[must_use]
pub fn has(conditions: &[Condition], reason: &Reason) -> bool {
    find(conditions, reason.condition).is_some_and(|known| known.reason == reason.name)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::reasons::{repository, run};

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn the_time_of_transition_changes_only_with_the_status() {
        let mut conditions = Vec::new();
        assert!(merge(&mut conditions, run::PENDING.condition("", Some(1), &at(10))));
        assert!(merge(&mut conditions, run::RUNNING.condition("", Some(1), &at(20))));
        assert_eq!(conditions.len(), 1);
        assert_eq!((conditions[0].reason.as_str(), &conditions[0].last_transition_time), ("Running", &at(10)));
        assert!(merge(&mut conditions, run::COMPLETED.condition("", Some(1), &at(30))));
        assert_eq!(conditions[0].last_transition_time, at(30));
    }

    #[test]
    fn the_same_again_changes_nothing() {
        let mut conditions = vec![run::RUNNING.condition("3 of 7 volumes", Some(1), &at(10))];
        let before = conditions.clone();
        assert!(!merge(&mut conditions, run::RUNNING.condition("3 of 7 volumes", Some(1), &at(99))));
        assert_eq!(conditions, before);
        assert!(merge(&mut conditions, run::RUNNING.condition("3 of 7 volumes", Some(2), &at(99))));
        assert_eq!(conditions[0].last_transition_time, at(10));
    }

    #[test]
    fn other_types_are_left_alone() {
        let foreign = Condition { type_: "example.org/Audited".into(), ..run::RUNNING.condition("", None, &at(1)) };
        let mut conditions = vec![foreign.clone()];
        merge(&mut conditions, repository::READY.condition("", None, &at(2)));
        assert_eq!(conditions[0], foreign);
        assert_eq!(status(&conditions, crate::reasons::READY), Status::True);
        assert_eq!(status(&conditions, crate::reasons::SUCCEEDED), Status::Unknown);
        assert!(has(&conditions, &repository::READY) && !has(&conditions, &repository::FENCED));
    }

    #[test]
    fn a_message_says_what_happened_and_what_to_do_and_ends() {
        let said = repository::KEYS_MISSING.condition("no Secret firn-keys", None, &at(1)).message;
        assert!(said.starts_with("no Secret firn-keys; "), "{said}");
        assert_eq!(repository::READY.condition("", None, &at(1)).message, "");
        let long = repository::READY.condition(&"ä".repeat(5000), None, &at(1)).message;
        assert_eq!(long.chars().count(), MESSAGE_CHARS_MAX);
    }
}
