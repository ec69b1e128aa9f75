//! The programs that are given to people, and what must be true of them.

use std::env;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use super::elf;
use crate::artifacts::{self, executable, messages};
use crate::run::{cargo, output};

/// Where they are built.
const BUILD: &str = "target/dist-build";

/// `lxkns` is copied to hosts that have little room.
const MOST_BYTES: u64 = 5 * 1024 * 1024;
/// `lxknsd` carries the page, and TLS, too.
const MOST_BYTES_OF_SERVICE: u64 = 8 * 1024 * 1024;

/// The built programs.
pub(super) struct Programs {
    pub(super) lxkns: PathBuf,
    pub(super) mntnssandbox: PathBuf,
    pub(super) lxknsd: PathBuf,
}

impl Programs {
    fn all(&self) -> [&Path; 3] {
        [&self.lxkns, &self.mntnssandbox, &self.lxknsd]
    }
}

/// Builds all programs from the source in `workspace` into a target directory.
fn build(target: &str, workspace: &Path, target_dir: &Path) -> anyhow::Result<Programs> {
    let messages = build_packages(&["lxkns", "mntnssandbox"], target, workspace, target_dir)?;
    Ok(Programs {
        lxkns: executable(&messages, "bin", "lxkns")?,
        mntnssandbox: executable(&messages, "bin", "mntnssandbox")?,
        lxknsd: build_service(target, workspace, target_dir)?,
    })
}

/// Builds the service by itself: it has features of the libraries that would make `lxkns` larger.
fn build_service(target: &str, workspace: &Path, target_dir: &Path) -> anyhow::Result<PathBuf> {
    executable(&build_packages(&["lxkns-serve"], target, workspace, target_dir)?, "bin", "lxknsd")
}

fn build_packages(packages: &[&str], target: &str, workspace: &Path, target_dir: &Path) -> anyhow::Result<String> {
    // A target that is named, though it may be the host's: flags are then not for build scripts and procedural macros,
    // which cannot be linked so.
    let mut build = cargo(["build", "--bins", "--profile=dist"]);
    build.args(packages.iter().flat_map(|package| ["--package", package]));
    build.args(["--target", target]).arg("--target-dir").arg(target_dir).current_dir(workspace);
    // Nothing is unwound: a panic says where it happened, and ends the program.
    let mut flags = b"-Ctarget-feature=+crt-static\x1f-Cforce-unwind-tables=no".to_vec();
    if target.starts_with("x86_64-") {
        // Of lld, which Rust links with there: equal functions once, relocations in few bytes, and no unwind tables of the
        // standard and the C library's either.
        flags.extend_from_slice(
            b"\x1f-Clink-arg=-Wl,--icf=all\x1f-Clink-arg=-Wl,-z,pack-relative-relocs\x1f-Clink-arg=",
        );
        flags.extend_from_slice(workspace.join("xtask/src/dist/no-unwind-tables.ld").as_os_str().as_bytes());
    }
    for (from, to) in builders_paths(workspace, target_dir)? {
        // Between flags: a path can have blanks in it.
        flags.push(0x1f);
        flags.extend_from_slice(b"--remap-path-prefix=");
        flags.extend_from_slice(from.as_os_str().as_bytes());
        flags.extend_from_slice(format!("={to}").as_bytes());
    }
    build.env("CARGO_ENCODED_RUSTFLAGS", std::ffi::OsString::from_vec(flags));
    messages(&mut build)
}

/// The directories of who builds, and what is written in a program instead. Of those that fit, the last one counts.
fn builders_paths(workspace: &Path, target_dir: &Path) -> anyhow::Result<[(PathBuf, &'static str); 4]> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    Ok([
        (artifacts::cargo_home()?, "cargo"),
        (PathBuf::from(sysroot.trim_end()), "rust"),
        (workspace.canonicalize()?, "lxkns"),
        (std::path::absolute(target_dir)?, "target"),
    ])
}

