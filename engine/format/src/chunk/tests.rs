use std::fmt::Write as _;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

const SECRETS: [(u32, u32); 3] = [(0x915f_77f5, 0x3463_6463), (1, 0), (0xdead_beef, 0xffff_ffff)];
const WORDS: [&str; 16] = [
    "snow", "ice", "layer", "year", "wind", "cold", "white", "deep", "slope", "melt", "grain", "crust", "peak",
    "drift", "rime", "thaw",
];

/// `docs/FORMAT.md` §7.1, read word by word.
fn cuts_by_the_text(data: &[u8], secret: (u32, u32)) -> Vec<usize> {
    let score = |i: usize| {
        let word = u32::from_le_bytes([data[i - 4], data[i - 3], data[i - 2], data[i - 1]]);
        secret.0.wrapping_mul(word).wrapping_add(secret.1)
    };
    let (mut lens, mut last) = (Vec::new(), 0);
    while last < data.len() {
        let restart = (last / RESTART_BYTES as usize + 1) * RESTART_BYTES as usize;
        let end = restart.min(data.len());
        let cut = if end - last <= CHUNK_BYTES_MIN {
            end
        } else {
            (last + CHUNK_BYTES_MIN..=end.min(last + CHUNK_BYTES_MAX)).min_by_key(|i| score(*i)).unwrap()
        };
        lens.push(cut - last);
        last = cut;
    }
    lens
}

/// Cuts as a lane does: shows `step` bytes more whenever the chunker cannot decide.
fn cuts_in_steps(data: &[u8], secret: (u32, u32), step: usize) -> Vec<usize> {
    let chunker = Chunker::new(secret);
    let (mut lens, mut last, mut seen) = (Vec::new(), 0, 0);
    while last < data.len() {
        let end = data.len().min((last / RESTART_BYTES as usize + 1) * RESTART_BYTES as usize);
        match chunker.cut(&data[last..seen.clamp(last, end)], seen >= end) {
            Some(len) => {
                assert!(len > 0 && len <= CHUNK_BYTES_MAX);
                lens.push(len);
                last += len;
            }
            None => seen += step,
        }
    }
    assert_eq!(chunker.cut(&[], true), None);
    lens
}

fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut data = vec![0; len];
    blake3::Hasher::new().update(format!("firn cuts {seed}").as_bytes()).finalize_xof().fill(&mut data);
    data
}

fn data(kind: &str, seed: u64, len: usize) -> Vec<u8> {
    match kind {
        "random" => random(seed, len),
        "zeros" => vec![0; len],
        "periodic" => random(seed, 1000).into_iter().cycle().take(len).collect(),
        _ => random(seed, len / 4 + 1)
            .iter()
            .flat_map(|byte| [WORDS[(byte & 15) as usize], " "])
            .flat_map(str::bytes)
            .take(len)
            .collect(),
    }
}

fn golden_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/golden/cuts.txt")
}

fn golden_text() -> String {
    let mut text = String::from(
        "# Cuts of version 1 (FORMAT.md, section 7.1): kind, seed, length, multiplier, addend, lengths of the chunks.\n\
         # random: BLAKE3 XOF of the ASCII text `firn cuts <seed>`; zeros: zero bytes; periodic: the first 1000 bytes\n\
         # of random again and again; text: per byte of random the word number (byte & 15) below and a space.\n",
    );
    writeln!(text, "# {}", WORDS.join(" ")).unwrap();
    let restart = RESTART_BYTES as usize;
    let small = [0, 1, 65_535, 65_536, 65_537, 196_608, 196_609, 1_000_000, 3_000_000];
    let cases = ["random", "zeros", "periodic", "text"].into_iter().flat_map(|kind| {
        let secrets = SECRETS.into_iter().zip(1..);
        secrets.flat_map(move |(secret, seed)| small.into_iter().map(move |len| (kind, seed, len, secret)))
    });
    for (kind, seed, len, secret) in cases.chain([("random", 4, restart + 300_000, SECRETS[0])]) {
        write!(text, "{kind} {seed} {len} {} {}", secret.0, secret.1).unwrap();
        for cut in cuts_in_steps(&data(kind, seed, len), secret, usize::MAX / 2) {
            write!(text, " {cut}").unwrap();
        }
        text.push('\n');
    }
    text
}

/// `cargo test -p firn-format regenerate_golden_cuts -- --ignored` writes the file anew. It is frozen: a difference is
/// a new version of the format.
#[test]
#[ignore = "writes docs/golden/cuts.txt"]
fn regenerate_golden_cuts() {
    std::fs::create_dir_all(golden_path().parent().unwrap()).unwrap();
    std::fs::write(golden_path(), golden_text()).unwrap();
}

