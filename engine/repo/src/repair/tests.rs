use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use firn_format::{Class, ObjectName, PointId, name};
use firn_store::{MemoryStore, Store};

use super::*;
use crate::check::tests as volumes;
use crate::ground::{Ground, back_up, say};
use crate::{Keyring, Repository, check, collect};

/// A repository with points of two policies, and a store that mirrors its log.
fn ground(seed: u64) -> (Ground, Repository, Keyring, Arc<dyn Store>) {
    let ground = Ground::new(seed);
    let (mut repository, keyring) = ground.create();
    for round in 0..3 {
        for policy in ["daily", "hourly"] {
            back_up(&mut repository, &keyring, policy, &[policy, &format!("{policy} {round}")]).unwrap();
        }
    }
    let mirror = mirror_of(&ground, &repository);
    (ground, repository, keyring, mirror)
}

fn mirror_of(ground: &Ground, repository: &Repository) -> Arc<dyn Store> {
    let mirror = MemoryStore::new();
    for seq in 1..=repository.head().seq {
        let bytes = ground.memory.get(&name::log_path(seq), 1 << 20).unwrap();
        mirror.overwrite(&name::mirror_path(repository.format().store, seq), bytes);
    }
    Arc::new(mirror)
}

fn copy(ground: &Ground) -> Ground {
    ground.with_memory(Arc::new(MemoryStore::from_snapshot(ground.memory.snapshot())))
}

fn points(repository: &Repository) -> Vec<PointId> {
    repository.state().points().map(|point| point.id).collect()
}

fn plan(case: &Ground, keyring: &Keyring, mirrors: &[Arc<dyn Store>]) -> LogRepair {
    let mirrors = Mirrors { stores: mirrors.to_vec(), unread: Vec::new() };
    let before = case.memory.snapshot();
    let plan = LogRepair::plan(&case.open().unwrap(), keyring.signing_key().ok(), &mirrors).unwrap();
    assert!(case.memory.snapshot() == before, "planning changed something");
    plan
}

/// What a check says of the log. (The packs of these points are made up.)
fn log_findings(case: &Ground, keyring: &Keyring) -> Vec<String> {
    let report = check(&mut case.open().unwrap(), keyring, false).unwrap();
    report.findings.into_iter().map(|finding| finding.object).filter(|object| object.starts_with("log/")).collect()
}

#[test]
fn a_whole_log_needs_nothing() {
    let (ground, _, keyring, mirror) = ground(1);
    assert_eq!(plan(&ground, &keyring, &[mirror]), LogRepair::default());
}

#[test]
fn every_slot_comes_back_from_a_mirror_and_nothing_is_lost() {
    let (ground, repository, keyring, mirror) = ground(2);
    let (right, last) = (points(&repository), repository.head().seq);
    for seq in 1..=last {
        for torn in [false, true] {
            let case = copy(&ground);
            let path = name::log_path(seq);
            match torn {
                true => case.memory.overwrite(&path, Bytes::from_static(b"torn")),
                false => case.memory.delete(&path).unwrap(),
            }
            let plan = plan(&case, &keyring, std::slice::from_ref(&mirror));
            assert_eq!(plan.unmended, []);
            let [step] = plan.steps.as_slice() else { panic!("{plan:?}") };
            assert_eq!((step.seq, matches!(step.remedy, Remedy::VoidWithEntry { .. })), (seq, torn));
            let mut damaged = case.open().unwrap();
            plan.apply(&mut damaged).unwrap();
            assert_eq!((damaged.damage(), points(&damaged)), (None, right.clone()), "slot {seq}");
            // What lay there was not overwritten.
            assert_eq!(case.memory.get(&path, 1 << 20).unwrap().as_ref() == b"torn", torn);
            assert_eq!(points(&case.open().unwrap()), right);
            back_up(&mut damaged, &keyring, "daily", &["goes on"]).unwrap();
        }
    }
}

