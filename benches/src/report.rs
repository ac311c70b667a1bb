//! What was measured: one table for people, one file for later.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::machine::Machine;
use crate::measure::Usage;

/// All that one run of this program found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Which benchmark; part of the file's name.
    pub(crate) benchmark: &'static str,
    pub(crate) machine: Machine,
    /// Each tool's name and version.
    pub(crate) tools: Vec<(String, String)>,
    /// What was worked on, for people.
    pub(crate) data: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// One tool doing one kind of work, as often as it was repeated.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) work: &'static str,
    pub(crate) tool: String,
    pub(crate) runs: Vec<Run>,
}

/// One repetition.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) usage: Usage,
    /// How much larger the repository was afterwards, for work that writes to it.
    pub(crate) stored_bytes: Option<u64>,
    /// What else there is to say, in words.
    pub(crate) note: String,
}

impl Report {
    /// Adds a repetition to the row of this work and tool.
    pub(crate) fn add(&mut self, work: &'static str, tool: &str, run: Run) {
        match self.rows.iter_mut().find(|row| row.work == work && row.tool == tool) {
            Some(row) => row.runs.push(run),
            None => self.rows.push(Row { work, tool: tool.to_owned(), runs: vec![run] }),
        }
    }

    /// Prints machine, tools, data and the table of medians.
    pub(crate) fn print(&self) {
        println!("\n{}", self.machine.describe());
        for (tool, version) in &self.tools {
            println!("{tool} {version}");
        }
        for line in &self.data {
            println!("{line}");
        }
        println!(
            "\n{:<20} {:<8} {:>8} {:>15} {:>8} {:>9} {:>11}  ",
            "work", "tool", "wall s", "from .. to", "CPU s", "peak MiB", "stored MiB"
        );
        // Repetitions take turns, so rows of one work may have come in any order.
        let mut works: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !works.contains(&row.work) {
                works.push(row.work);
            }
        }
        for work in works {
            for row in self.rows.iter().filter(|row| row.work == work) {
                println!("{}", row.line());
            }
        }
    }

    /// Writes the results as `<dir>/<date>-<benchmark>-<processor>.json`; those of the same day are replaced.
    pub(crate) fn save(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let date = jiff::Zoned::now().date();
        let path = dir.join(format!("{date}-{}-{}.json", self.benchmark, self.machine.slug()));
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        println!("\nwritten to {}", path.display());
        Ok(())
    }
}

impl Row {
    fn line(&self) -> String {
        let of = |value: fn(&Usage) -> f64| self.runs.iter().map(|run| value(&run.usage)).collect::<Vec<_>>();
        let walls = of(|usage| usage.wall_seconds);
        let least = walls.iter().copied().fold(f64::INFINITY, f64::min);
        let most = walls.iter().copied().fold(0.0, f64::max);
        let stored: Vec<f64> = self
            .runs
            .iter()
            .filter_map(|run| run.stored_bytes)
            .map(|bytes| bytes as f64 / f64::from(1 << 20))
            .collect();
        let stored = if stored.is_empty() { String::new() } else { format!("{:.1}", median(stored)) };
        let note = self.runs.last().map_or("", |run| &run.note);
        let line = format!(
            "{:<20} {:<8} {:>8.2} {:>15} {:>8.2} {:>9.0} {:>11}  {note}",
            self.work,
            self.tool,
            median(walls),
            format!("{least:.2} .. {most:.2}"),
            median(of(|usage| usage.cpu_seconds)),
            median(of(|usage| usage.peak_mib)),
            stored,
        );
        line.trim_end().to_owned()
    }
}

/// The middle value; of an even number, the mean of the two; of none, not a number.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len(), values.get(middle)) {
        (_, None) => f64::NAN,
        (len, Some(upper)) if len % 2 == 0 => f64::midpoint(values[middle - 1], *upper),
        (_, Some(value)) => *value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_ignore_order_and_outliers() {
        assert_eq!(median(vec![3.0]), 3.0);
        assert_eq!(median(vec![100.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
