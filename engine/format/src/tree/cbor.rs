//! Writing CBOR straight into a vector: no error to handle, and fast enough for a million entries a second.

use minicbor::Decoder;
use minicbor::decode::Error;

const UINT: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
/// The whole of a `true`.
const TRUE: u8 = 0xf5;

/// What reading CBOR gives; the error carries the position and a fixed sentence.
pub(crate) type Parse<T> = Result<T, Error>;

fn put_head(out: &mut Vec<u8>, major: u8, value: u64) {
    let major = major << 5;
    if value < 24 {
        out.push(major | value as u8);
    } else if let Ok(byte) = u8::try_from(value) {
        out.extend_from_slice(&[major | 24, byte]);
    } else if let Ok(short) = u16::try_from(value) {
        out.push(major | 25);
        out.extend_from_slice(&short.to_be_bytes());
    } else if let Ok(word) = u32::try_from(value) {
        out.push(major | 26);
        out.extend_from_slice(&word.to_be_bytes());
    } else {
        out.push(major | 27);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(crate) fn put_uint(out: &mut Vec<u8>, value: u64) {
    put_head(out, UINT, value);
}

fn put_int(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        put_head(out, NEGATIVE, !value as u64);
    } else {
        put_head(out, UINT, value as u64);
    }
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_head(out, BYTES, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_head(out, TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_array(out: &mut Vec<u8>, len: usize) {
    put_head(out, ARRAY, len as u64);
}

/// Writes a map of the fields that `put` writes and counts; at most 23.
pub(crate) fn put_map_of(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>) -> usize) {
    let head_at = out.len();
    out.push(0);
    let fields = put(out);
    debug_assert!(fields < 24, "the head of a longer map is longer");
    out[head_at] = MAP << 5 | fields as u8;
}

/// Writes `key: value` of a map unless the value is 0, which is left out; 1 if written.
pub(crate) fn put_field_uint(out: &mut Vec<u8>, key: u64, value: u64) -> usize {
    if value == 0 {
        return 0;
    }
    put_uint(out, key);
    put_uint(out, value);
    1
}

/// As [`put_field_uint`], for a signed value.
pub(crate) fn put_field_int(out: &mut Vec<u8>, key: u64, value: i64) -> usize {
    if value == 0 {
        return 0;
    }
    put_uint(out, key);
    put_int(out, value);
    1
}

/// Writes `key: value` of a map unless the value is empty, which is left out; 1 if written.
pub(crate) fn put_field_bytes(out: &mut Vec<u8>, key: u64, value: &[u8]) -> usize {
    if value.is_empty() {
        return 0;
    }
    put_uint(out, key);
    put_bytes(out, value);
    1
}

/// As [`put_field_bytes`], for text.
pub(crate) fn put_field_text(out: &mut Vec<u8>, key: u64, value: &str) -> usize {
    if value.is_empty() {
        return 0;
    }
    put_uint(out, key);
    put_text(out, value);
    1
}

/// Writes `key: true` of a map, or nothing for false; 1 if written.
pub(crate) fn put_field_true(out: &mut Vec<u8>, key: u64, value: bool) -> usize {
    if value {
        put_uint(out, key);
        out.push(TRUE);
    }
    usize::from(value)
}

/// The next key of a map; keys ascend.
pub(crate) fn read_key(d: &mut Decoder<'_>, next_key: &mut u64) -> Parse<u64> {
    let at = d.position();
    let key = d.u64()?;
    if key < *next_key {
        return Err(Error::message("keys out of order").at(at));
    }
    *next_key = key.saturating_add(1);
    Ok(key)
}

/// The length of an array or map: definite, and not more than the bytes left could hold (`bytes_each` per element).
pub(crate) fn definite(d: &Decoder<'_>, len: Option<u64>, bytes_each: usize) -> Parse<usize> {
    let left = d.input().len().saturating_sub(d.position());
    match len.map(usize::try_from) {
        Some(Ok(len)) if len <= left / bytes_each.max(1) => Ok(len),
        Some(_) => Err(Error::message("more elements than bytes").at(d.position())),
        None => Err(Error::message("indefinite length").at(d.position())),
    }
}
