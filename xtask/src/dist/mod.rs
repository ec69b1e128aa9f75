//! `cargo xtask dist`: what is given to people, from the tree as it is, in `target/dist`.
//!
//! A static program that is a whole installation by itself, and packs of it with man pages, completions and notices:
//! `tar.zst`, `.deb`, `.rpm`. The service has packages of its own (`service`), and an image (`image`). Nothing in them says where, when or by whom they were built: times are those of the commit.

mod archive;
mod build;
mod date;
mod deb;
mod elf;
mod image;
mod needs;
mod notices;
mod packages;
mod roots;
mod rpm;
mod service;
mod tree;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};

use self::tree::Tree;
use crate::artifacts;
use crate::run::{cargo, output, run as run_command};

/// What the image is called.
pub(crate) use self::image::NAME as IMAGE;

/// Where it lands.
const DIRECTORY: &str = "target/dist";

/// The maintainer of the packages, unless an option names another.
const MAINTAINER: &str = "lxkns maintainers <lxkns@packages.example.org>";

/// The package's own version of a version.
const REVISION: &str = "1";

const DESCRIPTION: &str = "\
lxkns finds namespaces in every place that can hold one, and not only in
/proc/PID/ns: open files, sockets, bind mounts, threads, other namespaces. It
says what keeps each alive and what would release it, shows the mounts of any
mount namespace, and which capabilities a process has in a namespace.
It changes nothing on the host, and says what it could not see.";

const DESCRIPTION_OF_SERVICE: &str = "\
lxknsd answers over HTTP what lxkns answers on the command line: every
namespace of the host, what keeps each alive, and what could not be seen; with
metrics for Prometheus and a page. What speaks HTTP has no privileges.
It is not started by itself: systemctl enable --now lxknsd.socket";

/// The names of architectures in Debian and in rpm.
const ARCHITECTURES: [(&str, &str, &str); 8] = [
    ("x86_64", "amd64", "x86_64"),
    ("aarch64", "arm64", "aarch64"),
    ("armv7", "armhf", "armv7hl"),
    ("i686", "i386", "i686"),
    ("loongarch64", "loong64", "loongarch64"),
    ("powerpc64le", "ppc64el", "ppc64le"),
    ("riscv64gc", "riscv64", "riscv64"),
    ("s390x", "s390x", "s390x"),
];

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
    #[arg(long, value_name = "NAME <MAIL>", default_value = MAINTAINER)]
    maintainer: String,
}

/// The contents of the packages, and the parts of their names.
struct Release {
    target: String,
    version: String,
    summary: String,
    maintainer: String,
    /// When the commit was made, in seconds since 1970.
    epoch: u64,
    /// The files: programs, man pages, completions, documents, notices.
    loose: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    make(args).map(drop)
}

/// Files that CI runs the tests with.
struct Made {
    lxkns: PathBuf,
    lxknsd: PathBuf,
    image: PathBuf,
}

fn make(args: &Args) -> anyhow::Result<Made> {
    let host = artifacts::host()?;
    let target = args.target.clone().unwrap_or_else(|| host.clone());
    // The build takes minutes, so missing programs are reported first.
    let architecture = architecture(&target)?;
    if args.check {
        needs::of_check(target == host)?;
    }
    let notices = notices::of(&target)?;
    let programs = if args.check { build::checked_twice(&target)? } else { build::checked(&target)? };
    let writer = build::writers(&target, &host, &programs)?;

    let release = Release::of(target, &args.maintainer)?;
    loose(&release, &programs, &writer, &notices)?;
    let packs = pack(&release, architecture)?;
    sums(&release, &packs)?;

    if args.check {
        ensure!(pack(&release, architecture)? == packs, "a package is another when it is packed again");
        packages::check(&release, &packs)?;
    }
    for pack in &packs {
        println!("{}: {} bytes", pack.path.display(), pack.bytes.len());
    }
    let [lxkns, lxknsd] = ["lxkns", "lxknsd"].map(|name| release.loose.join(name));
    for program in [&lxkns, &lxknsd] {
        println!("{}: {} bytes", program.display(), fs::metadata(program)?.len());
    }
    let image = packs.into_iter().map(|pack| pack.path).find(|path| path.extension().is_some_and(|end| end == "tar"));
    Ok(Made { lxkns, lxknsd, image: image.context("there is no image")? })
}

