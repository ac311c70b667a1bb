//! The protocol, explored: every order of the steps of a few actors on up to three stores, with the real fold, and with deaths,
//! operations that land late and spoilt log slots; and the same with each rule switched off, which must be noticed.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, and one that says how far it looked")]

#[path = "model/actors.rs"]
mod actors;
#[path = "model/book.rs"]
mod book;
#[path = "model/world.rs"]
mod world;

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashSet, VecDeque};
use std::hash::{Hash, Hasher};

use actors::Role;
use book::{Book, REBORN_MAX, STORES};
use firn_format::fold::Rules;
use world::{Actor, Faults, Scenario, World};

/// One state in this many is driven to its end to see that everybody gets there.
const END_SAMPLE: u64 = 16;

struct Outcome {
    states: usize,
    depth: u64,
    whole: bool,
    violation: Option<String>,
}

fn digest(world: &World) -> u128 {
    let half = |seed: u64| {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        world.hash(&mut hasher);
        hasher.finish()
    };
    u128::from(half(1)) << 64 | u128::from(half(2))
}

/// The world with the base points in it, made by committers that ran alone.
fn begin(book: &mut Book, scenario: &Scenario) -> World {
    let actors = vec![Actor::default(); scenario.roles.len()];
    let mut world = World {
        logs: [0, 1, 2],
        rot: 0,
        objects: [0; STORES],
        harmed: [0; STORES],
        actors,
        late: Vec::new(),
        acked: Vec::new(),
        faults: scenario.faults.budget,
    };
    for (index, (lineage, wants, pack)) in scenario.base.iter().enumerate() {
        world = actors::base(book, world, index as u8 + 100, *lineage, *wants, *pack);
    }
    world
}

fn explore(scenario: &Scenario, rules: Rules) -> Outcome {
    let mut book = Book::new(rules);
    let first = begin(&mut book, scenario);
    let mut outcome = Outcome { states: 0, depth: 0, whole: true, violation: None };
    let mut seen = HashSet::from([digest(&first)]);
    let mut queue = VecDeque::from([first]);
    while let Some(world) = queue.pop_front() {
        outcome.states += 1;
        outcome.depth = world.logs.iter().map(|log| book.depth(*log)).fold(outcome.depth, u64::max);
        let checked = world::check(&mut book, &world).and_then(|()| {
            if (digest(&world) as u64).is_multiple_of(END_SAMPLE) {
                world::check_end(&mut book, scenario, &world)
            } else {
                Ok(())
            }
        });
        let next = checked.and_then(|()| world::successors(&mut book, scenario, &world));
        match next {
            Ok(next) => queue.extend(next.into_iter().filter(|next| seen.insert(digest(next)))),
            Err(violation) => {
                outcome.violation = Some(format!("{violation}\n{}", book.tell(&world)));
                return outcome;
            }
        }
        if outcome.states >= scenario.states_max {
            outcome.whole = false;
            return outcome;
        }
    }
    outcome
}

