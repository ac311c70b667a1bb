//! Dice: replayable numbers.

/// Numbers that follow from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The numbers of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The numbers of `seed`, or of `FIRN_TEST_SEED` if that is set; prints which.
    pub fn told(what: &str, seed: u64) -> Self {
        let seed = std::env::var("FIRN_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
        println!("{what}: seed {seed}");
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    /// A number below `limit`, which is not 0, as an index.
    pub fn index(&mut self, limit: usize) -> usize {
        (self.roll() % limit as u64) as usize
    }

    /// Bytes that nothing compresses.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        blake3::Hasher::new().update(&self.roll().to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    /// Bytes that compress well.
    pub fn text(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 32);
        while out.len() < len {
            out.extend_from_slice(format!("line {} of a log\n", self.below(1000)).as_bytes());
        }
        out.truncate(len);
        out
    }
}
