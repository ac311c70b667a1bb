//! Compression of blobs: zstd where it pays, nothing where it does not.

use zstd::bulk;

use crate::error::FormatError;

/// How a blob's bytes were packed before sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// As they are.
    Plain,
    /// One zstd frame.
    Zstd,
}

impl Codec {
    /// The byte that stands for it.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Zstd => 1,
        }
    }

    /// The codec of a byte; `None` for one that this version does not know.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Plain),
            1 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// The level that writers use unless told otherwise; measured in `docs/decisions/0004-zstd-level-3.md`.
pub const COMPRESSION_LEVEL: i32 = 3;

/// Compresses blobs, one after another, with one context. Each thread has its own.
pub struct Compressor {
    zstd: bulk::Compressor<'static>,
}

impl Compressor {
    /// A compressor at a zstd level (1…19 make sense).
    pub fn new(level: i32) -> Result<Self, FormatError> {
        let zstd = bulk::Compressor::new(level).map_err(|_| FormatError::Library { what: "zstd".into() })?;
        Ok(Self { zstd })
    }

    /// Compresses `plain` into `out` (its former content is dropped), or finds that it does not pay.
    /// [`Codec::Plain`] means: store `plain` itself; `out` is then without meaning.
    pub fn compress(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Codec {
        out.clear();
        if plain.len() < COMPRESSED_BYTES_MIN || is_noise(plain) {
            return Codec::Plain;
        }
        if plain.len() > TRIAL_FROM_BYTES && !self.pays(middle(plain, TRIAL_BYTES), out) {
            return Codec::Plain;
        }
        if self.pays(plain, out) { Codec::Zstd } else { Codec::Plain }
    }

    /// Compresses `plain` into `out`; whether that saves enough.
    fn pays(&mut self, plain: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        // No room beyond what pays: zstd gives up as soon as it is full.
        let bytes_max = plain.len() / 100 * 97;
        out.reserve(bytes_max);
        self.zstd.compress_to_buffer(plain, out).is_ok_and(|written| written <= bytes_max)
    }
}

/// Below this a frame's own bytes eat the gain.
const COMPRESSED_BYTES_MIN: usize = 64;
/// Larger blobs are tried on a part first.
const TRIAL_FROM_BYTES: usize = 128 << 10;
/// How much of them is tried.
const TRIAL_BYTES: usize = 16 << 10;
/// How much is counted at each of three places.
const SAMPLE_BYTES: usize = 4 << 10;
/// Bits a byte above which bytes are noise: compressed or encrypted already.
const NOISE_BITS: f32 = 7.8;

/// The middle `bytes_max` of `plain`.
fn middle(plain: &[u8], bytes_max: usize) -> &[u8] {
    let from = plain.len().saturating_sub(bytes_max) / 2;
    plain.get(from..plain.len().min(from + bytes_max)).unwrap_or_default()
}

/// Whether the bytes at the front, in the middle and at the end are too even to compress.
fn is_noise(plain: &[u8]) -> bool {
    if plain.len() < 3 * SAMPLE_BYTES {
        return false;
    }
    let mut counts = [0u32; 256];
    let parts = [&plain[..SAMPLE_BYTES], middle(plain, SAMPLE_BYTES), &plain[plain.len() - SAMPLE_BYTES..]];
    for byte in parts.into_iter().flatten() {
        counts[usize::from(*byte)] += 1;
    }
    let total = (3 * SAMPLE_BYTES) as f32;
    let bits: f32 =
        counts.iter().filter(|count| **count > 0).map(|count| *count as f32 / total).map(|p| -p * p.log2()).sum();
    bits >= NOISE_BITS
}

/// Undoes what [`Compressor`] did, and lends its memory to the opening of blobs. Each thread has its own.
pub struct Decompressor {
    zstd: bulk::Decompressor<'static>,
    pub(crate) stored: Vec<u8>,
}

impl Decompressor {
    /// A decompressor without memory at first; it grows to the largest blob.
    pub fn new() -> Result<Self, FormatError> {
        let zstd = bulk::Decompressor::new().map_err(|_| FormatError::Library { what: "zstd".into() })?;
        Ok(Self { zstd, stored: Vec::new() })
    }

    /// The `plain_len` bytes in `frame`; `None` if it holds more, fewer or nonsense. The caller has bounded `plain_len`.
    pub(crate) fn decompress(&mut self, frame: &[u8], plain_len: usize) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        plain.try_reserve_exact(plain_len).ok()?;
        let written = self.zstd.decompress_to_buffer(frame, &mut plain).ok()?;
        (written == plain_len).then_some(plain)
    }
}

#[cfg(test)]
mod tests;
