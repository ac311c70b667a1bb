//! The folded state as an object: a cold reader begins with it instead of the first entry (FORMAT.md §8.3).
//!
//! Equal states give equal bytes everywhere. Signers and domains are not in it: they are replayed from the stored bytes of
//! the KEY entries, so that they are proved from the owner key in FORMAT.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, BufWriter, Read};
use std::sync::Arc;

use minicbor::encode::write::Writer;
use minicbor::{Decoder, Encoder};

use crate::error::FormatError;
use crate::fold::Rules;
use crate::format_file::FormatFile;
use crate::ids::{FamilyId, Hash, StoreId};
use crate::log::{Entry, Payload};
use crate::name::ObjectName;
use crate::state::{ObjectNo, Objects, Point, Points, State};
use crate::verdict::Verdict;

const MAGIC: &[u8; 8] = b"FIRNCKPT";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 16;
/// The largest state that is read: five times that of 100 000 points with half a million objects.
const PLAIN_BYTES_MAX: u32 = 512 << 20;
/// The longest checkpoint object: such a state does not shrink, and zstd adds less than this to what does not.
pub const CHECKPOINT_BYTES_MAX: u64 = PLAIN_BYTES_MAX as u64 + (PLAIN_BYTES_MAX / 128) as u64;
/// What a reader lets zstd keep in memory: 2^27 bytes, the most that any level of ours asks for.
const WINDOW_LOG_MAX: u32 = 27;
/// The level: states are hashes for the most part, and those do not shrink.
const LEVEL: i32 = 3;
/// Encoded bytes on their way to or from the compressor.
const PIECE_BYTES: usize = 64 << 10;
/// How many fields the state has as an array.
const FIELDS: u64 = 22;

type Encoded<E> = Result<(), minicbor::encode::Error<E>>;
type Decoded<T> = Result<T, minicbor::decode::Error>;

fn damaged(detail: impl Into<String>) -> FormatError {
    FormatError::damaged("checkpoint", detail)
}

/// What a live point needs, as a checkpoint tells it: how it differs from what another live point needs.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'s> {
    /// The point.
    pub point: &'s Point,
    /// The position of the live point that it is told against; `None`: against nothing.
    pub base: Option<u64>,
    objects: &'s Objects,
    added: &'s [ObjectNo],
    dropped: &'s [ObjectNo],
}

impl<'s> Difference<'s> {
    /// What the point needs and its base does not.
    pub fn added(&self) -> impl Iterator<Item = &'s ObjectName> + use<'s> {
        let objects = self.objects;
        self.added.iter().filter_map(|no| objects.name(*no))
    }

    /// What its base needs and the point does not.
    pub fn dropped(&self) -> impl Iterator<Item = &'s ObjectName> + use<'s> {
        let objects = self.objects;
        self.dropped.iter().filter_map(|no| objects.name(*no))
    }
}

