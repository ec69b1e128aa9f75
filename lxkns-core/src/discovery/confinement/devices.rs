//! The files of devices in `/dev` of mount namespaces.

use std::mem::MaybeUninit;

use bstr::BString;
use rustc_hash::FxHashMap;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, StatxFlags};

use crate::failure::{self, Failure};
use crate::model::{
    Cause, DeviceFile, DeviceNumber, Gap, Mount, NamespaceId, NamespaceType, Object, Operation, Pid, Place, Snapshot,
    Tid,
};
use crate::procfs::ProcRoot;
use crate::reach::lookup::Roots;

/// How many names of a directory are looked at: a container can make any number.
const MOST: usize = 4096;

/// The types of file systems that have device files and no server.
const IN_MEMORY: [&[u8]; 2] = [b"tmpfs", b"devtmpfs"];

/// How many processes of a mount namespace are tried: a process can have changed its root directory.
const TRIES: usize = 4;

/// `/dev/net/tun`, which leads to network namespaces.
pub(super) const TUN: DeviceNumber = DeviceNumber { major: 10, minor: 200 };

/// Whether a character device can give something of the host's. Those that engines make for each container give nothing, nor do
/// terminals, which are the ends of what somebody has opened; what `fuse` gives is a mount, and `tun` a link.
pub(super) fn is_of_host(device: DeviceNumber) -> bool {
    match device.major {
        1 => ![3, 5, 7, 8, 9].contains(&device.minor),
        5 => device.minor > 2,
        10 => device.minor != 229 && device != TUN,
        136..=143 => false,
        _ => true,
    }
}

/// The devices that can give something of the host's, in the mount namespaces of these processes, sorted.
pub(super) fn files(proc: &ProcRoot, snapshot: &Snapshot, pids: &[Pid], gaps: &mut Vec<Gap>) -> Vec<DeviceFile> {
    let mut members: FxHashMap<NamespaceId, Vec<Tid>> = FxHashMap::default();
    for process in pids.iter().filter_map(|pid| snapshot.processes.get(pid)) {
        for task in process.tasks.iter() {
            let Some(id) = task.namespaces.get(NamespaceType::Mnt) else { continue };
            let members = members.entry(id).or_default();
            if members.len() < TRIES {
                members.push(task.tid);
            }
        }
    }
    let mut files = Vec::new();
    let host = snapshot.processes.get(&Pid(1)).and_then(|process| process.namespaces.get(NamespaceType::Mnt));
    for (id, members) in members {
        // All devices of the host are in its own.
        if Some(id) == host || snapshot.namespaces.get(&id).is_some_and(|namespace| namespace.initial) {
            continue;
        }
        let Some(mounts) = snapshot.mounts.get(&id) else { continue };
        let at_dev = |mount: &&Mount| !mount.hidden && mount.path().is_some_and(|path| path == "/dev");
        let dev = mounts.iter().find(at_dev);
        for mount in mounts {
            let Some(path) = mount.path() else { continue };
            let is_dev = dev.is_some_and(|dev| dev.id == mount.id);
            if mount.hidden || !is_dev && !may_be_device(mount, dev) {
                continue;
            }
            if let Err(failure) = look(proc, id, &members, mount, (path, is_dev), &mut files) {
                let object = Object::Mount(id, mount.id);
                gaps.extend(failure::gap(Place::BindMounts, object, Operation::list("/dev"), failure));
            }
        }
        if dev.is_none() {
            let why = Failure::because(Cause::NotTried);
            gaps.extend(failure::gap(Place::BindMounts, Object::Namespace(id), Operation::list("/dev"), why));
        }
    }
    files.sort_unstable();
    files.dedup();
    files
}

/// Whether what is mounted may be a device from another `/dev`: of what is from the namespace's own, its list tells.
fn may_be_device(mount: &Mount, dev: Option<&Mount>) -> bool {
    /// What the kernel gives these names in a devtmpfs takes and gives nothing.
    const HARMLESS: [&[u8]; 6] = [b"/full", b"/null", b"/random", b"/tty", b"/urandom", b"/zero"];
    let is_own = dev.is_some_and(|dev| dev.file_system == mount.file_system);
    let is_harmless = **mount.fs_type == b"devtmpfs"[..] && HARMLESS.contains(&&**mount.root);
    IN_MEMORY.contains(&&**mount.fs_type) && **mount.root != b"/"[..] && !is_own && !is_harmless
}

/// Looks at what is mounted: a file, or a directory with files.
fn look(
    proc: &ProcRoot,
    id: NamespaceId,
    members: &[Tid],
    mount: &Mount,
    (path, is_dev): (&[u8], bool),
    files: &mut Vec<DeviceFile>,
) -> Result<(), Failure> {
    let mut pinned = Err(Failure::VANISHED);
    for &member in members {
        pinned = Roots::new(proc, std::iter::once(member)).mount(path, mount.id);
        if pinned.is_ok() {
            break;
        }
    }
    let pinned = pinned?;
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT | AtFlags::SYMLINK_NOFOLLOW;
    let mut note = |name: &std::ffi::CStr, flags: AtFlags| -> Result<FileType, Failure> {
        let stat = rustix::fs::statx(&pinned, name, flags, StatxFlags::TYPE)?;
        let kind = FileType::from_raw_mode(stat.stx_mode.into());
        let device = DeviceNumber { major: stat.stx_rdev_major, minor: stat.stx_rdev_minor };
        let is_block = kind == FileType::BlockDevice;
        if is_block || kind == FileType::CharacterDevice && is_of_host(device) {
            let mut path = BString::from(path);
            if !name.is_empty() {
                path.push(b'/');
                path.extend_from_slice(name.to_bytes());
            }
            files.push(DeviceFile { mount_ns: id, path, is_block, device });
        }
        Ok(kind)
    };
    if note(c"", flags | AtFlags::EMPTY_PATH)? != FileType::Directory || !is_dev {
        return Ok(());
    }
    if !IN_MEMORY.contains(&&**mount.fs_type) {
        // Another can ask a server.
        return Err(Cause::NotTried.into());
    }
    let list = rustix::fs::openat(&pinned, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    let mut entries = RawDir::new(list, &mut buffer);
    let mut count = 0;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        count += 1;
        if count > MOST {
            return Err(Cause::Cut.into());
        }
        let is_device =
            matches!(entry.file_type(), FileType::BlockDevice | FileType::CharacterDevice | FileType::Unknown);
        if is_device {
            match note(entry.file_name(), flags) {
                Err(failure) if failure.is_gone() => {}
                other => drop(other?),
            }
        }
    }
    Ok(())
}
