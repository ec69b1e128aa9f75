//! Opens namespaces through their holders.

pub(crate) mod interface;
pub(crate) mod lookup;
pub(crate) mod probe;

use std::cell::OnceCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::process::{PidfdFlags, PidfdGetfdFlags};

use lxkns_sys::{NsHandle, PidfdNamespace, close_elsewhere};

use self::lookup::Roots;
use crate::error::{Error, ErrorKind};
use crate::failure::{self, Failure};
use crate::model::{self, Call, Cause, Holder, Namespace, NamespaceId, NamespaceType, Pid, Snapshot, Tid};
use crate::mount_access::MountAccess;
use crate::procfs::{ProcDir, ProcRoot, parse};
use crate::relations::Index;

/// `/dev/net/tun`, by its fixed device number (`Documentation/admin-guide/devices.txt`).
pub(crate) const TUN_DEVICE: (u32, u32) = (10, 200);

/// How many nested mount namespaces are entered at most to reach a bind mount in the innermost.
const MOST_ENTERED: usize = 32;

/// Opens namespaces of a snapshot, one after another. Builds an index of the members of mount namespaces once, when it
/// is first needed.
pub struct Opener<'a> {
    proc: &'a ProcRoot,
    snapshot: &'a Snapshot,
    access: Option<&'a dyn MountAccess>,
    index: OnceCell<Index<'a>>,
}

impl<'a> Opener<'a> {
    pub(crate) fn new(proc: &'a ProcRoot, snapshot: &'a Snapshot, access: Option<&'a dyn MountAccess>) -> Self {
        Self { proc, snapshot, access, index: OnceCell::new() }
    }

    /// Opens a namespace as [`Discovery::open`](crate::Discovery::open) does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreachable`]: no holder leads to it (any more), or the caller may not use any.
    ///
    /// # Privileges
    ///
    /// Those of [`Discovery::open`](crate::Discovery::open).
    pub fn open(&self, id: NamespaceId) -> Result<OwnedFd, Error> {
        let what = || format!("cannot open the namespace with inode {}", id.ino);
        if !self.snapshot.namespaces.contains_key(&id) {
            return Err(Error::new(ErrorKind::Unreachable, what() + ": it is unknown"));
        }
        self.through_any(id, &mut Vec::new())
            .map_err(|failure| Error::with_source(ErrorKind::Unreachable, what(), failure))
    }

