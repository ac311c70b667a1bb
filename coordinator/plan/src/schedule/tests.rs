use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn s(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// The line in UTC.
fn line(line: &str) -> Schedule {
    Schedule::Cron(CronLine::parse(line, None).unwrap())
}

fn facts() -> Facts<'static> {
    Facts {
        name: "shop/minutely",
        since: at("2026-01-01T00:00:00Z"),
        suspended: false,
        active: false,
        last_scheduled: None,
        last_cut: None,
        durations: &[],
        failures: 0,
        last_end: None,
    }
}

/// The spread of the policy of [`facts`] for times so far apart.
fn spread_s(interval_s: i64) -> SignedDuration {
    spread(facts().name, s(interval_s))
}

#[test]
fn a_user_s_schedule_is_one_thing_or_the_other() {
    let parse = |cron: Option<&str>, zone: Option<&str>, rpo_seconds: Option<i64>| {
        let (cron, time_zone) = (cron.map(str::to_owned), zone.map(str::to_owned));
        Schedule::parse(&firn_api::Schedule { cron, time_zone, rpo_seconds })
    };
    assert!(matches!(parse(Some("@daily"), Some("Europe/Berlin"), None), Ok(Schedule::Cron(_))));
    assert!(matches!(parse(None, None, Some(60)), Ok(Schedule::Target(target)) if target == s(60)));
    assert!(matches!(parse(None, None, None), Err(ScheduleError::Shape)));
    assert!(matches!(parse(Some("@daily"), None, Some(60)), Err(ScheduleError::Shape)));
    assert!(matches!(parse(None, None, Some(0)), Err(ScheduleError::Target(0))));
    assert!(matches!(parse(Some("@daily"), Some("Europe/Atlantis"), None), Err(ScheduleError::TimeZone { .. })));
    assert!(matches!(parse(Some("0 0 30 2 *"), None, None), Err(ScheduleError::Never { .. })));
    for rare in ["0 0 29 2 *", "0 0 * 2 1#5", "0 0 L 2 *", "0 0 31 12 *", "0 0 15W * *"] {
        assert!(parse(Some(rare), None, None).is_ok(), "{rare}");
    }
    for wrong in ["", "* * * *", "* * * * * *", "0 0 * * * * 2030", "61 * * * *", "@often", "a b c d e"] {
        assert!(matches!(parse(Some(wrong), None, None), Err(ScheduleError::Cron { .. })), "{wrong}");
    }
    for name in ["hourly", "daily", "weekly", "monthly", "yearly"] {
        assert!(parse(Some(&format!("@{name}")), None, None).is_ok(), "{name}");
    }
}

#[test]
fn a_run_starts_at_its_time_and_a_little_later() {
    let hourly = line("0 * * * *");
    let spread = spread_s(3600);
    let known = Facts { last_scheduled: Some(at("2026-01-01T10:00:00Z")), ..facts() };
    assert_eq!(hourly.due(&known, at("2026-01-01T10:30:00Z")), Due::At(at("2026-01-01T11:00:00Z") + spread));
    assert_eq!(hourly.due(&known, at("2026-01-01T11:00:00Z")), Due::At(at("2026-01-01T11:00:00Z") + spread));
    let scheduled = at("2026-01-01T11:00:00Z");
    assert_eq!(hourly.due(&known, scheduled + spread), Due::Now { scheduled, missed: 0 });
    assert_eq!(hourly.due(&known, at("2026-01-01T11:59:59Z")), Due::Now { scheduled, missed: 0 });
    let done = Facts { last_scheduled: Some(scheduled), ..facts() };
    assert_eq!(hourly.due(&done, at("2026-01-01T11:01:00Z")), Due::At(at("2026-01-01T12:00:00Z") + spread));
}

#[test]
fn a_new_policy_has_missed_nothing() {
    let daily = line("0 3 * * *");
    let new = Facts { since: at("2026-01-05T12:00:00Z"), ..facts() };
    assert_eq!(daily.due(&new, at("2026-01-05T12:00:01Z")), Due::At(at("2026-01-06T03:00:00Z") + spread_s(86_400)));
}

#[test]
fn after_a_downtime_one_run_starts() {
    let minutely = line("* * * * *");
    let known = Facts { last_scheduled: Some(at("2026-01-01T10:00:00Z")), ..facts() };
    let now = at("2026-01-01T10:30:30Z");
    let scheduled = at("2026-01-01T10:30:00Z");
    assert_eq!(minutely.due(&known, now), Due::Now { scheduled, missed: 29 });
    let then = Facts { last_scheduled: Some(scheduled), ..facts() };
    assert_eq!(minutely.due(&then, now), Due::At(at("2026-01-01T10:31:00Z") + spread_s(60)));
    let long = minutely.due(&known, at("2026-11-21T08:00:30Z"));
    assert_eq!(long, Due::Now { scheduled: at("2026-11-21T08:00:00Z"), missed: MISSED_MAX });
}

#[test]
fn two_runs_of_one_policy_never_run_beside_each_other() {
    for (schedule, known) in [
        (line("* * * * *"), Facts { last_scheduled: Some(at("2026-01-01T10:00:00Z")), ..facts() }),
        (Schedule::Target(s(60)), Facts { last_cut: Some(at("2026-01-01T10:00:00Z")), ..facts() }),
    ] {
        let now = at("2026-01-01T10:05:30Z");
        let active = Facts { active: true, ..known };
        let Due::AfterRun { scheduled } = schedule.due(&active, now) else {
            panic!("{:?}", schedule.due(&active, now))
        };
        assert!(matches!(schedule.due(&known, now), Due::Now { scheduled: then, .. } if then == scheduled));
    }
}

