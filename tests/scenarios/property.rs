//! Random sequences of what people and machines do, against a model: each point is a copy of a tree.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use firn_agent::AgentError;
use firn_format::PointId;
use firn_repo::RepoError;
use firn_store::{Fault, Faulty, Store};
use firn_tests::{
    Dice, Forest, Object, Portrait, Shot, World, backup, change, objects, passphrase, plant, restore, root, scratch,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tempfile::TempDir;

const POLICIES: [&str; 2] = ["daily", "hourly"];

/// One step. Numbers pick among what there is.
#[derive(Debug, Clone)]
enum Step {
    /// The tree changes so often.
    Change(u8),
    /// Content that was there before, in part, comes back.
    Recall(u8),
    Backup(bool),
    Forget(u8),
    Prune,
    Restore(u8),
    Check,
    Hours(u8),
    /// A backup that stops at this call, before or after its effect.
    BackupStops(u8, bool),
    /// A prune that does.
    PruneStops(u8, bool),
    /// A forget that does.
    ForgetStops(u8, u8, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..6_u8).prop_map(Step::Change),
        3 => any::<u8>().prop_map(Step::Recall),
        6 => any::<bool>().prop_map(Step::Backup),
        3 => any::<u8>().prop_map(Step::Forget),
        3 => Just(Step::Prune),
        2 => any::<u8>().prop_map(Step::Restore),
        1 => Just(Step::Check),
        1 => any::<u8>().prop_map(Step::Hours),
        2 => (0..60_u8, any::<bool>()).prop_map(|(call, after)| Step::BackupStops(call, after)),
        1 => (0..40_u8, any::<bool>()).prop_map(|(call, after)| Step::PruneStops(call, after)),
        1 => (any::<u8>(), 0..20_u8, any::<bool>()).prop_map(|(which, call, after)| Step::ForgetStops(which, call, after)),
    ]
}

/// The repository and what it should hold.
struct Play {
    world: World,
    dice: Dice,
    source: TempDir,
    _cache: TempDir,
    model: BTreeMap<PointId, (Portrait, Vec<Object>)>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    sequences: u64,
    steps: u64,
    points: u64,
    restores: u64,
    stops: u64,
    forgotten: u64,
    kept: u64,
}

impl Play {
    fn new(seed: u64) -> Self {
        let cache = scratch();
        let mut world = World::new(seed);
        world.context = world.context.clone().with_cache_dir(cache.path());
        let mut dice = Dice::new(seed);
        let source = scratch();
        plant(source.path(), &mut dice, Forest { small_files: 12, large_bytes: 70_000 });
        Self { world, dice, source, _cache: cache, model: BTreeMap::new(), counts: Counts::default() }
    }

    fn pick(&self, which: u8) -> Option<PointId> {
        self.model.keys().nth(which as usize % self.model.len().max(1)).copied()
    }

    fn take(&mut self, step: &Step) {
        self.counts.steps += 1;
        let store: Arc<dyn Store> = self.world.memory.clone();
        match *step {
            Step::Change(times) => (0..times).for_each(|_| change(self.source.path(), &mut self.dice)),
            Step::Recall(which) => recall(self.source.path(), which),
            Step::Backup(policy) => self.backup(&store, POLICIES[usize::from(policy)]).unwrap(),
            Step::Forget(which) => self.forget(&store, which).unwrap(),
            Step::Prune => self.prune(&store).unwrap(),
            Step::Restore(which) => self.restore(which),
            Step::Check => self.check(),
            Step::Hours(hours) => self.world.clock.advance(i64::from(hours % 30) * 3_600_000),
            Step::BackupStops(call, after) => {
                let faulty = self.stopping(call, after);
                let result = self.backup(&(faulty.clone() as Arc<dyn Store>), POLICIES[0]);
                self.settle(&faulty, result.err());
            }
            Step::PruneStops(call, after) => {
                let faulty = self.stopping(call, after);
                let result = self.prune(&(faulty.clone() as Arc<dyn Store>));
                self.settle(&faulty, result.err().map(AgentError::from));
            }
            Step::ForgetStops(which, call, after) => {
                let faulty = self.stopping(call, after);
                let result = self.forget(&(faulty.clone() as Arc<dyn Store>), which);
                self.settle(&faulty, result.err().map(AgentError::from));
            }
        }
    }

    fn stopping(&self, call: u8, after: bool) -> Arc<Faulty> {
        let stop = if after { Fault::CrashAfter } else { Fault::Crash };
        Arc::new(Faulty::new(self.world.memory.clone()).with_fault(u64::from(call), stop))
    }

    /// Whoever died acknowledged nothing; a point that stands all the same is the tree as it is, and whole.
    fn settle(&mut self, faulty: &Faulty, error: Option<AgentError>) {
        if !faulty.is_crashed() {
            assert!(error.is_none(), "{error:?}");
            return;
        }
        self.counts.stops += 1;
        let repository = self.world.repository();
        self.model.retain(|point, _| repository.state().point(point).is_some());
        let unknown: Vec<_> =
            repository.state().points().map(|point| point.id).filter(|point| !self.model.contains_key(point)).collect();
        assert!(unknown.len() <= 1, "{unknown:?}");
        for point in unknown {
            let target = scratch();
            let restored = restore(&repository, &self.world.keyring, &point, target.path()).unwrap();
            same(&Portrait::of(self.source.path()), target.path());
            self.model.insert(point, (Portrait::of(self.source.path()), restored.objects.unwrap()));
        }
    }

