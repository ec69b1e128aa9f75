//! One file: its owner, its mode, and where it is. Asks no server of a file system.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::Errno;

use crate::failure;
use crate::model::{self, DeviceNumber, File, FileCapabilities, IdMapping, MountIdMaps, Namespace, Process};
use crate::procfs::{ProcDir, ProcRoot, parse};

/// What the kernel says of the file that a descriptor of the caller is on, which can be an `O_PATH` one.
///
/// Capabilities of the file are read only where `has_no_server` says that its file system has no server.
///
/// # Errors
///
/// The kernel's.
///
/// # Privileges
///
/// None but the descriptor.
///
/// # Minimum kernel version
///
/// 4.11; the mount is known from 5.8 on.
pub fn file_of(
    proc: &ProcRoot,
    fd: impl AsFd,
    has_no_server: impl FnOnce(&File) -> bool,
) -> Result<File, model::Errno> {
    read_file(proc, fd.as_fd(), has_no_server).map_err(failure::public_errno)
}

const NO_SERVER: AtFlags = AtFlags::EMPTY_PATH.union(AtFlags::STATX_DONT_SYNC).union(AtFlags::NO_AUTOMOUNT);

fn read_file(proc: &ProcRoot, fd: BorrowedFd<'_>, has_no_server: impl FnOnce(&File) -> bool) -> Result<File, Errno> {
    let mask = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let stat = rustix::fs::statx(fd, c"", NO_SERVER, mask)?;
    let mut text = [0; 4096];
    let path = proc.own_link(fd, &mut text).map_err(|failure| failure.errno().unwrap_or(Errno::NOENT))?;
    let mut file = File::new(stat.stx_mode.into(), stat.stx_uid, stat.stx_gid, path);
    file.ino = stat.stx_ino;
    file.device = DeviceNumber { major: stat.stx_dev_major, minor: stat.stx_dev_minor };
    file.mount_id = (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id);
    if file.is_regular() && has_no_server(&file) {
        let mut value = [0; 64];
        let path = proc.path().join(format!("thread-self/fd/{}", fd.as_raw_fd()));
        let read = rustix::fs::getxattr(path, c"security.capability", &mut value[..]);
        file.capabilities = capabilities(read.map(|length| &value[..length]).map_err(failure::public_errno));
    }
    Ok(file)
}

/// The capabilities of a file, by what the kernel answers for its extended attribute; `None` where that is not readable, or has
/// a form that is not known.
pub fn capabilities(answer: Result<&[u8], model::Errno>) -> Option<Option<FileCapabilities>> {
    match answer {
        Ok(value) => FileCapabilities::parse(value).map(Some),
        Err(errno) => {
            let is_none = [Errno::NODATA, Errno::OPNOTSUPP].iter().any(|none| none.raw_os_error() == errno.number());
            is_none.then_some(None)
        }
    }
}

/// The ID maps of the mount that a descriptor is on, in a mount namespace; `None` where it is not ID-mapped.
///
/// # Errors
///
/// `ENOSYS`, `EINVAL`, `EOPNOTSUPP`: the kernel does not say. `ENOENT`: access denied, or the mount has vanished.
///
/// # Privileges
///
/// For another mount namespace than the caller's: `CAP_SYS_ADMIN` in the user namespace that owns it.
///
/// # Minimum kernel version
///
/// 6.15.
pub fn mount_id_maps(fd: impl AsFd, mount_ns: Option<&Namespace>) -> Result<Option<MountIdMaps>, model::Errno> {
    read_maps(fd.as_fd(), mount_ns.and_then(|namespace| namespace.unique_id)).map_err(failure::public_errno)
}

fn read_maps(fd: BorrowedFd<'_>, mount_ns: Option<u64>) -> Result<Option<MountIdMaps>, Errno> {
    use lxkns_sys::StatmountMask as Mask;
    // `STATX_MNT_ID_UNIQUE`, 6.8.
    let unique = StatxFlags::from_bits_retain(0x4000);
    let stat = rustix::fs::statx(fd, c"", NO_SERVER, unique)?;
    if stat.stx_mask & unique.bits() == 0 {
        return Err(Errno::NOSYS);
    }
    let mask = Mask::MNT_BASIC | Mask::SUPPORTED_MASK | Mask::ID_MAPS;
    let facts = lxkns_sys::statmount(mount_ns.unwrap_or(0), stat.stx_mnt_id, mask, &mut Vec::new())?;
    let map = |ranges: Vec<[u32; 3]>| {
        ranges.into_iter().map(|[inside, outside, count]| IdMapping { inside, outside, count }).collect()
    };
    match (facts.id_maps, facts.flags) {
        (Some([uids, gids]), _) => Ok(Some(MountIdMaps { uids: map(uids), gids: map(gids) })),
        // `MOUNT_ATTR_IDMAP`.
        (None, Some(flags)) if flags.attributes & 0x0010_0000 == 0 => Ok(None),
        _ => Err(Errno::OPNOTSUPP),
    }
}

/// The root directory of a process, with `O_PATH`.
///
/// # Errors
///
/// The kernel's; `ESRCH` if another process has the PID now.
///
/// # Privileges
///
/// Ptrace read access to the process; `ptrace(2)`.
pub fn root_of(proc: &ProcRoot, process: &Process) -> Result<OwnedFd, model::Errno> {
    let open = || {
        let dir = proc.process(process.pid)?;
        let mut buffer = Vec::new();
        let stat = parse::stat::parse(dir.read_record("stat", &mut buffer)?).map_err(|_| Errno::IO)?;
        if stat.start_time_ticks != process.start_time_ticks() {
            return Err(Errno::SRCH);
        }
        // A thread group leader that has exited has no root directory.
        ProcDir::open(&dir, format!("task/{}/root", process.living_task().tid)).map(OwnedFd::from)
    };
    open().map_err(failure::public_errno)
}
