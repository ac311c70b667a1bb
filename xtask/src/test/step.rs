//! The steps of a test run: each is run, timed, and counted.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// What has been run so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    seconds: f64,
    outcome: Outcome,
    tests: Tests,
}

#[derive(Debug)]
enum Outcome {
    Passed,
    Failed(String),
    LeftOut(String),
}

/// The sums over the `test result:` lines of one step.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tests {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Report {
    /// Runs a command, its output shown as it comes; true when it succeeded.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) -> bool {
        let line = command.get_args().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ");
        println!("==> {name}: {} {line}", command.get_program().to_string_lossy());
        let mut tests = Tests::default();
        let begun = Instant::now();
        let result = stream(command, &mut tests);
        self.record(name, begun, result, tests)
    }

    /// Runs a function; true when it succeeded.
    pub(crate) fn call(&mut self, name: &str, function: impl FnOnce() -> Result<()>) -> bool {
        println!("==> {name}");
        let begun = Instant::now();
        let result = function();
        self.record(name, begun, result, Tests::default())
    }

    /// Records a step that is not run, and says so at once.
    pub(crate) fn leave_out(&mut self, name: &str, reason: &str) {
        println!("==> {name}: LEFT OUT: {reason}");
        let outcome = Outcome::LeftOut(reason.to_owned());
        self.steps.push(Step { name: name.to_owned(), seconds: 0.0, outcome, tests: Tests::default() });
    }

    fn record(&mut self, name: &str, begun: Instant, result: Result<()>, tests: Tests) -> bool {
        let outcome = match result {
            Ok(()) => Outcome::Passed,
            Err(error) => {
                println!("==> {name}: FAILED: {error:#}");
                Outcome::Failed(error.root_cause().to_string())
            }
        };
        let is_passed = matches!(outcome, Outcome::Passed);
        self.steps.push(Step { name: name.to_owned(), seconds: begun.elapsed().as_secs_f64(), outcome, tests });
        is_passed
    }

    /// How many tests passed.
    fn passed(&self) -> u64 {
        self.steps.iter().map(|step| step.tests.passed).sum()
    }

    /// How much failed: every failed test, and every failed step that no failed test accounts for
    /// (a lint, a build, a test program that died before it could count).
    pub(crate) fn failed(&self) -> u64 {
        let of = |step: &Step| match step.outcome {
            Outcome::Failed(_) => step.tests.failed.max(1),
            Outcome::Passed | Outcome::LeftOut(_) => step.tests.failed,
        };
        self.steps.iter().map(of).sum()
    }

    /// Prints the table, and the sums as the last line.
    pub(crate) fn print(&self) {
        println!("\n{:<32} {:>8}  result", "step", "seconds");
        for step in &self.steps {
            let counts = match step.tests {
                Tests { passed: 0, failed: 0, ignored: 0 } => String::new(),
                Tests { passed, failed, ignored } => {
                    format!(" ({passed} passed, {failed} failed, {ignored} ignored)")
                }
            };
            let result = match &step.outcome {
                Outcome::Passed => format!("ok{counts}"),
                Outcome::Failed(reason) => format!("FAILED{counts}: {}", reason.lines().next().unwrap_or_default()),
                Outcome::LeftOut(reason) => format!("LEFT OUT: {reason}"),
            };
            println!("{:<32} {:>8.1}  {result}", step.name, step.seconds);
        }
        println!("{:<32} {:>8.1}", "all", self.steps.iter().map(|step| step.seconds).sum::<f64>());
        println!("{} passed, {} failed", self.passed(), self.failed());
    }
}

/// Runs a command and copies its standard output, counting tests on the way.
fn stream(command: &mut Command, tests: &mut Tests) -> Result<()> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("start it")?;
    let output = child.stdout.take().context("no pipe to its output")?;
    let mut lines = BufReader::new(output);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).context("read its output")? > 0 {
        let text = String::from_utf8_lossy(&line);
        tests.count(&text);
        print!("{text}");
        line.clear();
    }
    let status = child.wait().context("wait for it")?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}

impl Tests {
    /// Adds what a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …` says.
    fn count(&mut self, line: &str) {
        let Some((_, result)) = line.trim_start().split_once("test result: ") else { return };
        let Some((_, counts)) = result.split_once(". ") else { return };
        for part in counts.split(';') {
            let Some((number, word)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn results_are_summed_over_all_lines() {
        let mut tests = Tests::default();
        for line in [
            "running 4 tests\n",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 5 filtered out; finished in 1.5s\n",
            "test result: what is this\n",
        ] {
            tests.count(line);
        }
        assert_eq!(tests, Tests { passed: 4, failed: 2, ignored: 1 });
    }

    #[test]
    fn a_failed_step_counts_even_without_a_failed_test() {
        let mut report = Report::default();
        assert!(report.run("good", &mut shell("echo 'test result: ok. 7 passed; 0 failed; 0 ignored'")));
        assert_eq!((report.passed(), report.failed()), (7, 0));
        assert!(!report.run("bad", &mut shell("echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored'; exit 101")));
        assert_eq!((report.passed(), report.failed()), (8, 2));
        assert!(!report.run("dead", &mut shell("kill -9 $$")));
        assert_eq!((report.passed(), report.failed()), (8, 3));
        assert!(!report.run("absent", &mut Command::new("/nowhere/at/all")));
        report.leave_out("later", "no reason");
        assert_eq!((report.passed(), report.failed()), (8, 4));
    }
}