fn scenarios() -> Vec<Scenario> {
    let faults = Faults { budget: 1, deaths: true, rot: false, harm: false };
    let two = Faults { budget: 2, ..faults };
    vec![
        Scenario {
            title: "two committers of one lineage, a collector, retention",
            roles: vec![
                Role::Committer { store: 0, lineage: 1, wants: 0b101 },
                Role::Committer { store: 0, lineage: 1, wants: 0b010 },
                Role::Collector { store: 0 },
                Role::Retention { store: 0, lineage: 1 },
            ],
            faults,
            base: vec![(1, 0b011, 0), (1, 0b001, 0)],
            states_max: 900_000,
        },
        Scenario {
            title: "a committer of another lineage, two collectors, retention",
            roles: vec![
                Role::Committer { store: 0, lineage: 2, wants: 0b010 },
                Role::Collector { store: 0 },
                Role::Collector { store: 0 },
                Role::Retention { store: 0, lineage: 1 },
            ],
            faults: two,
            base: vec![(1, 0b011, 0), (1, 0b100, REBORN_MAX)],
            states_max: 900_000,
        },
        Scenario {
            title: "what is kept of a pack moves while another lineage comes to need the rest",
            roles: vec![
                Role::Committer { store: 0, lineage: 2, wants: 0b010 },
                Role::Committer { store: 0, lineage: 1, wants: 0b011 },
                Role::Collector { store: 0 },
            ],
            faults: two,
            base: vec![(1, 0b001, 0)],
            states_max: 900_000,
        },
        Scenario {
            title: "a holding reader, retention, a collector, a committer",
            roles: vec![
                Role::Reader { store: 0, lineage: 1 },
                Role::Retention { store: 0, lineage: 1 },
                Role::Collector { store: 0 },
                Role::Committer { store: 0, lineage: 2, wants: 0b110 },
            ],
            faults: two,
            base: vec![(1, 0b011, 0), (1, 0b100, REBORN_MAX)],
            states_max: 900_000,
        },
        Scenario {
            title: "two stores: a committer, an importer, a fencer and a committer there, both ways",
            roles: vec![
                Role::Committer { store: 0, lineage: 1, wants: 0b101 },
                Role::Importer { from: 0, to: 1 },
                Role::Fencer { store: 1, lineage: 1 },
                Role::Committer { store: 1, lineage: 1, wants: 0b001 },
                Role::Importer { from: 1, to: 0 },
            ],
            faults,
            base: vec![(1, 0b011, 0), (1, 0b001, 0)],
            states_max: 900_000,
        },
        Scenario {
            title: "two stores: an importer against a collector and retention of the replica",
            roles: vec![
                Role::Committer { store: 0, lineage: 1, wants: 0b010 },
                Role::Importer { from: 0, to: 1 },
                Role::Collector { store: 1 },
                Role::Committer { store: 0, lineage: 2, wants: 0b100 },
                Role::Retention { store: 1, lineage: 1 },
            ],
            faults,
            base: vec![(1, 0b011, 0), (1, 0b001, 0)],
            states_max: 900_000,
        },
        Scenario {
            title: "a spoilt slot, put back or voided, with a committer, a collector and retention",
            roles: vec![
                Role::Committer { store: 0, lineage: 1, wants: 0b100 },
                Role::Owner,
                Role::Collector { store: 0 },
                Role::Retention { store: 0, lineage: 1 },
            ],
            faults: Faults { budget: 1, deaths: false, rot: true, harm: false },
            base: vec![(1, 0b011, 0), (1, 0b001, 0)],
            states_max: 900_000,
        },
        Scenario {
            title: "two stores: a fence there is taken back, or a committer there goes on",
            roles: vec![
                Role::Committer { store: 0, lineage: 1, wants: 0b010 },
                Role::Importer { from: 0, to: 1 },
                Role::Fencer { store: 1, lineage: 1 },
                Role::Unfencer { store: 1 },
                Role::Committer { store: 1, lineage: 1, wants: 0b001 },
                Role::Importer { from: 1, to: 0 },
            ],
            faults: Faults { budget: 0, deaths: false, rot: false, harm: false },
            base: vec![(1, 0b011, 0)],
            states_max: 400_000,
        },
        Scenario {
            title: "two stores: a fence there is taken back, and another follows",
            roles: vec![
                Role::Committer { store: 0, lineage: 1, wants: 0b010 },
                Role::Importer { from: 0, to: 1 },
                Role::Fencer { store: 1, lineage: 1 },
                Role::Unfencer { store: 1 },
                Role::Fencer { store: 1, lineage: 1 },
                Role::Importer { from: 1, to: 0 },
            ],
            faults: Faults { budget: 0, deaths: false, rot: false, harm: false },
            base: vec![(1, 0b011, 0)],
            states_max: 400_000,
        },
        Scenario {
            title: "two stores: the source makes one pack of two, and a point needs the rest",
            roles: vec![
                Role::Committer { store: 0, lineage: 1, wants: 0b101 },
                Role::Importer { from: 0, to: 1 },
                Role::Merger { store: 0 },
            ],
            faults,
            base: vec![(1, 0b001, 0), (2, 0b100, REBORN_MAX)],
            states_max: 400_000,
        },
        Scenario {
            title: "three stores: the second is fenced and carries on what it imported",
            roles: vec![
                Role::Committer { store: 0, lineage: 1, wants: 0b101 },
                Role::Importer { from: 0, to: 1 },
                Role::Fencer { store: 1, lineage: 1 },
                Role::Committer { store: 1, lineage: 1, wants: 0b001 },
                Role::Importer { from: 1, to: 2 },
            ],
            faults,
            base: vec![(1, 0b011, 0)],
            states_max: 300_000,
        },
        Scenario {
            title: "three stores: the third is fed from both, and the second takes its fence back",
            roles: vec![
                Role::Importer { from: 0, to: 1 },
                Role::Fencer { store: 1, lineage: 1 },
                Role::Unfencer { store: 1 },
                Role::Importer { from: 1, to: 2 },
                Role::Importer { from: 0, to: 2 },
                Role::Importer { from: 1, to: 0 },
            ],
            faults: Faults { budget: 0, deaths: false, rot: false, harm: false },
            base: vec![(1, 0b011, 0), (1, 0b001, 0)],
            states_max: 200_000,
        },
        Scenario {
            title: "an object is lost, noticed and put back, with a collector, retention and a committer",
            roles: vec![
                Role::Checker { store: 0 },
                Role::Mender { store: 0 },
                Role::Retention { store: 0, lineage: 1 },
                Role::Collector { store: 0 },
                Role::Committer { store: 0, lineage: 2, wants: 0b010 },
            ],
            faults: Faults { budget: 2, deaths: false, rot: false, harm: true },
            base: vec![(1, 0b011, 0)],
            states_max: 300_000,
        },
    ]
}

