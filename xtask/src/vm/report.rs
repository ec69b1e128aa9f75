//! The report of a machine: the kernel, the answers of its interfaces, and the result of each test.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};

use crate::test::PASSED_ALONE;

/// How the sections of a report begin: that of the kernel, followed by its release; that of the interfaces; and the
/// runs, each with who ran the tests. What follows a colon there is how the run ended.
pub(super) const KERNEL: &str = "== kernel ";
pub(super) const INTERFACES: &str = "== interfaces";
const RUN: &str = "== ";

/// A kernel's version, by its first two numbers.
pub(super) type Version = (u32, u32);

/// The report of one kernel.
pub(super) struct Report {
    /// The name of the kernel in the table.
    name: String,
    release: String,
    pub(super) version: Version,
    /// Whether it was started with SELinux, and not with AppArmor.
    pub(super) selinux: bool,
    /// Whether it was started with lockdown.
    pub(super) lockdown: bool,
    pub(super) interfaces: Vec<Interface>,
    pub(super) runs: Vec<Run>,
    /// Why the machine did not report all, if it did not.
    pub(super) failure: Option<String>,
}

/// The answer of a kernel for one interface.
#[derive(Debug, PartialEq)]
pub(super) struct Interface {
    /// Its name, what does instead, and what is lost without it.
    pub(super) labels: [String; 3],
    /// `yes`, or the error.
    pub(super) answer: String,
}

/// The tests, as run by one user.
#[derive(Default)]
pub(super) struct Run {
    pub(super) who: String,
    pub(super) outcomes: BTreeMap<String, Outcome>,
    /// The test that runs.
    pending: Option<String>,
    /// Why tests were skipped.
    reasons: BTreeMap<String, String>,
    /// The output of the failed ones.
    failures: String,
    /// Those that failed beside others and passed by themselves.
    unsteady: Vec<String>,
    ended: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    Skipped,
}

impl Report {
    pub(super) fn parse(text: &str, name: &str) -> anyhow::Result<Self> {
        let (mut release, mut interfaces, mut runs) = ("", Vec::new(), Vec::<Run>::new());
        let mut is_interfaces = false;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix(KERNEL) {
                release = rest;
            } else if line == INTERFACES {
                is_interfaces = true;
            } else if let Some(rest) = line.strip_prefix(RUN) {
                is_interfaces = false;
                match rest.split_once(": ") {
                    Some((who, ended)) => {
                        let run =
                            runs.last_mut().filter(|run| run.who == who).context("a run ends that has not begun")?;
                        run.ended = ended.to_owned();
                    }
                    None => runs.push(Run { who: rest.to_owned(), ..Run::default() }),
                }
            } else if is_interfaces {
                interfaces.extend(interface(line));
            } else if let Some(run) = runs.last_mut() {
                run.read(line);
            }
        }
        let version = version(release).with_context(|| format!("{name}: no kernel in the report: {text:.200}"))?;
        ensure!(!interfaces.is_empty(), "{name}: nothing about interfaces in the report");
        let (name, release) = (name.to_owned(), release.to_owned());
        Ok(Self { name, release, version, selinux: false, lockdown: false, interfaces, runs, failure: None })
    }

    /// The errors in the report.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(failure) = &self.failure {
            let pending = self.runs.iter().find_map(|run| run.pending.as_deref());
            let during = pending.map(|test| format!(", in the test {test}")).unwrap_or_default();
            problems.push(format!("{}: {failure}{during}", self.name));
            // Failures are printed after all tests have run.
            for run in &self.runs {
                let failed = run.outcomes.iter().filter(|&(_, &outcome)| outcome == Outcome::Failed);
                problems.extend(failed.map(|(test, _)| format!("{} as {}: {test} has failed", self.name, run.who)));
            }
            return problems;
        }
        for who in ["root", "nobody"] {
            match self.runs.iter().find(|run| run.who == who) {
                Some(run) => {
                    let found = run.problems(self.selinux);
                    problems.extend(found.map(|problem| format!("{} as {who}: {problem}", self.name)));
                }
                None => problems.push(format!("{}: no run as {who}", self.name)),
            }
        }
        problems
    }

    /// The tests that failed, each with the machine and who ran it.
    pub(super) fn failed(&self) -> impl Iterator<Item = String> {
        self.runs.iter().flat_map(|run| {
            let failed = run.outcomes.iter().filter(|&(_, &outcome)| outcome == Outcome::Failed);
            failed.map(|(test, _)| format!("{test} ({} as {})", self.name, run.who))
        })
    }

    /// A line for each run.
    pub(super) fn summary(&self) -> String {
        let runs = self.runs.iter().map(|run| {
            let count = |outcome| run.outcomes.values().filter(|&&o| o == outcome).count();
            let (passed, failed, skipped) = (count(Outcome::Passed), count(Outcome::Failed), count(Outcome::Skipped));
            let kernel = match self {
                Self { release, selinux: true, .. } => format!("{release} with SELinux"),
                Self { release, lockdown: true, .. } => format!("{release} with lockdown"),
                Self { release, .. } => release.clone(),
            };
            let unsteady = match &run.unsteady[..] {
                [] => String::new(),
                names => format!("; UNSTEADY, passed at a second try: {}", names.join(", ")),
            };
            format!("{kernel:<40} as {:<8} {passed} passed, {failed} failed, {skipped} skipped{unsteady}", run.who)
        });
        runs.collect::<Vec<_>>().join("\n")
    }
}

