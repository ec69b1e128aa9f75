//! Protects the running program: processes inside must not be able to write to it.
//!
//! For a moment, the process that enters is visible in the container, and its `/proc/PID/exe` leads to this program. A
//! container can extend that moment with `#!/proc/self/exe` in the first line of the command. A privileged process
//! inside then opens the program, waits until no process runs it, and writes to the file of the host (CVE-2019-5736).
//! So the program first runs itself again from a copy that no process can write to.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt as _;

use lxkns_core::{OWN_DESCRIPTORS, OWN_PROGRAM};
use lxkns_sys::CStrings;
use rustix::fs::{Access, AtFlags, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::error::{Cause, Error, ErrorKind};

/// The name of the copy, in `/proc/PID/comm` and in the link `/proc/PID/exe`.
const NAME: &str = "lxkns";

/// Why processes inside cannot write to the running program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protection {
    /// It runs from sealed memory.
    Sealed,
    /// Its mount or file system is read-only.
    ReadOnly,
    /// The caller does not own the file and cannot write to it, and no process inside has more privileges than the
    /// caller.
    NotOurs,
}

/// Returns what protects the running program from processes inside, if anything does.
///
/// # Errors
///
/// [`ErrorKind::Unprotected`]: the program cannot be found, because no procfs is mounted.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any.
pub fn protection() -> Result<Option<Protection>, Error> {
    protection_of(&running()?)
}

/// Checks that something protects it.
pub(crate) fn check() -> Result<(), Error> {
    match protection()? {
        Some(_) => Ok(()),
        None => {
            let message = "processes inside could write to this program; call lxkns_enter::seal::run_protected first";
            Err(Error::new(ErrorKind::Unprotected, message))
        }
    }
}

fn running() -> Result<File, Error> {
    File::open(OWN_PROGRAM).map_err(|error| {
        let operation =
            format!("open {OWN_PROGRAM}, to keep processes inside from writing to this program (is /proc mounted?)");
        Error::because(ErrorKind::Unprotected, operation, error)
    })
}

fn protection_of(program: &File) -> Result<Option<Protection>, Error> {
    let refused =
        |cause: Cause| Error::because(ErrorKind::Unprotected, format!("check who can write to {OWN_PROGRAM}"), cause);
    if lxkns_sys::is_sealed(program).map_err(|errno| refused(errno.into()))? {
        return Ok(Some(Protection::Sealed));
    }
    if rustix::fs::fstatvfs(program).map_err(|errno| refused(errno.into()))?.f_flag.contains(StatVfsMountFlags::RDONLY)
    {
        return Ok(Some(Protection::ReadOnly));
    }
    // An owner can change the permissions.
    let is_ours =
        program.metadata().map_err(|error| refused(error.into()))?.uid() == rustix::process::geteuid().as_raw();
    let path = format!("{OWN_DESCRIPTORS}/{}", program.as_raw_fd());
    match rustix::fs::accessat(rustix::fs::CWD, path, Access::WRITE_OK, AtFlags::EACCESS) {
        Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) if !is_ours => Ok(Some(Protection::NotOurs)),
        // On any other error, the file may be writable.
        _ => Ok(None),
    }
}

