//! Kernels to try: any file, or one of Debian's.
//!
//! Of Debian's packages nothing is installed: they are fetched with apt through lists of our own, with the mirror and
//! the keys of the host, and unpacked into a directory of the user's cache, where they stay.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::debian;
use crate::run::{output, run};

/// The kernels of CI. With SELinux: one kernel without `lsm_set_self_attr(2)`, and one with it.
pub(super) const DEFAULT: [&str; 7] = ["5.10", "6.1", "6.12", "7.2", "6.1+selinux", "7.2+selinux", "6.12+lockdown"];

/// Those of them with an older and a newer one on either side.
pub(super) const BETWEEN: [&str; 2] = ["6.1", "6.12"];

/// The suffix of a version with SELinux in place of AppArmor.
const WITH_SELINUX: &str = "+selinux";

/// The suffix of a version whose kernel does not let its memory be read.
const WITH_LOCKDOWN: &str = "+lockdown";

/// Where Debian has them, newest last, and whether that is in its archive of security updates.
const SUITES: [(&str, bool); 4] = [("bullseye-security", true), ("bookworm", false), ("trixie", false), ("sid", false)];
/// The package that always depends on the newest kernel of a suite; cloud kernels have built in what machines need.
const NEWEST: &str = "linux-image-cloud-amd64";
/// Features that the tests need and that some kernels have as modules.
const MODULES: [&str; 9] =
    ["tun", "fuse", "overlay", "autofs4", "binfmt_misc", "inet_diag", "tcp_diag", "udp_diag", "unix_diag"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A kernel to try.
pub(super) struct Kernel {
    /// The user's name for it.
    pub(super) name: String,
    pub(super) image: PathBuf,
    /// To be loaded in this order.
    pub(super) modules: Vec<PathBuf>,
    /// Whether it is started with SELinux, and for the tests of that alone.
    pub(super) selinux: bool,
    /// Whether it is started with lockdown at "confidentiality", and for the tests of that alone.
    pub(super) lockdown: bool,
}

impl Kernel {
    pub(super) fn of_file(image: &Path, modules: &[PathBuf]) -> Self {
        let (name, image, modules) = (image.display().to_string(), image.into(), modules.to_vec());
        Self { name, image, modules, selinux: false, lockdown: false }
    }

    /// The name, as part of a file's.
    pub(super) fn file_name(&self) -> String {
        self.name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-")
    }
}

/// Debian's kernels of these versions, fetched where they are not in the cache.
pub(super) fn of_debian(versions: &[&str]) -> anyhow::Result<Vec<Kernel>> {
    let cache = debian::cache("lxkns-kernels")?;
    let plain = versions.iter().map(|version| version.split('+').next().unwrap_or(version));
    let missing: BTreeSet<&str> = plain.filter(|version| !is_whole(&cache.join(version))).collect();
    for version in &missing {
        // Fetched when the tests needed other modules.
        let old = cache.join(version);
        if old.exists() {
            fs::remove_dir_all(&old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    if !missing.is_empty() {
        let apt = Apt::new(&cache)?;
        for version in missing {
            println!("fetching Linux {version}");
            apt.fetch(version, &cache.join(version)).with_context(|| format!("cannot fetch Linux {version}"))?;
        }
    }
    Ok(versions.iter().map(|version| unpacked(version, &cache)).collect())
}

/// The file that lists the requested modules.
const LIST: &str = "modules";

/// Whether a directory of the cache has all that is wanted of a kernel.
fn is_whole(directory: &Path) -> bool {
    fs::read_to_string(directory.join(LIST)).is_ok_and(|list| list == MODULES.join("\n"))
}

/// The packages that [`Apt::fetch`] has left in the cache.
fn unpacked(name: &str, cache: &Path) -> Kernel {
    let directory = cache.join(name.split('+').next().unwrap_or(name));
    let modules = MODULES.map(|name| directory.join(format!("{name}.ko")));
    Kernel {
        name: name.to_owned(),
        image: directory.join("vmlinuz"),
        modules: modules.into_iter().filter(|module| module.exists()).collect(),
        selinux: name.ends_with(WITH_SELINUX),
        lockdown: name.ends_with(WITH_LOCKDOWN),
    }
}

/// An apt that knows these suites and nothing of the host.
struct Apt {
    config: PathBuf,
}

impl Apt {
    fn new(cache: &Path) -> anyhow::Result<Self> {
        let mut sources = String::new();
        for (suite, is_security) in SUITES {
            let mirror = debian::mirror(if is_security { "/debian-security" } else { "/debian" })
                .context("name a kernel with --kernel")?;
            sources += &format!("deb [arch=amd64 signed-by={KEYRING}] {mirror} {suite} main\n");
        }
        let root = cache.join("apt");
        fs::create_dir_all(root.join("lists/partial"))?;
        fs::write(root.join("sources.list"), sources)?;
        let root = root.display();
        let config = cache.join("apt/apt.conf");
        let text = format!(
            "Dir::Etc::SourceList \"{root}/sources.list\";\nDir::Etc::SourceParts \"-\";\n\
             Dir::State::Lists \"{root}/lists\";\nDir::Cache \"{root}\";\n\
             Acquire::Languages \"none\";\nAcquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
             APT::Sandbox::User \"\";\nAPT::Architecture \"amd64\";\n"
        );
        fs::write(&config, text)?;
        let apt = Self { config };
        run(apt.command("apt-get").args(["update", "--quiet=2"]))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config).env("LC_ALL", "C");
        command
    }

    /// The newest packages of this version that the kernel's image and modules are in.
    fn packages(&self, version: &str) -> anyhow::Result<Vec<String>> {
        let known = output(self.command("apt-cache").args(["show", NEWEST]))?;
        let is_wanted = |found: &str| found.strip_prefix(version).is_some_and(|rest| rest.starts_with('.'));
        let stanza = known.split("\n\n").find(|stanza| field(stanza, "Version").is_some_and(is_wanted));
        let mut found = parts(stanza.with_context(|| {
            let versions: Vec<_> = known.split("\n\n").filter_map(|stanza| field(stanza, "Version")).collect();
            format!("Debian has no such kernel; it has {}", versions.join(", "))
        })?);
        // An image of today is only a frame for the packages that it depends on.
        let mut next = 0;
        while let Some(package) = found.get(next) {
            let stanza = output(self.command("apt-cache").args(["show", package]))?;
            let more: Vec<_> = parts(&stanza).into_iter().filter(|part| !found.contains(part)).collect();
            found.extend(more);
            next += 1;
        }
        Ok(found)
    }

    /// Fetches a kernel, and leaves `vmlinuz` and `NAME.ko` in a directory.
    fn fetch(&self, version: &str, to: &Path) -> anyhow::Result<()> {
        let packages = self.packages(version)?;
        let work = tempfile::Builder::new().prefix("fetch-").tempdir_in(to.parent().context("it is in the cache")?)?;
        let (debs, tree, kernel) = (work.path().join("debs"), work.path().join("tree"), work.path().join("kernel"));
        for directory in [&debs, &tree, &kernel] {
            fs::create_dir(directory)?;
        }
        run(self.command("apt-get").args(["download", "--quiet=2"]).args(packages).current_dir(&debs))?;
        for deb in fs::read_dir(&debs)? {
            run(Command::new("dpkg-deb").arg("--extract").arg(deb?.path()).arg(&tree))?;
        }
        let files = files(&tree)?;
        let named = |wanted: &dyn Fn(&str) -> bool| files.iter().find(|path| wanted(&file_name(path)));
        let image = named(&|name| name == "vmlinuz" || name.starts_with("vmlinuz-")).context("no vmlinuz in it")?;
        fs::copy(image, kernel.join("vmlinuz"))?;
        for module in MODULES.map(|name| format!("{name}.ko")) {
            // One that is missing is built in; a test that needs it and lacks it says so.
            let Some(packed) = named(&|name| name == module || name == format!("{module}.xz")) else { continue };
            let unpacked = kernel.join(&module);
            if file_name(packed) == module {
                fs::copy(packed, unpacked)?;
            } else {
                let xz = Command::new("xz").args(["--decompress", "--stdout"]).arg(packed).output();
                let xz = xz.context("cannot run xz (Debian: xz-utils)")?;
                ensure!(xz.status.success(), "xz: {}", xz.status);
                fs::write(unpacked, xz.stdout)?;
            }
        }
        fs::write(kernel.join(LIST), MODULES.join("\n"))?;
        match fs::rename(&kernel, to) {
            // Somebody else was faster.
            Err(_) if to.exists() => Ok(()),
            renamed => renamed.with_context(|| format!("cannot make {}", to.display())),
        }
    }
}

/// A field of a package's description.
fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The packages among the dependencies that are parts of a kernel.
fn parts(stanza: &str) -> Vec<String> {
    let names = field(stanza, "Depends").unwrap_or_default().split(", ").filter_map(|one| one.split(' ').next());
    let is_part =
        |name: &&str| ["linux-image-", "linux-binary-", "linux-modules-"].iter().any(|prefix| name.starts_with(prefix));
    names.filter(is_part).map(str::to_owned).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// All files below a directory.
fn files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut todo = vec![directory.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { todo.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    if found.is_empty() {
        bail!("the packages are empty");
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_kernel_are_told_from_its_tools() {
        let stanza = "Package: linux-image-7.2\nVersion: 7.2.13-1\n\
                      Depends: dracut | initramfs-tools (>= 0.1), linux-base-7.2 (= 1), linux-binary-7.2 (= 1), linux-modules-7.2";
        assert_eq!(parts(stanza), ["linux-binary-7.2", "linux-modules-7.2"]);
        assert_eq!(field(stanza, "Version"), Some("7.2.13-1"));
        assert_eq!(field(stanza, "Vers"), None);
    }

    #[test]
    fn a_kernel_with_selinux_is_the_same_file() {
        let [plain, selinux] = ["6.1", "6.1+selinux"].map(|name| unpacked(name, Path::new("/cache")));
        assert_eq!((plain.selinux, selinux.selinux), (false, true));
        assert_eq!(plain.image, selinux.image);
        assert_ne!(plain.file_name(), selinux.file_name());
        let locked = unpacked("6.1+lockdown", Path::new("/cache"));
        assert_eq!((locked.selinux, locked.lockdown, locked.image), (false, true, plain.image));
    }

    #[test]
    fn names_of_files_are_plain() {
        let kernel = Kernel::of_file(Path::new("/boot/vmlinuz 6.1"), &[]);
        assert_eq!(kernel.file_name(), "-boot-vmlinuz-6.1");
    }
}
