//! Manifests and exceptions as CBOR.

use minicbor::Decoder;
use minicbor::decode::Error;

use super::{
    Consistency, EXCEPTIONS_BYTES_MAX, EXCEPTIONS_MAX, Exception, MOUNTS_MAX, Manifest, Mount, MountKind,
    NAMESPACES_MAX,
};
use crate::tree::cbor::{
    Parse, definite, put_array, put_field_bytes, put_field_int, put_field_text, put_field_true, put_field_uint,
    put_map_of, put_text, put_uint, read_key,
};
use crate::tree::node::{EXCEPTIONS, MANIFEST, read_rest, read_type};
use crate::{BlobId, DomainId};

/// Most bytes of one text of an exception.
const EXCEPTION_TEXT_BYTES_MAX: usize = 4096;

pub(super) fn manifest_bytes(manifest: &Manifest) -> Vec<u8> {
    let mut out = Vec::new();
    put_map_of(&mut out, |out| {
        let mut fields = put_field_uint(out, 0, MANIFEST);
        fields += put_field_text(out, 1, &manifest.cluster_uid);
        fields += put_field_text(out, 2, &manifest.cluster_name);
        fields += put_field_text(out, 3, &manifest.policy);
        fields += put_field_int(out, 4, manifest.cut_ms);
        fields += put_field_int(out, 5, manifest.end_ms);
        if !manifest.mounts.is_empty() {
            put_uint(out, 6);
            put_array(out, manifest.mounts.len());
            manifest.mounts.iter().for_each(|mount| put_mount(out, mount));
            fields += 1;
        }
        fields += put_field_true(out, 7, manifest.complete);
        fields += put_field_uint(out, 8, manifest.exceptions);
        fields += put_field_bytes(out, 9, manifest.exceptions_node.as_ref().map_or(&[], |id| id.as_bytes()));
        fields += put_field_text(out, 10, &manifest.facts);
        fields += put_field_text(out, 11, &manifest.writer_version);
        if !manifest.namespaces.is_empty() {
            put_uint(out, 12);
            put_array(out, manifest.namespaces.len());
            manifest.namespaces.iter().for_each(|namespace| put_text(out, namespace));
            fields += 1;
        }
        fields
    });
    out
}

fn put_mount(out: &mut Vec<u8>, mount: &Mount) {
    put_map_of(out, |out| {
        let mut fields = put_field_text(out, 0, &mount.path);
        fields += put_field_bytes(out, 1, mount.root.as_bytes());
        fields += put_field_bytes(out, 2, mount.domain.as_bytes());
        fields += put_field_uint(out, 3, u64::from(mount.generation));
        fields += put_field_uint(out, 4, mount.kind as u64);
        fields += put_field_uint(out, 5, mount.consistency as u64);
        fields += put_field_int(out, 6, mount.cut_ms);
        fields += put_field_true(out, 7, mount.stale);
        fields += put_field_uint(out, 8, mount.entries);
        fields += put_field_uint(out, 9, mount.bytes);
        fields += put_field_uint(out, 10, mount.exceptions);
        fields + put_field_text(out, 11, &mount.method)
    });
}

pub(super) fn parse_manifest(plain: &[u8]) -> Parse<Manifest> {
    let mut d = Decoder::new(plain);
    let mut next_key = 0;
    let (fields, node_type) = read_type(&mut d, &mut next_key)?;
    if node_type != MANIFEST {
        return Err(Error::message("not a manifest").at(0));
    }
    let mut manifest = Manifest::default();
    for _ in 0..fields {
        match read_key(&mut d, &mut next_key)? {
            1 => manifest.cluster_uid = d.str()?.to_owned(),
            2 => manifest.cluster_name = d.str()?.to_owned(),
            3 => manifest.policy = d.str()?.to_owned(),
            4 => manifest.cut_ms = d.i64()?,
            5 => manifest.end_ms = d.i64()?,
            6 => manifest.mounts = list(&mut d, 50, MOUNTS_MAX, parse_mount)?,
            7 => manifest.complete = d.bool()?,
            8 => manifest.exceptions = d.u64()?,
            9 => manifest.exceptions_node = Some(id(&mut d)?),
            10 => manifest.facts = d.str()?.to_owned(),
            11 => manifest.writer_version = d.str()?.to_owned(),
            12 => manifest.namespaces = list(&mut d, 1, NAMESPACES_MAX, |d| d.str().map(str::to_owned))?,
            _ => d.skip()?,
        }
    }
    read_rest(&mut d, 0, &mut next_key)?;
    Ok(manifest)
}

/// An array of at most `max` elements of at least `bytes_each` bytes.
fn list<'b, T>(
    d: &mut Decoder<'b>,
    bytes_each: usize,
    max: usize,
    mut element: impl FnMut(&mut Decoder<'b>) -> Parse<T>,
) -> Parse<Vec<T>> {
    let len = d.array()?;
    let len = definite(d, len, bytes_each)?;
    if len > max {
        return Err(Error::message("too many elements").at(d.position()));
    }
    (0..len).map(|_| element(d)).collect()
}

