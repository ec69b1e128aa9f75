//! Programs that cargo builds for tasks that run them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::run::{cargo, output, run};

/// The test binary that asks the running kernel, and the program that it runs.
const LIVE: &str = "live";
const PROGRAM: &str = "lxkns";
/// The first process of a virtual machine.
const INIT: &str = "lxkns-test-init";

/// Where cargo has put what the live tests consist of.
pub(crate) struct Programs {
    pub(crate) live: PathBuf,
    pub(crate) lxkns: PathBuf,
}

/// Builds the command and the service in `target/debug`, with what the tests use of them.
pub(crate) fn programs() -> anyhow::Result<()> {
    // All of it, as the suite is built: for one package alone cargo chooses other features and builds anew.
    run(&mut cargo(["build", "--locked", "--workspace", "--all-features", "--bins"]))
}

/// Builds the live tests as `cargo xtask test` does.
pub(crate) fn live_tests() -> anyhow::Result<Programs> {
    // All of it: see above.
    let messages = messages(&mut cargo(["test", "--no-run", "--workspace", "--test", LIVE, "--all-features"]))?;
    live_among(&messages)
}

/// Builds the live tests, and the first process of a virtual machine, to run where there is nothing else.
pub(crate) fn static_programs() -> anyhow::Result<(Programs, PathBuf)> {
    let messages = built_static(&["--package", PROGRAM, "--package", INIT, "--bins", "--test", LIVE])?;
    Ok((live_among(&messages)?, executable(&messages, "bin", INIT)?))
}

/// Builds the first process of a virtual machine alone.
pub(crate) fn static_init() -> anyhow::Result<PathBuf> {
    executable(&built_static(&["--package", INIT, "--bins"])?, "bin", INIT)
}

fn built_static(what: &[&str]) -> anyhow::Result<String> {
    // With a target named, the flags are not for build scripts and procedural macros, which cannot be linked so.
    let mut build = cargo(["build", "--profile=vm"]);
    build.args(what).args(["--target", &host()?]);
    // In a directory of its own: other flags would have all else built anew.
    build.args(["--target-dir", "target/vm"]).env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
    messages(&mut build)
}

/// The directory of packages that cargo has fetched.
pub(crate) fn cargo_home() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.context("neither CARGO_HOME nor HOME is set")
}

/// The target that this host is.
pub(crate) fn host() -> anyhow::Result<String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not name its host")?.to_owned())
}

fn live_among(messages: &str) -> anyhow::Result<Programs> {
    Ok(Programs { live: executable(messages, "test", LIVE)?, lxkns: executable(messages, "bin", PROGRAM)? })
}

/// Builds, and returns what cargo says of it.
pub(crate) fn messages(build: &mut Command) -> anyhow::Result<String> {
    output(build.args(["--locked", "--message-format=json-render-diagnostics"]))
}

/// Makes a directory empty, whatever an earlier run has left.
pub(crate) fn fresh(directory: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", directory.display()));
        }
        _ => std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?,
    }
    Ok(())
}

/// The executable of one target among the messages of cargo.
pub(crate) fn executable(messages: &str, kind: &str, name: &str) -> anyhow::Result<PathBuf> {
    for message in messages.lines() {
        let message: serde_json::Value = serde_json::from_str(message).context("cargo's message is not JSON")?;
        let target = &message["target"];
        let mut kinds = target["kind"].as_array().into_iter().flatten();
        if message["reason"] == "compiler-artifact"
            && target["name"] == name
            && kinds.any(|k| k == kind)
            && let Some(path) = message["executable"].as_str()
        {
            return Ok(Path::new(path).into());
        }
    }
    bail!("cargo has built no {kind} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_is_found_by_kind_and_name() {
        let messages = r#"{"reason":"build-script-executed"}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"live"},"executable":"/wrong"}
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"live"},"executable":"/right"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "test", "live").unwrap(), PathBuf::from("/right"));
        assert!(executable(messages, "test", "other").is_err());
    }
}
