//! Finds the helper program.

use std::ffi::OsString;
use std::fs::Metadata;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::{Error, ErrorKind};

const NAME: &str = "mntnssandbox";
/// The environment variable that names the helper to run.
const VARIABLE: &str = "LXKNS_SANDBOX";

#[cfg(carries_helper)]
const CARRIED: Option<&[u8]> = Some(include_bytes!(concat!(env!("OUT_DIR"), "/mntnssandbox")));
#[cfg(not(carries_helper))]
const CARRIED: Option<&[u8]> = None;

/// The helper program that this library contains, an ELF program that can be installed as a file. `None` on
/// architectures that it does not support.
pub fn carried_helper() -> Option<&'static [u8]> {
    CARRIED
}

/// The source of the helper program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HelperProgram {
    /// The first that exists of: the file in the environment variable `LXKNS_SANDBOX` (ignored if the program has more
    /// privileges than its caller); `mntnssandbox` beside the running program; the same in `../libexec/lxkns` from
    /// there; the copy in this library. The two files in the middle count only if they can be run, and only root, the
    /// owner of the running program, or the caller (if the program has no more privileges than the caller) can have put
    /// them there. `PATH` does not count.
    #[default]
    Find,
    /// This file; a relative path starts at the current working directory.
    File(PathBuf),
    /// The copy in this library.
    Carried,
}

impl HelperProgram {
    /// Resolves [`Find`](Self::Find) to a file or the copy in this library. Does not check that it can be started.
    #[must_use]
    pub fn found(&self) -> Self {
        match self {
            Self::Find => find(std::env::var_os(VARIABLE), lxkns_sys::at_secure(), &running()),
            given => given.clone(),
        }
    }
}

/// A program that can be started.
#[derive(Debug)]
pub(crate) struct Program {
    /// The path by which it is started.
    pub(crate) path: PathBuf,
    /// The descriptor of the copy, if the path leads to it.
    _copy: Option<OwnedFd>,
}

impl Program {
    pub(crate) fn new(from: &HelperProgram) -> Result<Self, Error> {
        match from.found() {
            // A bare name would be searched in PATH.
            HelperProgram::File(path) => match std::path::absolute(&path) {
                Ok(path) => Ok(Self { path, _copy: None }),
                Err(error) => {
                    Err(Error::io(ErrorKind::NoHelper, format!("find the helper {}", path.display()), &error))
                }
            },
            _ => carried(),
        }
    }
}

/// The path and owner of the running program.
fn running() -> Option<(PathBuf, u32)> {
    // The kernel's link has no symbolic links in it; that of a fake procfs can.
    let path = std::env::current_exe().ok()?.canonicalize().ok()?;
    let owner = std::fs::metadata(&path).ok()?.uid();
    Some((path, owner))
}

/// Finds the helper to use.
fn find(variable: Option<OsString>, is_secure: bool, running: &Option<(PathBuf, u32)>) -> HelperProgram {
    if let Some(path) = variable.filter(|path| !is_secure && !path.is_empty()) {
        return HelperProgram::File(path.into());
    }
    let found = running.as_ref().and_then(|(program, owner)| {
        let directory = program.parent()?;
        let caller = rustix::process::geteuid().as_raw();
        // A caller with fewer privileges than the program can have placed the program, or a link to it, beside a helper
        // of its own.
        let trusted = [0, if is_secure { 0 } else { caller }, *owner];
        [Some(directory.join(NAME)), directory.parent().map(|prefix| prefix.join("libexec/lxkns").join(NAME))]
            .into_iter()
            .flatten()
            .find(|path| is_trusted(path, &trusted) && can_be_run(path))
    });
    found.map_or(HelperProgram::Carried, HelperProgram::File)
}

/// Whether only these users can have placed this file, and can replace it before it is run. A symbolic link on the way
/// counts as another user's.
fn is_trusted(path: &Path, trusted: &[u32]) -> bool {
    let is_theirs = |metadata: &Metadata| trusted.contains(&metadata.uid()) && metadata.mode() & 0o022 == 0;
    // In a sticky ancestor directory such as /tmp, other users can add names but not replace these.
    let is_sticky = |metadata: &Metadata| trusted.contains(&metadata.uid()) && metadata.mode() & 0o1000 != 0;
    let directory = |path: &Path| std::fs::symlink_metadata(path).ok().filter(Metadata::is_dir);
    let file = std::fs::symlink_metadata(path).ok().filter(Metadata::is_file);
    let mut above = path.ancestors().skip(1);
    file.is_some_and(|file| is_theirs(&file))
        && above.next().and_then(directory).is_some_and(|directory| is_theirs(&directory))
        && above.all(|path| directory(path).is_some_and(|directory| is_theirs(&directory) || is_sticky(&directory)))
}

