//! Looks into the application's database with Python's SQLite, which is not firn's.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

const FILE: &str = "orders.sqlite";

/// What a database says of itself.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) verdict: String,
    pub(super) count: u64,
    pub(super) last: u64,
}

const LOOK: &str = "import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=30)
verdict = database.execute('PRAGMA integrity_check').fetchone()[0]
count, last = database.execute('SELECT count(*), coalesce(max(id), 0) FROM orders').fetchone()
print(verdict, count, last)";

const COMPARE: &str = "import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=30)
database.execute('ATTACH ? AS copy', (sys.argv[2],))
print(*database.execute('''SELECT count(*), count(here.id) FROM copy.orders was
  LEFT JOIN main.orders here ON here.id = was.id AND here.text = was.text''').fetchone())";

/// Checks the database of a folder. An error if it is not whole, or an order is missing.
pub(super) fn look_into(folder: &Path) -> Result<Database> {
    let path = folder.join(FILE);
    let text = python(LOOK, &[&path])?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let ["ok", count, last] = words[..] else { bail!("{}: {text}", path.display()) };
    let database = Database { verdict: "ok".to_owned(), count: count.parse()?, last: last.parse()? };
    ensure!(database.count == database.last, "orders are missing: {} of {}", database.count, database.last);
    Ok(database)
}

/// Compares every order of a copy with that of the database; how many there are. An error if one is not the same.
pub(super) fn compare(copy: &Path, folder: &Path) -> Result<u64> {
    let text = python(COMPARE, &[&folder.join(FILE), &copy.join(FILE)])?;
    let (was, same) = text.trim().split_once(' ').with_context(|| format!("{text:?} are no two numbers"))?;
    ensure!(was == same, "of {was} orders only {same} are the same");
    was.parse().with_context(|| format!("{was:?} is no number"))
}

fn python(script: &str, paths: &[&Path]) -> Result<String> {
    for path in paths {
        ensure!(path.is_file(), "{} is missing", path.display());
    }
    let output = Command::new("python3").args(["-c", script]).args(paths).output().context("start python3")?;
    ensure!(output.status.success(), "python3: {}", String::from_utf8_lossy(&output.stderr).trim());
    String::from_utf8(output.stdout).context("python3 printed no text")
}