/// Builds what is given away, and checks it.
pub(super) fn checked(target: &str) -> anyhow::Result<Programs> {
    let libraries = output(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
    ensure!(
        Path::new(libraries.trim_end()).exists(),
        "the standard library of {target} is not installed (`rustup target add {target}` does that)"
    );
    let (workspace, target_dir) = (env::current_dir()?, Path::new(BUILD));
    let programs = build(target, &workspace, target_dir)?;
    check(&programs.all(), &workspace)?;
    for (program, most) in [(&programs.lxkns, MOST_BYTES), (&programs.lxknsd, MOST_BYTES_OF_SERVICE)] {
        let size = fs::metadata(program)?.len();
        ensure!(size <= most, "{} has {size} bytes, more than {most}", program.display());
    }
    Ok(programs)
}

/// Builds the service alone, and checks it.
pub(super) fn checked_service(target: &str) -> anyhow::Result<PathBuf> {
    let (workspace, target_dir) = (env::current_dir()?, Path::new(BUILD));
    let program = build_service(target, &workspace, target_dir)?;
    check(&[&program], &workspace)?;
    Ok(program)
}

/// Checks that programs are static, and say nothing of who built them.
fn check(programs: &[&Path], workspace: &Path) -> anyhow::Result<()> {
    let paths = builders_paths(workspace, Path::new(BUILD))?.map(|(path, _)| path);
    for program in programs {
        let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
        ensure!(!elf::needs_others(&bytes)?, "{} is not static", program.display());
        if let Some(path) = paths.iter().find(|path| contains(&bytes, path.as_os_str().as_bytes())) {
            bail!("{} has {} in it, a path of this machine", program.display(), path.display());
        }
        println!("{}: {} bytes", program.file_name().unwrap_or_default().display(), bytes.len());
    }
    Ok(())
}

/// The same, with a second build of the tree elsewhere, which must give the same. They run side by side: in the end of each,
/// one processor does all.
pub(super) fn checked_twice(target: &str) -> anyhow::Result<Programs> {
    let elsewhere = tempfile::Builder::new().prefix("lxkns-dist-").tempdir()?;
    let workspace = elsewhere.path().join("another/source");
    copy_tree(&workspace)?;
    let (first, second) = std::thread::scope(|scope| {
        let second = scope.spawn(|| build(target, &workspace, &elsewhere.path().join("build")));
        (checked(target), second.join().expect("a build does not panic"))
    });
    let (first, second) = (first?, second.context("elsewhere")?);
    for (one, other) in first.all().into_iter().zip(second.all()) {
        ensure!(fs::read(one)? == fs::read(other)?, "{} is another when it is built elsewhere", one.display());
    }
    println!("the same when built elsewhere");
    Ok(first)
}

/// Copies all that belongs to this tree, committed or not.
fn copy_tree(to: &Path) -> anyhow::Result<()> {
    let files = output(Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    for file in files.split_terminator('\0').filter(|file| Path::new(file).exists()) {
        let copy = to.join(file);
        fs::create_dir_all(copy.parent().context("it is below the root")?)?;
        fs::copy(file, &copy).with_context(|| format!("cannot copy {file}"))?;
    }
    Ok(())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A file that can be run, copied.
pub(super) fn install(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(0o755))?)
}

/// Programs that write their man pages and completions here.
pub(super) struct Writers {
    pub(super) lxkns: PathBuf,
    pub(super) lxknsd: PathBuf,
}

/// Those that were built, if this host can run them.
pub(super) fn writers(target: &str, host: &str, programs: &Programs) -> anyhow::Result<Writers> {
    if target == host {
        return Ok(Writers { lxkns: programs.lxkns.clone(), lxknsd: programs.lxknsd.clone() });
    }
    let messages = messages(&mut cargo(["build", "--package", "lxkns", "--package", "lxkns-serve", "--bins"]))?;
    Ok(Writers { lxkns: executable(&messages, "bin", "lxkns")?, lxknsd: executable(&messages, "bin", "lxknsd")? })
}
