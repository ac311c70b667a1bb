//! Damage: every kind of object, flipped, cut, gone, or swapped with another of its kind.
//!
//! Whatever is harmed: it is found, nothing panics, no file comes back wrong without a word, what is sound comes back, and
//! the next backup works or says why not.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use firn_agent::AgentError;
use firn_format::{PassphraseCost, PointId, Secret};
use firn_repo::{Class, CreateOptions, RepoError, Repository};
use firn_store::{MemoryStore, Store};
use firn_tests::{
    Dice, Forest, Object, Portrait, Shot, World, backup, change, objects, passphrase, plant, restore, root, scratch,
};
use tempfile::TempDir;

mod every_byte;
mod every_way;

/// What an object is, by its name in the store.
fn kind(name: &str) -> &'static str {
    match name.split('/').next() {
        Some("FORMAT") => "FORMAT",
        Some("keys") => "key",
        Some("data") => "data pack",
        Some("meta") => "meta pack",
        Some("index") => "index run",
        Some("log") => "log entry",
        Some("checkpoint") => "checkpoint",
        Some("mirror") => "mirror",
        _ => "other",
    }
}

/// A replica with two imported points and one of its own, each with what it must come back as.
struct Victim {
    world: World,
    source: TempDir,
    objects: Vec<Object>,
    promises: BTreeMap<PointId, (Portrait, Vec<Object>)>,
    sound: BTreeMap<String, Bytes>,
}

impl Victim {
    fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let mut dice = Dice::told("damage", seed);
        let source = scratch();
        plant(source.path(), &mut dice, Forest { small_files: 30, large_bytes: 150_000 });
        let mut promises = BTreeMap::new();
        let mut take = |repository: &mut Repository, policy: &str| {
            let objects = objects(&mut dice, 12);
            let shot = Shot { tree: source.path(), objects: &objects, policy, lanes: 1, trusting: true };
            let point = backup(repository, &world.keyring, &shot).unwrap().point;
            promises.insert(point, (Portrait::of(source.path()), objects.clone()));
            for _ in 0..8 {
                change(source.path(), &mut dice);
            }
            objects
        };
        let mut primary = world.repository();
        take(&mut primary, "daily");
        take(&mut primary, "daily");
        let store = Arc::new(MemoryStore::new());
        let options = CreateOptions {
            cost: PassphraseCost::LEAST,
            replica_of: Some((&primary, &world.keyring)),
            kit: true,
            ..CreateOptions::default()
        };
        let secret = passphrase();
        let secret = Secret::Passphrase(&secret);
        let mut replica =
            firn_repo::create(store.clone(), world.context.clone(), &secret, &options).unwrap().repository;
        let options = firn_replicate::ReplicateOptions { lanes: 2 };
        let key = world.keyring.signing_key().unwrap();
        firn_replicate::replicate(&mut primary, &mut replica, key, &options).unwrap();
        many_entries(&world, &mut replica);
        let objects = take(&mut replica, "own");
        let sound = store.snapshot();
        Self { world, source, objects, promises, sound }
    }

    fn store(&self) -> Arc<MemoryStore> {
        Arc::new(MemoryStore::from_snapshot(self.sound.clone()))
    }

    /// The names of one kind.
    fn names(&self, of: &str) -> Vec<&String> {
        self.sound.keys().filter(|name| kind(name) == of).collect()
    }
}

/// So many entries that a checkpoint is stored.
fn many_entries(world: &World, repository: &mut Repository) {
    let key = world.keyring.signing_key().unwrap();
    while repository.state().checkpoint_seq() == 0 {
        let payload = firn_format::Payload::Link(firn_format::log::Link {
            store: firn_format::StoreId([9; 16]),
            fingerprint: repository.fingerprint(),
            url: format!("file:///{}", repository.head().seq),
            direction: firn_format::log::Direction::To,
        });
        repository.append(&payload, key).unwrap();
    }
}

/// What was noticed, and by whom first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Noticed {
    ByOpening,
    ByUnlocking,
    ByCheck,
    /// Nobody: one key of several, or the end of a mirror; everything comes back without it.
    Unneeded,
}

