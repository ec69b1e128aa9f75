//! Users and holders of a file system in words, and what would make each release it.

use bstr::ByteSlice as _;
use lxkns_model::CompactSort as _;
use lxkns_model::{
    DeviceNumber, DeviceRole, FileSystemHolder, FileSystemHolderKind as Kind, FileSystemUse, FileSystemUseKind as Use,
    FileSystemUser, HiddenFiles, KernelFacility, Mount, NamespaceId, Pid, Snapshot, Tid, UnreadHolders,
};

use super::steps::Step;
use crate::names::{self, Detail};
use crate::text::escape::{printable, shell_word};
use crate::text::shown;
use crate::whose;

/// How a process uses it, in words that are safe to print. Descriptors are put together.
pub fn uses<'a>(pid: Pid, uses: impl IntoIterator<Item = &'a FileSystemUse>, limit: usize) -> Vec<String> {
    let mut words = Vec::new();
    let mut fds = Vec::new();
    for one in uses {
        match &one.kind {
            Use::Root { tid } => words.push(of(pid, *tid, "root directory")),
            Use::WorkingDirectory { tid } => words.push(of(pid, *tid, "working directory")),
            Use::Executable => words.push("executable".to_owned()),
            Use::Fd { tid, fd, is_tasks_own } => fds.push(fd_of(*tid, *is_tasks_own, &format!("fd {fd}"))),
            Use::Socket { tid, fd, is_tasks_own } => {
                fds.push(fd_of(*tid, *is_tasks_own, &format!("bound UNIX socket, fd {fd}")));
            }
            Use::Device { tid, fd, is_tasks_own } => {
                fds.push(fd_of(*tid, *is_tasks_own, &format!("block device, fd {fd}")));
            }
            Use::Mapped { path } => {
                let unknown = if one.mount_id.is_none() { " (mount unknown)" } else { "" };
                words.push(format!("mapped file {}{unknown}", printable(path)));
            }
            Use::MappedDevice { path } => words.push(format!("mapped block device {}", printable(path))),
            _ => words.push("a use unknown to this version".to_owned()),
        }
    }
    let count = shown(fds.len(), limit);
    let more = fds.len() - count;
    words.extend(fds.into_iter().take(count));
    words.extend((more > 0).then(|| format!("{more} more fds")));
    words
}

fn of(pid: Pid, tid: Tid, what: &str) -> String {
    if Tid::from(pid) == tid { what.to_owned() } else { format!("{what} of task {tid}") }
}

fn fd_of(tid: Tid, is_tasks_own: bool, what: &str) -> String {
    if is_tasks_own { format!("{what} of task {tid}") } else { what.to_owned() }
}

/// What would make a process let go of these, as in `process 12 closes fd 3, or exits`.
pub(crate) fn release_uses<'a>(pid: Pid, uses: impl IntoIterator<Item = &'a FileSystemUse>) -> Step {
    const FEW: usize = 3;
    let (mut fds, mut leaves, mut exits) = (Vec::new(), Vec::new(), Vec::new());
    for one in uses {
        match &one.kind {
            Use::Fd { tid, fd, is_tasks_own }
            | Use::Socket { tid, fd, is_tasks_own }
            | Use::Device { tid, fd, is_tasks_own } => fds.push((is_tasks_own.then_some(*tid), fd.to_string())),
            Use::WorkingDirectory { tid } => leaves.push((*tid != Tid::from(pid)).then_some(*tid)),
            // It cannot let go of these, or nobody can make it.
            Use::Root { tid } => exits.push((*tid != Tid::from(pid)).then_some(*tid)),
            _ => exits.push(None),
        }
    }
    let tasks = fds.iter().map(|(tid, _)| *tid).chain(leaves.iter().copied()).chain(exits.iter().copied());
    let mut tasks: Vec<_> = tasks.collect();
    tasks.compact_sort();
    tasks.dedup();
    // What one task alone has, goes with it.
    let who = match tasks[..] {
        [Some(tid)] => format!("task {tid} of process {pid}"),
        _ => format!("process {pid}"),
    };
    if !exits.is_empty() {
        return Step::of_process("exit", pid, format!("{who} exits"));
    }
    let closes = match fds.len() {
        0 => None,
        1..=FEW => {
            let fds: Vec<_> = fds.into_iter().map(|(_, fd)| fd).collect();
            Some(format!("closes fd {}", fds.join(", ")))
        }
        count => Some(format!("closes {count} fds")),
    };
    let leaves = (!leaves.is_empty()).then(|| "leaves its working directory".to_owned());
    let all: Vec<_> = closes.into_iter().chain(leaves).collect();
    Step::of_process("close", pid, format!("{who} {}, or exits", all.join(" and ")))
}