/// Protects the running program from processes inside: runs it again from a copy in sealed memory, unless this is that
/// copy. Arguments, environment and descriptors stay the same. Call this first, before there are threads or other
/// state.
///
/// If sealed memory cannot be run (`vm.memfd_noexec` is 2), the copy is on a detached read-only tmpfs, which needs
/// `CAP_SYS_ADMIN`.
///
/// The kernel sets `comm` of a process that runs a copy to the number of a descriptor. The program can set its name
/// after this call.
///
/// # Errors
///
/// [`ErrorKind::Unprotected`]: no procfs is mounted; or neither copy can be made, and the caller can write to the
/// program; or the program already runs from a descriptor and is still not protected.
///
/// # Privileges
///
/// None if sealed memory can be run, else `CAP_SYS_ADMIN` over the mount namespace.
///
/// # Minimum kernel version
///
/// 3.19.
pub fn run_protected() -> Result<Protection, Error> {
    let program = running()?;
    let protection = protection_of(&program)?;
    // The kernel says how the program was started, which no environment variable can fake.
    let is_by_descriptor = rustix::param::linux_execfn().to_bytes().starts_with(b"/dev/fd/");
    match protection {
        Some(protection) if is_by_descriptor => return Ok(protection),
        Some(Protection::Sealed) => return Ok(Protection::Sealed),
        _ if is_by_descriptor => {
            let operation = "keep processes inside from writing to this program (it runs from a descriptor, and /proc/self/exe \
                             is not that copy: is /proc the kernel's?)";
            return Err(Error::new(ErrorKind::Unprotected, operation));
        }
        _ => {}
    }
    let (arguments, environment) = (arguments()?, environment()?);
    let refused = match lxkns_sys::sealed_program(NAME, &mut &program) {
        Ok(copy) => lxkns_sys::execveat(copy, c"", &arguments, &environment).into(),
        Err(error) => Cause::from(error),
    };
    if let Some(protection) = protection {
        return Ok(protection);
    }
    if let Ok(directory) = read_only_copy(program) {
        lxkns_sys::execveat(directory, c"lxkns", &arguments, &environment);
    }
    let operation = match refused {
        Cause::Kernel(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => {
            "run this program from memory, to keep processes inside from writing to it"
        }
        _ => {
            "run this program from memory, to keep processes inside from writing to it (set vm.memfd_noexec to 0 or \
            1, or have \
             CAP_SYS_ADMIN, or put the program on a read-only mount)"
        }
    };
    Err(Error::because(ErrorKind::Unprotected, operation, refused))
}

/// Makes a detached read-only tmpfs with a copy of the program in a directory. The program must not be the root of the
/// mount, which a privileged process inside could make writable again.
fn read_only_copy(mut program: File) -> io::Result<OwnedFd> {
    let file_system = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(file_system.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let directory = rustix::mount::fsmount(file_system.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut copy = File::from(rustix::fs::openat(&directory, NAME, flags, Mode::from_raw_mode(0o555))?);
    // The file offset can be at the end.
    io::Seek::rewind(&mut program)?;
    io::copy(&mut program, &mut copy)?;
    drop(copy);
    rustix::mount::fsconfig_set_flag(file_system.as_fd(), "ro")?;
    rustix::mount::fsconfig_reconfigure(file_system.as_fd())?;
    Ok(directory)
}

fn arguments() -> Result<CStrings, Error> {
    strings(std::env::args_os().map(OsStringExt::into_vec))
}

fn environment() -> Result<CStrings, Error> {
    strings(std::env::vars_os().map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'=')))
}

fn strings(strings: impl Iterator<Item = Vec<u8>>) -> Result<CStrings, Error> {
    let strings: Result<Vec<CString>, _> = strings.map(CString::new).collect();
    let refused = |_| Error::new(ErrorKind::Unprotected, "pass on arguments and environment: one contains a NUL");
    Ok(CStrings::new(strings.map_err(refused)?))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_ours_on_a_writable_file_system_is_not_protected() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(protection_of(&file).unwrap(), None);
        let of_others = File::open("/proc/version").unwrap();
        if !rustix::process::geteuid().is_root() {
            assert_eq!(protection_of(&of_others).unwrap(), Some(Protection::NotOurs));
        }
    }

    #[test]
    fn a_sealed_copy_is_protected_and_whole() {
        let copy = File::from(lxkns_sys::sealed_program("test", &mut &b"program"[..]).unwrap());
        assert_eq!(protection_of(&copy).unwrap(), Some(Protection::Sealed));
        assert!((&copy).write_all(b"x").is_err());
        assert!(copy.set_len(0).is_err() && copy.set_len(100).is_err());
        assert_eq!(copy.metadata().unwrap().len(), 7);
    }

    #[test]
    fn a_read_only_copy_is_protected_and_whole() {
        let mut original = tempfile::tempfile().unwrap();
        original.write_all(b"program").unwrap();
        let Ok(directory) = read_only_copy(original) else {
            assert!(!rustix::process::geteuid().is_root(), "root can");
            return;
        };
        let open = |flags| rustix::fs::openat(&directory, NAME, flags, Mode::empty());
        let copy = File::from(open(OFlags::RDONLY).unwrap());
        assert_eq!(protection_of(&copy).unwrap(), Some(Protection::ReadOnly));
        assert_eq!(open(OFlags::WRONLY).unwrap_err(), Errno::ROFS);
        assert_eq!(io::read_to_string(copy).unwrap(), "program");
    }
}
