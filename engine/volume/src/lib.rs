//! Bytes in and out of a volume: tree walk and safe writer. Plain blocking functions.
//!
//! Out: [`Source`] opens a directory, [`Walker`] streams what it [`Found`], [`FileReader`] reads one file.
//! In: [`Target`] makes directories and files, [`FileWriter`] fills one file, [`StandingFile`] compares
//! one that is there, [`Closing`] makes links and special files
//! and finishes directories; [`Privileges`] says what may come back.
//!
//! Both sides are hostile: nothing below the directory is followed, mounts are not crossed, FIFOs not waited for. What
//! cannot be kept as it is becomes an [`Exception`]; only [`VolumeError::Entry`] concerns one entry alone.

mod beneath;
mod closing;
mod error;
mod exception;
mod file_reader;
mod file_writer;
mod links;
mod listing;
mod metadata;
mod privileges;
mod source;
mod standing_file;
mod target;
mod walk;
mod xattr;

pub use beneath::DEPTH_MAX;
pub use closing::Closing;
pub use error::VolumeError;
pub use exception::{Exception, Reason};
pub use file_reader::{Extent, Extents, FileReader, Stillness};
pub use file_writer::FileWriter;
pub use privileges::Privileges;
pub use source::Source;
pub use standing_file::StandingFile;
pub use target::{Standing, Target};
pub use walk::{Found, Seen, Walker};

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "tests print their seeds and counts")]
mod tests;
