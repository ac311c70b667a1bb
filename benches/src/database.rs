//! A database as applications have them: SQLite, random rows of about a page each, some of them rewritten.

use std::path::Path;

use anyhow::{Context, Result};
use firn_format::{Entropy, SeededEntropy};
use rusqlite::{Connection, params};

const PAGE_BYTES: usize = 8 << 10;
/// One row fills a leaf page but for its headers.
const ROW_BYTES: usize = PAGE_BYTES - 100;
const ROWS: usize = (1 << 30) / PAGE_BYTES;
const ROWS_CHANGED: usize = 1_000;
/// The same bytes in every run.
const SEED: u64 = 7;

/// What it is, for people.
pub(crate) fn describe() -> String {
    format!(
        "database: SQLite, 1 GiB of random rows in pages of {} KiB, {ROWS_CHANGED} rows rewritten",
        PAGE_BYTES >> 10
    )
}

/// Makes the database in `dir`.
pub(crate) fn make(dir: &Path) -> Result<()> {
    let mut database = open(dir)?;
    database.pragma_update(None, "page_size", PAGE_BYTES as i64)?;
    // Nobody needs this file after a crash.
    database.pragma_update(None, "journal_mode", "OFF")?;
    database.pragma_update(None, "synchronous", "OFF")?;
    let transaction = database.transaction()?;
    transaction.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, content BLOB NOT NULL)", [])?;
    let mut insert = transaction.prepare("INSERT INTO item VALUES (?1, ?2)")?;
    let entropy = SeededEntropy::new(SEED);
    let mut content = vec![0; ROW_BYTES];
    for id in 0..ROWS {
        entropy.fill(&mut content)?;
        insert.execute(params![id as i64, content]).context("fill the database")?;
    }
    drop(insert);
    transaction.commit().context("finish the database")
}

/// Rewrites rows here and there, in place.
pub(crate) fn change(dir: &Path) -> Result<()> {
    let mut database = open(dir)?;
    let transaction = database.transaction()?;
    let mut update = transaction.prepare("UPDATE item SET content = ?2 WHERE id = ?1")?;
    let entropy = SeededEntropy::new(SEED + 1);
    let mut content = vec![0; ROW_BYTES];
    for _ in 0..ROWS_CHANGED {
        let dice = firn_format::clock::random(&entropy)?;
        entropy.fill(&mut content)?;
        let id = u64::from_le_bytes(dice) % ROWS as u64;
        update.execute(params![id.cast_signed(), content]).context("change the database")?;
    }
    drop(update);
    transaction.commit().context("commit the change")
}

fn open(dir: &Path) -> Result<Connection> {
    let path = dir.join("items.sqlite");
    Connection::open(&path).with_context(|| format!("open {}", path.display()))
}