impl State {
    /// The checkpoint of this state: what is stored as `checkpoint/<next_seq>/<hash>`. It is compressed while it is encoded: only
    /// the compressed bytes are ever in memory, beside the state.
    ///
    /// # Errors
    /// [`FormatError::TooLarge`] for a state that no reader would read; [`FormatError::Damaged`] if slots of the log are.
    pub fn to_checkpoint(&self) -> Result<Vec<u8>, FormatError> {
        let len = self.checkpoint_plain_len()?;
        // Room for all of it at once: memory that is not written to is not taken, and growing would copy.
        let mut out = Vec::with_capacity(HEAD_BYTES + len as usize);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, 0, 0, 0]);
        out.extend_from_slice(&len.to_le_bytes());
        let zip = |error: std::io::Error| damaged(format!("it cannot be compressed: {error}"));
        let mut frame = zstd::stream::write::Encoder::new(out, LEVEL).map_err(zip)?;
        frame.set_pledged_src_size(Some(u64::from(len))).map_err(zip)?;
        let mut pieces = Writer::new(BufWriter::with_capacity(PIECE_BYTES, frame));
        encode(self, &mut Encoder::new(&mut pieces))
            .map_err(|error| damaged(format!("it cannot be encoded: {error}")))?;
        let frame = pieces.into_inner().into_inner().map_err(|error| zip(error.into_error()))?;
        frame.finish().map_err(zip)
    }

    /// Checks that the checkpoint object in `bytes` says of the log what this state says, piece by piece, without a copy of
    /// either. Compressors may differ, so the hash of the object tells nothing about that.
    ///
    /// # Errors
    /// [`FormatError::Damaged`] if it says anything else or cannot be read; [`FormatError::Newer`].
    pub fn compare_checkpoint(&self, bytes: &[u8]) -> Result<(), FormatError> {
        let expected = self.checkpoint_plain_len()?;
        let (len, frame) = open_frame(bytes)?;
        let differs = || damaged("it is not what the entries before it come to");
        if len != expected {
            return Err(differs());
        }
        let mut said = Said(BufReader::with_capacity(PIECE_BYTES, frame));
        encode(self, &mut Encoder::new(&mut said)).map_err(|_| differs())?;
        match said.0.fill_buf() {
            Ok([]) => Ok(()),
            _ => Err(differs()),
        }
    }

    /// What all live points need, in the order of their positions: each difference once, and every base before what is told
    /// against it. To ask [`State::needs`] for each of very many points takes the square of their number.
    pub fn needs_by_difference(&self) -> impl Iterator<Item = Difference<'_>> {
        self.points.iter().map(|node| Difference {
            point: &node.point,
            base: node.base,
            objects: &self.objects,
            added: &node.added,
            dropped: &node.dropped,
        })
    }

    fn checkpoint_plain_len(&self) -> Result<u32, FormatError> {
        if self.damage.is_some() || self.newer.is_some() {
            return Err(damaged("the log cannot be folded to its end"));
        }
        let mut counted = Counted(0);
        // Counting cannot fail.
        let _counted = encode(self, &mut Encoder::new(&mut counted));
        match u32::try_from(counted.0) {
            Ok(len) if len <= PLAIN_BYTES_MAX => Ok(len),
            _ => {
                let bytes_max = u64::from(PLAIN_BYTES_MAX);
                Err(FormatError::TooLarge { what: "checkpoint".into(), bytes: counted.0, bytes_max })
            }
        }
    }

    /// The state behind the CHECKPOINT entry whose stored bytes are `entry`, from the object that it names. Whoever hands the
    /// object's bytes over has them freed before the state takes their place in memory.
    ///
    /// The entry's signature, place and signer are checked, the object's hash, and the signers from FORMAT on. Whether the state
    /// is what the log below says is the signer's word; folding from the first entry tells.
    ///
    /// # Errors
    /// [`FormatError::Damaged`] and [`FormatError::Newer`]; another checkpoint, or the first entry, may still do.
    pub fn from_checkpoint(
        bytes: impl AsRef<[u8]>,
        entry: &[u8],
        format: &FormatFile,
        fingerprint: Hash,
    ) -> Result<Self, FormatError> {
        let (opened, _) = Entry::open(entry)?;
        match &opened.payload {
            Payload::Checkpoint(checkpoint) if checkpoint.hash == Hash::of(bytes.as_ref()) => {}
            _ => return Err(damaged("the entry names another object")),
        }
        let plain = plain(bytes.as_ref())?;
        drop(bytes);
        let mut state = State::genesis_with(Arc::new(format.clone()), fingerprint, Rules::default());
        let mut decoder = Decoder::new(&plain);
        decode(&mut state, &mut decoder).map_err(|error| damaged(format!("the state cannot be decoded: {error}")))?;
        if decoder.position() != plain.len() {
            return Err(damaged("something follows the state"));
        }
        match state.apply(Some(entry)) {
            Verdict::Applied => Ok(state),
            Verdict::Void(reason) => Err(damaged(format!("its entry is void: {reason}"))),
            _ => Err(damaged("its entry does not follow the state")),
        }
    }
}