    fn backup(&mut self, store: &Arc<dyn Store>, policy: &str) -> Result<(), AgentError> {
        let objects = objects(&mut self.dice, 6);
        // Not trusting: changes may come within one tick of the file system's clock.
        let shot = Shot { tree: self.source.path(), objects: &objects, policy, lanes: 2, trusting: false };
        let mut repository = self.world.open(store.clone())?;
        let taken = backup(&mut repository, &self.world.keyring, &shot)?;
        self.counts.points += 1;
        self.model.insert(taken.point, (Portrait::of(self.source.path()), objects));
        Ok(())
    }

    fn forget(&mut self, store: &Arc<dyn Store>, which: u8) -> Result<(), RepoError> {
        let Some(point) = self.pick(which) else { return Ok(()) };
        let mut repository = self.world.open(store.clone())?;
        match firn_repo::forget(&mut repository, &self.world.keyring, &[point], "a test", true) {
            Ok(_) => {
                self.counts.forgotten += 1;
                self.model.remove(&point);
                Ok(())
            }
            // The last one of its lineage, or a parent of a session that never ended.
            Err(RepoError::Kept { .. }) => {
                self.counts.kept += 1;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn prune(&mut self, store: &Arc<dyn Store>) -> Result<(), RepoError> {
        let mut repository = self.world.open(store.clone())?;
        firn_repo::collect(&mut repository, self.world.keyring.signing_key()?).map(drop)
    }

    fn restore(&mut self, which: u8) {
        let Some(point) = self.pick(which) else { return };
        self.counts.restores += 1;
        let (portrait, objects) = &self.model[&point];
        let target = scratch();
        let repository = self.world.repository();
        let restored = restore(&repository, &self.world.keyring, &point, target.path()).unwrap();
        assert_eq!((restored.damaged, restored.exceptions), (0, 0), "{:?}", restored.named);
        assert!(restored.objects.unwrap() == *objects);
        same(portrait, target.path());
    }

    fn check(&mut self) {
        let mut repository = self.world.repository();
        let report = firn_repo::check(&mut repository, &self.world.keyring, true).unwrap();
        assert!(report.is_sound(), "{report:?}");
    }

    /// At the end every point of the model is there, no other is, and each comes back.
    fn end(&mut self) {
        let listed: Vec<_> = self.world.repository().state().points().map(|point| point.id).collect();
        assert_eq!(listed.len(), self.model.len());
        assert!(listed.iter().all(|point| self.model.contains_key(point)));
        (0..self.model.len()).for_each(|which| self.restore(which as u8));
        self.check();
        let word = passphrase();
        firn_repo::unlock(&self.world.repository(), &firn_format::Secret::Passphrase(&word)).unwrap();
    }
}

/// Files whose content follows from their number alone: what a prune took away may come back.
fn recall(dir: &Path, which: u8) {
    for n in 0..4_u8 {
        let path = dir.join(format!("recalled-{n}"));
        if which & (1 << n) == 0 {
            let _gone = std::fs::remove_file(path);
        } else {
            std::fs::write(path, Dice::new(u64::from(n)).bytes(140_000 + 100 * usize::from(n))).unwrap();
        }
    }
}

fn same(portrait: &Portrait, dir: &Path) {
    let differences = portrait.differences(&Portrait::of(dir));
    assert!(differences.is_empty(), "{}", differences[..differences.len().min(5)].join("\n"));
}

/// So many sequences, of so many steps at most.
const SEQUENCES: u32 = 120;
const STEPS_MAX: usize = 24;

#[test]
fn whatever_happens_points_are_what_was_acknowledged() {
    root();
    let seed = Dice::told("property", 30).roll();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed.to_le_bytes(); 4].concat());
    let config = Config { cases: SEQUENCES, max_shrink_iters: 60, failure_persistence: None, ..Config::default() };
    let sums = std::cell::RefCell::new(Counts::default());
    let result =
        TestRunner::new_with_rng(config, rng).run(&(any::<u32>(), vec(step(), 8..STEPS_MAX)), |(seed, steps)| {
            let mut play = Play::new(u64::from(seed));
            for step in &steps {
                play.take(step);
            }
            play.end();
            let (mut sums, counts) = (sums.borrow_mut(), play.counts);
            sums.sequences += 1;
            sums.steps += counts.steps;
            sums.points += counts.points;
            sums.restores += counts.restores;
            sums.stops += counts.stops;
            sums.forgotten += counts.forgotten;
            sums.kept += counts.kept;
            Ok(())
        });
    println!("property: {:?}", sums.borrow());
    result.unwrap();
    assert!(sums.borrow().stops > 0 && sums.borrow().forgotten > 0);
}