#[test]
fn a_mirror_that_does_not_fit_is_not_used() {
    let (ground, repository, keyring, _) = ground(3);
    let (_, other, _, _) = super::tests::ground(4);
    let seq = repository.head().seq - 3;
    ground.memory.delete(&name::log_path(seq)).unwrap();
    let store = repository.format().store;
    let foreign = other.raw_entry(seq).unwrap().unwrap();
    let neighbour = repository.raw_entry(seq + 1).unwrap().unwrap();
    for wrong in [foreign, neighbour, Bytes::from_static(b"rot"), Bytes::new()] {
        let mirror = MemoryStore::new();
        mirror.overwrite(&name::mirror_path(store, seq), wrong);
        let plan = plan(&ground, &keyring, &[Arc::new(mirror)]);
        assert!(matches!(plan.steps[0].remedy, Remedy::Void(_)), "{plan:?}");
    }
}

#[test]
fn what_no_mirror_has_is_given_up_and_the_loss_is_named_exactly() {
    let (ground, repository, keyring, _) = ground(5);
    let (before, last) = (points(&repository), repository.head().seq);
    let mut lossless = 0;
    for seq in 1..=last {
        for torn in [false, true] {
            if seq == last && !torn {
                continue;
            }
            let case = copy(&ground);
            match torn {
                true => {
                    let mut bytes = case.memory.get(&name::log_path(seq), 1 << 20).unwrap().to_vec();
                    let last = bytes.len() - 1;
                    bytes[last] ^= 1;
                    case.memory.overwrite(&name::log_path(seq), bytes.into());
                }
                false => case.memory.delete(&name::log_path(seq)).unwrap(),
            }
            let plan = plan(&case, &keyring, &[]);
            let [step] = plan.steps.as_slice() else { panic!("{plan:?}") };
            let Remedy::Void(loss) = &step.remedy else { panic!("{plan:?}") };
            assert_eq!(loss.kind.is_some(), torn);
            let mut damaged = case.open().unwrap();
            plan.apply(&mut damaged).unwrap();
            assert_eq!(damaged.damage(), None);
            let after = points(&damaged);
            let gone: BTreeSet<_> = before.iter().filter(|point| !after.contains(point)).copied().collect();
            let told: BTreeSet<_> = loss.points.iter().copied().collect();
            // Of an entry that nobody names and whose bytes are gone, nobody knows what it was.
            match &gone - &told {
                unknown if unknown.is_empty() => assert_eq!(told, gone, "slot {seq}"),
                unknown => assert!(unknown.len() == 1 && loss.may_matter, "slot {seq}: {loss:?}"),
            }
            lossless += u32::from(gone.is_empty() && !loss.may_matter);
            back_up(&mut case.open().unwrap(), &keyring, "weekly", &["goes on"]).unwrap();
        }
    }
    say(&format!("{lossless} of {last} slots given up without a loss"));
}

#[test]
fn nothing_is_given_up_where_a_collection_ended_at_or_behind_it() {
    let (ground, mut repository, keyring, _) = ground(6);
    let key = keyring.signing_key().unwrap();
    let oldest = repository.state().points().next().unwrap().id;
    crate::forget(&mut repository, &keyring, &[oldest], "test", true).unwrap();
    collect(&mut repository, key).unwrap();
    let collected = (1..=repository.head().seq)
        .rfind(|seq| {
            let bytes = repository.raw_entry(*seq).unwrap().unwrap();
            matches!(firn_format::Entry::open(&bytes).unwrap().0.payload, firn_format::Payload::GcCommit(_))
        })
        .unwrap();
    let mut repository = ground.open().unwrap();
    back_up(&mut repository, &keyring, "hourly", &["after"]).unwrap();
    let mirror = mirror_of(&ground, &repository);
    for (seq, is_refused) in [(2, true), (collected - 1, true), (collected, true), (collected + 1, false)] {
        let case = copy(&ground);
        case.memory.overwrite(&name::log_path(seq), Bytes::from_static(b"torn"));
        let alone = plan(&case, &keyring, &[]);
        assert_eq!(alone.steps.is_empty(), is_refused, "{seq}");
        if is_refused {
            assert!(alone.unmended[0].why.contains("collection"), "{alone:?}");
        }
        let helped = plan(&case, &keyring, std::slice::from_ref(&mirror));
        assert_eq!((helped.steps.len(), helped.unmended.len()), (1, 0), "{seq}");
        helped.apply(&mut case.open().unwrap()).unwrap();
        assert_eq!(points(&case.open().unwrap()), points(&repository));
    }
}