#[test]
fn what_is_suspended_starts_nothing_and_then_makes_up_for_one() {
    let minutely = line("* * * * *");
    let known = Facts { last_scheduled: Some(at("2026-01-01T10:00:00Z")), suspended: true, ..facts() };
    let now = at("2026-01-01T12:00:30Z");
    assert_eq!(minutely.due(&known, now), Due::Never);
    let resumed = Facts { suspended: false, ..known };
    assert!(matches!(minutely.due(&resumed, now), Due::Now { missed: MISSED_MAX, .. }));
}

#[test]
fn a_clock_that_was_ahead_does_not_stop_a_policy() {
    let minutely = line("* * * * *");
    let now = at("2026-01-01T10:00:30Z");
    let known = Facts { last_scheduled: Some(at("2031-01-01T00:00:00Z")), ..facts() };
    assert_eq!(minutely.due(&known, now), Due::At(at("2026-01-01T10:01:00Z") + spread_s(60)));
    let known = Facts { last_cut: Some(at("2031-01-01T00:00:00Z")), durations: &[s(4)], ..facts() };
    assert!(matches!(Schedule::Target(s(60)).due(&known, now), Due::At(then) if then < now + s(60)));
}

#[test]
fn starts_are_spread_and_stay_within_their_minute() {
    let names: Vec<String> = (0..200).map(|n| format!("tenant-{n}/daily")).collect();
    let starts: Vec<SignedDuration> = names.iter().map(|name| spread(name, s(86_400))).collect();
    assert!(starts.iter().all(|start| *start >= SignedDuration::ZERO && *start < s(60)));
    let mut buckets = [0; 6];
    starts.iter().for_each(|start| buckets[usize::try_from(start.as_secs() / 10).unwrap()] += 1);
    assert!(buckets.iter().all(|count| (10..70).contains(count)), "{buckets:?}");
    assert_eq!(spread("a", s(86_400)), spread("a", s(86_400)));
    assert!(names.iter().all(|name| spread(name, s(60)) < s(6)));
    assert_eq!(spread("a", s(9)), s(0));
}

#[test]
fn a_target_is_met_by_starting_early_enough() {
    let target = Schedule::Target(s(300));
    let cut = at("2026-01-01T10:00:00Z");
    let known = Facts { last_cut: Some(cut), durations: &[s(90), s(40), s(60)], ..facts() };
    // The longest took 90 s: 112.5 s with a quarter, 2 s to notice.
    let start = cut + s(300) - SignedDuration::from_millis(114_500) - spread_s(300);
    assert_eq!(target.due(&known, cut + s(100)), Due::At(start));
    assert_eq!(target.due(&known, start), Due::Now { scheduled: start, missed: 0 });
    assert_eq!(attainable(known.durations), Some(s(229)));
    assert_eq!(attainable(&[]), None);
}

#[test]
fn a_target_is_kept_while_runs_take_about_as_long_as_before() {
    // A simulation: runs take a third of the target, give or take; somebody looks once a second.
    let target = s(60);
    let schedule = Schedule::Target(target);
    let mut dice = 7_u64;
    let mut roll = |below: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((dice >> 33) % below).unwrap()
    };
    let mut durations = vec![s(20)];
    let mut cut = at("2026-01-01T10:00:00Z");
    let mut now = cut + s(20);
    for _ in 0..2000 {
        let known = Facts { last_cut: Some(cut), durations: &durations, ..facts() };
        while !matches!(schedule.due(&known, now), Due::Now { .. }) {
            now += s(1);
        }
        let duration = s(16 + roll(5));
        let age = (now + duration).duration_since(cut);
        assert!(age <= target, "{age:?}");
        (cut, now) = (now, now + duration);
        durations.push(duration);
    }
}

#[test]
fn a_policy_with_a_target_that_fails_backs_off_and_comes_back() {
    let target = Schedule::Target(s(3600));
    let end = at("2026-01-01T12:00:00Z");
    let wait = |failures: u32| {
        let cut = Some(at("2026-01-01T10:00:00Z"));
        let known = Facts { last_cut: cut, last_end: Some(end), failures, ..facts() };
        match target.due(&known, end) {
            Due::At(then) => then.duration_since(end),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([1, 2, 3, 6, 7, u32::MAX].map(|failures| wait(failures).as_secs()), [30, 60, 120, 900, 900, 900]);
    let short = Facts { last_end: Some(end), failures: 9, ..facts() };
    assert_eq!(Schedule::Target(s(60)).due(&short, end), Due::At(end + s(30)));
}

#[test]
fn the_age_that_was_reached_is_the_greatest_gap() {
    let t = |minute: i64| at("2026-01-01T10:00:00Z") + s(60 * minute);
    // Cuts at 0, 10, 40; each is there two minutes later.
    let points = [(t(0), t(2)), (t(10), t(12)), (t(40), t(42))];
    assert_eq!(observed(&points, t(0), t(45)), Some(s(32 * 60)));
    assert_eq!(observed(&points, t(43), t(45)), Some(s(5 * 60)));
    assert_eq!(observed(&points, t(43), t(145)), Some(s(105 * 60)));
    assert_eq!(observed(&[], t(0), t(1)), None);
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    for schedule in [line("* * * * *"), line("0 0 29 2 *"), Schedule::Target(s(i64::MAX)), Schedule::Target(s(60))] {
        for now in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            for known in [Timestamp::MIN, Timestamp::MAX] {
                let facts = Facts {
                    since: known,
                    last_scheduled: Some(known),
                    last_cut: Some(known),
                    last_end: Some(known),
                    durations: &[SignedDuration::MAX, SignedDuration::MIN],
                    failures: u32::MAX,
                    ..facts()
                };
                let _any = schedule.due(&facts, now);
            }
        }
    }
}