/// The program alone, built where it is not as the source is.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    Ok(programs()?.0)
}

/// Builds the command and the service as people get them.
pub(crate) fn programs() -> anyhow::Result<(PathBuf, PathBuf)> {
    let programs = build::checked(&artifacts::host()?)?;
    Ok((programs.lxkns, programs.lxknsd))
}

/// Packs the image of the service alone, of a static program that there is or else is built now, and returns its path.
pub(crate) fn image(program: Option<&Path>) -> anyhow::Result<PathBuf> {
    let target = artifacts::host()?;
    let (architecture, _) = architecture(&target)?;
    let program = match program {
        Some(program) => program.to_owned(),
        None => build::checked_service(&target)?,
    };
    let mut files = Tree::default();
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    files.add("lxknsd", read(&program)?);
    files.add("LICENSE", read(Path::new("LICENSE"))?);
    let release = Release::of(target, MAINTAINER)?;
    let path = Path::new(DIRECTORY).join("lxknsd.image.tar");
    fs::create_dir_all(DIRECTORY)?;
    fs::write(&path, service::image(&release, &files, architecture)?)?;
    println!("{}", path.display());
    Ok(path)
}

/// The step of CI: builds and checks everything, then runs the tests of the programs with the packaged ones.
pub(crate) fn all() -> anyhow::Result<()> {
    let made = make(&Args { check: true, maintainer: MAINTAINER.to_owned(), ..Args::default() })?;
    crate::vm::one_file::check(&made.lxkns)?;
    crate::vm::of_service(&made.lxknsd)?;
    crate::test::of_program(&made.lxkns, &made.image)
}

/// The version of this tree.
pub(crate) fn version() -> anyhow::Result<String> {
    Ok(package()?["version"].as_str().unwrap_or_default().to_owned())
}