#[test]
fn many_slots_at_once_are_mended_in_order() {
    let (ground, repository, keyring, mirror) = ground(7);
    let right = points(&repository);
    for (number, slots) in [[2, 3, 4, 9], [1, 5, 6, 12], [3, 8, 10, 11]].iter().enumerate() {
        let case = copy(&ground);
        for (at, seq) in slots.iter().enumerate() {
            match (at + number) % 2 {
                0 => case.memory.delete(&name::log_path(*seq)).unwrap(),
                _ => case.memory.overwrite(&name::log_path(*seq), Bytes::from_static(b"torn")),
            }
        }
        let plan = plan(&case, &keyring, std::slice::from_ref(&mirror));
        assert_eq!((plan.steps.len(), plan.unmended.len()), (4, 0), "{slots:?}");
        plan.apply(&mut case.open().unwrap()).unwrap();
        let mended = case.open().unwrap();
        assert_eq!((mended.damage(), points(&mended)), (None, right.clone()));
    }
}

#[test]
fn below_a_checkpoint_a_hole_is_filled_and_rot_stays_and_is_said() {
    let (ground, mut repository, keyring, _) = ground(8);
    repository.store_checkpoint(keyring.signing_key().unwrap()).unwrap();
    back_up(&mut repository, &keyring, "daily", &["behind it"]).unwrap();
    let mirror = mirror_of(&ground, &repository);
    let behind = repository.head().seq - 1;
    let case = copy(&ground);
    case.memory.delete(&name::log_path(3)).unwrap();
    let plan_of_hole = plan(&case, &keyring, std::slice::from_ref(&mirror));
    plan_of_hole.apply(&mut case.open().unwrap()).unwrap();
    assert_eq!(log_findings(&case, &keyring), Vec::<String>::new());

    case.memory.overwrite(&name::log_path(3), Bytes::from_static(b"rot"));
    case.memory.overwrite(&name::log_path(behind), Bytes::from_static(b"rot"));
    let plan = plan(&case, &keyring, std::slice::from_ref(&mirror));
    assert_eq!((plan.unmended[0].seq, plan.steps[0].seq), (3, behind));
    assert!(plan.unmended[0].why.contains("by hand"));
    plan.apply(&mut case.open().unwrap()).unwrap();
    let mended = case.open().unwrap();
    assert_eq!((mended.damage(), points(&mended)), (None, points(&repository)));
    assert_eq!(log_findings(&case, &keyring), [name::log_path(3)]);
}

#[test]
fn without_the_owner_only_holes_are_filled() {
    let (ground, _, _, mirror) = ground(9);
    for (harm, steps) in [(None, 1), (Some(Bytes::from_static(b"rot")), 0)] {
        let case = copy(&ground);
        case.memory.delete(&name::log_path(4)).unwrap();
        if let Some(bytes) = harm {
            case.memory.overwrite(&name::log_path(4), bytes);
        }
        let mirrors = Mirrors { stores: vec![mirror.clone()], unread: Vec::new() };
        let plan = LogRepair::plan(&case.open().unwrap(), None, &mirrors).unwrap();
        assert_eq!((plan.steps.len(), plan.unmended.len()), (steps, 1 - steps));
    }
}