/// How many bytes are encoded.
struct Counted(u64);

impl minicbor::encode::Write for Counted {
    type Error = Infallible;

    fn write_all(&mut self, piece: &[u8]) -> Result<(), Infallible> {
        self.0 += piece.len() as u64;
        Ok(())
    }
}

/// What a checkpoint says, against which pieces are held.
struct Said<R>(R);

/// It says something else, or cannot be read.
struct Differs;

impl<R: BufRead> minicbor::encode::Write for Said<R> {
    type Error = Differs;

    fn write_all(&mut self, mut piece: &[u8]) -> Result<(), Differs> {
        while !piece.is_empty() {
            let said = self.0.fill_buf().map_err(|_| Differs)?;
            let len = said.len().min(piece.len());
            let (now, rest) = piece.split_at(len);
            if len == 0 || said[..len] != *now {
                return Err(Differs);
            }
            self.0.consume(len);
            piece = rest;
        }
        Ok(())
    }
}

fn unzip(error: std::io::Error) -> FormatError {
    damaged(format!("it cannot be decompressed: {error}"))
}

/// The length that the head promises, within bounds, and what yields the state's bytes.
fn open_frame(bytes: &[u8]) -> Result<(u32, zstd::stream::read::Decoder<'static, &[u8]>), FormatError> {
    let (head, frame) = bytes.split_at_checked(HEAD_BYTES).ok_or_else(|| damaged("it is too short"))?;
    if !head.starts_with(MAGIC) {
        return Err(damaged("it does not begin with its mark"));
    }
    if head[8] != VERSION {
        return Err(FormatError::Newer { what: "checkpoint".into(), needs: format!("version {}", head[8]) });
    }
    let len = u32::from_le_bytes([head[12], head[13], head[14], head[15]]);
    if len > PLAIN_BYTES_MAX {
        return Err(damaged("it is too large"));
    }
    let mut reader = zstd::stream::read::Decoder::with_buffer(frame).map_err(unzip)?;
    reader.window_log_max(WINDOW_LOG_MAX).map_err(unzip)?;
    Ok((len, reader))
}

fn plain(bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    let (len, reader) = open_frame(bytes)?;
    // Room for all of it at once: memory that is not written to is not taken, and growing would copy.
    let mut plain = Vec::new();
    plain.try_reserve_exact(len as usize + 1).map_err(|_| damaged("there is no memory for its length"))?;
    reader.take(u64::from(len) + 1).read_to_end(&mut plain).map_err(unzip)?;
    if plain.len() != len as usize {
        return Err(damaged("its length is not what it says"));
    }
    Ok(plain)
}

fn encode<W: minicbor::encode::Write>(state: &State, e: &mut Encoder<W>) -> Encoded<W::Error> {
    e.array(FIELDS)?.u64(state.next)?.encode(state.head)?;
    e.array(state.key_entries.len() as u64)?;
    for entry in &state.key_entries {
        e.bytes(entry)?;
    }
    e.array(state.objects.len() as u64)?;
    for (no, name, flags) in state.objects.iter() {
        e.array(3)?.encode(name)?.u8(flags)?.u64(state.objects.next_name_seq(no).unwrap_or(0))?;
    }
    e.encode(&state.lineages)?;
    e.array(state.points.iter().len() as u64)?;
    for node in state.points.iter() {
        e.array(4)?.encode(&node.point)?.encode(node.base)?.encode(&node.added)?.encode(&node.dropped)?;
    }
    e.encode(&state.sessions)?.encode(&state.sessions_used)?.encode(&state.collection)?;
    e.u64(state.moved_to)?.encode(&state.holds)?.encode(&state.links)?.encode(&state.fences)?.encode(&state.peers)?;
    e.u64(state.retention_seconds_min)?.u32(state.reader_min)?.u32(state.writer_min)?.encode(&state.features)?;
    e.u64(state.checkpoint)?.encode(state.fingerprint)?.encode(state.format.store)?.encode(state.format.family)?.ok()
}