/// The sums of all cases.
#[derive(Default)]
struct Tally {
    cases: u64,
    noticed: BTreeMap<(&'static str, Noticed), u64>,
    points_whole: u64,
    points_partial: u64,
    points_refused: u64,
    backups: u64,
    backups_refused: BTreeMap<String, u64>,
    files_right: u64,
}

impl Tally {
    fn print(&self, what: &str) {
        println!(
            "{what}: {} cases; points: {} whole, {} partial, {} refused; {} right files in partial ones; {} next backups \
             taken",
            self.cases, self.points_whole, self.points_partial, self.points_refused, self.files_right, self.backups
        );
        for ((kind, noticed), count) in &self.noticed {
            println!("  {kind}: {noticed:?} {count}");
        }
        for (why, count) in &self.backups_refused {
            println!("  backup refused, {count}: {why}");
        }
    }
}

/// Goes through everything that a person would do with a harmed repository.
fn examine(victim: &Victim, store: &Arc<MemoryStore>, what: &str, case: &str, tally: &mut Tally) {
    tally.cases += 1;
    let of = kind(what);
    let noticed = examine_opened(victim, store, case, of, tally);
    *tally.noticed.entry((of, noticed)).or_default() += 1;
    // Nobody can tell how many keys there were, or how far a mirror went behind the last entry that was imported.
    let may_pass = matches!(of, "key" | "mirror") && case.contains("gone");
    assert!(noticed != Noticed::Unneeded || may_pass, "{case}: nobody noticed");
}

fn examine_opened(victim: &Victim, store: &Arc<MemoryStore>, case: &str, of: &str, tally: &mut Tally) -> Noticed {
    let world = &victim.world;
    let mut repository = match world.open(store.clone()) {
        Ok(repository) => repository,
        Err(error) => {
            assert_eq!(of, "FORMAT", "{case}: {error}");
            let gone = matches!(error, RepoError::NotARepository { .. });
            assert!(gone || error.class() == Class::Damaged, "{case}: {error:?}");
            return Noticed::ByOpening;
        }
    };
    let mut noticed = repository.damage().map_or(Noticed::Unneeded, |_| Noticed::ByOpening);
    let word = passphrase();
    match firn_repo::unlock(&repository, &Secret::Passphrase(&word)) {
        Ok(_) => {}
        Err(error) => {
            assert_eq!(of, "key", "{case}: {error}");
            // Gone is not damaged: what is left is sound, and opens with another secret.
            let gone = matches!(error, RepoError::WrongKey { .. });
            assert!(error.class() == Class::Damaged || gone && case.contains("gone"), "{case}: {error:?}");
            noticed = Noticed::ByUnlocking;
        }
    }
    let whole_before = tally.points_whole;
    restore_all(victim, &repository, case, tally);
    if matches!(of, "key" | "index run" | "checkpoint" | "mirror") {
        let whole = tally.points_whole - whole_before;
        assert_eq!(whole, victim.promises.len() as u64, "{case}: no content was harmed");
    }
    let report = firn_repo::check(&mut repository, &world.keyring, true);
    match &report {
        Ok(report) if report.is_sound() => {}
        Ok(_) => noticed = noticed.min(Noticed::ByCheck),
        Err(error) => {
            assert_eq!(error.class(), Class::Damaged, "{case}: {error:?}");
            noticed = noticed.min(Noticed::ByCheck);
        }
    }
    back_up(victim, store, case, tally);
    noticed
}

/// Every point comes back whole, or it is said what does not.
fn restore_all(victim: &Victim, repository: &Repository, case: &str, tally: &mut Tally) {
    for (point, (portrait, objects)) in &victim.promises {
        let target = scratch();
        match restore(repository, &victim.world.keyring, point, target.path()) {
            Err(_) => tally.points_refused += 1,
            Ok(restored) => {
                let there = Portrait::of(target.path());
                let wrong = portrait.wrong_contents(&there);
                let untold: Vec<_> = wrong.iter().filter(|path| !restored.named.contains(path)).collect();
                assert!(untold.is_empty(), "{case}: wrong bytes without a word in {untold:?}");
                let told = restored.exceptions > 0 || restored.objects.is_err();
                if let Ok(found) = &restored.objects {
                    assert!(found == objects, "{case}: wrong objects");
                }
                if told {
                    tally.points_partial += 1;
                    tally.files_right += portrait.right_contents(&there) as u64;
                } else {
                    let differences = portrait.differences(&there);
                    assert!(differences.is_empty(), "{case}: {differences:?}");
                    tally.points_whole += 1;
                }
            }
        }
    }
}

/// The next backup is taken and comes back, or says why not.
fn back_up(victim: &Victim, store: &Arc<MemoryStore>, case: &str, tally: &mut Tally) {
    let world = &victim.world;
    let shot = Shot { tree: victim.source.path(), objects: &victim.objects, policy: "own", lanes: 1, trusting: true };
    let taken = world.open(store.clone()).map_err(AgentError::from).and_then(|mut repository| {
        let taken = backup(&mut repository, &world.keyring, &shot)?;
        Ok((repository, taken))
    });
    match taken {
        Ok((repository, taken)) => {
            tally.backups += 1;
            let target = scratch();
            let restored = restore(&repository, &world.keyring, &taken.point, target.path()).unwrap();
            assert_eq!((restored.damaged, restored.exceptions), (0, 0), "{case}: a backup on damage is damaged");
            assert!(restored.objects.unwrap() == victim.objects, "{case}");
            firn_tests::same_tree(victim.source.path(), target.path());
        }
        Err(error) => {
            let words = match &error {
                AgentError::Repo(source) => source.to_string(),
                other => other.to_string(),
            };
            let mut why: String = words.split(' ').take(8).collect::<Vec<_>>().join(" ");
            why.retain(|letter| !letter.is_ascii_digit());
            *tally.backups_refused.entry(why).or_default() += 1;
        }
    }
}
