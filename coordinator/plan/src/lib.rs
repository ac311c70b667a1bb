//! Pure decisions: (facts, now) -> plan.