#[test]
fn nothing_is_given_up_while_a_replica_cannot_be_read() {
    let (ground, repository, keyring, mirror) = ground(12);
    ground.memory.overwrite(&name::log_path(5), Bytes::from_static(b"rot"));
    let key = keyring.signing_key().ok();
    let unread = vec!["az://far/away".to_owned()];
    for (stores, steps) in [(Vec::new(), 0), (vec![mirror], 1)] {
        let plan = LogRepair::plan(&repository, key, &Mirrors { stores, unread: unread.clone() }).unwrap();
        assert_eq!((plan.steps.len(), plan.unmended.len()), (steps, 1 - steps), "{plan:?}");
    }
}

#[test]
fn links_behind_the_damage_are_known() {
    let (ground, mut repository, keyring, _) = ground(13);
    let link = firn_format::log::Link {
        store: firn_format::StoreId([4; 16]),
        fingerprint: repository.fingerprint(),
        url: "file:///b".into(),
        direction: firn_format::log::Direction::To,
    };
    repository.append(&firn_format::Payload::Link(link.clone()), keyring.signing_key().unwrap()).unwrap();
    ground.memory.overwrite(&name::log_path(3), Bytes::from_static(b"rot"));
    let damaged = ground.open().unwrap();
    assert_eq!(damaged.state().links(), []);
    assert_eq!(named_links(&damaged).unwrap(), [link]);
}

#[test]
fn a_plan_that_others_overtook_is_given_up() {
    let (ground, _, keyring, mirror) = ground(10);
    ground.memory.overwrite(&name::log_path(4), Bytes::from_static(b"rot"));
    let plans = [plan(&ground, &keyring, std::slice::from_ref(&mirror)), plan(&ground, &keyring, &[mirror])];
    plans[0].apply(&mut ground.open().unwrap()).unwrap();
    let mut again = ground.open().unwrap();
    back_up(&mut again, &keyring, "daily", &["more"]).unwrap();
    let late = LogRepair { steps: plans[1].steps.clone(), unmended: Vec::new() };
    // The very same VOID is there already, so it is done; any other is refused.
    let mut other = late.clone();
    other.steps[0].bytes = Bytes::from_static(b"another VOID");
    assert!(other.apply(&mut again).is_err());
    assert_eq!(ground.open().unwrap().damage(), None);
}

#[test]
fn index_runs_are_made_anew_from_packs() {
    let (ground, repository, keyring, right) = volumes::ground(11);
    let runs: Vec<ObjectName> =
        repository.state().needed().filter(|name| matches!(name.class, Class::Index(_))).copied().collect();
    assert!(runs.len() >= 2);
    for (number, harmed) in [&runs[..1], &runs[1..], &runs[..]].into_iter().enumerate() {
        for torn in [false, true] {
            let case = copy(&ground);
            for run in harmed {
                match torn {
                    true => case.memory.overwrite(&run.path(), Bytes::from_static(b"rot")),
                    false => case.memory.delete(&run.path()).unwrap(),
                }
            }
            let mut damaged = case.open().unwrap();
            let report = check(&mut damaged, &keyring, false).unwrap();
            assert_eq!(report.wrong, harmed);
            let wrong = report.wrong.into_iter().collect();
            let rebuilt = rebuild_runs(&mut damaged, &keyring, &wrong).unwrap();
            assert_eq!((rebuilt.moved.len(), rebuilt.unmended), (harmed.len(), Vec::new()), "{number}");
            let mut mended = case.open().unwrap();
            let report = check(&mut mended, &keyring, true).unwrap();
            assert_eq!((report.findings, report.sound), (Vec::new(), right.to_vec()), "{number} {torn}");
            let point = volumes::back_up(&mut mended, &keyring, volumes::OLD);
            collect(&mut mended, keyring.signing_key().unwrap()).unwrap();
            let report = check(&mut mended, &keyring, true).unwrap();
            assert_eq!(report.findings, []);
            assert!(report.sound.contains(&point));
        }
    }
}