impl Run {
    /// Reads a line of what the tests print.
    fn read(&mut self, line: &str) {
        if let Some(name) = line.trim_end().strip_prefix(PASSED_ALONE) {
            self.outcomes.insert(name.to_owned(), Outcome::Passed);
            self.unsteady.push(name.to_owned());
        } else if let Some((name, reason)) = line.strip_prefix("skipped: ").and_then(|rest| rest.split_once(": needs "))
        {
            self.reasons.insert(name.to_owned(), reason.to_owned());
        } else if let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            self.pending = Some(name.trim().to_owned());
            self.end(outcome);
        } else if self.end(line) {
            // A test that prints something has its outcome on a line of its own.
        } else if line.starts_with("---- ") || (!self.failures.is_empty() && !line.starts_with("failures:")) {
            self.failures += line;
            self.failures.push('\n');
        }
    }

    /// Takes this for the outcome of the test that runs, if it is one.
    fn end(&mut self, outcome: &str) -> bool {
        let outcome = match outcome {
            "ok" => Outcome::Passed,
            "ignored" => Outcome::Skipped,
            "FAILED" => Outcome::Failed,
            _ => return false,
        };
        self.pending.take().map(|name| self.outcomes.insert(name, outcome));
        true
    }

    fn problems(&self, selinux: bool) -> impl Iterator<Item = String> {
        let failed = self.outcomes.values().any(|&outcome| outcome == Outcome::Failed);
        let unexplained = !failed && self.ended != "exit status: 0";
        let unexplained = unexplained.then(|| format!("the run has ended with {:?}", self.ended));
        let empty = self.outcomes.is_empty().then(|| "no test has run".to_owned());
        // A machine lacks what only a newer kernel has, programs, control groups of version 1, the sources, one of two
        // security modules and, but for one machine, the service; it must have all else.
        let other_module = if selinux { "AppArmor" } else { "SELinux" };
        let is_owed = move |reason: &str| {
            ["Linux ", "the program ", "/bin/", "/usr/bin/", "/sys/fs/cgroup/"]
                .iter()
                .any(|start| reason.starts_with(start))
                || reason.ends_with(" namespaces")
                || reason == "a processor that is not emulated"
                || reason.contains("/../tests/")
                || reason == other_module
                || reason == "lockdown"
                || reason == "the service of a virtual machine"
                || (reason == "root" && self.who != "root")
        };
        let skipped = self.reasons.iter().filter(move |(_, reason)| !is_owed(reason));
        let skipped = skipped.map(|(name, reason)| format!("{name} was skipped, for want of {reason}"));
        let failures = failed.then(|| self.failures.trim_end().to_owned());
        failures.into_iter().chain(unexplained).chain(empty).chain(skipped)
    }
}

