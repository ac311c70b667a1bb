use firn_format::log::Lost;
use firn_format::{Payload, PointId};

use super::*;
use crate::Class;
use crate::ground::{CLUSTER, Ground, back_up};

#[test]
fn points_are_listed_oldest_first_with_what_their_entries_say() {
    let ground = Ground::new(1);
    let (mut repository, keyring) = ground.create();
    let mut made = Vec::new();
    for n in 0..5 {
        ground.clock.advance(60_000);
        made.push(back_up(&mut repository, &keyring, if n % 2 == 0 { "all" } else { "db" }, &["a", "b"]).unwrap());
    }
    let points = list_points(&repository, &keyring);
    assert_eq!(points.iter().map(|point| point.id).collect::<Vec<_>>(), made);
    let summary = points[1].summary.as_ref().unwrap();
    assert_eq!((summary.cluster.as_str(), summary.policy.as_str(), summary.complete), (CLUSTER, "db", true));
    assert!(points.iter().all(|point| point.lost == 0 && !point.held && !point.branch && point.verified.is_none()));
    let name = repository.state().needs(&made[0])[0];
    let lost = Payload::Lost(Lost { names: vec![name], reason: "test".into() });
    repository.append(&lost, keyring.signing_key().unwrap()).unwrap();
    assert!(list_points(&repository, &keyring).iter().all(|point| point.lost == 1));
}

#[test]
fn latest_is_per_lineage_and_an_ambiguous_one_lists_the_choices() {
    let ground = Ground::new(2);
    let (mut repository, keyring) = ground.create();
    assert!(matches!(resolve(&[], "latest", &Selection::default()), Err(RepoError::NoSuchPoint(_))));
    let first = back_up(&mut repository, &keyring, "all", &["a"]).unwrap();
    // A clock that goes back does not make an older point the latest.
    ground.clock.advance(-3_600_000);
    let second = back_up(&mut repository, &keyring, "all", &["a", "b"]).unwrap();
    let points = list_points(&repository, &keyring);
    let ids = |found: Vec<&PointInfo>| found.into_iter().map(|point| point.id).collect::<Vec<PointId>>();
    assert_eq!(ids(resolve(&points, "latest", &Selection::default()).unwrap()), [second]);
    let other = back_up(&mut repository, &keyring, "db", &["c"]).unwrap();
    let points = list_points(&repository, &keyring);
    let error = resolve(&points, "latest", &Selection::default()).unwrap_err();
    let RepoError::Ambiguous { choices, .. } = &error else { panic!("{error}") };
    assert_eq!((choices.len(), error.class()), (2, Class::Usage));
    assert!(error.to_string().contains("east db"), "{error}");
    let all = Selection { all_lineages: true, ..Selection::default() };
    assert_eq!(resolve(&points, "latest", &all).unwrap().len(), 2);
    let lineage = keyring.lineage(CLUSTER, "db").hex();
    for selection in [
        Selection { policy: Some("db"), ..Selection::default() },
        Selection { lineage: Some(&lineage[..4]), ..Selection::default() },
    ] {
        assert_eq!(ids(resolve(&points, "latest", &selection).unwrap()), [other]);
    }
    let nobody = Selection { cluster: Some("west"), ..Selection::default() };
    assert!(resolve(&points, "latest", &nobody).is_err());
    let east = Selection { cluster: Some("east"), policy: Some("all"), ..Selection::default() };
    assert_eq!(ids(resolve(&points, "latest", &east).unwrap()), [second]);
    assert_eq!(ids(resolve(&points, &first.hex()[..8].to_uppercase(), &Selection::default()).unwrap()), [first]);
}

#[test]
fn the_beginning_of_an_id_must_be_long_and_clear_enough() {
    let ground = Ground::new(3);
    let (mut repository, keyring) = ground.create();
    back_up(&mut repository, &keyring, "all", &["a"]).unwrap();
    let mut points = list_points(&repository, &keyring);
    let id = points[0].id.hex();
    for text in ["", "abc", "lates", &id[..3], "zzzz"] {
        let error = resolve(&points, text, &Selection::default()).unwrap_err();
        assert!(matches!(error, RepoError::NoSuchPoint(_)), "{text}");
        assert_eq!(error.class(), Class::Usage);
    }
    let mut twin = points[0].clone();
    twin.id.0[31] ^= 1;
    points.push(twin);
    let error = resolve(&points, &id[..12], &Selection::default()).unwrap_err();
    assert!(matches!(error, RepoError::Ambiguous { count: 2, .. }));
    assert_eq!(resolve(&points, &id, &Selection::default()).unwrap().len(), 1);
}

#[test]
fn lost_objects_are_counted_in_one_walk_as_point_by_point() {
    let ground = Ground::new(5);
    let (mut repository, keyring) = ground.create();
    for n in 0..6 {
        let (own, odd) = (format!("own {n}"), format!("odd {}", n % 2));
        back_up(&mut repository, &keyring, if n < 4 { "all" } else { "db" }, &["base", &own, &odd]).unwrap();
    }
    assert!(lost_by_point(repository.state()).is_empty());
    let names: Vec<_> = repository.state().needed().copied().skip(1).step_by(4).collect();
    let lost = Payload::Lost(Lost { names, reason: "test".into() });
    repository.append(&lost, keyring.signing_key().unwrap()).unwrap();
    let found = lost_by_point(repository.state());
    let state = repository.state();
    assert!(found.len() > 1 && found.len() < 6);
    for point in state.points() {
        assert_eq!(found.get(&point.id).copied().unwrap_or(0), state.missing(&point.id).len());
    }
}
