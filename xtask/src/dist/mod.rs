//! `cargo xtask dist`: what is given to people, from the tree as it is, in `target/dist`.
//!
//! A static program that is a whole installation by itself, and packs of it with man pages, completions and notices:
//! `tar.zst`, `.deb`, `.rpm`. Nothing in them says where, when or by whom they were built: times are those of the commit.

mod build;
mod notices;
mod packages;
mod packs;
mod roots;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::artifacts;
use crate::run::{cargo, output, run as run_command};

/// Where it lands.
const DIRECTORY: &str = "target/dist";

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Build for this target, whose standard library is installed [default: that of this host]
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// Also prove it: builds the same again elsewhere and compares, checks the packages, and installs and removes them in
    /// fresh roots (as root, on Debian)
    #[arg(long)]
    check: bool,
    /// Who answers for the packages
    #[arg(long, value_name = "NAME <MAIL>", default_value = packs::MAINTAINER)]
    maintainer: String,
}

/// What is packed, and what its names are made of.
struct Release {
    target: String,
    version: String,
    summary: String,
    maintainer: String,
    /// When the commit was made, in seconds since 1970.
    epoch: u64,
    /// What people see of it: programs, man pages, completions, documents, notices.
    loose: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    make(args).map(drop)
}

/// Makes it all, and returns the program.
fn make(args: &Args) -> anyhow::Result<PathBuf> {
    let host = artifacts::host()?;
    let target = args.target.clone().unwrap_or_else(|| host.clone());
    let programs = build::checked(&target)?;
    let writer = build::writer(&target, &host, &programs)?;

    let package = package()?;
    let field = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
    let release = Release {
        loose: Path::new(DIRECTORY).join(&target),
        version: field("version"),
        summary: field("description"),
        maintainer: args.maintainer.clone(),
        epoch: epoch()?,
        target,
    };
    // Whatever the user's mask says: modes are part of what is packed.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    loose(&release, &programs, &writer)?;
    let packs = [packs::tar(&release)?, packs::deb(&release)?, packs::rpm(&release)?];
    sums(&release, &packs)?;

    if args.check {
        build::is_reproducible(&release.target, &programs)?;
        packages::check(&release, &packs)?;
    }
    for pack in &packs {
        println!("{}: {} bytes", pack.display(), fs::metadata(pack)?.len());
    }
    let lxkns = release.loose.join("lxkns");
    println!("{}: {} bytes", lxkns.display(), fs::metadata(&lxkns)?.len());
    Ok(lxkns)
}

/// The program alone, built where it is not as the source is.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    Ok(build::checked(&artifacts::host()?)?.lxkns)
}

/// What CI runs: all of it, and then the tests of the built program, with the program that people get.
pub(crate) fn all() -> anyhow::Result<()> {
    let program = make(&Args { check: true, maintainer: packs::MAINTAINER.to_owned(), ..Args::default() })?;
    crate::vm::one_file::check(&program)?;
    crate::test::of_program(&program)
}

/// The description of the package that the command is.
fn package() -> anyhow::Result<serde_json::Value> {
    let metadata = output(&mut cargo(["metadata", "--no-deps", "--format-version=1", "--locked"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    packages.iter().find(|package| package["name"] == "lxkns").cloned().context("there is no package lxkns")
}

/// The time of everything that is packed.
fn epoch() -> anyhow::Result<u64> {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok();
    let text = match given {
        Some(text) => text,
        None => output(Command::new("git").args(["log", "-1", "--format=%ct"]))
            .context("outside a repository, SOURCE_DATE_EPOCH says which time to use")?,
    };
    text.trim().parse().with_context(|| format!("{:?} is no number of seconds", text.trim()))
}

/// Puts what people see side by side.
fn loose(release: &Release, programs: &build::Programs, writer: &Path) -> anyhow::Result<()> {
    let to = &release.loose;
    artifacts::fresh(to)?;
    build::install(&programs.lxkns, &to.join("lxkns"))?;
    build::install(&programs.mntnssandbox, &to.join("mntnssandbox"))?;

    let (man, completions) = (to.join("man/man1"), to.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir(&completions)?;
    run_command(Command::new(writer).arg("man").arg(&man))?;
    ensure!(man.join("lxkns.1").exists(), "there is no man page");
    for (shell, name) in [("bash", "lxkns.bash"), ("zsh", "_lxkns"), ("fish", "lxkns.fish")] {
        let script = output(Command::new(writer).args(["completions", shell]))?;
        ensure!(script.contains("lxkns"), "there are no completions for {shell}");
        fs::write(completions.join(name), script)?;
    }

    for file in ["README.md", "CHANGELOG.md", "LICENSE"] {
        fs::copy(file, to.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    packs::copy_below(Path::new("docs"), &to.join("docs"))?;
    notices::write(&release.target, &to.join("notices"))
}

/// The sums of the packs, and of the programs for who takes only those.
fn sums(release: &Release, packs: &[PathBuf]) -> anyhow::Result<()> {
    let below = |path: &PathBuf| path.strip_prefix(DIRECTORY).map(Path::to_owned).context("it is in the directory");
    let mut files: Vec<PathBuf> = packs.iter().map(below).collect::<Result<_, _>>()?;
    files.extend(["lxkns", "mntnssandbox"].map(|name| Path::new(&release.target).join(name)));
    let sums = output(Command::new("sha256sum").arg("--").args(files).current_dir(DIRECTORY))?;
    Ok(fs::write(Path::new(DIRECTORY).join(format!("SHA256SUMS-{}", release.target)), sums)?)
}