/// The line of the test program about an interface (`tests/interfaces.rs`).
fn interface(line: &str) -> Option<Interface> {
    let mut fields = line.split('\t').map(str::to_owned);
    Some(Interface { labels: [fields.next()?, fields.next()?, fields.next()?], answer: fields.next()? })
}

/// `6.12.117+deb13-cloud-amd64`, also `6.12` alone: the first two numbers.
pub(super) fn version(release: &str) -> Option<Version> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "== kernel 6.1.0-50-cloud-amd64\n== interfaces\nlistns\tnone\tmuch\tENOSYS\n== root\n\
        skipped: a::b: needs Linux 6.11\nskipped: a::c: needs the file /dev/fuse\nrunning 3 tests\n\
        test a::a   ... ok\ntest a::e ... 7 bytes\nok\ntest a::b   ... ignored\ntest a::d ... FAILED\n\nfailures:\n\n---- a::d ----\nit broke\n\n\
        failures:\n    a::d\n\ntest result: FAILED. 1 passed\n\n== root: exit status: 101\n";

    #[test]
    fn a_report_is_read() {
        let report = Report::parse(TEXT, "6.1").unwrap();
        assert_eq!(report.version, (6, 1));
        let interface = Interface { labels: ["listns", "none", "much"].map(str::to_owned), answer: "ENOSYS".into() };
        assert_eq!(report.interfaces, [interface]);
        assert_eq!(report.runs[0].outcomes["a::a"], Outcome::Passed);
        assert_eq!(report.runs[0].outcomes["a::b"], Outcome::Skipped);
        assert_eq!(report.runs[0].outcomes["a::e"], Outcome::Passed, "it has printed something");
        let problems = report.problems();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains("it broke"), "{problems:?}");
        assert_eq!(problems[1], "6.1 as root: a::c was skipped, for want of the file /dev/fuse");
        assert_eq!(problems[2], "6.1: no run as nobody");
        assert_eq!(report.failed().collect::<Vec<_>>(), ["a::d (6.1 as root)"]);
    }

    #[test]
    fn what_passed_at_a_second_try_is_no_failure() {
        let text = TEXT
            .replace("\n\n== root: exit status: 101", "\n\npassed by itself: a::d\n== root: exit status: 0\n== nobody")
            .replace("the file /dev/fuse", "Linux 6.12")
            + "test a::a ... ok\n== nobody: exit status: 0\n";
        let report = Report::parse(&text, "6.1").unwrap();
        assert_eq!(report.problems(), Vec::<String>::new());
        assert!(report.summary().contains("UNSTEADY, passed at a second try: a::d"), "{}", report.summary());
    }

    #[test]
    fn each_machine_owes_its_own_security_module() {
        let text = TEXT.replace("the file /dev/fuse", "SELinux");
        for (selinux, expected) in [(false, 2), (true, 3)] {
            let report = Report { selinux, ..Report::parse(&text, "6.1").unwrap() };
            assert_eq!(report.problems().len(), expected, "{:?}", report.problems());
        }
    }

    #[test]
    fn what_ends_early_is_a_problem() {
        let text = TEXT.replace("FAILED\n", "ok\n").replace("exit status: 101", "signal: 9 (SIGKILL)");
        let problems = Report::parse(&text, "6.1").unwrap().problems();
        assert!(problems.iter().any(|problem| problem.contains("signal: 9")), "{problems:?}");
        assert!(Report::parse("", "6.1").is_err());
    }

    #[test]
    fn what_a_machine_did_not_end_is_named() {
        let (text, _) = TEXT.split_once("\n\nfailures:").unwrap();
        let text = format!("{text}\ntest a::slow ... ");
        let report = Report { failure: Some("too slow".into()), ..Report::parse(&text, "6.1").unwrap() };
        assert_eq!(report.problems(), ["6.1: too slow, in the test a::slow", "6.1 as root: a::d has failed"]);
    }

    #[test]
    fn versions() {
        assert_eq!(version("5.10.0-46-cloud-amd64"), Some((5, 10)));
        assert_eq!(version("7.2"), Some((7, 2)));
        assert_eq!(version("x"), None);
    }
}
