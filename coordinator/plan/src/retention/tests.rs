use super::*;

const DAY_S: i64 = 86_400;

/// 2027-01-15, a Friday, 08:00:00 UTC.
fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// Both clocks say the same.
fn clocks() -> Clocks {
    Clocks { store: now(), own: now() }
}

fn none() -> Retention {
    Retention::default()
}

/// The reasons why a point stays.
fn reason(points: &[PointFact], rules: &Retention, id: &str) -> String {
    let verdicts = retain(points, &clocks(), rules, true).unwrap();
    verdicts.into_iter().find(|v| v.id == id).unwrap().reason
}

/// Points `0..count`, one a day, point 0 the newest.
fn daily(count: i64) -> Vec<PointFact> {
    (0..count)
        .map(|day| PointFact {
            id: format!("p{day:02}"),
            time: now() - SignedDuration::from_secs(day * DAY_S),
            whole: true,
            verified: false,
            held: false,
            tags: Vec::new(),
        })
        .collect()
}

fn kept(points: &[PointFact], rules: &Retention) -> Vec<String> {
    let verdicts = retain(points, &clocks(), rules, true).unwrap();
    assert_eq!(verdicts.len(), points.len());
    verdicts.into_iter().filter(|v| v.kept).map(|v| v.id).collect()
}

#[test]
fn a_point_that_any_rule_keeps_is_kept() {
    let points = daily(10);
    let last = Retention { keep_last: Some(2), ..none() };
    assert_eq!(kept(&points, &last), ["p00", "p01"]);
    let within = Retention { keep_within: Some(SignedDuration::from_hours(72)), ..none() };
    assert_eq!(kept(&points, &within), ["p00", "p01", "p02", "p03"]);
    let both = Retention { keep_last: Some(6), keep_within: Some(SignedDuration::from_hours(24)), ..none() };
    assert_eq!(kept(&points, &both).len(), 6);
    assert_eq!(kept(&points, &Retention::default()).len(), 10);
}

#[test]
fn the_newest_whole_point_stays_whatever_the_rules_say() {
    let mut points = daily(8);
    for point in &mut points[..5] {
        point.whole = false;
    }
    let nothing = Retention { keep_last: Some(0), ..none() };
    assert_eq!(kept(&points, &nothing), ["p00", "p05"]);
    points.reverse();
    assert_eq!(kept(&points, &nothing), ["p00", "p05"]);
}

#[test]
fn more_than_a_quarter_needs_a_confirmation() {
    let points = daily(8);
    let six = Retention { keep_last: Some(6), ..none() };
    assert!(retain(&points, &clocks(), &six, false).is_ok());
    let five = Retention { keep_last: Some(5), ..none() };
    assert_eq!(retain(&points, &clocks(), &five, false), Err(RetentionError::TooMany { dropped: 3, points: 8 }));
    assert!(retain(&points, &clocks(), &five, true).is_ok());
}

#[test]
fn a_point_from_the_future_stops_everything() {
    let mut points = daily(8);
    points[3].time = now() + SignedDuration::from_secs(DAY_S);
    let error = retain(&points, &clocks(), &Retention { keep_last: Some(7), ..none() }, true).unwrap_err();
    assert_eq!(error, RetentionError::Clock { id: "p03".into(), ahead_s: DAY_S });
}

#[test]
fn nothing_is_decided_about_nothing() {
    assert_eq!(retain(&[], &clocks(), &Retention::default(), false), Ok(Vec::new()));
}

#[test]
fn one_may_always_go() {
    let two = Retention { keep_last: Some(2), ..none() };
    assert!(retain(&daily(3), &clocks(), &two, false).is_ok());
    assert_eq!(retain(&daily(4), &clocks(), &two, false), Err(RetentionError::TooMany { dropped: 2, points: 4 }));
}

#[test]
fn one_of_each_period_stays_and_says_which() {
    // One point every six hours, for 400 days: the newest at 08:00 on 2027-01-15.
    let points: Vec<PointFact> = (0..1600)
        .map(|n| PointFact {
            id: format!("p{n:04}"),
            time: now() - SignedDuration::from_hours(6 * n),
            ..daily(1)[0].clone()
        })
        .collect();
    let hourly = Retention { keep_hourly: Some(3), ..none() };
    assert_eq!(kept(&points, &hourly), ["p0000", "p0001", "p0002"]);
    let days = Retention { keep_daily: Some(3), ..none() };
    // 08:00 today, 20:00 yesterday, 20:00 before.
    assert_eq!(kept(&points, &days), ["p0000", "p0002", "p0006"]);
    assert_eq!(reason(&points, &days, "p0002"), "daily 2027-01-14");
    let weeks = Retention { keep_weekly: Some(2), ..none() };
    // The Sunday before: four days and twelve hours ago.
    assert_eq!(kept(&points, &weeks), ["p0000", "p0018"]);
    assert_eq!(reason(&points, &weeks, "p0018"), "weekly 2027-W01");
    let months = Retention { keep_monthly: Some(2), ..none() };
    assert_eq!(reason(&points, &months, &kept(&points, &months)[1]), "monthly 2026-12");
    let years = Retention { keep_yearly: Some(9), ..none() };
    let left = kept(&points, &years);
    assert_eq!(left.len(), 3);
    assert_eq!(reason(&points, &years, &left[2]), "yearly 2025");
    let both = Retention { keep_daily: Some(1), keep_last: Some(2), ..none() };
    assert_eq!(reason(&points, &both, "p0000"), "the newest point, among the last 2, daily 2027-01-15");
}

