//! `cargo xtask test`: the whole suite, and the live tests once more as an ordinary user.
//!
//! lxkns is used by root and by people who are not, and is to be right for both; so whoever runs this as root runs
//! the live tests twice.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::run::{cargo, line, run};

/// nobody: a user who owns nothing.
const NOBODY: u32 = 65534;

pub(crate) fn all() -> anyhow::Result<()> {
    let doc_tests = doc_tests();
    // Last, so the output ends with the count.
    suite().and(doc_tests)
}

/// Everything but the doc tests.
pub(crate) fn suite() -> anyhow::Result<()> {
    let root = rustix::process::geteuid().is_root();
    let nextest = cargo(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let mut command = if nextest {
        let all = ["nextest", "run", "--workspace", "--all-features", "--locked", "--no-fail-fast", "--retries", "1"];
        let mut command = cargo(all);
        command.arg(threads());
        command
    } else {
        // The helper has no tests inside, and no test can be built of it.
        let all = ["test", "--workspace", "--exclude", "mntnssandbox", "--all-targets", "--all-features"];
        let mut command = cargo(all.into_iter().chain(["--locked", "--no-fail-fast"]));
        command.env(AGAIN, "1");
        command
    };
    let mut counts = counted(&mut command)?;
    ensure!(counts.passed > 0, "no test ran");
    // A test without a privilege that it needs is skipped. With all privileges, no test may be skipped.
    if root && std::env::var_os("CI").is_some_and(|ci| ci == "true") {
        ensure!(counts.skipped == 0, "{} tests were skipped, although this is root", counts.skipped);
    }
    if root {
        counts.add(&unprivileged()?);
    }
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
    counts.judge()
}

pub(crate) fn doc_tests() -> anyhow::Result<()> {
    run(&mut cargo(["test", "--doc", "--workspace", "--all-features", "--locked"]))
}

/// The tests that see a program from outside, with one that was built elsewhere, and those of the service's image.
pub(crate) fn of_program(program: &Path, image: &Path) -> anyhow::Result<()> {
    let live = crate::artifacts::live_tests()?.live;
    let package = std::env::current_dir()?.join("lxkns-cli");
    let mut all = Counts::default();
    for group in ["cli::", "one_file::", "engine_hosts::service::"] {
        let mut command = Command::new(&live);
        command.arg(group).arg(threads()).current_dir(&package).env("CARGO_MANIFEST_DIR", &package);
        command.env("LXKNS_BIN", std::path::absolute(program)?).env("LXKNS_IMAGE", std::path::absolute(image)?);
        command.env(AGAIN, "1");
        let counts = counted(&mut command)?;
        ensure!(counts.passed > 0, "no test of {group} ran");
        all.add(&counts);
    }
    all.judge()
}

/// An argument for test runners: many tests wait, for timeouts and for each other's processes.
fn threads() -> String {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("--test-threads={}", 2 * processors)
}

/// The live tests as a user without privileges, from a directory that this user can read.
fn unprivileged() -> anyhow::Result<Counts> {
    let built = crate::artifacts::live_tests()?;
    let dir = tempfile::Builder::new().prefix("lxkns-test-").tempdir().context("cannot make a directory")?;
    let copy = |from: &Path, name: &str| -> anyhow::Result<PathBuf> {
        let to = dir.path().join(name);
        fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
        Ok(to)
    };
    let live = copy(&built.live, "live")?;
    let program = copy(&built.lxkns, "lxkns")?;
    let tmp = dir.path().join("tmp");
    fs::create_dir(&tmp)?;
    fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777))?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;

    let package = std::env::current_dir()?.join("lxkns-cli");
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={NOBODY}"))
        .arg(format!("--regid={NOBODY}"))
        .args(["--clear-groups", "--bounding-set=-all", "--inh-caps=-all"])
        .arg(&live)
        .arg(threads())
        // Where cargo runs it too, for the sake of the files that it reads from there.
        .current_dir(&package)
        .env("CARGO_MANIFEST_DIR", &package)
        .env("LXKNS_BIN", &program)
        .env("LXKNS_TEST_UNPRIVILEGED", "1")
        .env(AGAIN, "1")
        .env("HOME", &tmp)
        .env("TMPDIR", &tmp);
    let counts = counted(&mut command)?;
    ensure!(counts.passed > 0, "no test ran as an ordinary user");
    Ok(counts)
}

/// Has the live tests run those that fail once more, each by itself. Nextest does so without.
const AGAIN: &str = "LXKNS_TEST_AGAIN";
/// With more of them, something is wrong that does not come from what else the host does.
const MOST_UNSTEADY: usize = 5;
/// What the live tests say of one that failed at first.
pub(crate) const PASSED_ALONE: &str = "passed by itself: ";

