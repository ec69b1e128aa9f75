//! `cargo xtask page`: what is committed of the web page is what its sources give. This alone needs npm.

use std::process::Command;

use anyhow::Context;

use crate::run::run;

/// What npm is asked to do in `web`, in this order.
const SCRIPTS: [&[&str]; 4] = [&["ci"], &["run", "check"], &["test"], &["run", "compare"]];

pub(crate) fn all() -> anyhow::Result<()> {
    for script in SCRIPTS {
        run(Command::new("npm").args(script).current_dir("web"))
            .context("the page takes npm, with node 20.19 or later; see web/README.md")?;
    }
    Ok(())
}
