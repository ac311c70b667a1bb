use firn_format::log::{Checkpoint, KeyAction, KeyChange};
use firn_format::{Hash, SigningKey};

use super::*;
use crate::Keyring;
use crate::ground::{Ground, back_up};
use crate::open::Repository;

fn change(key: &SigningKey, action: KeyAction, roles: Roles) -> Payload {
    Payload::Key(KeyChange {
        action,
        signer: Some(key.signer()),
        roles: (action == KeyAction::Admit).then_some(roles),
        label: Some("mole".into()),
        domain: None,
        generation: None,
        domain_public: None,
    })
}

/// The state as a checkpoint holds it, but without its last KEY entry and without any point.
fn forge(honest: &[u8]) -> Bytes {
    const HEAD_BYTES: usize = 16;
    let plain = zstd::decode_all(&honest[HEAD_BYTES..]).unwrap();
    let mut decoder = minicbor::Decoder::new(&plain);
    let count = decoder.array().unwrap().unwrap();
    let mut items: Vec<Vec<u8>> = Vec::new();
    for _ in 0..count {
        let from = decoder.position();
        decoder.skip().unwrap();
        items.push(plain[from..decoder.position()].to_vec());
    }
    let (keys, points) = (2, 5);
    let mut decoder = minicbor::Decoder::new(&items[keys]);
    let kept = decoder.array().unwrap().unwrap() - 1;
    let from = decoder.position();
    (0..kept).for_each(|_| decoder.skip().unwrap());
    items[keys] = [&[0x80 | kept as u8], &items[keys][from..decoder.position()]].concat();
    items[points] = vec![0x80];
    let mut forged = Vec::new();
    minicbor::Encoder::new(&mut forged).array(count).unwrap();
    forged.extend(items.concat());
    let mut object = honest[..HEAD_BYTES - 4].to_vec();
    object.extend((forged.len() as u32).to_le_bytes());
    object.extend(zstd::encode_all(&forged[..], 3).unwrap());
    object.into()
}

/// Two points, a signer that was admitted with `roles` and revoked, and the checkpoint that he forges behind them.
fn forged(seed: u64, roles: Roles) -> (Ground, Keyring, Repository) {
    let ground = Ground::new(seed);
    let (mut repository, keyring) = ground.create();
    for own in ["one", "two"] {
        back_up(&mut repository, &keyring, "all", &[own]).unwrap();
    }
    let (owner, mole) = (keyring.signing_key().unwrap(), SigningKey::from_seed(&[9; 32]).unwrap());
    repository.append(&change(&mole, KeyAction::Admit, roles), owner).unwrap();
    repository.append(&change(&mole, KeyAction::Revoke, roles), owner).unwrap();
    let object = forge(&repository.state().to_checkpoint().unwrap());
    let head = repository.head();
    let entry = Entry {
        store: repository.state().store(),
        seq: head.seq + 1,
        prev: head.hash,
        critical: false,
        term: 0,
        payload: Payload::Checkpoint(Checkpoint { hash: Hash::of(&object) }),
        time_ms: 0,
        store_time_ms: None,
        signer: mole.signer(),
    };
    let store = repository.store();
    let _created = store.put_new(&name::checkpoint_path(entry.seq, Hash::of(&object)), object).unwrap();
    let _created = store.put_new(&name::log_path(entry.seq), entry.sign(&mole).unwrap().into()).unwrap();
    (ground, keyring, repository)
}

#[test]
fn nobody_who_was_revoked_can_tell_a_cold_reader_otherwise() {
    for (seed, roles) in [Roles::IMPORT, Roles::COMMIT, Roles::COLLECT, Roles::OWNER].into_iter().enumerate() {
        let (ground, keyring, mut warm) = forged(seed as u64, roles);
        warm.refresh().unwrap();
        let mut cold = ground.open().unwrap();
        for repository in [&mut warm, &mut cold] {
            assert_eq!(repository.state().points().count(), 2, "{roles:?}");
            assert_eq!(repository.state().signers().len(), 1, "{roles:?}");
            let collected = crate::collect(repository, keyring.signing_key().unwrap()).unwrap();
            assert_eq!(collected.objects, 0, "{roles:?}");
        }
    }
}

#[test]
fn the_forgery_would_work_but_for_the_mark() {
    let (ground, _, _) = forged(7, Roles::COLLECT);
    for (name, _) in ground.memory.snapshot().into_iter().filter(|(name, _)| name.starts_with("signers/")) {
        ground.memory.delete(&name).unwrap();
    }
    assert_eq!(ground.open().unwrap().state().points().count(), 0, "the test forges well");
}

#[test]
fn marks_that_anybody_puts_hinder_nobody() {
    let ground = Ground::new(8);
    let (mut repository, keyring) = ground.create();
    back_up(&mut repository, &keyring, "all", &["one"]).unwrap();
    repository.store_checkpoint(keyring.signing_key().unwrap()).unwrap();
    let checkpoint = repository.state().checkpoint_seq();
    for seq in [1, 2, 3, checkpoint, 99] {
        let _either = ground.memory.put_new(&name::signer_path(seq), Bytes::from_static(b"junk")).unwrap();
    }
    let cold = ground.open().unwrap();
    assert_eq!((cold.state().checkpoint_seq(), cold.state().points().count()), (checkpoint, 1));
}

#[test]
fn a_mark_that_was_not_put_is_put_with_the_next_checkpoint() {
    let ground = Ground::new(9);
    let (mut repository, keyring) = ground.create();
    back_up(&mut repository, &keyring, "all", &["one"]).unwrap();
    let mole = SigningKey::from_seed(&[9; 32]).unwrap();
    let admitted = repository.append(&change(&mole, KeyAction::Admit, Roles::COMMIT), keyring.signing_key().unwrap());
    let mark = name::signer_path(admitted.unwrap().seq);
    assert!(ground.memory.head(&mark).is_ok());
    ground.memory.delete(&mark).unwrap();
    repository.store_checkpoint(keyring.signing_key().unwrap()).unwrap();
    assert!(ground.memory.head(&mark).is_ok());
}
