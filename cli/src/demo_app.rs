//! The application that the demo protects: it takes orders into a SQLite database, and writes a log, as fast as it can.
//!
//! It stands still while a file `freeze` lies in its folder, and answers with a file `frozen` that holds the number of the
//! last order. The log goes on all the while.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use rusqlite::{Connection, params};

use crate::args;
use crate::outcome::Outcome;

/// The log begins with so many lines: reading them takes longer than writing the next.
const LOG_LINES: u64 = 400_000;

/// Pause between orders.
const ORDER_EVERY: Duration = Duration::from_millis(2);

/// Pause between lines of the log.
const LINE_EVERY: Duration = Duration::from_micros(200);

/// Runs until it is killed.
pub fn run(args: &args::DemoApp) -> anyhow::Result<Outcome> {
    let dir = &args.dir;
    let log = File::create(dir.join("logs/access.log")).context("cannot write the log")?;
    let writer = std::thread::Builder::new().name("demo-log".into()).spawn(move || write_log(log));
    let _runs_on = writer.context("cannot start the log")?;
    let database = open(&dir.join("data/orders.sqlite"))?;
    let (freeze, frozen) = (dir.join("freeze"), dir.join("frozen"));
    let mut number: i64 = database.query_row("SELECT coalesce(max(id), 0) FROM orders", [], |row| row.get(0))?;
    loop {
        if freeze.exists() {
            database.pragma_update(None, "wal_checkpoint", "TRUNCATE")?;
            std::fs::write(dir.join("frozen.new"), number.to_string())?;
            std::fs::rename(dir.join("frozen.new"), &frozen)?;
            while freeze.exists() {
                std::thread::sleep(ORDER_EVERY);
            }
            std::fs::remove_file(&frozen)?;
        }
        number += 1;
        let text = format!("order {number} of a customer who expects it to be there tomorrow");
        database.execute("INSERT INTO orders (id, text) VALUES (?1, ?2)", params![number, text])?;
        std::thread::sleep(ORDER_EVERY);
    }
}

fn open(path: &Path) -> anyhow::Result<Connection> {
    let database = Connection::open(path).context("cannot open the database")?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, text TEXT NOT NULL)", [])?;
    Ok(database)
}

/// The database of a demo, checked: the number of its last order.
pub fn check(path: &Path) -> anyhow::Result<i64> {
    let database = Connection::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    anyhow::ensure!(verdict == "ok", "the database is damaged: {verdict}");
    let (last, count): (i64, i64) =
        database
            .query_row("SELECT coalesce(max(id), 0), count(*) FROM orders", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    anyhow::ensure!(last == count, "orders are missing: {count} of {last}");
    Ok(last)
}

fn write_log(mut log: File) {
    let line = |n: u64| format!("{n} GET /orders/{n} 200\n");
    let first: String = (0..LOG_LINES).map(line).collect();
    if log.write_all(first.as_bytes()).is_err() {
        return;
    }
    for n in LOG_LINES.. {
        if log.write_all(line(n).as_bytes()).is_err() {
            return;
        }
        std::thread::sleep(LINE_EVERY);
    }
}

/// Whether the application has begun to take orders.
pub fn is_up(dir: &Path) -> bool {
    let log = OpenOptions::new().read(true).open(dir.join("logs/access.log")).and_then(|log| log.metadata());
    log.is_ok_and(|log| log.len() > LOG_LINES * 20) && check(&dir.join("data/orders.sqlite")).is_ok_and(|last| last > 0)
}