fn id(d: &mut Decoder<'_>) -> Parse<BlobId> {
    let at = d.position();
    BlobId::from_slice(d.bytes()?).ok_or_else(|| Error::message("id of a wrong length").at(at))
}

fn parse_mount(d: &mut Decoder<'_>) -> Parse<Mount> {
    let at = d.position();
    let (mut root, mut domain, mut kind) = (None, None, None);
    let mut mount = Mount {
        path: String::new(),
        root: BlobId([0; 32]),
        domain: DomainId([0; 16]),
        generation: 0,
        kind: MountKind::Files,
        consistency: Consistency::None,
        cut_ms: 0,
        stale: false,
        entries: 0,
        bytes: 0,
        exceptions: 0,
        method: String::new(),
    };
    let mut next_key = 0;
    let len = d.map()?;
    for _ in 0..definite(d, len, 2)? {
        match read_key(d, &mut next_key)? {
            0 => mount.path = d.str()?.to_owned(),
            1 => root = Some(id(d)?),
            2 => domain = DomainId::from_slice(d.bytes()?),
            3 => mount.generation = d.u32()?,
            4 => kind = mount_kind(d.u8()?),
            5 => mount.consistency = consistency(d)?,
            6 => mount.cut_ms = d.i64()?,
            7 => mount.stale = d.bool()?,
            8 => mount.entries = d.u64()?,
            9 => mount.bytes = d.u64()?,
            10 => mount.exceptions = d.u64()?,
            11 => mount.method = d.str()?.to_owned(),
            _ => d.skip()?,
        }
    }
    let missing = || Error::message("mount without a root, a domain or a known kind").at(at);
    mount.root = root.ok_or_else(missing)?;
    mount.domain = domain.ok_or_else(missing)?;
    mount.kind = kind.ok_or_else(missing)?;
    Ok(mount)
}

fn mount_kind(number: u8) -> Option<MountKind> {
    match number {
        1 => Some(MountKind::Objects),
        2 => Some(MountKind::Files),
        3 => Some(MountKind::Block),
        _ => None,
    }
}

fn consistency(d: &mut Decoder<'_>) -> Parse<Consistency> {
    let at = d.position();
    match d.u8()? {
        0 => Ok(Consistency::None),
        1 => Ok(Consistency::Live),
        2 => Ok(Consistency::Crash),
        3 => Ok(Consistency::Frozen),
        4 => Ok(Consistency::Application),
        _ => Err(Error::message("unknown consistency").at(at)),
    }
}

pub(super) fn exceptions_bytes(exceptions: &[Exception]) -> (Vec<u8>, usize) {
    let mut list = Vec::new();
    let mut kept = 0;
    for exception in exceptions.iter().take(EXCEPTIONS_MAX) {
        let before = list.len();
        put_exception(&mut list, exception);
        if list.len() > EXCEPTIONS_BYTES_MAX {
            list.truncate(before);
            break;
        }
        kept += 1;
    }
    let mut out = Vec::with_capacity(list.len() + 16);
    put_map_of(&mut out, |out| {
        let fields = put_field_uint(out, 0, EXCEPTIONS);
        put_uint(out, 1);
        put_array(out, kept);
        out.extend_from_slice(&list);
        fields + 1
    });
    (out, kept)
}

fn put_exception(out: &mut Vec<u8>, exception: &Exception) {
    put_map_of(out, |out| {
        put_field_text(out, 0, cut(&exception.path))
            + put_field_text(out, 1, cut(&exception.reason))
            + put_field_text(out, 2, cut(&exception.detail))
            + put_field_text(out, 3, cut(&exception.mount))
    });
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(EXCEPTION_TEXT_BYTES_MAX)]
}

pub(super) fn parse_exceptions(plain: &[u8]) -> Parse<Vec<Exception>> {
    let mut d = Decoder::new(plain);
    let mut next_key = 0;
    let (fields, node_type) = read_type(&mut d, &mut next_key)?;
    if node_type != EXCEPTIONS {
        return Err(Error::message("not an exceptions node").at(0));
    }
    let mut exceptions = Vec::new();
    for _ in 0..fields {
        match read_key(&mut d, &mut next_key)? {
            1 => exceptions = list(&mut d, 1, EXCEPTIONS_MAX, parse_exception)?,
            _ => d.skip()?,
        }
    }
    read_rest(&mut d, 0, &mut next_key)?;
    Ok(exceptions)
}

fn parse_exception(d: &mut Decoder<'_>) -> Parse<Exception> {
    let [mut path, mut reason, mut detail, mut mount] = [const { String::new() }; 4];
    let mut next_key = 0;
    let len = d.map()?;
    for _ in 0..definite(d, len, 2)? {
        match read_key(d, &mut next_key)? {
            0 => path = d.str()?.to_owned(),
            1 => reason = d.str()?.to_owned(),
            2 => detail = d.str()?.to_owned(),
            3 => mount = d.str()?.to_owned(),
            _ => d.skip()?,
        }
    }
    Ok(Exception { path, reason, detail, mount })
}
