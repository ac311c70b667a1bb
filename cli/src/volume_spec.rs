//! Volumes as they are named on the command line: `NAME=PATH`.

use std::path::{Path, PathBuf};

use crate::outcome::usage;

/// The namespace of a claim that is named without one.
const LOCAL_NAMESPACE: &str = "local";

/// A directory that is captured as a claim's volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub claim: String,
    /// The directory.
    pub path: PathBuf,
}

impl VolumeSpec {
    /// Whether the repository at `url` lies in the directory, or the directory in the repository: each backup would store
    /// the ones before it.
    pub fn holds(&self, url: &str) -> bool {
        let repository = url.strip_prefix("file://").and_then(|path| Path::new(path).canonicalize().ok());
        let (Some(repository), Ok(directory)) = (repository, self.path.canonicalize()) else { return false };
        repository.starts_with(&directory) || directory.starts_with(&repository)
    }

    /// Where it is mounted in a point.
    pub fn mount(&self) -> String {
        mount(&self.namespace, &self.claim)
    }

    /// Reads all that were given. Two of one name are refused: only one of them could be in the point.
    pub fn parse_all(texts: &[String]) -> anyhow::Result<Vec<Self>> {
        let specs = texts.iter().map(|text| Self::parse(text)).collect::<anyhow::Result<Vec<_>>>()?;
        for (number, spec) in specs.iter().enumerate() {
            if let Some(first) = specs[..number].iter().position(|other| other.mount() == spec.mount()) {
                let (one, other) = (&texts[first], &texts[number]);
                return Err(usage(format!(
                    "--volume {one} and --volume {other} have the same name; give each its own"
                )));
            }
        }
        Ok(specs)
    }

    /// Reads `namespace/claim=PATH` or `claim=PATH`.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let wrong =
            |why: &str| usage(format!("--volume {text}: {why}; give NAME=PATH, NAME being namespace/claim or claim"));
        let (name, path) = text.split_once('=').ok_or_else(|| wrong("there is no `=`"))?;
        let (namespace, claim) = name.split_once('/').unwrap_or((LOCAL_NAMESPACE, name));
        if !is_name(namespace) || !is_name(claim) {
            return Err(wrong("not a name that Kubernetes would take (letters in lower case, digits, `-`, `.`)"));
        }
        if path.is_empty() {
            return Err(wrong("the path is empty"));
        }
        Ok(Self { namespace: namespace.to_owned(), claim: claim.to_owned(), path: PathBuf::from(path) })
    }
}

/// Where a claim's volume is mounted in a point.
pub fn mount(namespace: &str, claim: &str) -> String {
    format!("volumes/{namespace}/{claim}")
}

/// Namespace and claim of a mount.
pub fn of_mount(mount: &str) -> Option<(&str, &str)> {
    mount.strip_prefix("volumes/")?.split_once('/')
}

fn is_name(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    text.len() <= 253
        && edge(text.as_bytes().first())
        && edge(text.as_bytes().last())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_told_apart() {
        let spec = VolumeSpec::parse("shop/data=/srv/a=b").unwrap();
        assert_eq!((spec.mount().as_str(), spec.path.to_str()), ("volumes/shop/data", Some("/srv/a=b")));
        assert_eq!(VolumeSpec::parse("data=/srv").unwrap().mount(), "volumes/local/data");
        for wrong in ["data", "=/x", "a/b/c=/x", "../x=/x", "a=", "A=/x", "a/=/x"] {
            assert!(VolumeSpec::parse(wrong).is_err(), "{wrong}");
        }
    }
}
