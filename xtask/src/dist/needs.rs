//! The programs that `--check` needs beyond Rust and a C compiler, checked before anything is built.

use std::path::Path;

use anyhow::ensure;

use super::roots;

/// A program, and the package of Debian that it comes in.
const PROGRAMS: [(&str, &str); 5] =
    [("git", "git"), ("chroot", "coreutils"), ("cp", "coreutils"), ("lintian", "lintian"), ("rpm", "rpm")];
/// The program that makes a root to install into.
const FOR_ROOTS: [(&str, &str); 2] = [("debootstrap", "debootstrap"), ("apt-get", "apt")];

/// Says in one line what is missing for `--check`.
pub(super) fn of_check(is_host: bool) -> anyhow::Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = std::env::split_paths(&path).collect();
    let mut needed = PROGRAMS.to_vec();
    if !roots::has_debian() {
        needed.extend(FOR_ROOTS);
    }
    let has = |program: &str| directories.iter().any(|directory| is_program(&directory.join(program)));
    needed.retain(|(program, _)| !has(program));
    let is_root = rustix::process::geteuid().is_root();
    ensure!(needed.is_empty(), "--check needs {}", missing(&needed));
    ensure!(is_root, "--check installs packages, so it has to be run by root");
    ensure!(is_host, "--check runs the programs, so it takes no --target but that of this host");
    Ok(())
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// The packages to install.
fn missing(needed: &[(&str, &str)]) -> String {
    let programs: Vec<_> = needed.iter().map(|(program, _)| *program).collect();
    let mut packages: Vec<_> = needed.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    format!("{}; on Debian: apt-get install {}", programs.join(", "), packages.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_one_line() {
        let line = missing(&[("chroot", "coreutils"), ("cp", "coreutils"), ("rpm", "rpm")]);
        assert_eq!(line, "chroot, cp, rpm; on Debian: apt-get install coreutils rpm");
    }

    #[test]
    fn only_what_can_be_run_is_a_program() {
        assert!(is_program(Path::new("/proc/self/exe")));
        assert!(!is_program(Path::new("/proc/self/status")));
        assert!(!is_program(Path::new("/")));
    }
}