#[test]
fn cuts_are_the_frozen_ones() {
    let frozen = std::fs::read_to_string(golden_path()).unwrap();
    assert!(frozen == golden_text(), "cuts differ from docs/golden/cuts.txt");
}

#[test]
fn the_frozen_cuts_follow_the_text() {
    for line in std::fs::read_to_string(golden_path()).unwrap().lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let kind = words.next().unwrap();
        let numbers: Vec<usize> = words.map(|word| word.parse().unwrap()).collect();
        let [seed, len, multiplier, addend, ref lens @ ..] = numbers[..] else { panic!("short line {line:?}") };
        let data = data(kind, seed as u64, len);
        assert_eq!(lens, cuts_by_the_text(&data, (multiplier as u32, addend as u32)), "{kind} {seed} {len}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn steps_change_nothing(
        kind in prop::sample::select(vec!["random", "zeros", "periodic", "text"]),
        seed: u64,
        len in 0_usize..1_200_000,
        secret: (u32, u32),
        step in 1_usize..400_000,
    ) {
        let secret = (secret.0 | 1, secret.1);
        let data = data(kind, seed, len);
        prop_assert_eq!(cuts_in_steps(&data, secret, step.max(1000)), cuts_by_the_text(&data, secret));
    }
}

#[test]
fn an_insertion_changes_few_chunks() {
    const TRIALS: usize = 20;
    let old = random(77, 8 << 20);
    let chunks = |data: &[u8]| {
        let mut at = 0;
        let lens = cuts_in_steps(data, SECRETS[0], usize::MAX / 2);
        lens.into_iter().map(|len| (blake3::hash(&data[at..at + len]), at += len).0).collect::<Vec<_>>()
    };
    let known: std::collections::HashSet<_> = chunks(&old).into_iter().collect();
    let mut stored = 0;
    for trial in 0..TRIALS {
        let place = (trial * 2 + 1) * old.len() / (TRIALS * 2);
        let new = [&old[..place], &random(trial as u64, 100)[..], &old[place..]].concat();
        let again = chunks(&new).iter().filter(|chunk| !known.contains(chunk)).count();
        assert!(again <= 16, "{again} chunks stored again after an insertion at {place}");
        stored += again;
    }
    assert!(stored <= 4 * TRIALS, "{stored} chunks stored again in {TRIALS} insertions");
}

#[test]
fn rules_follow_size_magic_and_name() {
    const BIG: u64 = 10 << 20;
    for path in [
        "a/var.db",
        "x.SQLITE",
        "mysql/t/orders.ibd",
        "ibdata1",
        "undo_001",
        "data/base/16384/2619",
        "base/5/1.2",
        "pg/global/1262",
        "vm/disk.qcow2",
        "vm/DISK.VMDK",
        "data.mdb",
        "etcd/member/snap/db.bolt",
    ] {
        assert_eq!(rule_for(path.as_bytes(), BIG, b""), Rule::Grid, "{path}");
        assert_eq!(rule_for(path.as_bytes(), 500_000, b""), Rule::MinCdc, "{path}");
        assert_eq!(rule_for(path.as_bytes(), 1000, b""), Rule::Bundle, "{path}");
    }
    for path in ["", "a", "db", "undo_x", "base/5/", "base/x/1", "mybase/5/1", "5/1", "base/5/1.x", "1", "log.gz"] {
        assert_eq!(rule_for(path.as_bytes(), BIG, b""), Rule::MinCdc, "{path}");
    }
    assert_eq!(rule_for(b"cookies", BIG, b"SQLite format 3\0...."), Rule::Grid);
    assert_eq!(rule_for(b"cookies", BIG, b"SQLite form"), Rule::MinCdc);
    assert_eq!(rule_for(b"disk", BIG, &[&[0; 0x40][..], b"\x7f\x10\xda\xbe"].concat()), Rule::Grid);
    assert_eq!(rule_for(b"f", BUNDLED_FILE_BYTES_MAX as u64, b""), Rule::Bundle);
    assert_eq!(rule_for(b"f", BUNDLED_FILE_BYTES_MAX as u64 + 1, b""), Rule::MinCdc);
}

#[test]
fn numbers_of_rules_are_the_format_s() {
    for number in 0..=255_u8 {
        assert_eq!(Rule::from_number(number).map(|rule| rule as u8), (1..=4).contains(&number).then_some(number));
    }
}
