//! How long to wait before the next attempt.

use std::time::Duration;

/// Grows twofold from attempt to attempt. Each time is drawn between half of that and all of it, so that a thousand agents
/// who lost the same coordinator do not come back in the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second attempt. Before the first there is none.
    pub first: Duration,
    /// At most.
    pub most: Duration,
}

impl Default for Backoff {
    /// From half a second to half a minute.
    fn default() -> Self {
        Self { first: Duration::from_millis(500), most: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// How long to wait when `failures` attempts have failed; `random` is any number.
    pub fn delay(&self, failures: u32, random: u64) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let whole = self.first.saturating_mul(2_u32.saturating_pow(doublings.min(31))).min(self.most);
        let half = whole / 2;
        let part = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(random % part.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_grows_to_its_limit() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay(0, 7), Duration::ZERO);
        assert_eq!(backoff.delay(1, 0), Duration::from_millis(250));
        assert_eq!(backoff.delay(2, 0), Duration::from_millis(500));
        assert_eq!(backoff.delay(7, 0), Duration::from_secs(15));
        assert_eq!(backoff.delay(u32::MAX, 0), Duration::from_secs(15));
    }

    proptest! {
        #[test]
        fn it_stays_between_half_and_whole(failures: u32, random: u64, first in 0_u64..5000, most in 0_u64..100_000) {
            let backoff = Backoff { first: Duration::from_millis(first), most: Duration::from_millis(most) };
            let delay = backoff.delay(failures, random);
            prop_assert!(delay <= backoff.most);
            if failures > 0 {
                prop_assert!(delay >= backoff.first.min(backoff.most) / 2);
            }
        }
    }
}
