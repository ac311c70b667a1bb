//! Secret: what unlocks a repository, from a file or the environment, never from an argument.

use std::io::Read;
use std::path::Path;

use anyhow::Context as _;
use firn_format::{Kit, Passphrase, Secret};
use zeroize::Zeroizing;

use crate::args::Global;
use crate::outcome::usage;

/// Longer files are not passphrases or kits.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A secret that somebody gave. Wiped when dropped.
#[derive(Debug)]
pub enum Given {
    /// A passphrase.
    Passphrase(Passphrase),
    /// A recovery kit.
    Kit(Kit),
}

impl Given {
    /// It, as a repository takes it.
    pub fn secret(&self) -> Secret<'_> {
        match self {
            Self::Passphrase(passphrase) => Secret::Passphrase(passphrase),
            Self::Kit(kit) => Secret::Kit(kit),
        }
    }
}

/// The secret that was given: `--key-file`, `--password-file`, or `FIRN_PASSWORD`, in this order.
pub fn given(global: &Global) -> anyhow::Result<Option<Given>> {
    if let Some(file) = &global.key_file {
        let text = read(file).with_context(|| format!("cannot read the recovery kit {}", file.display()))?;
        let kit = Kit::parse(&text).map_err(|error| usage(format!("{}: {error}", file.display())))?;
        return Ok(Some(Given::Kit(kit)));
    }
    if let Some(file) = &global.password_file {
        return Ok(Some(Given::Passphrase(first_line(file)?)));
    }
    Ok(from_environment("FIRN_PASSWORD")?.map(Given::Passphrase))
}

/// The secret, or what to do to give one.
pub fn required(global: &Global) -> anyhow::Result<Given> {
    given(global)?.ok_or_else(|| {
        usage("the repository is locked: set FIRN_PASSWORD, or give --password-file FILE or --key-file KIT")
    })
}

/// A new passphrase: from the file, or `FIRN_NEW_PASSWORD`.
pub fn new_passphrase(file: Option<&Path>) -> anyhow::Result<Passphrase> {
    match file {
        Some(file) => first_line(file),
        None => from_environment("FIRN_NEW_PASSWORD")?.ok_or_else(|| {
            usage("the new passphrase is missing: set FIRN_NEW_PASSWORD or give --new-password-file FILE")
        }),
    }
}

fn from_environment(name: &str) -> anyhow::Result<Option<Passphrase>> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => Ok(Some(Passphrase::new(text))),
        Err(std::env::VarError::NotUnicode(_)) => Err(usage(format!("{name} is not UTF-8"))),
        _ => Ok(None),
    }
}

fn first_line(file: &Path) -> anyhow::Result<Passphrase> {
    let text = read(file).with_context(|| format!("cannot read the password file {}", file.display()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(usage(format!("the first line of {} is empty", file.display())));
    }
    Ok(Passphrase::new(line.to_owned()))
}

fn read(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    // All of the room at once: a buffer that grows would leave its beginnings behind in memory.
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize));
    std::fs::File::open(file)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}