/// A process as in `process 12 (sleep 1000)`.
pub fn user(snapshot: &Snapshot, user: &FileSystemUser) -> String {
    let known = snapshot.processes.get(&user.pid).filter(|process| *process.comm() == user.comm);
    match known {
        Some(_) => format!("process {}", names::process(snapshot, user.pid, Detail::Full)),
        None => format!("process {} ({}){}", user.pid, names::text(&user.comm), whose::in_words(snapshot, user.pid)),
    }
}

/// What something is that keeps a file system busy without a process that has a file of it open.
pub fn holder(snapshot: &Snapshot, holder: &FileSystemHolder) -> String {
    match &holder.kind {
        Kind::KernelThreads { count: 1 } => "the kernel: root and working directory of a kernel thread".to_owned(),
        Kind::KernelThreads { count } => {
            format!("the kernel: root and working directory of its {count} kernel threads")
        }
        Kind::Loop { device, path, .. } => {
            format!("loop device /dev/{}: backing file {}", printable(device), printable(path))
        }
        Kind::Swap { path } => format!("swap: {}", printable(path)),
        Kind::BinfmtMisc { name, path } => {
            format!("binfmt_misc entry {}: interpreter {} (flag F)", printable(name), printable(path))
        }
        Kind::Layer { fs_type, mount_ns, mount_id, point, path, .. } => {
            let point = point.as_ref().map(|point| format!(" at {}", printable(point))).unwrap_or_default();
            let namespace = names::namespace(snapshot, *mount_ns);
            format!("{} mounted{point} in {namespace}, mount ID {mount_id}: {}", printable(fs_type), printable(path))
        }
        Kind::BlockDevice { name } => format!("block device {}, built on its device", printable(name)),
        Kind::Journal { device, of } => {
            let of = of.as_ref().map_or_else(
                || "a file system on another device".to_owned(),
                |of| format!("the file system on /dev/{}", printable(of)),
            );
            format!("/dev/{} has the journal of {of}", printable(device))
        }
        Kind::Active { fs_type } => format!("the kernel has {} active on its device", printable(fs_type)),
        Kind::DeviceFileSystem { role, device, fs_type } => {
            let role = match role {
                DeviceRole::Partition => "a partition of it",
                DeviceRole::Disk => "the disk that it is a partition of",
                _ => "another device",
            };
            format!("{} on /dev/{}, {role}", printable(fs_type), printable(device))
        }
        Kind::Facility { facility, name, path } => {
            let name = if name.is_empty() { String::new() } else { format!(" {}", printable(name)) };
            format!("{}{name}: {}", facility_name(*facility), printable(path))
        }
        Kind::Descriptor { pid, tid, fd, holds } => {
            let process = names::process(snapshot, *pid, Detail::Full);
            format!("process {process}: {}", of(*pid, *tid, &format!("fd {fd}, {}", hidden(*holds))))
        }
        Kind::Detached { pid, kind } => {
            let process = names::process(snapshot, *pid, Detail::Full);
            let uses = uses(*pid, [&FileSystemUse::new(kind.clone(), None)], 1).join(", ");
            format!("process {process}: {uses} on a mount in no mount namespace")
        }
        _ => "a holder unknown to this version".to_owned(),
    }
}

