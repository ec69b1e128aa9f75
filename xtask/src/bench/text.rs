//! What results look like: tables, sections of a file, claims.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::run::output;

pub(super) fn thousands(n: usize) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", thousands(n / 1000), n % 1000) }
}

/// What was measured on, as far as it matters for the figures. Names nobody.
pub(super) fn host(beside: &str) -> anyhow::Result<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name.to_owned()))
        .unwrap_or_else(|| "unknown CPU".to_owned());
    let cores = std::thread::available_parallelism()?;
    let kernel = read("/proc/sys/kernel/osrelease");
    // The release as kernel.org numbers it; what follows it names a machine.
    let kernel: String = kernel.trim().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let mounts = read("/proc/self/mountinfo").lines().count();
    let date = output(Command::new("date").args(["--utc", "+%Y-%m-%d"]))?;
    let user = if rustix::process::geteuid().is_root() { "root" } else { "an ordinary user" };
    Ok(format!("{}: {cores} cores ({cpu}), Linux {kernel}, {mounts} mounts, {beside}, as {user}.", date.trim()))
}

/// Rows as a markdown table that reads well as it stands, too. The first column is text, the others are numbers.
pub(super) fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for (n, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let _ = if column == 0 { write!(text, "| {cell:<width$} ") } else { write!(text, "| {cell:>width$} ") };
        }
        text.push_str("|\n");
        if n == 0 {
            for (column, width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width + 1);
                let _ = if column == 0 { write!(text, "|{dashes}-") } else { write!(text, "|{dashes}:") };
            }
            text.push_str("|\n");
        }
    }
    text
}

pub(super) fn fold(values: &[f64], f: fn(f64, f64) -> f64) -> f64 {
    values.iter().copied().reduce(f).unwrap_or(f64::NAN)
}

pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

/// What is claimed of lxkns, and what was measured.
pub(super) struct Claim {
    what: &'static str,
    measured: f64,
    bound: f64,
    at_least: bool,
}

impl Claim {
    pub(super) fn new(what: &'static str, measured: f64, bound: f64, at_least: bool) -> Self {
        Self { what, measured, bound, at_least }
    }

    pub(super) fn holds(&self) -> bool {
        if self.at_least { self.measured >= self.bound } else { self.measured <= self.bound }
    }

    pub(super) fn line(&self) -> String {
        let verdict = if self.holds() { "PASS" } else { "FAIL" };
        format!("{verdict}: {} {}: {:.2}", self.what, self.bound, self.measured)
    }
}

/// Says which claims hold; fails where one does not.
pub(super) fn check(claims: &[Claim]) -> anyhow::Result<()> {
    for claim in claims {
        println!("{}", claim.line());
    }
    anyhow::ensure!(claims.iter().all(Claim::holds), "a claim does not hold");
    Ok(())
}

pub(super) fn save(path: &Path, section: &str) -> anyhow::Result<()> {
    let old = match fs::read_to_string(path) {
        Ok(old) => old,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => bail!("cannot read {}: {error}", path.display()),
    };
    fs::write(path, with_section(&old, section)).with_context(|| format!("cannot write {}", path.display()))?;
    println!("saved to {}", path.display());
    Ok(())
}

/// How the file begins that results are saved to.
const PREAMBLE: &str = "\
# Benchmarks

What `cargo xtask bench` measured. The programs took turns on a workload that stands still; each had one run before
that is not counted. *lsns takes* says how many times as long lsns takes, *times floor* how many times as long as the
floor the program takes: a loop on two threads that opens each `/proc/PID`, reads the ten links of every task and every
link in `fd/`, and keeps nothing. *CPU* is user and system time together, *peak* the largest resident set of all runs.
";

/// The file with one section more, or with one section new.
fn with_section(old: &str, section: &str) -> String {
    let heading = section.lines().next().unwrap_or_default();
    let mut sections: Vec<String> = Vec::new();
    let before = old.find("\n## ").map_or(old, |at| &old[..at]);
    let mut text = if before.is_empty() { PREAMBLE } else { before }.to_owned();
    for line in old.lines().skip_while(|line| !line.starts_with("## ")) {
        match sections.last_mut() {
            Some(last) if !line.starts_with("## ") => {
                last.push_str(line);
                last.push('\n');
            }
            _ => sections.push(format!("{line}\n")),
        }
    }
    match sections.iter_mut().find(|old| old.lines().next() == Some(heading)) {
        Some(old) => *old = section.to_owned(),
        None => sections.push(section.to_owned()),
    }
    for section in sections {
        text.push('\n');
        text.push_str(section.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_few() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_section_takes_the_place_of_the_one_of_its_size() {
        let first = with_section("", "## A\n\nold\n");
        let both = with_section(&first, "## B\n\nother\n");
        let again = with_section(&both, "## A\n\nnew\n");
        assert_eq!(again, format!("{PREAMBLE}\n## A\n\nnew\n\n## B\n\nother\n"));
    }

    #[test]
    fn a_claim_that_could_not_be_measured_does_not_hold() {
        assert!(Claim::new("", 8.0, 8.0, true).holds());
        assert!(!Claim::new("", 1.6, 1.5, false).holds());
        assert!(!Claim::new("", f64::NAN, 1.5, true).holds());
        assert!(!Claim::new("", f64::NAN, 1.5, false).holds());
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,005"],
            [0, 999, 1000, 1_234_005].map(thousands).each_ref().map(|s| &**s)
        );
    }
}
