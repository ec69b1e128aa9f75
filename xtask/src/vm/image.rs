//! The initramfs of a machine: our programs, the modules that they need, a few programs of the host, and nothing else.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use cpio::newc::{Builder, trailer};

use super::kernels::Kernel;

const DIRECTORY: u32 = 0o040_755;
const DEVICE: u32 = 0o020_666;
const PROGRAM: u32 = 0o100_755;

/// Programs of the host that tests run in other namespaces, or that prepare processes.
const TOOLS: [&str; 23] = [
    "busybox", "cat", "chmod", "choom", "cp", "env", "false", "id", "ls", "nsenter", "perl", "pwd", "readlink", "seq",
    "setpriv", "setsid", "sh", "stty", "tail", "true", "tty", "uname", "unshare",
];

/// Loads the service's profile.
const PARSER: &str = "apparmor_parser";

/// The service's profile for AppArmor, and the features that it names, by where they are in the machine.
const PROFILE: [(&str, &str); 2] =
    [("etc/apparmor.d/lxknsd", "deploy/apparmor/lxknsd"), ("etc/apparmor.d/abi/3.0", "/etc/apparmor.d/abi/3.0")];

/// What is tried on the host alone, by parts of names: what takes long wherever it runs; and what the program makes of its
/// arguments, of dumps and of the terminal, which is the same on every kernel.
pub(super) const NOT_OF_THE_KERNEL: [&str; 17] = [
    "busy_holders::page",
    "churn",
    "a_thousand_visits",
    "all_output_in_order",
    "cli::errors",
    "cli::from",
    "cli::golden",
    "cli::help",
    "cli::hostile",
    "cli::numbers",
    "cli::schemas",
    "cli::streams",
    "cli::terminal",
    "engines::many",
    "of_a_dump",
    "hostile_dump",
    "as_deep_as_can_be",
];

/// What commands make of what was found: it takes most of the time.
pub(super) const OF_COMMANDS: [&str; 5] = ["answers::", "audit::", "cli::", "engines::", "ports::"];

/// All that is tried where a kernel was started with SELinux.
pub(super) const OF_SELINUX: &str = "enter::selinux";
/// The same, with lockdown.
pub(super) const OF_LOCKDOWN: &str = "lockdown::";
/// All that is tried of the service.
pub(super) const OF_SERVICE: &str = "confined_service::";

/// What a machine runs.
pub(super) struct Programs<'a> {
    pub(super) init: &'a Path,
    pub(super) live: &'a Path,
    pub(super) lxkns: &'a Path,
    /// A static `lxknsd`, for the tests of its profile.
    pub(super) service: Option<&'a Path>,
}

/// Writes the initramfs for this kernel into a directory, with arguments for the tests, one a line.
/// `tests/init/src/main.rs`, which runs there, has a list of its contents.
pub(super) fn write(
    kernel: &Kernel,
    programs: &Programs<'_>,
    arguments: &str,
    directory: &Path,
) -> anyhow::Result<PathBuf> {
    let path = directory.join(format!("{}.cpio", kernel.file_name()));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut archive = Archive { to: BufWriter::new(file), entries: 0 };
    for name in ["dev", "proc", "sys", "modules", "bin", "lib", "lib64"] {
        archive.add(name, DIRECTORY, (0, 0), &[])?;
    }
    // The kernel opens the first one for init before there is any other file system.
    archive.add("dev/console", DEVICE, (5, 1), &[])?;
    archive.add("dev/null", DEVICE, (1, 3), &[])?;
    for (name, from) in [("init", programs.init), ("live", programs.live), ("lxkns", programs.lxkns)] {
        archive.add_file(name, from)?;
    }
    let mut tools = TOOLS.to_vec();
    if let Some(service) = programs.service {
        archive.add_file("lxknsd", service)?;
        for name in ["etc", "etc/apparmor.d", "etc/apparmor.d/abi"] {
            archive.add(name, DIRECTORY, (0, 0), &[])?;
        }
        for (name, from) in PROFILE {
            archive.add_file(name, Path::new(from))?;
        }
        tools.push(PARSER);
    }
    for (name, from) in with_libraries(&tools)? {
        archive.add_file(&name, &from)?;
    }
    for (n, module) in kernel.modules.iter().enumerate() {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.add_file(&format!("modules/{n}-{name}"), module)?;
    }
    archive.add("arguments", PROGRAM, (0, 0), arguments.as_bytes())?;
    trailer(archive.to)?.into_inner()?.sync_data()?;
    Ok(path)
}

/// Writes an initramfs in which there is one program, and what starts it with these arguments.
pub(super) fn write_one_file(init: &Path, program: &Path, arguments: &str, path: &Path) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut archive = Archive { to: BufWriter::new(file), entries: 0 };
    for name in ["dev", "proc"] {
        archive.add(name, DIRECTORY, (0, 0), &[])?;
    }
    for (name, number) in [("dev/console", (5, 1)), ("dev/null", (1, 3)), ("dev/ttyS1", (4, 65))] {
        archive.add(name, DEVICE, number, &[])?;
    }
    archive.add_file("init", init)?;
    archive.add_file("lxkns", program)?;
    archive.add("arguments", PROGRAM, (0, 0), arguments.as_bytes())?;
    Ok(trailer(archive.to)?.into_inner()?.sync_data()?)
}

/// Programs and the libraries that they load, by where they are in the machine.
fn with_libraries(programs: &[&str]) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = |name: &str| std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    let mut files = Vec::new();
    let mut libraries = BTreeSet::new();
    for name in programs {
        let file = find(name).with_context(|| format!("there is no {name} for the machines"))?;
        // Of a program that loads none it says so, and fails.
        let loaded = Command::new("ldd").arg(&file).output().context("cannot run ldd")?;
        let loaded = String::from_utf8_lossy(&loaded.stdout);
        libraries.extend(loaded.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
        files.push((format!("bin/{name}"), file));
    }
    for library in libraries {
        let name = library.file_name().unwrap_or_default().to_string_lossy();
        // The loader is where the programs say; the others, where it looks.
        let directory = if library.starts_with("/lib64") { "lib64" } else { "lib" };
        files.push((format!("{directory}/{name}"), library));
    }
    Ok(files)
}

struct Archive {
    to: BufWriter<File>,
    entries: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, device: (u32, u32), contents: &[u8]) -> anyhow::Result<()> {
        self.entries += 1;
        let entry = Builder::new(name).ino(self.entries).mode(mode).rdev_major(device.0).rdev_minor(device.1);
        let mut writer = entry.write(&mut self.to, u32::try_from(contents.len())?);
        writer.write_all(contents)?;
        writer.finish()?;
        Ok(())
    }

    fn add_file(&mut self, name: &str, from: &Path) -> anyhow::Result<()> {
        let contents = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.add(name, PROGRAM, (0, 0), &contents)
    }
}