fn decode(state: &mut State, d: &mut Decoder<'_>) -> Decoded<()> {
    let wrong = |what: &str| minicbor::decode::Error::message(what.to_owned());
    if d.array()? != Some(FIELDS) {
        return Err(wrong("number of fields"));
    }
    (state.next, state.head) = (d.decode()?, d.decode()?);
    decode_keys(state, d)?;
    for expected in 0..d.array()?.ok_or_else(|| wrong("length of objects"))? {
        let (name, flags, seq) = d.decode::<(ObjectName, u8, u64)>()?;
        if u64::from(state.objects.restore(&name, flags, seq)) != expected {
            return Err(wrong("an object twice"));
        }
    }
    state.lineages = d.decode()?;
    for _ in 0..d.array()?.ok_or_else(|| wrong("length of points"))? {
        decode_point(state, d)?;
    }
    (state.sessions, state.sessions_used, state.collection) = (d.decode()?, d.decode()?, d.decode()?);
    (state.moved_to, state.holds, state.links) = (d.decode()?, d.decode()?, d.decode()?);
    (state.fences, state.peers, state.retention_seconds_min) = (d.decode()?, d.decode()?, d.decode()?);
    (state.reader_min, state.writer_min, state.features) = (d.decode()?, d.decode()?, d.decode()?);
    state.checkpoint = d.decode()?;
    let (fingerprint, store, family): (Hash, StoreId, FamilyId) = (d.decode()?, d.decode()?, d.decode()?);
    if fingerprint != state.fingerprint || store != state.format.store || family != state.format.family {
        return Err(wrong("it is of another store"));
    }
    Ok(())
}

/// Replays the KEY entries by the rules of the log, from the owner on.
fn decode_keys(state: &mut State, d: &mut Decoder<'_>) -> Decoded<()> {
    let wrong = || minicbor::decode::Error::message("a KEY entry does not hold");
    let mut last = 0;
    for _ in 0..d.array()?.ok_or_else(wrong)? {
        let bytes = d.bytes()?;
        let (entry, _) = Entry::open(bytes).map_err(|_| wrong())?;
        let Payload::Key(key) = &entry.payload else { return Err(wrong()) };
        let placed = entry.store == state.store() && entry.seq > last && entry.seq < state.next;
        if !placed || state.validate(&entry.payload, &entry.signer).is_err() {
            return Err(wrong());
        }
        last = entry.seq;
        state.change_key(key, bytes);
    }
    Ok(())
}

fn decode_point(state: &mut State, d: &mut Decoder<'_>) -> Decoded<()> {
    let wrong = || minicbor::decode::Error::message("a point does not fit");
    if d.array()? != Some(4) {
        return Err(wrong());
    }
    let (point, base): (Point, Option<u64>) = (d.decode()?, d.decode()?);
    let (added, dropped): (Vec<ObjectNo>, Vec<ObjectNo>) = (d.decode()?, d.decode()?);
    let known = |list: &[ObjectNo]| {
        list.is_sorted_by(|a, b| a < b) && list.last().is_none_or(|no| (*no as usize) < state.objects.len())
    };
    let after = state.points.iter().next_back().is_none_or(|last| last.point.seq < point.seq);
    let based = base.is_none_or(|base| state.points.node(base).is_some());
    if !known(&added) || !known(&dropped) || !after || !based || point.seq >= state.next {
        return Err(wrong());
    }
    let lineage = state.lineages.get_mut(&point.lineage).ok_or_else(wrong)?;
    lineage.points.insert(point.place());
    state.points.restore(Points::loose(point, base, added, dropped), &mut state.objects);
    Ok(())
}

#[cfg(test)]
mod tests;
