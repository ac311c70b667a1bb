//! Catalog: a local file that remembers what this machine has seen of a store's log: its newest checkpoint, the entries
//! after it, and the head.
//!
//! It is a cache: a missing, broken or read-only one costs time, and with it goes only the memory of what was seen, which
//! is what notices a log that was rolled back. Whatever is wrong with it is said once and never stops the work.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use firn_format::{FamilyId, Hash, Progress, StoreId};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::error::LogHead;

/// Raised when the tables change; a file with another number is made anew.
const VERSION: i64 = 1;

/// How long one process waits for another that writes: a folded state takes far less.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// A checkpoint as the store holds it: two objects that prove one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredCheckpoint {
    /// The position of the entry.
    pub(crate) seq: u64,
    /// The stored bytes of the CHECKPOINT entry.
    pub(crate) entry: Bytes,
    /// The stored bytes of the object that it names.
    pub(crate) object: Bytes,
}

/// What a catalog holds. All but `seen` is proved by signatures like anything that is read from a store.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// The store's fingerprint and the newest entry that this machine has seen.
    pub(crate) seen: Option<(Hash, LogHead)>,
    /// Where to begin; none: with the first entry.
    pub(crate) checkpoint: Option<StoredCheckpoint>,
    /// Entries right after that, without a gap.
    pub(crate) entries: Vec<(u64, Vec<u8>)>,
}

/// The open file, or none.
pub(crate) struct Catalog {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
    progress: Arc<dyn Progress>,
}

impl Catalog {
    /// A catalog that remembers nothing.
    pub(crate) fn none(progress: Arc<dyn Progress>) -> Self {
        Self { path: PathBuf::new(), connection: Mutex::new(None), progress }
    }

    /// Opens `<dir>/<family>/<store>.sqlite`, or makes it. A file that cannot be read is moved aside.
    pub(crate) fn open(
        dir: &Path,
        family: FamilyId,
        store: StoreId,
        progress: Arc<dyn Progress>,
    ) -> (Self, Remembered) {
        let path = dir.join(family.hex()).join(format!("{store}.sqlite"));
        let (connection, remembered) = match connect(&path).and_then(|connection| {
            let remembered = load(&connection)?;
            Ok((connection, remembered))
        }) {
            Ok((connection, remembered)) => (Some(connection), remembered),
            Err(error) if error.is_damage() => (renew(&path, &error, progress.as_ref()), Remembered::default()),
            Err(error) => {
                progress.note(&format!("working without the local cache {}: {error}", path.display()));
                (None, Remembered::default())
            }
        };
        (Self { path, connection: Mutex::new(connection), progress }, remembered)
    }

