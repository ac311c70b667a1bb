use super::*;

const DAY_S: i64 = 86_400;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// Points `0..count`, one a day, point 0 the newest.
fn daily(count: i64) -> Vec<PointFact> {
    (0..count)
        .map(|day| PointFact {
            id: format!("p{day:02}"),
            time: now() - SignedDuration::from_secs(day * DAY_S),
            whole: true,
        })
        .collect()
}

fn kept(points: &[PointFact], rules: &Retention) -> Vec<String> {
    let verdicts = retain(points, now(), rules, true).unwrap();
    assert_eq!(verdicts.len(), points.len());
    verdicts.into_iter().filter(|v| v.kept).map(|v| v.id).collect()
}

#[test]
fn a_point_that_any_rule_keeps_is_kept() {
    let points = daily(10);
    let last = Retention { keep_last: Some(2), keep_within: None };
    assert_eq!(kept(&points, &last), ["p00", "p01"]);
    let within = Retention { keep_last: None, keep_within: Some(SignedDuration::from_hours(72)) };
    assert_eq!(kept(&points, &within), ["p00", "p01", "p02", "p03"]);
    let both = Retention { keep_last: Some(6), keep_within: Some(SignedDuration::from_hours(24)) };
    assert_eq!(kept(&points, &both).len(), 6);
    assert_eq!(kept(&points, &Retention::default()).len(), 10);
}

#[test]
fn the_newest_whole_point_stays_whatever_the_rules_say() {
    let mut points = daily(8);
    for point in &mut points[..5] {
        point.whole = false;
    }
    let none = Retention { keep_last: Some(0), keep_within: None };
    assert_eq!(kept(&points, &none), ["p00", "p05"]);
    points.reverse();
    assert_eq!(kept(&points, &none), ["p00", "p05"]);
}

#[test]
fn more_than_a_quarter_needs_a_confirmation() {
    let points = daily(8);
    let six = Retention { keep_last: Some(6), keep_within: None };
    assert!(retain(&points, now(), &six, false).is_ok());
    let five = Retention { keep_last: Some(5), keep_within: None };
    assert_eq!(retain(&points, now(), &five, false), Err(RetentionError::TooMany { dropped: 3, points: 8 }));
    assert!(retain(&points, now(), &five, true).is_ok());
}

#[test]
fn a_point_from_the_future_stops_everything() {
    let mut points = daily(8);
    points[3].time = now() + SignedDuration::from_secs(DAY_S);
    let error = retain(&points, now(), &Retention { keep_last: Some(7), keep_within: None }, true).unwrap_err();
    assert_eq!(error, RetentionError::Clock { id: "p03".into(), ahead_s: DAY_S });
}

#[test]
fn nothing_is_decided_about_nothing() {
    assert_eq!(retain(&[], now(), &Retention::default(), false), Ok(Vec::new()));
}
