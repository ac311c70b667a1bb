//! A cluster as a directory of manifests: blocking functions.

mod kinds;
mod manifest;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use firn_format::object::{OBJECTS_ROOT, ObjectKey, ResourceType};
use serde_json::Value;

use crate::error::{ClusterError, Exception};
use kinds::Kinds;

/// Of a manifest file, at most so much is read: the largest bundles of definitions are a tenth of it.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Folders deeper than this are not entered; links are not followed, so only a made-up tree is.
const DEPTH_MAX: usize = 64;
/// The folder of volume contents beside the manifests: nothing in it is a manifest.
const VOLUMES_FOLDER: &str = "volumes";
/// What files have at their end that `write` makes.
const SUFFIX: &str = ".json";

/// An object read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its type, from the built-in kinds, the definitions in the directory, or its place.
    pub resource: ResourceType,
    /// Its name.
    pub key: ObjectKey,
    /// Its contents, with `metadata.namespace` filled in.
    pub object: Value,
    /// The file that it came from.
    pub file: PathBuf,
}

/// What a directory holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifests {
    /// The objects, ordered by key.
    pub objects: Vec<Manifest>,
    /// Files that are no manifests though they are named like one, kinds that nobody defines, names given twice.
    pub exceptions: Vec<Exception>,
}

/// Reads every `*.yaml`, `*.yml` and `*.json` below `dir`, several documents in one file and `List`s included. The
/// folder `volumes` directly in it is left alone; symbolic links are not followed. Namespaced objects without a namespace
/// are in `default`.
///
/// # Errors
/// [`ClusterError::Read`] if a folder cannot be read. What is wrong with single files stands in the exceptions.
pub fn read(dir: &Path) -> Result<Manifests, ClusterError> {
    let mut files = Vec::new();
    collect(dir, 0, &mut files)?;
    files.sort();
    let mut found: Vec<(PathBuf, Value)> = Vec::new();
    let mut manifests = Manifests::default();
    for file in files {
        match read_file(&file).and_then(|text| manifest::documents(&file, &text)) {
            Ok(documents) => found.extend(documents.into_iter().map(|document| (file.clone(), document))),
            Err(reason) => manifests.exceptions.push(exception(dir, &file, reason)),
        }
    }
    let kinds = Kinds::of(found.iter().map(|(_, object)| object));
    let mut seen: HashMap<ObjectKey, PathBuf> = HashMap::new();
    for (file, object) in found {
        match manifest::identify(object, placed_key(dir, &file).as_ref(), &kinds) {
            Ok((resource, key, object)) => {
                if let Some(first) = seen.get(&key) {
                    let reason = format!("{key} stands in {} already", shown(dir, first));
                    manifests.exceptions.push(exception(dir, &file, reason));
                    continue;
                }
                seen.insert(key.clone(), file.clone());
                manifests.objects.push(Manifest { resource, key, object, file });
            }
            Err(reason) => manifests.exceptions.push(exception(dir, &file, reason)),
        }
    }
    manifests.objects.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(manifests)
}

/// Writes an object to `dir/objects/<group>/<version>/<resource>/<namespace>/<name>.json`, indented, keys sorted. An
/// older file of this name is replaced as a whole.
///
/// # Errors
/// [`ClusterError::Unwritable`] for a name that is none of Kubernetes' or longer than a file's can be,
/// [`ClusterError::Write`] for what the file system refuses.
pub fn write(dir: &Path, key: &ObjectKey, object: &Value) -> Result<PathBuf, ClusterError> {
    if !key.is_valid() {
        return Err(ClusterError::Unwritable { key: key.clone() });
    }
    let path = dir.join(format!("{}{SUFFIX}", key.path()));
    let folder = path.parent().unwrap_or(dir);
    fs::create_dir_all(folder).map_err(|source| ClusterError::Write { path: path.clone(), source })?;
    write_into(folder, key, object)
}

/// As [`write`], into the very folder that the object belongs to. No link in it is followed.
///
/// # Errors
/// As [`write`].
pub fn write_into(folder: &Path, key: &ObjectKey, object: &Value) -> Result<PathBuf, ClusterError> {
    if !key.is_valid() {
        return Err(ClusterError::Unwritable { key: key.clone() });
    }
    let place = key.path();
    let name = place.rsplit('/').next().unwrap_or_default();
    let path = folder.join(format!("{name}{SUFFIX}"));
    let failed = |source| ClusterError::Write { path: path.clone(), source };
    // Written beside and renamed: a file is there as a whole or not at all. Ends like no manifest, should it stay.
    let partial = path.with_file_name(format!(".firn-partial-{}", std::process::id()));
    let mut text = manifest::pretty(object);
    text.push('\n');
    // One of a process that was killed may lie there.
    let _gone = fs::remove_file(&partial);
    let mut file = fs::File::create_new(&partial).map_err(failed)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&partial, &path));
    if written.is_err() {
        // The error that counts is the one above; the partial file is harmless.
        let _ = fs::remove_file(&partial);
    }
    written.map_err(failed)?;
    Ok(path)
}

/// Collects the files below `dir` that are named like manifests.
fn collect(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), ClusterError> {
    let failed = |source| ClusterError::Read { path: dir.to_path_buf(), source };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let file_type = entry.file_type().map_err(failed)?;
        let path = entry.path();
        let hidden = entry.file_name().as_encoded_bytes().first() == Some(&b'.');
        if file_type.is_dir() {
            let is_volumes = depth == 0 && entry.file_name() == VOLUMES_FOLDER;
            if !is_volumes && !hidden && depth < DEPTH_MAX {
                collect(&path, depth + 1, files)?;
            }
        } else if file_type.is_file() && !hidden {
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if ["yaml", "yml", "json"].iter().any(|known| ending.eq_ignore_ascii_case(known)) {
                files.push(path);
            }
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<String, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("{length} bytes are too many for a manifest"));
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}

/// The key that a file's place says, for files that `write` made.
fn placed_key(dir: &Path, file: &Path) -> Option<ObjectKey> {
    let place = file.strip_prefix(dir).ok()?.to_str()?;
    // The directory given may be the one that holds `objects`, or `objects` itself.
    let place = place.strip_suffix(SUFFIX)?;
    ObjectKey::from_path(place).or_else(|_| ObjectKey::from_path(&format!("{OBJECTS_ROOT}/{place}"))).ok()
}

fn shown(dir: &Path, file: &Path) -> String {
    file.strip_prefix(dir).unwrap_or(file).display().to_string()
}

fn exception(dir: &Path, file: &Path, reason: String) -> Exception {
    Exception { what: shown(dir, file), reason }
}

#[cfg(test)]
mod tests;
