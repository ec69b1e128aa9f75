//! Which of the kernel's newer interfaces are there, asked of the caller itself; for the table of kernels.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use lxkns_sys::{LISTNS_ALL_USER_NAMESPACES, NsHandle, PidfdNamespace, StatmountMask};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags};

/// An interface: its name, what is lost without it, and whether it is there.
type Interface = (&'static str, &'static str, fn() -> Result<(), Errno>);

const INTERFACES: [Interface; 15] = [
    ("`openat2`", "nothing: paths are walked by component", || openat2(ResolveFlags::IN_ROOT)),
    ("`openat2(RESOLVE_CACHED)`", "owners of bind-mounted namespaces below file systems of servers", || {
        openat2(ResolveFlags::CACHED)
    }),
    ("`statx(STATX_MNT_ID)`", "PID namespaces of mounted procfs", statx_mnt_id),
    ("`pidfd_open`", "sockets, TUN/TAP files", || pidfd().map(drop)),
    ("`pidfd_getfd`", "sockets, TUN/TAP files", pidfd_getfd),
    ("`pidfd_open(PIDFD_THREAD)`", "sockets in the tables of single threads", pidfd_thread),
    ("`PIDFD_GET_*_NAMESPACE`", "`pid_for_children` before there is a first process", pidfd_namespace),
    ("`kcmp`", "nothing: tables are compared by what is in them", kcmp),
    ("`NS_GET_MNTNS_ID`", "`listmount`", || lxkns_sys::ns_get_mntns_id(own("mnt")?).map(drop)),
    ("`listmount`, `statmount`", "mounts that no process's root directory reaches", listmount),
    ("`NS_MNT_GET_NEXT`", "mount namespaces that nothing visible holds", || {
        lxkns_sys::ns_mnt_get_next(own("mnt")?).map(drop).or_else(end_of_list)
    }),
    ("`NS_GET_ID`", "IDs that are never used again", || lxkns_sys::ns_get_id(own("uts")?).map(drop)),
    ("handles of namespaces", "namespaces that only the kernel lists can be opened", || handle(true)),
    ("handles by ID alone", "namespaces that only `listns` lists", || handle(false)),
    ("`listns`", "namespaces that nothing visible holds", || {
        lxkns_sys::listns(0, 0, LISTNS_ALL_USER_NAMESPACES, &mut [0; 8]).map(drop)
    }),
];

/// Prints the interfaces and ends, if that is what the program was called for.
pub(crate) fn print_if_asked() {
    if std::env::args().nth(1).as_deref() != Some("--interfaces") {
        return;
    }
    for (name, lost, ask) in INTERFACES {
        let answer = match ask() {
            Ok(()) => "yes".to_owned(),
            Err(Errno::NOSYS) => "ENOSYS".to_owned(),
            Err(Errno::NOTTY) => "ENOTTY".to_owned(),
            Err(Errno::INVAL) => "EINVAL".to_owned(),
            Err(Errno::BADF) => "EBADF".to_owned(),
            Err(Errno::STALE) => "ESTALE".to_owned(),
            Err(Errno::OPNOTSUPP) => "no".to_owned(),
            Err(errno) => format!("error {}", errno.raw_os_error()),
        };
        println!("{name}\t{lost}\t{answer}");
    }
    std::process::exit(0);
}

fn own(name: &str) -> Result<File, Errno> {
    File::open(format!("/proc/self/ns/{name}")).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn end_of_list(errno: Errno) -> Result<(), Errno> {
    if errno == Errno::NOENT { Ok(()) } else { Err(errno) }
}

fn openat2(resolve: ResolveFlags) -> Result<(), Errno> {
    rustix::fs::openat2(CWD, c".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve).map(drop)
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

fn pidfd_thread() -> Result<(), Errno> {
    lxkns_sys::pidfd_open_thread(own_tid()).map(drop)
}

fn pidfd_namespace() -> Result<(), Errno> {
    lxkns_sys::pidfd_get_namespace(pidfd()?, PidfdNamespace::PidForChildren).map(drop)
}

fn own_tid() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

fn kcmp() -> Result<(), Errno> {
    lxkns_sys::kcmp_files(own_tid(), own_tid()).map(drop)
}

fn listmount() -> Result<(), Errno> {
    let mount_ns = lxkns_sys::ns_get_mntns_id(own("mnt")?).unwrap_or_default();
    let mut ids = [0; 1];
    lxkns_sys::listmount(mount_ns, 0, &mut ids)?;
    lxkns_sys::statmount(mount_ns, ids[0], StatmountMask::FS_TYPE, &mut Vec::new()).map(drop)
}

/// Opens the caller's own by handle: whole, or by ID alone.
fn handle(is_whole: bool) -> Result<(), Errno> {
    let ns = own("uts")?;
    let id = lxkns_sys::ns_get_id(&ns)?;
    let ino = rustix::fs::fstat(&ns)?.st_ino;
    let clone_newuts = 0x0400_0000;
    let handle = match is_whole {
        true => NsHandle { id, ns_type: clone_newuts, ino: u32::try_from(ino).map_err(|_| Errno::OVERFLOW)? },
        false => NsHandle { id, ns_type: 0, ino: 0 },
    };
    lxkns_sys::open_namespace_by_handle(handle).map(drop)
}
