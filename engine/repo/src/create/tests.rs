use std::sync::Arc;

use bytes::Bytes;
use firn_format::{KeyRef, Kit, Passphrase, PassphraseCost, Secret};
use firn_store::{Fault, Faulty, MemoryStore, Operation, Store};

use super::*;
use crate::ground::{Ground, memory, passphrase};
use crate::{Class, add_passphrase, export_kit, list_keys, unlock};

#[test]
fn a_new_repository_opens_with_its_passphrase_and_its_kit_and_nothing_else() {
    let ground = Ground::new(1);
    let options = CreateOptions { cost: PassphraseCost::LEAST, kit: true, ..CreateOptions::default() };
    let secret = passphrase();
    let created =
        create(ground.memory.clone(), ground.context.clone(), &Secret::Passphrase(&secret), &options).unwrap();
    let repository = ground.open().unwrap();
    assert_eq!(repository.fingerprint(), created.repository.fingerprint());
    let kit = Kit::parse(&created.kit.unwrap().encode()).unwrap();
    let domain = created.keyring.domain("cluster");
    for secret in [Secret::Passphrase(&secret), Secret::Kit(&kit)] {
        let keyring = unlock(&repository, &secret).unwrap();
        assert_eq!(keyring.domain("cluster"), domain);
        assert_eq!(keyring.signing_key().unwrap().signer(), repository.format().owner);
        assert_eq!(keyring.writer_keys(domain, 1).unwrap().key_ref(), KeyRef { domain, generation: 1 });
    }
    let wrong = Passphrase::new("correct horsf".into());
    let error = unlock(&repository, &Secret::Passphrase(&wrong)).unwrap_err();
    assert!(matches!(error, RepoError::WrongKey { tried: 2, .. }));
    assert_eq!(error.class(), Class::Security);
}

#[test]
fn more_passphrases_and_kits_can_be_added() {
    let ground = Ground::new(2);
    let (repository, keyring) = ground.create();
    let more = Passphrase::new("battery staple".into());
    add_passphrase(&repository, &keyring, &more, PassphraseCost::LEAST, "for the vault").unwrap();
    let kit = export_kit(&repository, &keyring, "safe").unwrap();
    assert!(unlock(&repository, &Secret::Passphrase(&more)).is_ok());
    assert!(unlock(&repository, &Secret::Kit(&kit)).is_ok());
    let mut labels: Vec<_> = list_keys(&repository).unwrap().into_iter().map(|key| key.label).collect();
    labels.sort();
    assert_eq!(labels, ["for the vault", "passphrase", "safe"]);
}

#[test]
fn damaged_keys_are_told_from_wrong_ones() {
    let ground = Ground::new(3);
    let (repository, _) = ground.create();
    let name = list_keys(&repository).unwrap()[0].name.clone();
    let whole = ground.memory.get(&name, 10_000).unwrap();
    let secret = passphrase();
    for at in 0..whole.len() {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0x10;
        ground.memory.overwrite(&name, bytes.into());
        let error = unlock(&repository, &Secret::Passphrase(&secret)).unwrap_err();
        assert!(matches!(error, RepoError::KeysDamaged { .. }), "{at}: {error}");
        assert_eq!(error.class(), Class::Damaged);
    }
    ground.memory.delete(&name).unwrap();
    let error = unlock(&repository, &Secret::Passphrase(&secret)).unwrap_err();
    assert!(matches!(error, RepoError::KeysDamaged { .. }));
    // One sound key is enough, whatever lies beside it.
    ground.memory.overwrite(&name, whole);
    ground.memory.overwrite(&format!("keys/{}", "0".repeat(64)), Bytes::from_static(b"junk"));
    unlock(&repository, &Secret::Passphrase(&secret)).unwrap();
}

#[test]
fn a_used_store_is_refused_untouched() {
    let ground = Ground::new(4);
    ground.create();
    let before = ground.memory.snapshot();
    let error = ground.create_in(ground.memory.clone()).err().unwrap();
    assert!(matches!(error, RepoError::AlreadyARepository { .. }));
    assert_eq!(ground.memory.snapshot(), before);
    for name in ["photo.jpg", "Aaa", "log/00000000000000000001"] {
        let foreign = Arc::new(MemoryStore::from_snapshot([(name.to_owned(), Bytes::from_static(b"x"))].into()));
        let error = ground.create_in(foreign.clone()).err().unwrap();
        assert!(matches!(&error, RepoError::NotEmpty { name: found, .. } if found == name), "{error}");
        assert_eq!(error.class(), Class::Usage);
        assert_eq!(foreign.snapshot().len(), 1);
    }
}