#[test]
fn every_order_of_steps_keeps_what_was_promised() {
    let (mut states, mut depth) = (0, 0);
    for scenario in scenarios() {
        let outcome = explore(&scenario, Rules::default());
        let how = if outcome.whole { "all" } else { "the first" };
        println!("{}: {how} {} states, {} entries deep", scenario.title, outcome.states, outcome.depth);
        assert_eq!(outcome.violation, None, "{}", scenario.title);
        states += outcome.states;
        depth = depth.max(outcome.depth);
    }
    println!("{states} states, up to {depth} entries");
    assert!(depth >= 8, "the logs are too short to mean anything");
}

#[test]
fn a_rule_that_is_switched_off_is_missed() {
    let all = Rules::default();
    // With the scenario that is looked at first.
    let mutants = [
        ("rescue", 0, Rules { rescue: false, ..all }),
        ("dead names", 0, Rules { dead_names: false, ..all }),
        ("session barrier", 0, Rules { barrier: false, ..all }),
        ("needs", 0, Rules { needs: false, ..all }),
        ("epoch", 4, Rules { epoch: false, ..all }),
        ("void", 6, Rules { void: false, ..all }),
        ("moves", 0, Rules { moves: false, ..all }),
        ("unfence", 7, Rules { unfence: false, ..all }),
        ("a fence in use stays", 7, Rules { fence_used: false, ..all }),
        ("all needs after a move at the source", 9, Rules { source_moves: false, ..all }),
        ("what ended is not found", 12, Rules { found_dead: false, ..all }),
    ];
    for (title, first, rules) in mutants {
        let mut scenarios = scenarios();
        scenarios.rotate_left(first);
        let found = scenarios.iter().find_map(|scenario| {
            let outcome = explore(scenario, rules);
            outcome.violation.map(|violation| (scenario.title, outcome.states, violation))
        });
        let (scenario, states, violation) = found.unwrap_or_else(|| panic!("nobody misses {title}"));
        println!("without {title}: after {states} states of \"{scenario}\": {violation}");
    }
}
