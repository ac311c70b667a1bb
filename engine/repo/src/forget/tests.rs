use std::sync::Arc;

use firn_format::log::{Hold, Lost, Retention};
use firn_format::{HoldId, Payload, PointId};
use firn_store::{Fault, Faulty, Kind, Store};

use super::*;
use crate::Class;
use crate::ground::{Ground, back_up, commit, open_session, put_object};

fn ground(seed: u64, points: usize) -> (Ground, Repository, Keyring, Vec<PointId>) {
    let ground = Ground::new(seed);
    let (mut repository, keyring) = ground.create();
    let contents: Vec<_> = (0..points).map(|n| format!("point {n}")).collect();
    let made = contents.iter().map(|content| back_up(&mut repository, &keyring, "all", &["base", content]).unwrap());
    let made = made.collect();
    (ground, repository, keyring, made)
}

fn why(result: Result<Option<Appended>, RepoError>) -> (PointId, String) {
    match result {
        Err(RepoError::Kept { point, why }) => (point, why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn up_to_a_quarter_goes_and_more_only_when_confirmed() {
    let (_ground, mut repository, keyring, points) = ground(1, 8);
    let head = repository.head();
    let error = forget(&mut repository, &keyring, &points[..3], "old", false).unwrap_err();
    assert!(matches!(error, RepoError::Unconfirmed { forgotten: 3, live: 8 }));
    assert_eq!((error.class(), repository.head()), (Class::Usage, head));
    forget(&mut repository, &keyring, &points[..2], "old", false).unwrap();
    assert_eq!(repository.state().points().count(), 6);
    forget(&mut repository, &keyring, &points[2..7], "old", true).unwrap();
    let left: Vec<_> = repository.state().points().map(|point| point.id).collect();
    assert_eq!(left, points[7..]);
    assert!(forget(&mut repository, &keyring, &[], "old", false).unwrap().is_none());
    assert!(matches!(forget(&mut repository, &keyring, &points[..1], "", true), Err(RepoError::NoSuchPoint(_))));
}

#[test]
fn the_last_good_point_stays_even_when_confirmed() {
    let (ground, mut repository, keyring, points) = ground(2, 3);
    let lineage = keyring.lineage(crate::ground::CLUSTER, "all");
    assert_eq!(why(forget(&mut repository, &keyring, &points, "all", true)).0, points[2]);
    // A newer point with exceptions, or with a lost object, is no reason to let the last good one go.
    let session = open_session(&mut repository, &keyring, "all", Some(points[2])).unwrap();
    let name = put_object(&repository, "half").unwrap();
    let half = commit(&mut repository, &keyring, &session, &[name], false).unwrap();
    assert_eq!(why(forget(&mut repository, &keyring, &points, "all", true)).0, points[2]);
    forget(&mut repository, &keyring, &points[..2], "all", true).unwrap();
    let lost = repository.state().needs(&points[2]);
    let lost = Payload::Lost(Lost { names: lost, reason: "gone".into() });
    repository.append(&lost, keyring.signing_key().unwrap()).unwrap();
    // Now none is good, so any may go, and one stays.
    forget(&mut repository, &keyring, &[points[2]], "all", true).unwrap();
    assert_eq!(why(forget(&mut repository, &keyring, &[half], "all", true)).0, half);
    assert_eq!(repository.state().points_of(&lineage).count(), 1);
    drop(ground);
}

#[test]
fn held_and_young_points_stay() {
    let (ground, mut repository, keyring, points) = ground(3, 9);
    let key = keyring.signing_key().unwrap();
    let hold = Hold { hold: HoldId([1; 16]), points: vec![points[0]], reason: "reading".into(), until_ms: None };
    repository.append(&Payload::Hold(hold), key).unwrap();
    assert_eq!(why(forget(&mut repository, &keyring, &points[..2], "old", false)).0, points[0]);
    let session = open_session(&mut repository, &keyring, "all", Some(points[1])).unwrap();
    assert_eq!(why(forget(&mut repository, &keyring, &points[1..2], "old", false)).0, points[1]);
    repository.append(&Payload::Retention(Retention { seconds_min: 3600 }), key).unwrap();
    assert_eq!(why(forget(&mut repository, &keyring, &points[2..3], "old", false)).0, points[2]);
    // Another machine's clock does not make it older: the store's counts.
    ground.clock.advance(3_600_001);
    forget(&mut repository, &keyring, &points[2..3], "old", false).unwrap();
    drop(session);
}

#[test]
fn a_fault_at_any_call_forgets_all_of_them_or_none() {
    let mut cases = 0;
    for fault in [Fault::Crash, Fault::CrashAfter, Fault::FailAfter(Kind::Ambiguous), Fault::Fail(Kind::Ambiguous)] {
        for call in 0.. {
            let (ground, repository, keyring, points) = ground(100 + call, 8);
            drop(repository);
            let faulty = Arc::new(Faulty::new(ground.memory.clone()).with_fault(call, fault));
            let store: Arc<dyn Store> = faulty.clone();
            let run = |store: Arc<dyn Store>| -> Result<(), RepoError> {
                let mut repository = Repository::open(store, ground.context.clone())?;
                forget(&mut repository, &keyring, &points[..2], "old", false).map(|_| ())
            };
            let first = run(store);
            if faulty.calls() <= call {
                first.unwrap();
                break;
            }
            cases += 1;
            let left = ground.open().unwrap().state().points().count();
            assert!(left == 6 || (left == 8 && first.is_err()), "call {call}, {fault:?}: {left}");
            if left == 8 {
                run(ground.memory.clone()).unwrap();
            }
            assert_eq!(ground.open().unwrap().state().points().count(), 6);
        }
    }
    crate::ground::say(&format!("{cases} faults"));
    assert!(cases > 40);
}