#[test]
fn what_is_no_repository_or_a_newer_one_says_so() {
    let ground = Ground::new(5);
    let error = ground.open().err().unwrap();
    assert!(matches!(error, RepoError::NotARepository { .. }));
    let (_, keyring) = ground.create();
    let whole = ground.memory.get("FORMAT", 10_000).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1;
        ground.memory.overwrite("FORMAT", bytes.into());
        let error = ground.open().err().unwrap();
        let newer = matches!(error, RepoError::Format(FormatError::Newer { .. }));
        assert!(newer || error.class() == Class::Damaged, "{at}: {error}");
    }
    let mut format = FormatFile::open(&whole).unwrap().0;
    format.features = vec!["time travel".into()];
    ground.memory.overwrite("FORMAT", format.sign(keyring.signing_key().unwrap()).into());
    let error = ground.open().err().unwrap();
    assert!(matches!(error, RepoError::Format(FormatError::Newer { .. })), "{error}");
}

#[test]
fn a_replica_opens_with_every_secret_of_its_source() {
    let ground = Ground::new(6);
    let (source, keyring) = ground.create();
    let kit = export_kit(&source, &keyring, "safe").unwrap();
    let store: Arc<dyn Store> = Arc::new(memory(&ground.clock));
    let secret = passphrase();
    let options = CreateOptions { replica_of: Some((&source, &keyring)), ..CreateOptions::default() };
    let replica = create(store, ground.context.clone(), &Secret::Passphrase(&secret), &options).unwrap().repository;
    assert_eq!(replica.format().family, source.format().family);
    assert_eq!(replica.format().owner, source.format().owner);
    assert_ne!(replica.format().store, source.format().store);
    assert_ne!(replica.fingerprint(), source.fingerprint());
    assert_eq!(list_keys(&replica).unwrap().len(), 2);
    assert!(unlock(&replica, &Secret::Passphrase(&secret)).is_ok());
    assert!(unlock(&replica, &Secret::Kit(&kit)).is_ok());
}

#[test]
fn interrupted_anywhere_a_second_attempt_succeeds_or_finds_it_done() {
    let ground = Ground::new(7);
    let mut calls = 0;
    for after in [false, true] {
        for call in 0.. {
            let memory = Arc::new(memory(&ground.clock));
            let fault = if after { Fault::CrashAfter } else { Fault::Crash };
            let faulty = Arc::new(Faulty::new(memory.clone()).with_fault(call, fault));
            let first = ground.create_in(faulty.clone());
            if !faulty.is_crashed() {
                first.unwrap();
                break;
            }
            calls += 1;
            assert!(first.is_err());
            match ground.create_in(memory.clone()) {
                Ok(_) => {}
                Err(RepoError::AlreadyARepository { .. }) => {}
                Err(error) => panic!("call {call}, after {after}: {error}"),
            }
            let repository = Repository::open(memory, ground.context.clone()).unwrap();
            unlock(&repository, &Secret::Passphrase(&passphrase())).unwrap();
        }
    }
    crate::ground::say(&format!("{calls} crash points"));
    assert!(calls > 80);
}

#[test]
fn of_many_at_once_one_wins_and_the_store_is_sound() {
    let ground = Ground::new(8);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..16).map(|_| scope.spawn(|| ground.create_in(ground.memory.clone()).map(|_| ()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(error, RepoError::AlreadyARepository { .. }), "{error}");
    }
    let (repository, _) = ground.open_unlocked(ground.memory.clone()).unwrap();
    assert_eq!(list_keys(&repository).unwrap().len(), 1);
}

#[test]
fn a_store_that_overwrites_is_refused() {
    struct Overwriting(MemoryStore);
    impl Store for Overwriting {
        fn put_new(&self, name: &str, bytes: Bytes) -> firn_store::Result<firn_store::Put> {
            self.0.overwrite(name, bytes);
            Ok(firn_store::Put::Created)
        }
        fn get(&self, name: &str, bytes_max: u64) -> firn_store::Result<Bytes> {
            self.0.get(name, bytes_max)
        }
        fn get_range(&self, name: &str, range: std::ops::Range<u64>) -> firn_store::Result<Bytes> {
            self.0.get_range(name, range)
        }
        fn head(&self, name: &str) -> firn_store::Result<firn_store::Head> {
            self.0.head(name)
        }
        fn list(
            &self,
            prefix: &str,
            after: Option<&str>,
            each: &mut dyn FnMut(firn_store::Listed) -> ControlFlow<()>,
        ) -> firn_store::Result<()> {
            self.0.list(prefix, after, each)
        }
        fn delete(&self, name: &str) -> firn_store::Result<()> {
            self.0.delete(name)
        }
        fn describe(&self) -> String {
            self.0.describe()
        }
        fn time(&self) -> firn_store::Result<jiff::Timestamp> {
            self.0.time()
        }
    }
    let ground = Ground::new(9);
    let store = Arc::new(Overwriting(MemoryStore::new()));
    let error = ground.create_in(store.clone()).err().unwrap();
    let RepoError::Store { source, .. } = error else { panic!("{error}") };
    assert_eq!((source.kind, source.operation), (Kind::NoConditionalPut, Operation::Put));
    assert!(store.0.snapshot().keys().all(|name| name.starts_with("doctor/")));
}
