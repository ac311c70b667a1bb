//! Retention, of any points under any rules.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

/// Half a year of points, many of them close to each other.
fn points() -> impl Strategy<Value = Vec<PointFact>> {
    let time = (0..180_i64, 0..86_400_i64).prop_map(|(day, second)| day * 86_400 + second);
    let point = (time, any::<bool>(), any::<bool>(), 0..12_u8, 0..12_u8);
    let point = point.prop_map(|(age_s, whole, verified, held, tag)| PointFact {
        id: String::new(),
        time: now() - SignedDuration::from_secs(age_s),
        whole,
        verified,
        held: held == 0,
        tags: if tag == 0 { vec!["kept".to_owned()] } else { Vec::new() },
    });
    vec(point, 0..60).prop_map(|mut points| {
        points.iter_mut().enumerate().for_each(|(n, point)| point.id = format!("{n:03}"));
        points
    })
}

fn rules() -> impl Strategy<Value = Retention> {
    let count = || option::of(0..20_usize);
    let counts = (count(), count(), count(), count(), count(), count());
    (counts, option::of(0..4000_i64), any::<bool>()).prop_map(|(counts, hours, tags)| Retention {
        keep_last: counts.0,
        keep_hourly: counts.1,
        keep_daily: counts.2,
        keep_weekly: counts.3,
        keep_monthly: counts.4,
        keep_yearly: counts.5,
        keep_within: hours.map(SignedDuration::from_hours),
        keep_tags: if tags { vec!["kept".to_owned()] } else { Vec::new() },
    })
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap_or_default()
}

fn kept(points: &[PointFact], rules: &Retention) -> BTreeSet<String> {
    let clocks = Clocks { store: now(), own: now() };
    let verdicts = retain(points, &clocks, rules, true).unwrap();
    verdicts.into_iter().filter(|verdict| verdict.kept).map(|verdict| verdict.id).collect()
}

proptest! {
    #[test]
    fn applied_again_it_drops_nothing_more(points in points(), rules in rules()) {
        let first = kept(&points, &rules);
        let left: Vec<PointFact> = points.into_iter().filter(|point| first.contains(&point.id)).collect();
        prop_assert_eq!(kept(&left, &rules), first);
    }

    #[test]
    fn rules_that_keep_more_never_drop_more(points in points(), some in rules(), more in rules()) {
        let larger = |a: Option<usize>, b: Option<usize>| a.max(b);
        let union = Retention {
            keep_last: larger(some.keep_last, more.keep_last),
            keep_hourly: larger(some.keep_hourly, more.keep_hourly),
            keep_daily: larger(some.keep_daily, more.keep_daily),
            keep_weekly: larger(some.keep_weekly, more.keep_weekly),
            keep_monthly: larger(some.keep_monthly, more.keep_monthly),
            keep_yearly: larger(some.keep_yearly, more.keep_yearly),
            keep_within: some.keep_within.max(more.keep_within),
            keep_tags: [some.keep_tags.clone(), more.keep_tags.clone()].concat(),
        };
        let by_union = kept(&points, &union);
        for rules in [some, more] {
            // Without rules everything is kept: a first rule is no rule more, it is the beginning.
            if !rules.keeps_everything() {
                prop_assert!(kept(&points, &rules).is_subset(&by_union));
            }
        }
    }

    #[test]
    fn the_last_good_points_and_the_held_ones_are_never_dropped(points in points(), rules in rules()) {
        let kept = kept(&points, &rules);
        let newest = |wanted: &dyn Fn(&PointFact) -> bool| {
            points.iter().filter(|point| wanted(point)).max_by_key(|point| (point.time, point.id.clone()))
        };
        let verified = newest(&|point| point.whole && point.verified);
        for point in [newest(&|_| true), newest(&|point| point.whole), verified].into_iter().flatten() {
            prop_assert!(kept.contains(&point.id));
        }
        prop_assert!(points.iter().filter(|point| point.held).all(|point| kept.contains(&point.id)));
    }

    #[test]
    fn without_a_confirmation_at_most_a_quarter_goes(points in points(), rules in rules()) {
        let clocks = Clocks { store: now(), own: now() };
        if let Ok(verdicts) = retain(&points, &clocks, &rules, false) {
            let dropped = verdicts.iter().filter(|verdict| !verdict.kept).count();
            prop_assert!(dropped <= 1.max(points.len() / 4));
        }
    }
}
