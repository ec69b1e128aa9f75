//! Devices, and files of other mount namespaces, that are mapped: they need no descriptor any more.

use bstr::BString;
use rustc_hash::FxHashMap;
use rustix::fs::{FileType, StatxFlags};

use super::super::file_system_users::mapped::{maps, of_each};
use super::super::left_behind::LeftBehind;
use super::{Known, devices};
use crate::failure::Failure;
use crate::model::{Cause, DeviceNumber, Gap, NamespaceType, OutsideUse, OutsideUseKind, Pid, Place, Tid};
use crate::procfs::{ProcDir, parse};

/// A mapped file.
struct Mapped {
    /// The mount that it was opened through, where the kernel tells.
    mount: Option<u64>,
    /// The device that it is, and whether it is a block device.
    device: Option<(DeviceNumber, bool)>,
    /// Whether what is written to the memory gets into the file.
    is_writable: bool,
    is_executable: bool,
    path: BString,
}

/// What these processes have mapped.
pub(super) fn uses(known: &Known<'_>, session: &LeftBehind, pids: &[Pid], gaps: &mut Vec<Gap>) -> Vec<OutsideUse> {
    let mut failed = Vec::new();
    let all = of_each(known.proc, session, known.snapshot, pids, &mut failed, |dir, pid, buffer| {
        Ok((pid, files(dir, pid, buffer)?))
    });
    gaps.extend(failed.into_iter().map(|gap| Gap { place: Place::Fds, ..gap }));
    let mut uses = Vec::new();
    for (pid, files) in all {
        let process = known.snapshot.processes.get(&pid);
        let links = process.map(|process| process.living_task().namespaces);
        let own = links.and_then(|links| known.mounts.get(&links.get(NamespaceType::Mnt)?));
        for file in files {
            let kind = match (file.device, file.mount) {
                (Some((device, is_block)), _) => OutsideUseKind::Device { fd: None, is_block, device },
                // Of code, nobody but its own process knows more than before.
                (None, Some(mount)) if file.is_writable || !file.is_executable => {
                    if !known.is_mounted.contains(&mount) || own.is_none_or(|own| own.contains(&mount)) {
                        continue;
                    }
                    OutsideUseKind::File { fd: None, is_writable: file.is_writable }
                }
                _ => continue,
            };
            uses.push(OutsideUse { pid, tid: Tid::from(pid), kind, mount_id: file.mount, path: file.path });
        }
    }
    uses
}

/// The files that a process has mapped, each once.
fn files(dir: &ProcDir, pid: Pid, buffer: &mut Vec<u8>) -> Result<Vec<Mapped>, Failure> {
    let mut files: FxHashMap<(DeviceNumber, &[u8]), Mapped> = FxHashMap::default();
    let mut gone = false;
    for mapping in parse::maps::on(maps(dir, pid, buffer)?, |_| true) {
        let mapping = mapping?;
        if let Some(file) = files.get_mut(&(mapping.file_system, mapping.inode))
            && (file.is_writable || !mapping.is_shared)
        {
            file.is_executable |= mapping.is_executable;
            continue;
        }
        let link = bstr::concat([&b"map_files/"[..], mapping.addresses.0, b"-", mapping.addresses.1]);
        // The modes of the link itself are what the file was opened for.
        let read = dir.stat(link.as_slice(), StatxFlags::TYPE | StatxFlags::MNT_ID);
        let stat = match read.and_then(|stat| Ok((stat, dir.stat_link(link.as_slice(), StatxFlags::MODE)?))) {
            Ok((stat, modes)) => (stat, mapping.is_shared && modes.stx_mode & 0o200 != 0),
            Err(errno) if crate::failure::is_gone(errno) => {
                gone = true;
                continue;
            }
            Err(errno) => return Err(errno.into()),
        };
        let (stat, is_writable) = stat;
        let device = DeviceNumber { major: stat.stx_rdev_major, minor: stat.stx_rdev_minor };
        let device = match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::BlockDevice => Some((device, true)),
            FileType::CharacterDevice if devices::is_of_host(device) => Some((device, false)),
            _ => None,
        };
        let file = files.entry((mapping.file_system, mapping.inode)).or_insert_with(|| Mapped {
            mount: (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id),
            device,
            is_writable,
            is_executable: false,
            path: mapping.path.into(),
        });
        file.is_writable |= is_writable;
        file.is_executable |= mapping.is_executable;
    }
    // Where the thread group leader has exited, the kernel lists no `map_files`, but the others still have the memory.
    if gone && files.is_empty() && !maps(dir, pid, &mut Vec::new())?.is_empty() {
        return Err(Failure::because(Cause::Unsupported));
    }
    Ok(files.into_values().collect())
}