    /// Whether anything is remembered at all.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.lock().is_some()
    }

    /// Where it lies, for people.
    pub(crate) fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Throws away what is remembered, because it does not fit together.
    pub(crate) fn renew(&self, why: &str) {
        let mut connection = self.connection.lock();
        if connection.take().is_some() {
            *connection = renew(&self.path, &CatalogError::Inconsistent(why.to_owned()), self.progress.as_ref());
        }
    }

    /// Remembers entries. They count only as far as they reach without a gap.
    pub(crate) fn remember_entries(&self, entries: &[(u64, Bytes)]) {
        self.write(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (seq, bytes) in entries {
                transaction
                    .execute("INSERT OR REPLACE INTO entry VALUES (?1, ?2)", params![key(*seq), bytes.as_ref()])?;
            }
            transaction.commit()
        });
    }

    /// Remembers a newer head. An older one than is remembered changes nothing.
    pub(crate) fn remember_head(&self, fingerprint: Hash, head: LogHead) {
        self.write(|connection| {
            let sql = "INSERT INTO seen VALUES (0, ?1, ?2, ?3)
                       ON CONFLICT DO UPDATE SET seq = excluded.seq, hash = excluded.hash WHERE excluded.seq > seq";
            connection.execute(sql, params![fingerprint.0, key(head.seq), head.hash.0]).map(|_| ())
        });
    }

    /// Remembers a newer checkpoint in place of an older one and of the entries before it.
    pub(crate) fn remember_checkpoint(&self, checkpoint: &StoredCheckpoint) {
        self.write(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let seq = key(checkpoint.seq);
            let changed = transaction.execute(
                "INSERT INTO checkpoint VALUES (0, ?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET seq = excluded.seq, entry = excluded.entry, object = excluded.object
                 WHERE excluded.seq > seq",
                params![seq, checkpoint.entry.as_ref(), checkpoint.object.as_ref()],
            )?;
            if changed > 0 {
                transaction.execute("DELETE FROM entry WHERE seq <= ?1", params![seq])?;
            }
            transaction.commit()
        });
    }

    fn write(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<()>) {
        let mut slot = self.connection.lock();
        let Some(connection) = slot.as_mut() else { return };
        if let Err(error) = work(connection) {
            // Once: from here on there is no catalog. The next opening tries again, or moves a broken one aside.
            self.progress.note(&format!("going on without the local cache {}: {error}", self.path.display()));
            *slot = None;
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum CatalogError {
    #[error("cannot make its folder")]
    Folder(#[source] std::io::Error),
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Inconsistent(String),
}

impl CatalogError {
    /// Whether the file itself is no good, as against a file that cannot be had.
    fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Folder(_) => false,
            Self::Inconsistent(_) => true,
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => {
                matches!(error.code, DatabaseCorrupt | NotADatabase)
            }
            // A column of the wrong type, a table without its columns.
            Self::Sqlite(_) => true,
        }
    }
}

fn connect(path: &Path) -> Result<Connection, CatalogError> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(CatalogError::Folder)?;
    }
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A power cut may cost the newest lines, which come back from the store.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        VERSION => {}
        0 => transaction.execute_batch(
            "CREATE TABLE seen (id INTEGER PRIMARY KEY CHECK (id = 0), fingerprint BLOB NOT NULL, seq INTEGER NOT NULL,
                                hash BLOB NOT NULL);
             CREATE TABLE checkpoint (id INTEGER PRIMARY KEY CHECK (id = 0), seq INTEGER NOT NULL, entry BLOB NOT NULL,
                                      object BLOB NOT NULL);
             CREATE TABLE entry (seq INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
             PRAGMA user_version = 1;",
        )?,
        other => return Err(CatalogError::Inconsistent(format!("it has version {other}"))),
    }
    transaction.commit()?;
    Ok(connection)
}

fn load(connection: &Connection) -> Result<Remembered, CatalogError> {
    let seen = connection
        .query_row("SELECT fingerprint, seq, hash FROM seen", [], |row| {
            Ok((Hash(row.get(0)?), LogHead { seq: unkey(row.get(1)?), hash: Hash(row.get(2)?) }))
        })
        .optional()?;
    let checkpoint = connection
        .query_row("SELECT seq, entry, object FROM checkpoint", [], |row| {
            let (entry, object): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(2)?);
            Ok(StoredCheckpoint { seq: unkey(row.get(0)?), entry: entry.into(), object: object.into() })
        })
        .optional()?;
    let mut entries = Vec::new();
    let mut next = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.seq) + 1;
    let mut statement = connection.prepare("SELECT seq, bytes FROM entry WHERE seq >= ?1 ORDER BY seq")?;
    let mut rows = statement.query(params![key(next)])?;
    while let Some(row) = rows.next()? {
        if unkey(row.get(0)?) != next {
            break;
        }
        entries.push((next, row.get(1)?));
        next += 1;
    }
    Ok(Remembered { seen, checkpoint, entries })
}

/// Moves a broken file aside and begins another.
fn renew(path: &Path, why: &CatalogError, progress: &dyn Progress) -> Option<Connection> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".broken");
    progress.note(&format!(
        "the local cache {} was broken ({why}) and is made anew; what this machine had seen of the log is forgotten",
        path.display()
    ));
    for suffix in ["-wal", "-shm"] {
        let mut side = path.as_os_str().to_owned();
        side.push(suffix);
        // A leftover of the broken file must not be taken for one of the new.
        let _gone = std::fs::remove_file(side);
    }
    if std::fs::rename(path, aside).is_err() {
        return None;
    }
    connect(path).ok()
}

/// SQLite's integers are signed; positions stay far below.
fn key(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn unkey(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or_default()
}

#[cfg(test)]
mod tests;