#[test]
fn a_week_goes_over_the_turn_of_the_year() {
    // 2026-12-31 is a Thursday, 2027-01-01 a Friday of the same week, 2026-W53.
    let at = |id: &str, text: &str| PointFact { id: id.into(), time: text.parse().unwrap(), ..daily(1)[0].clone() };
    let points = [at("a", "2027-01-01T10:00:00Z"), at("b", "2026-12-31T10:00:00Z"), at("c", "2026-12-27T10:00:00Z")];
    let weeks = Retention { keep_weekly: Some(9), ..none() };
    assert_eq!(kept(&points, &weeks), ["a", "c"]);
    assert_eq!(reason(&points, &weeks, "a"), "the newest point, weekly 2026-W53");
}

#[test]
fn a_whole_point_stands_for_its_period() {
    let mut points: Vec<PointFact> = (0..8)
        .map(|n| PointFact {
            id: format!("p{n}"),
            time: now() - SignedDuration::from_hours(9 + n),
            ..daily(1)[0].clone()
        })
        .collect();
    points[0].whole = false;
    points[1].whole = false;
    let days = Retention { keep_daily: Some(1), ..none() };
    // The newest stays as the newest; the third, whole, stands for the day.
    assert_eq!(kept(&points, &days), ["p0", "p2"]);
    assert_eq!(reason(&points, &days, "p2"), "the newest whole point, daily 2027-01-14");
}

#[test]
fn holds_and_tags_and_the_newest_verified_point_stay() {
    let mut points = daily(10);
    points[4].held = true;
    points[6].tags = vec!["odd".into(), "before-upgrade".into()];
    points[7].verified = true;
    points[8].verified = true;
    let rules = Retention { keep_last: Some(1), keep_tags: vec!["before-upgrade".into()], ..none() };
    assert_eq!(kept(&points, &rules), ["p00", "p04", "p06", "p07"]);
    assert_eq!(reason(&points, &rules, "p06"), "tag before-upgrade");
    assert_eq!(reason(&points, &rules, "p07"), "the newest verified point");
    assert_eq!(reason(&points, &rules, "p09"), "no rule keeps it");
    let tags_alone = Retention { keep_last: None, ..rules };
    assert_eq!(kept(&points, &tags_alone).len(), 10);
}

#[test]
fn what_is_held_does_not_count_as_dropped() {
    let mut points = daily(8);
    let three = Retention { keep_last: Some(3), ..none() };
    assert!(retain(&points, &clocks(), &three, false).is_err());
    points.iter_mut().skip(5).for_each(|point| point.held = true);
    assert!(retain(&points, &clocks(), &three, false).is_ok());
}

#[test]
fn clocks_that_differ_stop_everything_in_both_directions() {
    for minutes in [6, -6] {
        let clocks = Clocks { store: now(), own: now() + SignedDuration::from_mins(minutes) };
        let error = retain(&daily(3), &clocks, &none(), true).unwrap_err();
        assert_eq!(error, RetentionError::Clocks { difference_s: 360 });
        assert!(!error.is_permanent());
    }
    let clocks = Clocks { store: now(), own: now() + SignedDuration::from_mins(5) };
    assert!(retain(&daily(3), &clocks, &none(), true).is_ok());
}

#[test]
fn a_policy_s_rules_are_these_rules() {
    let policy = firn_api::Retention {
        last: Some(2),
        yearly: Some(-1),
        within_seconds: Some(3600),
        tags: vec!["t".into()],
        ..firn_api::Retention::default()
    };
    let rules = Retention {
        keep_last: Some(2),
        keep_yearly: Some(usize::MAX),
        keep_within: Some(SignedDuration::from_hours(1)),
        keep_tags: vec!["t".into()],
        ..none()
    };
    assert_eq!(Retention::from(&policy), rules);
}