fn hidden(holds: HiddenFiles) -> String {
    match holds {
        HiddenFiles::InFlight(count) => format!("a UNIX socket with {count} descriptors in flight"),
        HiddenFiles::IoUring(count) => format!("an io_uring with {count} registered files"),
        HiddenFiles::Fanotify => "a fanotify group, which holds the files of unread events".to_owned(),
        HiddenFiles::Probe => "a perf event or BPF link, which can be a probe in a program".to_owned(),
        HiddenFiles::SettingUp => "a file system being set up".to_owned(),
        HiddenFiles::Disk => "the disk that it is a partition of, which excludes others if opened for that".to_owned(),
        HiddenFiles::BoundSocket => "a bound UNIX socket whose mount is not readable".to_owned(),
        _ => "hidden files".to_owned(),
    }
}

fn facility_name(facility: KernelFacility) -> &'static str {
    match facility {
        KernelFacility::NfsExport => "NFS export",
        KernelFacility::Zram => "zram backing device of",
        KernelFacility::NvmeTarget => "NVMe target namespace",
        KernelFacility::ScsiTarget => "SCSI target",
        KernelFacility::UsbGadget => "USB gadget",
        KernelFacility::Uprobe => "uprobe",
        _ => "kernel facility",
    }
}

/// What could not be looked at, in a word or two.
pub(crate) fn unread_name(unread: &UnreadHolders) -> String {
    match unread {
        UnreadHolders::NotMounted(fs_type) => (*fs_type).to_owned(),
        UnreadHolders::OtherDevices(fs_type) => format!("devices of {}", printable(fs_type)),
        _ => "other".to_owned(),
    }
}

/// What could not be looked at, in sentences.
pub fn unread_holders(all: &[UnreadHolders]) -> Vec<String> {
    let of_mount = |unread: &UnreadHolders| match unread {
        UnreadHolders::NotMounted(fs_type) => Some(match *fs_type {
            "sysfs" => "sysfs (loop and other block devices)",
            "tracefs" => "tracefs (uprobes)",
            "binfmt_misc" => "binfmt_misc (interpreters)",
            "configfs" => "configfs (SCSI, NVMe and USB targets)",
            other => other,
        }),
        _ => None,
    };
    let mounts: Vec<_> = all.iter().filter_map(of_mount).collect();
    let mounts = (!mounts.is_empty()).then(|| format!("not searched: {}: not mounted here", mounts.join(", ")));
    let of_devices = all.iter().filter_map(|unread| match unread {
        UnreadHolders::OtherDevices(fs_type) => {
            Some(format!("not searched: other devices of this {}, which the kernel does not name", printable(fs_type)))
        }
        _ => None,
    });
    mounts.into_iter().chain(of_devices).collect()
}

