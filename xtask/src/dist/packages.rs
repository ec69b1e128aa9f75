//! The packages, proven: they install into fresh roots, and leave nothing behind when they are removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure};

use super::{Pack, Release, roots};
use crate::run::{output, run};

/// Checks each of the packs.
pub(super) fn check(release: &Release, packs: &[Pack]) -> anyhow::Result<()> {
    for pack in packs {
        match pack.path.extension().and_then(|extension| extension.to_str()) {
            Some("deb") => deb(release, &pack.path)?,
            Some("rpm") => rpm(release, &pack.path)?,
            Some("zst") => tar(release, pack)?,
            // It is loaded and run with the tests of the service.
            Some("tar") if pack.path.to_string_lossy().ends_with(".image.tar") => {}
            _ => bail!("nobody checks {}", pack.path.display()),
        }
    }
    Ok(())
}

/// What it is a package of.
fn name(pack: &Path) -> &'static str {
    let is_service = pack.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lxknsd"));
    if is_service { "lxknsd" } else { "lxkns" }
}

fn deb(release: &Release, pack: &Path) -> anyhow::Result<()> {
    // An error fails it; what else it says is there to be read.
    run(Command::new("lintian").args(["--fail-on", "error", "--allow-root", "--tag-display-limit", "0"]).arg(pack))?;
    const OWN: [&str; 2] = ["var/lib/dpkg", "var/log"];
    let root = roots::debian()?;
    let before = roots::paths(root.path(), &OWN)?;
    fs::copy(pack, root.path().join("lxkns.deb"))?;
    let dpkg = |args: &[&str]| {
        let mut chroot = Command::new("chroot");
        chroot.arg(root.path()).arg("dpkg").args(args);
        chroot
    };
    run(&mut dpkg(&["--install", "/lxkns.deb"]))?;
    fs::remove_file(root.path().join("lxkns.deb"))?;
    let wrong = output(&mut dpkg(&["--verify", name(pack)]))?;
    ensure!(wrong.is_empty(), "files are not as they were packed: {wrong}");
    roots::has_programs(root.path(), name(pack), &release.version)?;
    run(&mut dpkg(&["--purge", name(pack)]))?;
    same(&before, &roots::paths(root.path(), &OWN)?)
}

fn rpm(release: &Release, pack: &Path) -> anyhow::Result<()> {
    const OWN: [&str; 1] = ["var/lib/rpm"];
    // The root is empty, and the package requires only features of rpm itself.
    let root = tempfile::Builder::new().prefix("lxkns-root-").tempdir()?;
    fs::create_dir_all(root.path().join("var/lib/rpm"))?;
    let rpm = |args: &[&str]| {
        let mut rpm = Command::new("rpm");
        rpm.arg("--root").arg(root.path()).args(["--dbpath", "/var/lib/rpm"]).args(args);
        rpm
    };
    run(&mut rpm(&["--initdb"]))?;
    let before = roots::paths(root.path(), &OWN)?;
    // Debian's rpm would rather not: its own packages are dpkg's.
    let name = name(pack);
    let pack = pack.canonicalize()?;
    run(rpm(&["--install", "--force-debian"]).arg(&pack))?;
    run(&mut rpm(&["--verify", name]))?;
    roots::has_programs(root.path(), name, &release.version)?;
    run(&mut rpm(&["--erase", "--force-debian", name]))?;
    let after = roots::paths(root.path(), &OWN)?;
    // Directories that every host has, and no package owns.
    let shared = |path: &&PathBuf| !path.to_string_lossy().contains("lxkns") && root.path().join(path).is_dir();
    same(&before, &after.iter().filter(|path| before.contains(path) || !shared(path)).cloned().collect::<Vec<_>>())
}

fn tar(release: &Release, pack: &Pack) -> anyhow::Result<()> {
    let root = tempfile::Builder::new().prefix("lxkns-root-").tempdir()?;
    tar::Archive::new(zstd::Decoder::new(pack.bytes.as_slice())?).unpack(root.path())?;
    let directory = root.path().join(format!("lxkns-{}-{}", release.version, release.target));
    for file in ["lxkns", "mntnssandbox", "lxknsd"] {
        let (packed, loose) = (fs::read(directory.join(file))?, fs::read(release.loose.join(file))?);
        ensure!(packed == loose, "{file} is another in {}", pack.path.display());
    }
    Ok(())
}

/// Checks that a removed package leaves the root as it was.
fn same(before: &[PathBuf], after: &[PathBuf]) -> anyhow::Result<()> {
    let left: Vec<_> = after.iter().filter(|path| !before.contains(path)).collect();
    let lost: Vec<_> = before.iter().filter(|path| !after.contains(path)).collect();
    ensure!(left.is_empty() && lost.is_empty(), "a package that was removed has left {left:?} and taken {lost:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_and_what_is_lost_are_named() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        same(&paths(&["a", "b"]), &paths(&["a", "b"])).unwrap();
        let error = same(&paths(&["a", "b"]), &paths(&["b", "c"])).unwrap_err().to_string();
        assert!(error.contains(r#"left ["c"]"#) && error.contains(r#"taken ["a"]"#), "{error}");
    }
}
