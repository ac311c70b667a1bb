//! Where files are cut into chunks (`docs/FORMAT.md` §7.1). `docs/golden/cuts.txt` freezes it.

mod rule;

use mothcdc::mincdc::{MinCdcHash4, SliceChunker};

pub use rule::{Rule, rule_for};

/// Shortest MinCDC chunk, except the last of a file or range.
pub const CHUNK_BYTES_MIN: usize = 64 * 1024;
/// Longest MinCDC chunk.
pub const CHUNK_BYTES_MAX: usize = 192 * 1024;
/// No chunk crosses a multiple of this, so that ranges of a file can be read and compared apart.
pub const RESTART_BYTES: u64 = 64 * 1024 * 1024;
/// Block of the grid.
pub const GRID_BYTES: usize = 64 * 1024;
/// Longest file that goes into a bundle.
pub const BUNDLED_FILE_BYTES_MAX: usize = 128 * 1024;
/// Longest bundle.
pub const BUNDLE_BYTES_MAX: usize = 512 * 1024;

/// Finds cuts with the secret of one domain and generation. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Chunker {
    score: MinCdcHash4,
}

impl Chunker {
    /// With the chunker secret (multiplier, addend) of `docs/FORMAT.md` §3. The multiplier is made odd.
    pub fn new(secret: (u32, u32)) -> Self {
        Self { score: MinCdcHash4::with_params(secret.0 | 1, secret.1) }
    }

    /// Length of the next chunk. `window` begins at the last cut and does not reach beyond the next multiple of
    /// [`RESTART_BYTES`]; with `at_end` it reaches exactly that or the end of the file. None if more bytes are needed
    /// to decide ([`CHUNK_BYTES_MAX`] always suffice) or the window is empty.
    pub fn cut(&self, window: &[u8], at_end: bool) -> Option<usize> {
        if window.len() < CHUNK_BYTES_MAX && !at_end {
            return None;
        }
        // What lies behind the longest chunk changes nothing.
        let window = &window[..window.len().min(CHUNK_BYTES_MAX)];
        SliceChunker::new(window, CHUNK_BYTES_MIN, CHUNK_BYTES_MAX, self.score).next().map(|chunk| chunk.len())
    }
}

#[cfg(test)]
mod tests;
