//! The packs: an archive, and packages for distributions, with each file where it belongs there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::build::{gzip, install};
use super::{DIRECTORY, Release};
use crate::run::{output, run};

/// Who answers for the packages, unless whoever gives them away says so.
pub(super) const MAINTAINER: &str = "lxkns maintainers <lxkns@packages.example.org>";

/// The package's own version of a version.
const REVISION: &str = "1";

const DESCRIPTION: &str = "\
lxkns finds namespaces in every place that can hold one, and not only in
/proc/PID/ns: open files, sockets, bind mounts, threads, other namespaces. It
says what keeps each alive and what would release it, shows the mounts of any
mount namespace, and which capabilities a process has in a namespace.
It changes nothing on the host, and says what it could not see.";

/// What architectures are called by Debian, and by rpm.
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

/// The names of a target's architecture: Debian's and rpm's.
fn architecture(target: &str) -> anyhow::Result<(&'static str, &'static str)> {
    let cpu = target.split('-').next().unwrap_or_default();
    let found = ARCHITECTURES.iter().find(|(name, ..)| *name == cpu);
    found.map(|(_, deb, rpm)| (*deb, *rpm)).with_context(|| format!("no distribution's name for {cpu} is known"))
}

/// How a distribution wants its files.
enum Distribution {
    Debian,
    Fedora,
}

/// `tar.zst`: one directory, to be unpacked anywhere.
pub(super) fn tar(release: &Release) -> anyhow::Result<PathBuf> {
    let name = format!("lxkns-{}-{}", release.version, release.target);
    let pack = Path::new(DIRECTORY).join(format!("{name}.tar.zst"));
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"]);
    tar.arg(format!("--mtime=@{}", release.epoch));
    // On one thread: how many there are would be part of the result.
    tar.args(["--use-compress-program", "zstd -19 --threads=1 --quiet"]);
    tar.arg("--transform").arg(format!("s,^\\.,{name},")).arg("--file").arg(&pack);
    run(tar.arg("--directory").arg(&release.loose).arg("."))?;
    Ok(pack)
}

/// Puts everything where the distribution has such things, below a root.
fn place(release: &Release, root: &Path, distribution: &Distribution) -> anyhow::Result<()> {
    let from = &release.loose;
    let directory = |path: &str| -> anyhow::Result<PathBuf> {
        let path = root.join(path);
        fs::create_dir_all(&path)?;
        Ok(path)
    };
    install(&from.join("lxkns"), &directory("usr/bin")?.join("lxkns"))?;
    install(&from.join("mntnssandbox"), &directory("usr/libexec/lxkns")?.join("mntnssandbox"))?;

    let man = directory("usr/share/man/man1")?;
    for page in fs::read_dir(from.join("man/man1"))? {
        let page = page?;
        let copy = man.join(page.file_name());
        fs::copy(page.path(), &copy)?;
        gzip(&copy)?;
    }
    let zsh = match distribution {
        Distribution::Debian => "usr/share/zsh/vendor-completions",
        Distribution::Fedora => "usr/share/zsh/site-functions",
    };
    for (name, to, installed) in [
        ("lxkns.bash", "usr/share/bash-completion/completions", "lxkns"),
        ("_lxkns", zsh, "_lxkns"),
        ("lxkns.fish", "usr/share/fish/vendor_completions.d", "lxkns.fish"),
    ] {
        fs::copy(from.join("completions").join(name), directory(to)?.join(installed))?;
    }
    let documents = directory("usr/share/doc/lxkns")?;
    fs::copy(from.join("README.md"), documents.join("README.md"))?;
    for part in ["docs", "notices"] {
        copy_below(&from.join(part), &documents.join(part))?;
    }
    Ok(())
}

/// A directory to put a package's files in, which goes with the run.
fn stage() -> anyhow::Result<tempfile::TempDir> {
    let stage = tempfile::Builder::new().prefix("lxkns-dist-").tempdir()?;
    // It is the package's own root.
    fs::set_permissions(stage.path(), fs::Permissions::from_mode(0o755))?;
    Ok(stage)
}

