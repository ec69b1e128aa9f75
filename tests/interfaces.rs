//! Which of the kernel's newer interfaces are there, asked of the caller itself; for the table of kernels.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use lxkns_fixture::deny::{INTERFACES, Interface};
use lxkns_sys::{LISTNS_ALL_USER_NAMESPACES, NsHandle, PidfdNamespace, StatmountMask};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags};

/// Prints the interfaces and ends, if that is what the program was called for: the name of each and the kernel that has it
/// first, what does instead, what is lost without it, and the answer, with tabs between.
pub(crate) fn print_if_asked() {
    if std::env::args().nth(1).as_deref() != Some("--interfaces") {
        return;
    }
    for Interface { name, since: (major, minor), instead, lost, .. } in INTERFACES {
        let lost: Vec<_> = lost
            .iter()
            .map(|(loss, unless)| match unless {
                None => loss.describe().to_owned(),
                Some(other) => format!("{} (unless there is `{other}`)", loss.describe()),
            })
            .collect();
        let lost = if lost.is_empty() { "nothing".to_owned() } else { lost.join("; ") };
        println!("`{name}` ({major}.{minor})\t{instead}\t{lost}\t{}", answer(ask(name)));
    }
    std::process::exit(0);
}

fn answer(asked: Result<(), Errno>) -> String {
    match asked {
        Ok(()) => "yes".to_owned(),
        Err(Errno::NOSYS) => "ENOSYS".to_owned(),
        Err(Errno::NOTTY) => "ENOTTY".to_owned(),
        Err(Errno::INVAL) => "EINVAL".to_owned(),
        Err(Errno::STALE) => "ESTALE".to_owned(),
        Err(Errno::PERM) => "EPERM".to_owned(),
        Err(Errno::OPNOTSUPP) => "no".to_owned(),
        Err(errno) => format!("error {}", errno.raw_os_error()),
    }
}

/// Asks for something of the caller's own that only the interface of this name gives.
fn ask(name: &str) -> Result<(), Errno> {
    match name {
        "open_by_handle_at" => handle(),
        "kcmp" => lxkns_sys::kcmp_files(own_tid(), own_tid()).map(drop),
        "statx" => rustix::fs::statx(CWD, c"/", AtFlags::STATX_DONT_SYNC, StatxFlags::INO).map(drop),
        "pidfd_open" => pidfd().map(drop),
        "openat2" => openat2(),
        "pidfd_getfd" => pidfd_getfd(),
        "STATX_MNT_ID" => statx_mnt_id(),
        "listmount" => listmount().map(drop),
        "statmount" => statmount(),
        "PIDFD_THREAD" => lxkns_sys::pidfd_open_thread(own_tid()).map(drop),
        "NS_GET_MNTNS_ID" => lxkns_sys::ns_get_mntns_id(own("mnt")?).map(drop),
        "PIDFD_GET_*_NAMESPACE" => lxkns_sys::pidfd_get_namespace(pidfd()?, PidfdNamespace::PidForChildren).map(drop),
        "NS_MNT_GET_*" => match lxkns_sys::ns_mnt_get_next(own("mnt")?) {
            // The caller's is the last.
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        },
        "NS_GET_ID" => lxkns_sys::ns_get_id(own("uts")?).map(drop),
        "listns" => lxkns_sys::listns(0, 0, LISTNS_ALL_USER_NAMESPACES, &mut [0; 8]).map(drop),
        _ => panic!("nothing asks for {name}"),
    }
}

fn own(name: &str) -> Result<File, Errno> {
    File::open(format!("/proc/self/ns/{name}")).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// As discovery asks first: the kernel's cache alone, which may not know.
fn openat2() -> Result<(), Errno> {
    match rustix::fs::openat2(CWD, c".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED) {
        Ok(_) | Err(Errno::AGAIN) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// A kernel that does not know what is asked for gives the rest.
fn statx_mnt_id() -> Result<(), Errno> {
    let stat = rustix::fs::statx(CWD, c"/", AtFlags::STATX_DONT_SYNC, StatxFlags::MNT_ID)?;
    if stat.stx_mask & StatxFlags::MNT_ID.bits() == 0 { Err(Errno::OPNOTSUPP) } else { Ok(()) }
}

fn pidfd() -> Result<OwnedFd, Errno> {
    rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
}

fn pidfd_getfd() -> Result<(), Errno> {
    let pidfd = pidfd()?;
    rustix::process::pidfd_getfd(&pidfd, pidfd.as_raw_fd(), PidfdGetfdFlags::empty()).map(drop)
}

fn own_tid() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

/// The ID of a mount, in the caller's mount namespace: before that can be named, the number 0 means it.
fn listmount() -> Result<u64, Errno> {
    let mut ids = [0; 1];
    lxkns_sys::listmount(0, 0, &mut ids)?;
    Ok(ids[0])
}

fn statmount() -> Result<(), Errno> {
    lxkns_sys::statmount(0, listmount()?, StatmountMask::FS_TYPE, &mut Vec::new()).map(drop)
}

/// Opens one of the caller's own namespaces by its ID alone, as `listns` gives it.
fn handle() -> Result<(), Errno> {
    let id = lxkns_sys::ns_get_id(own("uts")?)?;
    lxkns_sys::open_namespace_by_handle(NsHandle { id, ns_type: 0, ino: 0 }).map(drop)
}
