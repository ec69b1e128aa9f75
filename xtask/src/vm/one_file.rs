//! The program that people get, in a machine that has nothing else: an initramfs with it, and what starts it.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{image, kernels, machine};
use crate::artifacts;

/// The oldest kernel that is tried: where no newer interface stands in for the helper.
const KERNEL: &str = "5.10";

/// Which namespaces there are, and who owns them: of the network namespace only somebody knows that has gone there.
const KNOWN: &str = "ls --json -o +ONS";

/// The commands. `{mnt}` and `{net}`: see `tests/init/src/main.rs`.
const RUNS: [&str; 18] = [
    KNOWN,
    "ls",
    "tree --owned",
    "why net:{net}",
    "orphans",
    "mounts mnt:{mnt}",
    "busy /proc",
    "caps -p 1 net:{net}",
    "show net:{net}",
    "show 1",
    "ports --json",
    "links --json",
    "doctor",
    "dump",
    "enter net:{net} -- /lxkns ls",
    "enter --tools host net:{net} -- /lxkns ls",
    "completions bash",
    "--version",
];

/// Runs it.
pub(crate) fn check(program: &Path) -> anyhow::Result<()> {
    machine::can_run()?;
    let kernel = kernels::of_debian(&[KERNEL])?.pop().context("it was fetched")?;
    let directory = tempfile::Builder::new().prefix("lxkns-vm-").tempdir()?;
    let initramfs = directory.path().join("initramfs");
    image::write_one_file(
        &artifacts::static_init()?,
        program,
        &RUNS.map(|run| format!("{run}\n")).concat(),
        &initramfs,
    )?;
    let machine::Ended { report, failure } = machine::run(&kernel, &initramfs, directory.path())?;
    ensure!(failure.is_none(), "{}:\n{report}", failure.unwrap_or_default());
    for run in RUNS {
        let said = said(&report, run).with_context(|| format!("lxkns {run} has failed:\n{report}"))?;
        ensure!(!said.trim().is_empty(), "lxkns {run} says nothing");
        if run == KNOWN {
            ensure!(all_have_owners(said)?, "nobody has gone into the mount namespace without processes:\n{said}");
        }
    }
    Ok(())
}

/// The expected output of a run.
fn said<'a>(report: &'a str, run: &str) -> Option<&'a str> {
    let (_, rest) = report.split_once(&format!("== {run}\n"))?;
    let (said, _) = rest.split_once(&format!("== {run}: exit status: 0\n"))?;
    (!said.contains("\n== ")).then_some(said)
}

/// Whether the owner of each namespace is known, of network namespaces without processes too.
fn all_have_owners(said: &str) -> anyhow::Result<bool> {
    let json = said.find('{').and_then(|start| said.get(start..=said.rfind('}')?)).context("it has written no JSON")?;
    let table: Value = serde_json::from_str(json).context("what it has written is not JSON")?;
    let rows = table["namespaces"].as_array().context("it has listed no namespaces")?;
    let is_alone = |row: &&Value| row["type"] == "net" && row["nprocs"] == 0;
    Ok(rows.iter().any(|row| is_alone(&row)) && rows.iter().filter(is_alone).all(|row| row["ons"].is_u64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_has_said_is_between_its_lines() {
        let report = "== ls\nNS\n== ls: exit status: 0\n== why\n== why: exit status: 3\n";
        assert_eq!(said(report, "ls"), Some("NS\n"));
        assert_eq!(said(report, "why"), None);
        assert_eq!(said(report, "dump"), None);
    }

    #[test]
    fn an_owner_that_is_not_known_is_found() {
        let row = |owner| format!(r#"{{"namespaces": [{{"type": "net", "nprocs": 0, "ons": {owner}}}]}}"#);
        assert!(all_have_owners(&row("1")).unwrap());
        assert!(!all_have_owners(&row("null")).unwrap());
        assert!(!all_have_owners(r#"{"namespaces": []}"#).unwrap());
    }
}
