//! `cargo xtask openapi`: the service does what its OpenAPI description says, tried by schemathesis. It asks what the
//! description has as examples, what its schemas permit, and what they do not, and compares the answers with it.
//!
//! Needs Python 3.10 or later with venv, and the network once: schemathesis and what it takes come from PyPI.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::artifacts;
use crate::run::run;

/// All that is installed, with versions.
const PACKAGES: &str = "xtask/openapi/packages.txt";
/// How schemathesis is to try the service.
const CONFIGURATION: &str = "xtask/openapi/schemathesis.toml";
/// Where it is installed.
const ENVIRONMENT: &str = "target/openapi";
/// A copy of [`PACKAGES`] in there: what was installed.
const INSTALLED: &str = "installed";
/// How long all of it may take, in seconds: on an idle host it takes half a minute.
const LIMIT: &str = "600";

pub(crate) fn all() -> anyhow::Result<()> {
    let program = match installed() {
        Ok(program) => program,
        Err(error) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => return Err(error),
        Err(error) => {
            println!("skipped: {error:#}");
            return Ok(());
        }
    };
    artifacts::programs()?;
    let service = Service::start()?;
    let mut command = Command::new("timeout");
    // It leaves files where it runs.
    let root = std::env::current_dir().context("getcwd")?;
    command.current_dir(ENVIRONMENT).arg(LIMIT).arg(root.join(program));
    command.arg("--config-file").arg(root.join(CONFIGURATION)).args(["run", "--no-color"]);
    run(command.arg(format!("{}/api/v1/openapi.json", service.address)))
}

/// The program schemathesis, which is installed where it is not.
fn installed() -> anyhow::Result<PathBuf> {
    let wanted = std::fs::read_to_string(PACKAGES).with_context(|| format!("cannot read {PACKAGES}"))?;
    let environment = Path::new(ENVIRONMENT);
    let (note, bin) = (environment.join(INSTALLED), environment.join("bin"));
    if std::fs::read_to_string(&note).ok().as_ref() != Some(&wanted) {
        let mut make = Command::new("python3");
        run(make.args(["-m", "venv", "--clear"]).arg(environment))
            .context("schemathesis takes Python 3.10 or later with venv (Debian: python3-venv)")?;
        let mut install = Command::new(bin.join("pip"));
        run(install.args(["install", "--quiet", "--disable-pip-version-check", "--requirement", PACKAGES]))
            .context("schemathesis comes from PyPI")?;
        std::fs::write(&note, &wanted).with_context(|| format!("cannot write {}", note.display()))?;
    }
    Ok(bin.join("schemathesis"))
}

/// The service as it was built, until this is dropped. It answers from one scan.
struct Service {
    process: Child,
    address: String,
}

impl Service {
    fn start() -> anyhow::Result<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "target/debug/lxknsd", "--listen", "127.0.0.1:0", "--log", "json"]);
        command.args(["--min-age", "86400", "--max-age", "86400", "--no-engines"]);
        command.args(["--expose-files", "--metrics-ports", "--metrics-links"]);
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context("cannot run setpriv")?;
        let log = process.stderr.take().context("a pipe")?;
        let mut service = Self { process, address: String::new() };
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        for line in lines.by_ref() {
            let said: Value = serde_json::from_str(&line).with_context(|| format!("lxknsd says {line}"))?;
            if said["message"] == "listening" {
                said["address"].as_str().context("an address")?.clone_into(&mut service.address);
            }
            if said["message"] == "ready" && said["process"].is_null() {
                break;
            }
        }
        ensure!(!service.address.is_empty(), "lxknsd has ended before it served");
        // It goes on saying what it answers.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The others end with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
