//! Cut: from an open file to chunks in a lane and pieces in an entry.

use firn_format::chunk::{Chunker, GRID_BYTES, RESTART_BYTES, Rule};
use firn_format::tree::Piece;
use firn_repo::Lane;
use firn_volume::FileReader;

use crate::capture::lane::TaskError;

/// A lane reads this much at once. Large enough that the longest chunk fits several times and little is moved.
pub(crate) const BUFFER_BYTES: usize = 2 << 20;

/// How a file is cut.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    pub(crate) rule: Rule,
    pub(crate) chunker: &'a Chunker,
}

impl How<'_> {
    /// Length of the next chunk in `window`, which begins at `at` of the file; `None` if more bytes must be seen first.
    fn cut(&self, at: u64, window: &[u8], at_end: bool) -> Option<usize> {
        if self.rule != Rule::Grid {
            return self.chunker.cut(window, at_end);
        }
        let block = GRID_BYTES - (at % GRID_BYTES as u64) as usize;
        if window.len() >= block { Some(block) } else { (at_end && !window.is_empty()).then_some(window.len()) }
    }
}

/// Reads the whole file, as it is now, and stores it. `read` is told of the bytes as they come, and says whether to go on.
/// The pieces add up to what could be read: less than `reader.size()`
/// if the file shrank.
pub(crate) fn file(
    lane: &mut Lane,
    reader: &FileReader,
    how: How<'_>,
    buffer: &mut Vec<u8>,
    read: &mut dyn FnMut(u64) -> bool,
) -> Result<Vec<Piece>, TaskError> {
    buffer.resize(BUFFER_BYTES, 0);
    let mut pieces = Vec::new();
    for extent in reader.extents() {
        let extent = extent?;
        if extent.hole {
            pieces.push(Piece::Hole { len: extent.len });
            continue;
        }
        let end = extent.offset + extent.len;
        let mut at = extent.offset;
        while at < end {
            let stop = end.min((at / RESTART_BYTES + 1) * RESTART_BYTES);
            let got = region(lane, reader, (at, stop), how, buffer, &mut pieces, read)?;
            if got < stop - at {
                return Ok(pieces);
            }
            at = stop;
        }
    }
    Ok(pieces)
}

/// Cuts the bytes from `from` up to `to`, which cross neither a hole nor a restart. Returns how many there were.
fn region(
    lane: &mut Lane,
    reader: &FileReader,
    (from, to): (u64, u64),
    how: How<'_>,
    buffer: &mut [u8],
    pieces: &mut Vec<Piece>,
    read: &mut dyn FnMut(u64) -> bool,
) -> Result<u64, TaskError> {
    let (mut start, mut filled) = (0, 0);
    let (mut cut_to, mut read_to) = (from, from);
    let mut short = false;
    loop {
        let want = ((to - read_to) as usize).min(buffer.len() - filled);
        let got = reader.read_at(&mut buffer[filled..filled + want], read_to)?;
        short |= got < want;
        filled += got;
        read_to += got as u64;
        if !read(got as u64) {
            return Err(TaskError::Stopped);
        }
        let at_end = short || read_to == to;
        while let Some(len) = how.cut(cut_to, &buffer[start..filled], at_end) {
            let id = lane.put_chunk(&buffer[start..start + len])?;
            pieces.push(Piece::Chunk { id, len: len as u32 });
            start += len;
            cut_to += len as u64;
        }
        if at_end {
            return Ok(read_to - from);
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        start = 0;
    }
}
