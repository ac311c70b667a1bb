//! The limits of messages, checked on the bytes as they came, before anything is allocated for what they say.
//!
//! A few bytes on the wire can stand for much memory: an empty value in a list takes two bytes there and hundreds here.
//! So lists are counted and lengths compared first, by tables made from `firn.proto`, and only then is a message decoded.

use prost::Message;
use zeroize::Zeroizing;

/// Most bytes of a message on a stream. A capture names what it put and what it refers to, and the log entry which is made
/// of that holds at most 16 MiB; 4 MiB are for all else.
pub const MESSAGE_BYTES_MAX: usize = 20 << 20;

/// Most bytes of a message from and to somebody who has no certificate yet: a token, a request, a few certificates.
pub(crate) const ENROLLMENT_BYTES_MAX: usize = 160 << 10;

/// What a message may consist of.
#[derive(Debug)]
pub struct Shape {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

/// One row of a shape.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) count_max: u32,
    pub(crate) bytes_max: u32,
    pub(crate) shape: Option<&'static Shape>,
}

/// A message with limits.
pub trait Bounded: Message + Default + 'static {
    /// What it may consist of.
    const SHAPE: &'static Shape;
}

/// A message is not within its limits, or is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// It is too long as a whole.
    #[error("a message of {bytes} bytes; at most {bytes_max} are allowed")]
    Message {
        /// How many there are.
        bytes: usize,
        /// How many there may be.
        bytes_max: usize,
    },
    /// A value is too long.
    #[error("{message}.{field} has {bytes} bytes; at most {bytes_max} are allowed")]
    Bytes {
        /// Of which message.
        message: &'static str,
        /// In which field.
        field: &'static str,
        /// How many there are.
        bytes: u64,
        /// How many there may be.
        bytes_max: u32,
    },
    /// A list is too long, or what is no list comes twice.
    #[error("{message}.{field} comes more than {count_max} times")]
    Count {
        /// Of which message.
        message: &'static str,
        /// Which field.
        field: &'static str,
        /// How often it may come.
        count_max: u32,
    },
    /// The bytes cannot be read as fields.
    #[error("{message} is malformed: {what}")]
    Malformed {
        /// Which message.
        message: &'static str,
        /// What is wrong.
        what: &'static str,
    },
}

/// Whether a peer will take the message. To be asked before it is sent: a stream ends at the first message that does not fit.
///
/// # Errors
/// The first limit that it breaks.
pub fn fits<M: Bounded>(message: &M) -> Result<(), Exceeded> {
    let bytes = message.encoded_len();
    if bytes > MESSAGE_BYTES_MAX {
        return Err(Exceeded::Message { bytes, bytes_max: MESSAGE_BYTES_MAX });
    }
    check(M::SHAPE, &Zeroizing::new(message.encode_to_vec()))
}

/// Checks an encoded message and what is in it. Unknown fields are passed over: they are a later version's and cost nothing.
pub(crate) fn check(shape: &'static Shape, mut bytes: &[u8]) -> Result<(), Exceeded> {
    let malformed = |what| Exceeded::Malformed { message: shape.name, what };
    let mut counts = vec![0_u32; shape.fields.len()];
    while !bytes.is_empty() {
        let key = varint(&mut bytes).ok_or_else(|| malformed("a field's number"))?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or_else(|| malformed("a field's number"))?;
        let value = value(key & 7, &mut bytes).ok_or_else(|| malformed("a field's value"))?;
        let Some(at) = shape.fields.iter().position(|field| field.number == number) else { continue };
        let (Some(field), Some(count)) = (shape.fields.get(at), counts.get_mut(at)) else { continue };
        *count += 1;
        if *count > field.count_max {
            return Err(Exceeded::Count { message: shape.name, field: field.name, count_max: field.count_max });
        }
        let Some(value) = value else { continue };
        if value.len() as u64 > u64::from(field.bytes_max) {
            let (bytes, bytes_max) = (value.len() as u64, field.bytes_max);
            return Err(Exceeded::Bytes { message: shape.name, field: field.name, bytes, bytes_max });
        }
        if let Some(shape) = field.shape {
            check(shape, value)?;
        }
    }
    Ok(())
}

/// The value of a field, taken off `bytes`: its bytes if it has a length, else nothing. `None` if there is none such.
/// Groups are none: this protocol never had any.
fn value<'a>(wire: u64, bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = match wire {
        0 => return varint(bytes).map(|_| None),
        1 => 8,
        2 => usize::try_from(varint(bytes)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((wire == 2).then_some(value))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut out = 0_u64;
    for n in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if n == 9 && part > 1 {
            return None;
        }
        out |= part << (7 * n);
        if byte & 0x80 == 0 {
            return Some(out);
        }
    }
    None
}

#[cfg(test)]
mod tests;