/// What would make it let go. `umount` says that of a mount, `is_used_often` whether a file system is mounted more than once.
pub(super) fn release_holder(
    snapshot: &Snapshot,
    holder: &FileSystemHolder,
    is_used_often: impl Fn(DeviceNumber) -> bool,
    umount: impl Fn(NamespaceId, u64) -> Option<Step>,
) -> Step {
    let mounted = |fs_type: &str, otherwise: &str| {
        let mounts = snapshot.observer_mount_ns.and_then(|home| snapshot.mounts.get(&home));
        let is_it = |mount: &&Mount| !mount.hidden && *mount.fs_type == *fs_type;
        let mount = mounts.and_then(|mounts| mounts.iter().find(is_it));
        mount
            .and_then(|mount| mount.path())
            .map_or_else(|| otherwise.to_owned(), |path| path.to_str_lossy().into_owned())
    };
    let other = |what: String| Step::new("release-file-system", what);
    match &holder.kind {
        Kind::KernelThreads { .. } => Step::new("shut-down", "the kernel shuts down".to_owned()),
        Kind::Loop { device, is_used, detaches_itself, .. } => {
            let device = shell_word(format!("/dev/{device}").as_bytes());
            let used = format!("what uses {device} releases it (lxkns busy {device})");
            let detach = format!("losetup -d {device}");
            match (is_used, detaches_itself) {
                (false, false) => Step::command("detach", detach),
                (true, false) => Step::then(used, "detach", detach),
                (_, true) => other(used),
            }
        }
        Kind::Swap { path } => Step::command("swap-off", format!("swapoff {}", shell_word(path))),
        Kind::BinfmtMisc { name, .. } => {
            let mut file = mounted("binfmt_misc", "/proc/sys/fs/binfmt_misc");
            file.push('/');
            file.push_str(&name.to_str_lossy());
            Step::command("unregister", format!("echo -1 > {}", shell_word(file.as_bytes())))
        }
        Kind::Layer { file_system, .. } if is_used_often(*file_system) => {
            other(format!("the file system made of it is released (lxkns busy {file_system})"))
        }
        Kind::Layer { mount_ns, mount_id, .. } => umount(*mount_ns, *mount_id).unwrap_or_else(|| {
            let target = names::target(snapshot, *mount_ns);
            Step::new("unmount", format!("mount {mount_id} of {target} is unmounted"))
        }),
        Kind::BlockDevice { name } if name.starts_with(b"md") => {
            Step::command("stop", format!("mdadm --stop {}", shell_word(format!("/dev/{name}").as_bytes())))
        }
        Kind::BlockDevice { name } if name.starts_with(b"dm-") => {
            let device = shell_word(format!("/dev/{name}").as_bytes());
            let released = format!("{device} is released (lxkns busy {device})");
            Step::then(released, "remove", format!("dmsetup remove {device}"))
        }
        Kind::BlockDevice { name } => Step::new("other", format!("block device {} releases it", printable(name))),
        Kind::Journal { of: Some(of), .. } => {
            let of = shell_word(format!("/dev/{of}").as_bytes());
            other(format!("the file system on {of} is released (lxkns busy {of})"))
        }
        Kind::Journal { of: None, .. } => other("that file system is released".to_owned()),
        Kind::Active { .. } => Step::new(
            "close",
            "the processes named here close their files on it; if none is named, the holder is not visible from here (lxkns \
             doctor)"
                .to_owned(),
        ),
        Kind::DeviceFileSystem { device, .. } => {
            let device = shell_word(format!("/dev/{device}").as_bytes());
            other(format!("the file system on {device} is released (lxkns busy {device})"))
        }
        Kind::Facility { facility, name, path } => match facility {
            KernelFacility::NfsExport => Step::new(
                "unexport",
                format!("it is no longer exported (exportfs -u) and {} is released", shell_word(path)),
            ),
            KernelFacility::Zram => {
                Step::command("reset", format!("zramctl --reset {}", shell_word(format!("/dev/{name}").as_bytes())))
            }
            KernelFacility::Uprobe => {
                let events = format!("{}/uprobe_events", mounted("tracefs", "/sys/kernel/tracing"));
                let probe = shell_word(format!("-:{name}").as_bytes());
                Step::command("remove", format!("echo {probe} >> {}", shell_word(events.as_bytes())))
            }
            _ => Step::new("remove", format!("{} {} is removed", facility_name(*facility), printable(name))),
        },
        Kind::Descriptor { pid, tid, fd, holds } => {
            let who = match Tid::from(*pid) == *tid {
                true => format!("process {pid}"),
                false => format!("task {tid} of process {pid}"),
            };
            let text = match holds {
                HiddenFiles::InFlight(_) => format!("{who} receives and closes them, closes fd {fd}, or exits"),
                HiddenFiles::Fanotify => {
                    format!("{who} reads the events and closes their files, closes fd {fd}, or exits")
                }
                _ => format!("{who} closes fd {fd}, or exits"),
            };
            Step::of_process("close", *pid, text)
        }
        Kind::Detached { pid, kind } => release_uses(*pid, [&FileSystemUse::new(kind.clone(), None)]),
        _ => Step::new("other", "it releases it".to_owned()),
    }
}