    /// Opens it through its first usable holder. `entered` are the mount namespaces that have been tried, with those
    /// that were opened: in a crafted dump, they can hold each other in a circle.
    fn through_any(
        &self,
        id: NamespaceId,
        entered: &mut Vec<(NamespaceId, Option<OwnedFd>)>,
    ) -> Result<OwnedFd, Failure> {
        let namespace = self.snapshot.namespaces.get(&id).ok_or(Failure::VANISHED)?;
        let mut last = Failure::VANISHED;
        // Holders are sorted by how easy they are to use; a namespace with a great many has one of the first kinds.
        for holder in namespace.holders.iter().take(64) {
            let opened = match holder {
                Holder::BindMount { mount_ns, path: Some(path), .. } => {
                    let from_outside = self.roots(*mount_ns).namespace(path, id);
                    match (from_outside, self.access) {
                        (Err(_), Some(access)) => {
                            if !entered.iter().any(|(other, _)| other == mount_ns) && entered.len() < MOST_ENTERED {
                                // This mount namespace is being opened already, so it cannot lead to itself.
                                entered.push((*mount_ns, None));
                                let opened = self.through_any(*mount_ns, entered).ok();
                                entered.retain(|(other, _)| other != mount_ns);
                                entered.push((*mount_ns, opened));
                            }
                            let known = entered.iter().find(|(other, _)| other == mount_ns);
                            let opened = known.and_then(|(_, opened)| opened.as_ref()).ok_or(Failure::VANISHED);
                            opened.and_then(|fd| inside(access, fd, path, id))
                        }
                        (opened, _) => opened,
                    }
                }
                Holder::Mount { mount_ns, mount_id, path: Some(path), .. } => {
                    let procfs = self.roots(*mount_ns).mount(path, *mount_id);
                    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                    procfs
                        .and_then(|procfs| Ok(rustix::fs::openat(procfs, c"1/ns/pid", flags, Mode::empty())?))
                        .and_then(|fd| verified(fd, id))
                }
                Holder::Child { ns } => self.related(*ns, id, lxkns_sys::ns_get_parent),
                Holder::Owned { ns } => self.related(*ns, id, lxkns_sys::ns_get_userns),
                Holder::Kernel => by_handle(namespace),
                other => through(self.proc, namespace.ns_type, other).and_then(|fd| verified(fd, id)),
            };
            match opened {
                Ok(fd) => return Ok(fd),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    /// The root directories of some of the processes in a mount namespace.
    fn roots(&self, mount_ns: NamespaceId) -> Roots<'a> {
        let index = self.index.get_or_init(|| Index::of(self.snapshot));
        let processes = index.processes_in(mount_ns).iter();
        Roots::new(self.proc, processes.map(|process| Tid::from(process.pid)))
    }

    /// Opens it as the parent or owner of another namespace.
    fn related(
        &self,
        from: NamespaceId,
        id: NamespaceId,
        ask: impl Fn(OwnedFd) -> Result<OwnedFd, Errno>,
    ) -> Result<OwnedFd, Failure> {
        let namespace = self.snapshot.namespaces.get(&from).ok_or(Failure::VANISHED)?;
        let mut holders = namespace.holders.iter().take(64);
        let direct = holders.find_map(|holder| through(self.proc, namespace.ns_type, holder).ok());
        verified(ask(direct.ok_or(Failure::VANISHED)?)?, id)
    }
}

/// Opens a bind mount at a path inside a mount namespace.
fn inside(access: &dyn MountAccess, mount_ns: &OwnedFd, path: &[u8], id: NamespaceId) -> Result<OwnedFd, Failure> {
    let inside = access.enter(mount_ns.as_fd()).map_err(|error| Failure::of(error.cause, error.errno))?;
    let opened = inside.open_namespace(path, id).map_err(|error| Failure::of(error.cause, error.errno));
    opened.and_then(|fd| verified(fd, id))
}

fn by_handle(namespace: &Namespace) -> Result<OwnedFd, Failure> {
    let handle = NsHandle {
        id: namespace.unique_id.ok_or(Failure::VANISHED)?,
        ns_type: namespace.ns_type.clone_flag(),
        ino: u32::try_from(namespace.id.ino).map_err(|_| Cause::Malformed)?,
    };
    verified(lxkns_sys::open_namespace_by_handle(handle)?, namespace.id)
}

/// Opens the namespace of this type that a process, task, descriptor, socket or TUN/TAP file holds. The caller must
/// check that it is the expected one.
pub(crate) fn through(proc: &ProcRoot, ns_type: NamespaceType, holder: &Holder) -> Result<OwnedFd, Failure> {
    match *holder {
        Holder::Process { pid } => Ok(open_link(proc, &format!("{pid}/ns/{ns_type}"))?),
        Holder::Task { pid, tid } => Ok(open_link(proc, &format!("{pid}/task/{tid}/ns/{ns_type}"))?),
        Holder::ForChildren { pid, tid } => {
            match open_link(proc, &format!("{pid}/task/{tid}/ns/{ns_type}_for_children")) {
                Err(Errno::NOENT) if ns_type == NamespaceType::Pid => {
                    pid_for_children(proc, pid, tid).map_err(|(_, failure)| failure)
                }
                opened => Ok(opened?),
            }
        }
        Holder::Fd { pid, tid, fd } => {
            let path = format!("{pid}/task/{tid}/fd/{fd}");
            let pinned = rustix::fs::openat(proc, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            reopen_namespace(proc, tid, &pinned)
        }
        Holder::Socket { pid, tid, fd, .. } | Holder::Tun { pid, tid, fd, .. } => {
            let process = proc.process(pid)?;
            Ok(lxkns_sys::siocgskns(Fetched::new(proc, &pidfd(proc, &process, pid, tid)?, fd)?)?)
        }
        _ => Err(Failure::VANISHED),
    }
}

/// Opens a namespace link of a process: files below `ns` are always namespaces, so opening them is harmless.
pub(crate) fn open_link(proc: &ProcRoot, path: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens the PID namespace that a task's next child will be the first process of, whose link is not readable until
/// then.
///
/// The error says which call it was.
pub(crate) fn pid_for_children(proc: &ProcRoot, pid: Pid, tid: Tid) -> Result<OwnedFd, (Call, Failure)> {
    let open = pidfd_call(pid, tid);
    let process = proc.process(pid).map_err(|errno| (open, errno.into()))?;
    let pidfd = pidfd(proc, &process, pid, tid).map_err(|failure| (open, failure))?;
    let opened = lxkns_sys::pidfd_get_namespace(pidfd, PidfdNamespace::PidForChildren);
    opened.map_err(|errno| (Call::PidForChildren, errno.into()))
}

/// The name of the call that opens a pidfd of this process or task.
pub(crate) fn pidfd_call(pid: Pid, tid: Tid) -> Call {
    if tid == Tid::from(pid) { Call::PidfdOpen } else { Call::PidfdOpenThread }
}

/// Opens a pidfd of a process, or of its task if `tid` differs, and verifies that it means the same as `process`.
pub(crate) fn pidfd(proc: &ProcRoot, process: &ProcDir, pid: Pid, tid: Tid) -> Result<OwnedFd, Failure> {
    let pidfd = pidfd_by_number(proc, pid, tid)?;
    still_means(process, pid, tid)?;
    Ok(pidfd)
}

/// Opens a pidfd of the process or task that has this number now.
pub(crate) fn pidfd_by_number(proc: &ProcRoot, pid: Pid, tid: Tid) -> Result<OwnedFd, Failure> {
    if !proc.is_own() {
        // A PID of another PID namespace means another process in system calls.
        return Err(Cause::OtherPidNamespace.into());
    }
    Ok(if tid == Tid::from(pid) {
        let raw = i32::try_from(pid.0).ok().and_then(rustix::process::Pid::from_raw).ok_or(Failure::VANISHED)?;
        rustix::process::pidfd_open(raw, PidfdFlags::empty())?
    } else {
        lxkns_sys::pidfd_open_thread(tid.0)?
    })
}

/// The directory still works, so no other process has its PID, and the pidfd is of the same process.
pub(crate) fn still_means(process: &ProcDir, pid: Pid, tid: Tid) -> Result<(), Errno> {
    let ns = if tid == Tid::from(pid) { "ns".to_owned() } else { format!("task/{tid}/ns") };
    rustix::fs::statat(process, ns, AtFlags::empty()).map(drop)
}

/// A copy of another process's socket or TUN/TAP descriptor. Dropping it does not block: if the owner has just closed
/// its descriptor, this is the last one, and closing a socket with `SO_LINGER` can wait.
pub(crate) struct Fetched {
    fd: Option<OwnedFd>,
    lingers: bool,
}

impl Fetched {
    /// Copies the descriptor `fd`. It can be any file by now: the socket or TUN/TAP file has vanished if it is neither.
    /// Such a copy is closed elsewhere, since that can ask the server of its file system.
    pub(crate) fn new(proc: &ProcRoot, pidfd: &OwnedFd, fd: u32) -> Result<Self, Failure> {
        let fd = i32::try_from(fd).map_err(|_| Failure::VANISHED)?;
        let fd = rustix::process::pidfd_getfd(pidfd, fd, PidfdGetfdFlags::empty())?;
        match sockopt::socket_linger(&fd) {
            Ok(linger) => Ok(Self { fd: Some(fd), lingers: linger.is_some() }),
            Err(_) if is_tun(proc, &fd) => Ok(Self { fd: Some(fd), lingers: false }),
            Err(_) => {
                close_elsewhere(fd);
                Err(Failure::VANISHED)
            }
        }
    }
}

impl AsFd for Fetched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("it is there until it is dropped").as_fd()
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take().filter(|_| self.lingers) {
            close_elsewhere(fd);
        }
    }
}

fn is_tun(proc: &ProcRoot, fd: &OwnedFd) -> bool {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    match rustix::fs::statx(fd, c"", flags, StatxFlags::TYPE) {
        Ok(stat) => {
            FileType::from_raw_mode(stat.stx_mode.into()) == FileType::CharacterDevice
                && (stat.stx_rdev_major, stat.stx_rdev_minor) == TUN_DEVICE
        }
        // A filter denies statx. Only TUN/TAP files have such a line in their fdinfo.
        Err(_) => proc.own_fdinfo(fd.as_fd()).is_ok_and(|info| parse::fdinfo::is_tun(&info)),
    }
}

/// Reopens an `O_PATH` descriptor for ioctls, after checking that it is on a namespace. `task` sees its mount.
pub(crate) fn reopen_namespace(proc: &ProcRoot, task: Tid, pinned: &OwnedFd) -> Result<OwnedFd, Failure> {
    if lookup::identify(proc, task, pinned.as_fd())?.dev != proc.nsfs_dev() {
        return Err(Cause::Changed.into());
    }
    proc.reopen(pinned.as_fd())
}

/// Returns the descriptor if it is on this namespace.
pub(crate) fn verified(fd: OwnedFd, id: NamespaceId) -> Result<OwnedFd, Failure> {
    if identity(&fd)? == id { Ok(fd) } else { Err(Cause::Changed.into()) }
}

/// Device and inode number of a namespace.
///
/// # Errors
///
/// The kernel's, of `fstat(2)`.
///
/// # Privileges
///
/// None but the descriptor. It must be known to be on a namespace: for any other file, `fstat(2)` can wait for a
/// server. [`identity_without_server`] never does.
///
/// # Minimum kernel version
///
/// Any.
pub fn identity_of_namespace(fd: impl AsFd) -> Result<NamespaceId, model::Errno> {
    identity(fd).map_err(failure::public_errno)
}

/// Device and inode number of any file, without asking the server of its file system.
///
/// # Errors
///
/// The kernel's, of `statx(2)`.
///
/// # Privileges
///
/// None but the descriptor.
///
/// # Minimum kernel version
///
/// 4.11.
pub fn identity_without_server(fd: impl AsFd) -> Result<NamespaceId, model::Errno> {
    statx_identity(fd).map_err(failure::public_errno)
}

/// The same with the error of rustix.
pub(crate) fn statx_identity(fd: impl AsFd) -> Result<NamespaceId, Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let stat = rustix::fs::statx(fd, c"", flags, StatxFlags::INO)?;
    Ok(NamespaceId { ino: stat.stx_ino, dev: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor) })
}

/// Device and inode number of a file of the kernel's own: a namespace, a socket or a procfs directory, none of which
/// has a server.
pub(crate) fn identity(fd: impl AsFd) -> Result<NamespaceId, Errno> {
    let stat = rustix::fs::fstat(fd)?;
    Ok(NamespaceId { ino: stat.st_ino, dev: stat.st_dev })
}
