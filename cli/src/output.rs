//! Output: results on standard output, as text or as data; words for people on standard error.

use std::io::{self, ErrorKind, Write};

use anyhow::Context as _;
use bytesize::ByteSize;
use firn_format::TimeMs;
use firn_format::log::Level;
use serde::Serialize;

use crate::args::{Global, Output};

/// Prints one result: `text` for people, else the value.
pub fn print<T: Serialize>(global: &Global, value: &T, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    let text = match global.output {
        Output::Table => text(),
        Output::Json => serde_json::to_string_pretty(value).context("cannot print the result")? + "\n",
        Output::Yaml => serde_saphyr::to_string(value).context("cannot print the result")?,
    };
    print_text(&text)
}

/// Prints what has one form only.
pub fn print_text(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    is_read(written).map(|_| ()).context("cannot print the result")
}

/// Prints results one by one, as lines or as one array, however many there are.
pub struct Stream {
    output: Output,
    out: io::BufWriter<anstream::AutoStream<io::Stdout>>,
    count: u64,
}

impl Stream {
    /// A stream without anything in it yet.
    pub fn new(global: &Global) -> Self {
        Self { output: global.output, out: io::BufWriter::new(anstream::stdout()), count: 0 }
    }

    /// Prints one more; `text` is a line without its end. `false` once nobody reads any more.
    pub fn push<T: Serialize>(&mut self, value: &T, text: impl FnOnce() -> String) -> anyhow::Result<bool> {
        let line = match self.output {
            Output::Table => text() + "\n",
            Output::Json => {
                let before = if self.count == 0 { "[\n" } else { ",\n" };
                format!("{before}{}", serde_json::to_string(value).context("cannot print a result")?)
            }
            // A sequence of one, and another after it, is a sequence of two.
            Output::Yaml => serde_saphyr::to_string(&[value]).context("cannot print a result")?,
        };
        self.count += 1;
        is_read(self.out.write_all(line.as_bytes())).context("cannot print a result")
    }

    /// Ends it, with a last line for people.
    pub fn finish(mut self, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let last = match (self.output, self.count) {
            (Output::Table, _) => text(),
            (Output::Json, 0) | (Output::Yaml, 0) => "[]\n".to_owned(),
            (Output::Json, _) => "\n]\n".to_owned(),
            (Output::Yaml, _) => String::new(),
        };
        let written = self.out.write_all(last.as_bytes()).and_then(|()| self.out.flush());
        is_read(written).map(|_| ()).context("cannot print the results")
    }
}

/// So many of something: `1 file`, `2 files`.
pub fn count(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Says something to people, on standard error. If nobody can be told, the work goes on.
pub fn tell(text: &str) {
    let lines: Vec<_> = text.split('\n').map(clean).collect();
    let _told = writeln!(anstream::stderr(), "{}", lines.join("\n"));
}

/// Whoever closes the pipe, as `head` does, has read enough: that is no failure.
fn is_read(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// The text without control characters: names come from repositories, and must not command a terminal.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A size for people, such as `1.4 MiB`.
pub fn bytes(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// How long ago that was, or will be, for people: its largest unit, such as `5m`, `3h`, `2d`.
pub fn age(then_ms: TimeMs, now_ms: TimeMs) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1000;
    let sign = if seconds < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    match seconds {
        0..120 => format!("{sign}{seconds}s"),
        120..7200 => format!("{sign}{}m", seconds / 60),
        7200..172_800 => format!("{sign}{}h", seconds / 3600),
        _ => format!("{sign}{}d", seconds / 86_400),
    }
}

/// A time for programs: RFC 3339; `None` if the calendar has no such day.
pub fn time(ms: TimeMs) -> Option<String> {
    Some(jiff::Timestamp::from_millisecond(ms).ok()?.to_string())
}

/// How thoroughly a point was checked, in a word.
pub fn level(level: Level) -> &'static str {
    match level {
        Level::Structure => "structure",
        Level::StoredHashes => "stored-hashes",
        Level::AllData => "all-data",
    }
}

/// A time for people, to the minute, in UTC.
pub fn minute(ms: TimeMs) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%MZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_times_read_well() {
        let ages: Vec<_> = [0, 119_000, 120_000, 7_200_000, 172_800_000, -300_000].map(|ms| age(0, ms)).into();
        assert_eq!(ages, ["0s", "119s", "2m", "2h", "2d", "-5m"]);
        assert_eq!(time(1_800_000_000_123).as_deref(), Some("2027-01-15T08:00:00.123Z"));
        assert_eq!(time(i64::MAX), None);
        assert_eq!((minute(1_800_000_000_123).as_str(), minute(i64::MIN).as_str()), ("2027-01-15T08:00Z", "?"));
        assert_eq!((bytes(0).as_str(), bytes(1_468_006).as_str()), ("0 B", "1.4 MiB"));
        assert_eq!(clean("a\x1b[2Jb\u{9b}"), "a\u{fffd}[2Jb\u{fffd}");
    }

    #[test]
    fn yaml_of_one_and_one_is_a_sequence_of_two() {
        let one = |n: u32| serde_saphyr::to_string(&[&serde_json::json!({ "id": n, "text": "x: y" })]).unwrap();
        assert_eq!(one(1) + &one(2), "- id: 1\n  text: \"x: y\"\n- id: 2\n  text: \"x: y\"\n");
    }
}