/// `.deb`.
pub(super) fn deb(release: &Release) -> anyhow::Result<PathBuf> {
    let (architecture, _) = architecture(&release.target)?;
    let stage = stage()?;
    let root = stage.path();
    place(release, root, &Distribution::Debian)?;

    let version = format!("{}-{REVISION}", release.version);
    let Release { version: upstream, summary, maintainer, epoch, .. } = release;
    let documents = root.join("usr/share/doc/lxkns");
    fs::copy(release.loose.join("CHANGELOG.md"), documents.join("changelog"))?;
    let date =
        |form| output(Command::new("date").args(["--utc", form]).arg(format!("--date=@{epoch}")).env("LC_ALL", "C"));
    fs::write(documents.join("copyright"), COPYRIGHT.replace("YEAR", date("+%Y")?.trim_end()))?;
    let entry = format!(
        "lxkns ({version}) unstable; urgency=medium\n\n  * lxkns {upstream}.\n\n -- {maintainer}  {}\n",
        date("--rfc-email")?.trim_end()
    );
    fs::write(documents.join("changelog.Debian"), entry)?;
    for document in ["changelog", "changelog.Debian", "notices/rust-standard-library.html"] {
        gzip(&documents.join(document))?;
    }
    let overrides = root.join("usr/share/lintian/overrides");
    fs::create_dir_all(&overrides)?;
    fs::write(overrides.join("lxkns"), OVERRIDES)?;

    let files = files(root)?;
    let kilobytes: u64 = files.iter().map(|(_, bytes)| bytes.div_ceil(1024)).sum();
    let control = root.join("DEBIAN");
    fs::create_dir(&control)?;
    let description = DESCRIPTION.replace('\n', "\n ");
    fs::write(
        control.join("control"),
        format!(
            "Package: lxkns\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {maintainer}\n\
             Installed-Size: {kilobytes}\nSection: admin\nPriority: optional\n\
             Description: {}\n {description}\n",
            synopsis(summary)
        ),
    )?;
    let sums = output(Command::new("md5sum").arg("--").args(files.iter().map(|(path, _)| path)).current_dir(root))?;
    fs::write(control.join("md5sums"), sums)?;

    let pack = Path::new(DIRECTORY).join(format!("lxkns_{version}_{architecture}.deb"));
    let mut build = Command::new("dpkg-deb");
    build.args(["--build", "--root-owner-group", "-Zxz"]).arg(root).arg(&pack);
    // Of the control files the time is taken as it is.
    touch(root, *epoch)?;
    run(build.env("SOURCE_DATE_EPOCH", epoch.to_string()))?;
    Ok(pack)
}

/// `.rpm`.
pub(super) fn rpm(release: &Release) -> anyhow::Result<PathBuf> {
    let (_, architecture) = architecture(&release.target)?;
    let stage = stage()?;
    let root = stage.path().join("files");
    place(release, &root, &Distribution::Fedora)?;
    let licences = root.join("usr/share/licenses/lxkns");
    fs::create_dir_all(&licences)?;
    fs::copy(release.loose.join("LICENSE"), licences.join("LICENSE"))?;
    fs::rename(root.join("usr/share/doc/lxkns/notices"), licences.join("notices"))?;
    fs::copy(release.loose.join("CHANGELOG.md"), root.join("usr/share/doc/lxkns/CHANGELOG.md"))?;
    touch(stage.path(), release.epoch)?;

    let spec = stage.path().join("lxkns.spec");
    let files = files(&root)?;
    let listed: String = own_directories(&files).iter().map(|path| format!("%dir /{path}\n")).collect();
    let listed = files.iter().fold(listed, |listed, (path, _)| listed + &list(path));
    fs::write(
        &spec,
        format!(
            "Name: lxkns\nVersion: {}\nRelease: {REVISION}\nSummary: {}\nLicense: Apache-2.0\nPackager: {}\n\
             # Nothing is looked for in the files: they are static, and need nothing.\n\
             AutoReqProv: no\n\n%description\n{DESCRIPTION}\n\n\
             %install\ncp --archive --no-target-directory '{}' '%{{buildroot}}'\n\n\
             %files\n%defattr(-,root,root,-)\n{listed}",
            // There a blank or a dash would mean something.
            release.version.replace('-', "~"),
            synopsis(&release.summary),
            release.maintainer,
            root.display()
        ),
    )?;
    let mut build = Command::new("rpmbuild");
    build.args(["-bb", "--quiet", "--target", architecture]);
    for (name, value) in [
        ("_topdir", stage.path().join("top").display().to_string()),
        // What it would do to the files is done: they are stripped and compressed.
        ("__os_install_post", "%{nil}".to_owned()),
        ("debug_package", "%{nil}".to_owned()),
        ("_build_id_links", "none".to_owned()),
        ("_buildhost", "localhost".to_owned()),
        ("use_source_date_epoch_as_buildtime", "1".to_owned()),
        ("clamp_mtime_to_source_date_epoch", "1".to_owned()),
        ("_binary_payload", "w19.zstdio".to_owned()),
    ] {
        build.arg("--define").arg(format!("{name} {value}"));
    }
    run(build.arg(&spec).env("SOURCE_DATE_EPOCH", release.epoch.to_string()))?;

    let name = format!("lxkns-{}-{REVISION}.{architecture}.rpm", release.version.replace('-', "~"));
    let built = stage.path().join("top/RPMS").join(architecture).join(&name);
    let pack = Path::new(DIRECTORY).join(name);
    fs::copy(&built, &pack).with_context(|| format!("cannot copy {}", built.display()))?;
    Ok(pack)
}

