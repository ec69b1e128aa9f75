//! Fresh roots of a distribution, to install packages into.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::debian;
use crate::run::run;

/// The release of Debian that is installed into.
const RELEASE: &str = "bookworm";

/// A root with the least that Debian consists of, which goes with the run.
pub(super) fn debian() -> anyhow::Result<tempfile::TempDir> {
    let pristine = pristine()?;
    if !pristine.exists() {
        bootstrap(&pristine)?;
    }
    let root = tempfile::Builder::new().prefix("lxkns-root-").tempdir()?;
    run(Command::new("cp").args(["--archive", "--no-target-directory"]).arg(&pristine).arg(root.path()))?;
    Ok(root)
}

/// Whether this root exists already.
pub(super) fn has_debian() -> bool {
    pristine().is_ok_and(|root| root.exists())
}

fn pristine() -> anyhow::Result<PathBuf> {
    Ok(debian::cache("lxkns-roots")?.join(RELEASE))
}

/// Makes this root, from the mirror of the host.
fn bootstrap(to: &Path) -> anyhow::Result<()> {
    let work = tempfile::Builder::new().prefix("make-").tempdir_in(to.parent().context("it is in the cache")?)?;
    let root = work.path().join("root");
    let mut debootstrap = Command::new("debootstrap");
    run(debootstrap.args(["--variant=minbase", RELEASE]).arg(&root).arg(debian::mirror("/debian")?))?;
    match fs::rename(&root, to) {
        // Somebody else was faster.
        Err(_) if to.exists() => Ok(()),
        renamed => renamed.with_context(|| format!("cannot make {}", to.display())),
    }
}

/// All paths in a root, but for what the installer keeps of its own.
pub(super) fn paths(root: &Path, own: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let below = entry.path().strip_prefix(root)?.to_owned();
            if own.iter().any(|own| below.starts_with(own)) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                todo.push(entry.path());
            }
            found.push(below);
        }
    }
    found.sort();
    Ok(found)
}

/// Checks that the programs are where they belong, run there, and may no more than other programs.
pub(super) fn has_programs(root: &Path, package: &str, version: &str) -> anyhow::Result<()> {
    let programs: &[&str] = match package {
        "lxknsd" => &["usr/sbin/lxknsd"],
        _ => &["usr/bin/lxkns", "usr/libexec/lxkns/mntnssandbox"],
    };
    for program in programs {
        let path = root.join(program);
        let mut value = [0; 64];
        let found = rustix::fs::getxattr(&path, "security.capability", &mut value);
        let none = matches!(found, Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP));
        ensure!(none, "{program} has file capabilities: {found:?}");
    }
    // Not with the host's libraries: chroot(8) is the host's.
    let ran = Command::new("chroot").arg(root).args([&format!("/{}", programs[0]), "--version"]).output()?;
    let said = String::from_utf8_lossy(&ran.stdout);
    ensure!(
        ran.status.success() && said.trim() == format!("{package} {version}"),
        "in its root {package} says {ran:?}"
    );
    Ok(())
}
