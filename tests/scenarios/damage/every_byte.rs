//! Every byte of the small objects.

use firn_format::FormatError;
use firn_repo::{Session, SessionPlan};
use firn_tests::CLUSTER;

use super::*;

/// Flips every byte of `name` in turn; `is_noticed` says whether a look at the store shows it.
fn every_byte(victim: &Victim, name: &str, is_noticed: impl Fn(&Arc<MemoryStore>) -> Option<String>) -> usize {
    let sound = &victim.sound[name];
    for at in 0..sound.len() {
        let mut bytes = sound.to_vec();
        bytes[at] ^= 1 << (at % 8);
        let store = victim.store();
        store.overwrite(name, bytes.into());
        let fault = is_noticed(&store);
        assert!(fault.is_none(), "{name}, byte {at}: {fault:?}");
    }
    sound.len()
}

fn damaged<T>(result: Result<T, RepoError>) -> Option<String> {
    match result {
        Ok(_) => Some("nobody noticed".to_owned()),
        Err(error) if error.class() == Class::Damaged => None,
        Err(error) => Some(format!("{error:?}")),
    }
}

#[test]
fn every_byte_of_format_keys_log_and_index_counts() {
    root();
    let victim = Victim::new(22);
    let world = &victim.world;
    let open = |store: &Arc<MemoryStore>| world.open(store.clone());
    let mut flips = every_byte(&victim, "FORMAT", |store| match open(store) {
        // The version comes first: what a newer one looks like, nobody knows.
        Err(RepoError::Format(FormatError::Newer { .. })) => None,
        other => damaged(other),
    });
    let word = passphrase();
    let of_passphrase = victim.names("key").into_iter().find(|name| {
        let store = victim.store();
        store.delete(name).unwrap();
        firn_repo::unlock(&open(&store).unwrap(), &Secret::Passphrase(&word)).is_err()
    });
    flips += every_byte(&victim, of_passphrase.unwrap(), |store| {
        damaged(firn_repo::unlock(&open(store).unwrap(), &Secret::Passphrase(&word)))
    });
    let log = victim.names("log entry");
    let last = log[log.len() - 1];
    let seq = firn_format::name::parse_log_path(last).unwrap();
    flips += every_byte(&victim, last, |store| match open(store).unwrap().damage() {
        Some(damage) if damage.seq == seq => None,
        other => Some(format!("{other:?}")),
    });
    // What lies before the checkpoint is read by a check alone.
    flips += every_byte(&victim, log[0], |store| {
        let report = firn_repo::check(&mut open(store).unwrap(), &world.keyring, false).unwrap();
        (!report.findings.iter().any(|finding| finding.object == *log[0])).then(|| format!("{report:?}"))
    });
    for name in victim.names("index run") {
        flips += every_byte(&victim, name, |store| {
            // A restore does without; what is written refers to it, and does not.
            let lineage = world.keyring.lineage(CLUSTER, "own");
            let plan = SessionPlan { cluster: CLUSTER.into(), lineage, parent: None };
            damaged(Session::open(&mut open(store).unwrap(), &world.keyring, plan))
        });
    }
    println!("damage: {flips} bytes of small objects flipped, each found");
}

#[test]
fn a_wrong_password_is_no_damage() {
    let world = World::new(23);
    let wrong = firn_format::Passphrase::new("incorrect horse".into());
    let error = firn_repo::unlock(&world.repository(), &Secret::Passphrase(&wrong)).unwrap_err();
    assert!(matches!(error, RepoError::WrongKey { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Security);
}