/// The directories that are nobody else's, which go with the package: those called `lxkns`, and all below them.
fn own_directories(files: &[(String, u64)]) -> BTreeSet<&str> {
    let mut own = BTreeSet::new();
    for (path, _) in files {
        let Some(at) = path.find("/lxkns/") else { continue };
        let below = path.match_indices('/').filter(|(slash, _)| *slash > at);
        own.extend(below.map(|(slash, _)| &path[..slash]));
    }
    own
}

/// A line of `%files`: documents and licences are marked as such.
fn list(path: &str) -> String {
    let mark = match path {
        path if path.starts_with("usr/share/licenses/") => "%license ",
        path if path.starts_with("usr/share/doc/") => "%doc ",
        _ => "",
    };
    format!("{mark}/{path}\n")
}

/// All files below a root, sorted, with their sizes.
fn files(root: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                todo.push(entry.path());
            } else if kind.is_file() {
                let path = entry.path();
                let below = path.strip_prefix(root)?.to_str().context("names of files are plain")?;
                found.push((below.to_owned(), entry.metadata()?.len()));
            } else {
                bail!("{} is no file", entry.path().display());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Copies a directory, with all below it.
pub(super) fn copy_below(from: &Path, to: &Path) -> anyhow::Result<()> {
    for (file, _) in files(from)? {
        let copy = to.join(&file);
        fs::create_dir_all(copy.parent().context("it is below the directory")?)?;
        fs::copy(from.join(&file), &copy).with_context(|| format!("cannot copy {file}"))?;
    }
    Ok(())
}

/// Gives everything below a root one time.
fn touch(root: &Path, epoch: u64) -> anyhow::Result<()> {
    run(Command::new("find").arg(root).args(["-exec", "touch", "--date"]).arg(format!("@{epoch}")).args(["{}", "+"]))
}

/// A line for lists of packages, which cut it at 80 characters.
fn synopsis(summary: &str) -> String {
    let short = summary.split(", and ").next().unwrap_or_default();
    short.chars().take(79).collect()
}

const COPYRIGHT: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: lxkns

Files: *
Copyright: YEAR the authors of lxkns
License: Apache-2.0
Comment:
 The programs are static. The notices of all that is linked into them are in
 /usr/share/doc/lxkns/notices: crates, Rust's standard library, and the GNU C
 Library, which is under the LGPL-2.1+.

License: Apache-2.0
 On Debian systems, the text of the Apache License, Version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
";

const OVERRIDES: &str = "\
# It is no library but a static program that can be loaded anywhere: to be copied to hosts and into containers that have
# no libraries.
lxkns: shared-library-lacks-prerequisites [usr/bin/lxkns]
# It enters mount namespaces, in which there can be no loader and no library.
lxkns: statically-linked-binary [usr/libexec/lxkns/mntnssandbox]
";

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
    fn files_are_listed_as_what_they_are() {
        assert_eq!(list("usr/bin/lxkns"), "/usr/bin/lxkns\n");
        assert_eq!(list("usr/share/doc/lxkns/README.md"), "%doc /usr/share/doc/lxkns/README.md\n");
        assert_eq!(list("usr/share/licenses/lxkns/LICENSE"), "%license /usr/share/licenses/lxkns/LICENSE\n");
    }

    #[test]
    fn directories_of_the_package_go_with_it() {
        let files = ["usr/bin/lxkns", "usr/share/doc/lxkns/docs/guides/a.md", "usr/share/man/man1/lxkns.1.gz"];
        let files = files.map(|path| (path.to_owned(), 0));
        let own: Vec<_> = own_directories(&files).into_iter().collect();
        assert_eq!(own, ["usr/share/doc/lxkns", "usr/share/doc/lxkns/docs", "usr/share/doc/lxkns/docs/guides"]);
    }

    #[test]
    fn all_files_are_found_in_order() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("b/c")).unwrap();
        fs::write(root.path().join("b/c/d"), "12").unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        assert_eq!(files(root.path()).unwrap(), [("a".to_owned(), 0), ("b/c/d".to_owned(), 2)]);
    }
}