/// Whether this file can be run: its file system is not mounted `noexec`.
fn can_be_run(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Puts the copy into sealed memory.
fn carried() -> Result<Program, Error> {
    let Some(bytes) = CARRIED else {
        let operation = format!("find {NAME}: none is carried inside for this architecture");
        return Err(Error::new(ErrorKind::NoHelper, operation));
    };
    let copy = lxkns_sys::sealed_program(NAME, &mut &*bytes).map_err(|error| {
        let operation = match Errno::from_io_error(&error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => "run the helper from memory",
            _ => {
                "run the helper from memory (vm.memfd_noexec forbids that where it is 2; a file named mntnssandbox beside \
                 the program is used instead)"
            }
        };
        Error::io(ErrorKind::NoHelper, operation, &error)
    })?;
    // The child has a descriptor with the same number until it runs the program.
    let path = format!("{}/self/fd/{}", lxkns_core::ProcRoot::PATH, copy.as_raw_fd()).into();
    Ok(Program { path, _copy: Some(copy) })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_variable_counts_first_but_not_with_powers_that_the_caller_has_not() {
        let variable = || Some(OsString::from("/somewhere/helper"));
        assert_eq!(find(variable(), false, &None), HelperProgram::File("/somewhere/helper".into()));
        assert_eq!(find(variable(), true, &None), HelperProgram::Carried);
        assert_eq!(find(Some(OsString::new()), false, &None), HelperProgram::Carried);
    }

    #[test]
    fn a_file_counts_only_where_nobody_else_can_have_put_it() {
        let directory = tempfile::tempdir().unwrap();
        let prefix = directory.path().canonicalize().unwrap();
        let bin = prefix.join("bin");
        let libexec = prefix.join("libexec/lxkns");
        for directory in [&bin, &libexec] {
            fs::create_dir_all(directory).unwrap();
        }
        for directory in [&prefix, &bin, &prefix.join("libexec"), &libexec] {
            fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
        }
        let running = Some((bin.join("lxkns"), rustix::process::geteuid().as_raw()));
        assert_eq!(find(None, false, &running), HelperProgram::Carried);

        let put = |path: &Path, mode| {
            fs::write(path, b"").unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        let (beside, below) = (bin.join(NAME), libexec.join(NAME));
        put(&below, 0o755);
        assert_eq!(find(None, false, &running), HelperProgram::File(below.clone()));
        put(&beside, 0o755);
        assert_eq!(find(None, false, &running), HelperProgram::File(beside.clone()));
        put(&beside, 0o775);
        assert_eq!(find(None, false, &running), HelperProgram::File(below.clone()), "the group can write to it");
        put(&beside, 0o755);
        let of_another = Some((bin.join("lxkns"), 4_000_000_000));
        assert_eq!(find(None, false, &of_another), HelperProgram::File(beside.clone()));
        if !rustix::process::geteuid().is_root() {
            assert_eq!(find(None, true, &of_another), HelperProgram::Carried, "the caller could have put it there");
        }
        put(&beside, 0o644);
        assert_eq!(find(None, false, &running), HelperProgram::File(below.clone()), "it may not be run");
        put(&beside, 0o755);
        fs::set_permissions(&prefix, Permissions::from_mode(0o775)).unwrap();
        assert_eq!(find(None, false, &running), HelperProgram::Carried, "the group can put another directory there");
        fs::set_permissions(&prefix, Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(find(None, false, &running), HelperProgram::File(beside.clone()), "nobody can move this one away");
        fs::set_permissions(&bin, Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(find(None, false, &running), HelperProgram::File(below.clone()), "everybody can put one there");
        assert!(!is_trusted(&below, &[4_000_000_000]), "it is somebody else's");
        fs::remove_file(&below).unwrap();
        std::os::unix::fs::symlink(&beside, &below).unwrap();
        assert_eq!(find(None, false, &running), HelperProgram::Carried, "a link is no file");
    }

    #[test]
    fn a_bare_name_is_not_looked_for_in_the_path() {
        let program = Program::new(&HelperProgram::File("sh".into())).unwrap();
        assert_eq!(program.path, std::env::current_dir().unwrap().join("sh"));
        assert!(Program::new(&HelperProgram::File(PathBuf::new())).is_err());
    }

    #[test]
    fn a_carried_helper_is_small_and_sealed() {
        let Some(bytes) = CARRIED else { return };
        assert!(bytes.len() <= 16 * 1024, "{} bytes", bytes.len());
        let program = carried().unwrap();
        assert_eq!(fs::read(&program.path).unwrap(), bytes);
        let error = fs::OpenOptions::new().write(true).open(&program.path).and_then(|mut file| {
            use std::io::Write;
            file.write_all(b"x")
        });
        assert!(error.is_err());
    }
}
