//! `cargo xtask page`: what is committed of the web page is what its sources give. `cargo xtask proof`: it does in a browser
//! what it is for. These alone need npm.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::artifacts;
use crate::run::run;

/// What npm is asked to do in `web`, in this order.
const SCRIPTS: [&[&str]; 4] = [&["ci"], &["run", "check"], &["test"], &["run", "compare"]];

pub(crate) fn all() -> anyhow::Result<()> {
    SCRIPTS.into_iter().try_for_each(npm)
}

fn npm(args: &[&str]) -> anyhow::Result<()> {
    run(Command::new("npm").args(args).current_dir("web"))
        .context("the page takes npm, with node 20.19 or later; see web/README.md")
}

/// What of the page is tried in a browser: against the service built here, on a host of its own if the caller is root.
pub(crate) fn proof() -> anyhow::Result<()> {
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    if !Path::new(&chromium).exists() {
        if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
            bail!("{chromium} is missing; `apt-get install chromium`");
        }
        println!("skipped: {chromium} is missing");
        return Ok(());
    }
    artifacts::programs()?;
    if !Path::new("web/node_modules").exists() {
        npm(SCRIPTS[0])?;
    }
    let proof = || run(Command::new("sh").args(["proof/run.sh", "--test-reporter=spec"]).current_dir("web"));
    // As for all tests on a host where much else runs.
    proof().or_else(|error| {
        println!("{error:#}; once more");
        proof()?;
        println!("UNSTEADY, passed at a second try: the proof; what failed at first is named above");
        Ok(())
    })
}