/// The description of the package that the command is.
fn package() -> anyhow::Result<serde_json::Value> {
    let metadata = output(&mut cargo(["metadata", "--no-deps", "--format-version=1", "--locked"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    packages.iter().find(|package| package["name"] == "lxkns").cloned().context("there is no package lxkns")
}

/// The names of a target's architecture: Debian's and rpm's.
fn architecture(target: &str) -> anyhow::Result<(&'static str, &'static str)> {
    let cpu = target.split('-').next().unwrap_or_default();
    let found = ARCHITECTURES.iter().find(|(name, ..)| *name == cpu);
    found.map(|(_, deb, rpm)| (*deb, *rpm)).with_context(|| format!("no distribution's name for {cpu} is known"))
}

/// The time of everything that is packed.
fn epoch() -> anyhow::Result<u64> {
    if let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") {
        return text.trim().parse().with_context(|| format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds"));
    }
    let commit = Command::new("git").args(["log", "-1", "--format=%ct"]).output();
    let text =
        commit.ok().filter(|git| git.status.success()).map(|git| String::from_utf8_lossy(&git.stdout).into_owned());
    Ok(text.and_then(|text| text.trim().parse().ok()).unwrap_or_else(|| {
        println!("all files are of {}: there is neither a commit nor SOURCE_DATE_EPOCH", date::of(FALLBACK_EPOCH).1);
        FALLBACK_EPOCH
    }))
}

/// 1980, the first year that every archive format has.
const FALLBACK_EPOCH: u64 = 315_532_800;

impl Release {
    /// Of this tree.
    fn of(target: String, maintainer: &str) -> anyhow::Result<Self> {
        let package = package()?;
        let field = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            loose: Path::new(DIRECTORY).join(&target),
            version: field("version"),
            summary: field("description"),
            maintainer: maintainer.to_owned(),
            epoch: epoch()?,
            target,
        })
    }

    /// A line for lists of packages, which cut it at 80 characters.
    fn synopsis(&self) -> &str {
        let short = self.summary.split(", and ").next().unwrap_or_default();
        short.char_indices().nth(79).map_or(short, |(end, _)| &short[..end])
    }
}

/// A package of a distribution, but for what only one of them has.
struct Package<'a> {
    name: &'static str,
    synopsis: String,
    description: &'static str,
    /// The files that both have, below the root of a host.
    data: Tree,
    /// What it is made of.
    loose: &'a Tree,
    /// Where Debian and Fedora have completions for zsh, if it has some.
    zsh: Option<[&'static str; 2]>,
    /// For lintian.
    overrides: &'static str,
    /// The scripts of `.deb`, by name.
    scripts: &'static [(&'static str, &'static str)],
}

impl<'a> Package<'a> {
    /// That of the command.
    fn of_program(release: &Release, loose: &'a Tree) -> anyhow::Result<Self> {
        Ok(Self {
            name: "lxkns",
            synopsis: release.synopsis().to_owned(),
            description: DESCRIPTION,
            data: tree::installed(loose)?,
            loose,
            zsh: Some(["usr/share/zsh/vendor-completions", "usr/share/zsh/site-functions"]),
            overrides: OVERRIDES,
            scripts: &[],
        })
    }
}

const OVERRIDES: &str = "\
# It is no library but a static program that can be loaded anywhere: to be copied to hosts and into containers that have
# no libraries.
lxkns: shared-library-lacks-prerequisites [usr/bin/lxkns]
# It enters mount namespaces, in which there can be no loader and no library.
lxkns: statically-linked-binary [usr/libexec/lxkns/mntnssandbox]
";

/// A pack, as it is in its file.
#[derive(PartialEq, Eq)]
struct Pack {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Packs what people see, in each form.
fn pack(release: &Release, (deb_name, rpm_name): (&str, &str)) -> anyhow::Result<Vec<Pack>> {
    let Release { version, target, epoch, .. } = release;
    let loose = Tree::read(&release.loose)?;
    let directory = format!("lxkns-{version}-{target}");
    let mut packs = vec![(format!("{directory}.tar.zst"), archive::zstd(&archive::tar(&loose, &directory, *epoch)?)?)];
    for package in [Package::of_program(release, &loose)?, service::package(&loose)?] {
        let (name, rpm_version) = (package.name, rpm::version(release));
        let deb = deb::pack(release, &package, deb_name)?;
        packs.push((format!("{name}_{version}-{REVISION}_{deb_name}.deb"), deb));
        let rpm = rpm::pack(release, &package, rpm_name)?;
        packs.push((format!("{name}-{rpm_version}-{REVISION}.{rpm_name}.rpm"), rpm));
    }
    packs.push((format!("lxknsd-{version}-{target}.image.tar"), service::image(release, &loose, deb_name)?));
    let packs = packs.into_iter().map(|(name, bytes)| Pack { path: Path::new(DIRECTORY).join(name), bytes });
    let packs: Vec<Pack> = packs.collect();
    for pack in &packs {
        fs::write(&pack.path, &pack.bytes).with_context(|| format!("cannot write {}", pack.path.display()))?;
    }
    Ok(packs)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Puts what people see side by side.
fn loose(release: &Release, programs: &build::Programs, writer: &build::Writers, notices: &Tree) -> anyhow::Result<()> {
    let to = &release.loose;
    artifacts::fresh(to)?;
    build::install(&programs.lxkns, &to.join("lxkns"))?;
    build::install(&programs.mntnssandbox, &to.join("mntnssandbox"))?;
    build::install(&programs.lxknsd, &to.join("lxknsd"))?;

    let (man, completions) = (to.join("man/man1"), to.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir(&completions)?;
    run_command(Command::new(&writer.lxkns).arg("man").arg(&man))?;
    ensure!(man.join("lxkns.1").exists(), "there is no man page");
    let man = to.join("man/man8");
    fs::create_dir_all(&man)?;
    run_command(Command::new(&writer.lxknsd).arg("man").arg(&man))?;
    for (shell, name) in [("bash", "lxkns.bash"), ("zsh", "_lxkns"), ("fish", "lxkns.fish")] {
        let script = output(Command::new(&writer.lxkns).args(["completions", shell]))?;
        ensure!(script.contains("lxkns"), "there are no completions for {shell}");
        fs::write(completions.join(name), script)?;
    }

    for file in ["README.md", "CHANGELOG.md", "LICENSE"] {
        fs::copy(file, to.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    for (part, files) in
        [("docs", &Tree::read(Path::new("docs"))?), ("deploy", &Tree::read(Path::new("deploy"))?), ("notices", notices)]
    {
        for (path, file) in files.files() {
            let path = to.join(part).join(path);
            fs::create_dir_all(path.parent().context("it is below the directory")?)?;
            fs::write(path, &file.bytes)?;
        }
    }
    Ok(())
}

/// The sums of the packs, and of the programs for those who take only these; as `sha256sum` has them.
fn sums(release: &Release, packs: &[Pack]) -> anyhow::Result<()> {
    let mut sums = String::new();
    let mut add = |path: &Path, bytes: &[u8]| -> anyhow::Result<()> {
        let below = path.strip_prefix(DIRECTORY).context("it is in the directory")?;
        writeln!(sums, "{}  {}", hexadecimal(&Sha256::digest(bytes)), below.display()).map_err(Into::into)
    };
    for pack in packs {
        add(&pack.path, &pack.bytes)?;
    }
    for program in ["lxkns", "mntnssandbox", "lxknsd"] {
        let program = release.loose.join(program);
        add(&program, &fs::read(&program)?)?;
    }
    Ok(fs::write(Path::new(DIRECTORY).join(format!("SHA256SUMS-{}", release.target)), sums)?)
}

/// The contents that the tests pack.
#[cfg(test)]
impl Release {
    fn example() -> Self {
        Self {
            target: "x86_64-unknown-linux-gnu".into(),
            version: "1.2.3".into(),
            summary: "Finds namespaces, and more".into(),
            maintainer: "Somebody <somebody@example.org>".into(),
            epoch: 86_400,
            loose: PathBuf::new(),
        }
    }
}

#[cfg(test)]
fn example() -> Tree {
    let mut loose = Tree::default();
    for path in [
        "lxkns",
        "lxknsd",
        "mntnssandbox",
        "man/man8/lxknsd.8",
        "deploy/systemd/lxknsd.service",
        "deploy/systemd/lxknsd.socket",
        "deploy/systemd/lxknsd.sysusers",
        "deploy/compose.yaml",
        "docs/service.md",
        "man/man1/lxkns.1",
        "completions/lxkns.bash",
        "completions/_lxkns",
        "completions/lxkns.fish",
        "docs/guides/a.md",
        "notices/rust-standard-library.html",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
    ] {
        loose.add(path, path);
    }
    loose.make_program("lxkns");
    loose
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_the_names_of_distributions() {
        assert_eq!(architecture("x86_64-unknown-linux-gnu").unwrap(), ("amd64", "x86_64"));
        assert_eq!(architecture("aarch64-unknown-linux-musl").unwrap(), ("arm64", "aarch64"));
        assert!(architecture("z80-unknown-linux-gnu").is_err());
    }

    #[test]
    fn a_synopsis_is_short() {
        let mut release = Release::example();
        assert_eq!(release.synopsis(), "Finds namespaces");
        release.summary = "ä".repeat(100);
        assert_eq!(release.synopsis().chars().count(), 79);
    }
}