/// The last lines of a test runner, and the names of the tests that failed.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
    names: Vec<String>,
    /// Those that failed beside others and passed by themselves.
    unsteady: Vec<String>,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.names.extend(other.names.iter().cloned());
        self.unsteady.extend(other.unsteady.iter().cloned());
    }

    /// An error if a test has failed. Those that passed only by themselves are named: they want mending.
    fn judge(&self) -> anyhow::Result<()> {
        if !self.unsteady.is_empty() {
            println!("UNSTEADY, passed at a second try: {}", self.unsteady.join(", "));
        }
        ensure!(self.failed == 0, "{} tests failed: {}", self.failed, self.names.join(", "));
        ensure!(self.unsteady.len() <= MOST_UNSTEADY, "so many unsteady tests are failures");
        Ok(())
    }

    /// Adds what one line of output counts, if it is a closing line of nextest or of libtest, and the name of a test that
    /// one of them says has failed.
    fn read(&mut self, line: &str) {
        let flaky = line.trim_start().strip_prefix("FLAKY ").and_then(|rest| rest.split_whitespace().next_back());
        if let Some(name) = flaky.filter(|name| !self.unsteady.iter().any(|known| known == name)) {
            self.unsteady.push(name.to_owned());
        }
        if let Some(name) = line.trim_end().strip_prefix(PASSED_ALONE) {
            self.unsteady.push(name.to_owned());
            self.names.retain(|failed| failed != name);
            self.failed = self.failed.saturating_sub(1);
            self.passed += 1;
        }
        let of_libtest = line.strip_prefix("---- ").and_then(|rest| rest.trim_end().strip_suffix(" ----"));
        let of_nextest =
            line.trim_start().strip_prefix("TRY 2 FAIL [").and_then(|rest| rest.split_whitespace().next_back());
        for name in of_libtest.map(|name| name.trim_end_matches(" stdout")).into_iter().chain(of_nextest) {
            // Nextest says it again in the end.
            if !self.names.iter().any(|known| known == name) {
                self.names.push(name.to_owned());
            }
        }
        // Further in, nextest repeats what the process of one test has written.
        if !line.starts_with("test result: ") && !line.trim_start().starts_with("Summary [") {
            return;
        }
        // `5 tests run: 4 passed, 1 failed, 2 skipped`, `ok. 4 passed; 1 failed; 2 ignored; ...`
        let words: Vec<&str> = line.trim().split([' ', ',', ';', '.']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let Ok(n) = pair[0].parse::<u64>() else { continue };
            match pair[1] {
                "passed" => self.passed += n,
                "failed" | "timed" => self.failed += n,
                "skipped" | "ignored" => self.skipped += n,
                _ => {}
            }
        }
    }
}

/// Runs a test runner, shows what it writes, and counts along. A runner that fails without naming a test fails here.
fn counted(command: &mut Command) -> anyhow::Result<Counts> {
    println!("$ {}", line(command));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", line(command)))?;
    let stdout = child.stdout.take().context("its standard output is a pipe")?;
    let stderr = child.stderr.take().context("its standard error is a pipe")?;
    let mut counts = Counts::default();
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let errors = scope.spawn(|| shown(stderr, std::io::stderr()));
        counts.add(&shown(stdout, std::io::stdout())?);
        counts.add(&errors.join().expect("the reader does not panic")?);
        Ok(())
    })?;
    let status = child.wait()?;
    if !status.success() && counts.failed == 0 {
        bail!("{}: {status}", line(command));
    }
    Ok(counts)
}

/// Passes the output on, line by line, and returns the counts of its last lines.
fn shown(from: impl Read, mut to: impl Write) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        counts.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> Counts {
        shown(text.as_bytes(), std::io::sink()).unwrap()
    }

    #[test]
    fn the_closing_line_of_nextest_is_read() {
        let text = "        PASS [   0.003s] (1/1) lxkns-core procfs::stat::tests::one\n\
                    \x20   test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n\
                    ------------\n\
                    \x20    Summary [   0.014s] 8 tests run: 5 passed (1 slow), 2 failed, 1 timed out, 3 skipped\n";
        assert_eq!(counts(text), Counts { passed: 5, failed: 3, skipped: 3, ..Counts::default() });
    }

    #[test]
    fn the_closing_lines_of_libtest_add_up() {
        let line = "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s\n";
        let both = format!("{line}noise about 7 passed years\n{line}");
        assert_eq!(counts(&both), Counts { passed: 8, failed: 0, skipped: 2, ..Counts::default() });
    }

    #[test]
    fn what_failed_is_named() {
        let names = |text| counts(text).names;
        assert_eq!(names("---- places::parent ----\nit broke\n"), ["places::parent"]);
        assert_eq!(names("---- parse::tests::empty stdout ----\n"), ["parse::tests::empty"]);
        let line = "  TRY 2 FAIL [   0.003s] (1/2) lxkns::live places::parent\n";
        assert_eq!(names(&line.repeat(2)), ["places::parent"]);
    }

    #[test]
    fn what_passed_at_a_second_try_is_named() {
        let text = "  TRY 1 FAIL [   0.003s] (1/2) lxkns::live places::parent\n\
                    \x20    Summary [   1.110s] 3 tests run: 3 passed (1 flaky), 0 skipped\n\
                    \x20  FLAKY 2/2 [   0.074s] (2/3) lxkns::live places::parent\n";
        let unsteady = vec!["places::parent".to_owned()];
        assert_eq!(counts(text), Counts { passed: 3, unsteady: unsteady.clone(), ..Counts::default() });
        let text = "---- places::parent ----\nit broke\n\
                    test result: FAILED. 4 passed; 1 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s\n\
                    passed by itself: places::parent\n";
        assert_eq!(counts(text), Counts { passed: 5, skipped: 1, unsteady, ..Counts::default() });
    }
}
