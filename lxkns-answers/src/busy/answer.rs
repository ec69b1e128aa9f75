//! What is said of a file system, as values for programs.

use lxkns_model::relations;
use lxkns_model::{
    FileSystemHolder, FileSystemHolderKind as HolderKind, FileSystemUse, FileSystemUseKind as UseKind, FileSystemUser,
    HiddenFiles, KernelFacility,
};
use serde::Serialize;

use super::{Busy, Keeper, Step, words};
use crate::names::{self, lossy};
use crate::whose::WhoseForm;

/// What is said of a file system.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "BusyAnswer"))]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The major number of its device.
    pub major: u32,
    /// The minor number of its device.
    pub minor: u32,
    /// The mount that was asked for, and what makes `umount` of it fail; `None` where no path was asked for.
    pub mount: Option<MountOfBusy>,
    /// Where it is mounted.
    pub mounts: Vec<MountAnswer>,
    /// Whether it can be mounted nowhere else: the mounts of all mount namespaces were seen.
    pub mounts_seen: bool,
    /// The processes that use it; `None`: not known, since a dump does not say.
    pub users: Option<Vec<UserAnswer>>,
    /// How many processes could not be looked into.
    pub unreadable_processes: Option<usize>,
    /// Whether procfs lists all processes of the host.
    pub processes_listed: bool,
    /// What keeps it busy without a process that has it open.
    pub holders: Option<Vec<HolderAnswer>>,
    /// What may keep it busy: the kernel does not say what these hold.
    pub suspects: Option<Vec<HolderAnswer>>,
    /// Where more of these may be that could not be looked at: file systems that are not mounted here, or whose type does not
    /// show them.
    pub unread_holders: Option<Vec<String>>,
    /// What would release it: all of it must happen.
    pub release: Vec<Step>,
    /// Whether the kernel may refuse an `umount` in it, as mounts that a mount namespace was made with can be locked.
    pub may_be_locked: bool,
}

/// The mount that was asked for.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct MountOfBusy {
    /// Its ID.
    pub mountid: u64,
    /// Where it is mounted.
    pub path: Option<String>,
    /// What makes `umount` fail, and what would end each; `None` where that is not known.
    pub holders: Option<Vec<KeeperAnswer>>,
    /// What may make it fail: the kernel does not say which mount it keeps.
    pub suspects: Option<Vec<KeeperAnswer>>,
}

/// Something that keeps a mount from being unmounted.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct KeeperAnswer {
    /// `process`, `mount` (on it), `root` (of the mount namespace), `caller` (lacks a capability), or the kind of a holder.
    pub kind: &'static str,
    /// All of it in words.
    pub text: String,
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mountid: Option<u64>,
    /// What would make it let go.
    pub release: Vec<Step>,
}

/// Something that keeps a file system busy without a process that has a file of it open.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "BusyHolder"))]
#[serde(rename_all = "kebab-case")]
pub struct HolderAnswer {
    /// What it is; later versions can have others.
    pub kind: &'static str,
    /// All of it in words.
    pub text: String,
    /// The process that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The mount that it is used through; `None` where the kernel does not say.
    pub mountid: Option<u64>,
    /// What would make it let go.
    pub release: Vec<Step>,
}

/// A mount of a file system.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "BusyMount"))]
#[serde(rename_all = "kebab-case")]
pub struct MountAnswer {
    /// The inode number of the mount namespace.
    pub mntns: u64,
    /// How many processes were seen in that mount namespace; `None` where none was and there may be others.
    pub process_count: Option<u64>,
    /// Whether all could be seen that may be in it.
    pub members_seen: bool,
    /// The topmost processes in it, the most senior first.
    pub leaders: Vec<u32>,
    /// The ID of the mount.
    pub mountid: u64,
    /// Where it is mounted; `None` where the root of the mount namespace does not reach it.
    pub path: Option<String>,
    /// Whether no path leads to it.
    pub hidden: bool,
    /// The type of the file system.
    pub fstype: String,
    /// What the file system was made from, where it is known.
    pub source: Option<String>,
    /// Which part of the file system is mounted.
    pub root: String,
    /// What the mount namespace belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

/// A process that uses a file system.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "BusyUser"))]
#[serde(rename_all = "kebab-case")]
pub struct UserAnswer {
    /// Its PID.
    pub pid: u32,
    /// Its command line, or its name.
    pub command: String,
    /// Its mount namespace.
    pub mntns: Option<u64>,
    /// How it uses it.
    pub uses: Vec<UseAnswer>,
    /// What it belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

/// How a process uses a file system.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct UseAnswer {
    /// `root`, `cwd`, `exe`, `fd`, `socket`, `device`, `mapped`, `mapped-device`; later versions can have others.
    pub kind: &'static str,
    /// The task whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// The descriptor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<u32>,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The mount that it is used through; `None` where the kernel does not say.
    pub mountid: Option<u64>,
}

impl<'a> Busy<'a> {
    /// All of it as a value for programs.
    pub fn answer(&self) -> Answer {
        let mounts = self.mounts().iter().flat_map(|(&id, mounts)| mounts.iter().map(move |mount| (id, mount)));
        let mounts = mounts.map(|(id, mount)| MountAnswer {
            mntns: id.ino,
            process_count: Some(self.processes(id)).filter(|&count| count > 0 || self.members_seen(id)),
            members_seen: self.members_seen(id),
            leaders: {
                let namespace = self.snapshot.namespaces.get(&id);
                namespace.iter().flat_map(|namespace| &namespace.leaders).map(|pid| pid.0).collect()
            },
            mountid: mount.id,
            path: mount.path().map(|path| lossy(path)),
            hidden: mount.hidden,
            fstype: lossy(&mount.fs_type),
            source: mount.source.as_ref().map(|source| lossy(source)),
            root: lossy(&mount.root),
            whose: WhoseForm::namespace(self.snapshot, id),
        });
        let keepers = |keepers: Vec<Keeper<'a>>| keepers.iter().map(|keeper| self.keeper_answer(keeper)).collect();
        let mount = self.mount.map(|mount| MountOfBusy {
            mountid: mount.id,
            path: mount.path().map(|path| lossy(path)),
            holders: self.users.map(|_| keepers(self.keepers())),
            suspects: self.users.map(|_| keepers(self.suspects_of_mount())),
        });
        let holders = |is_certain| {
            self.users.map(|_| self.holders(is_certain).map(|holder| self.holder_answer(holder)).collect())
        };
        Answer {
            major: self.query.file_system.major,
            minor: self.query.file_system.minor,
            mount,
            mounts: mounts.collect(),
            users: self.users.map(|users| users.processes.iter().map(|user| self.user_answer(user)).collect()),
            mounts_seen: relations::mounts_seen(self.snapshot),
            processes_listed: self.are_listed(),
            unreadable_processes: self.users.map(|_| self.unread()),
            holders: holders(true),
            suspects: holders(false),
            unread_holders: self.users.map(|users| users.unread.iter().map(words::unread_name).collect()),
            release: self.release(),
            may_be_locked: self.may_be_locked(),
        }
    }

    fn keeper_answer(&self, keeper: &Keeper<'a>) -> KeeperAnswer {
        let (text, release) = self.describe_keeper(keeper, usize::MAX);
        let (kind, pid, mountid) = match keeper {
            Keeper::Process(user, _) => ("process", Some(user.pid.0), None),
            Keeper::Mount(mount) => ("mount", None, Some(mount.id)),
            Keeper::Holder(holder) => {
                let (kind, pid, _) = kind(holder);
                (kind, pid, holder.mount_id)
            }
            Keeper::Root => ("root", None, None),
            Keeper::Caller(_) => ("caller", None, None),
        };
        KeeperAnswer { kind, text, pid, mountid, release: vec![release] }
    }

    fn holder_answer(&self, holder: &'a FileSystemHolder) -> HolderAnswer {
        let (text, release) = self.describe_keeper(&Keeper::Holder(holder), usize::MAX);
        let (kind, pid, path) = kind(holder);
        HolderAnswer { kind, text, pid, path, mountid: holder.mount_id, release: vec![release] }
    }

    fn user_answer(&self, user: &FileSystemUser) -> UserAnswer {
        let known = self.snapshot.processes.get(&user.pid).filter(|process| *process.comm() == user.comm);
        let command = known.map_or_else(|| user.comm.clone(), names::command);
        UserAnswer {
            pid: user.pid.0,
            command: lossy(&command),
            mntns: user.mount_ns.map(|id| id.ino),
            uses: user.uses.iter().map(use_answer).collect(),
            whose: WhoseForm::process(self.snapshot, user.pid),
        }
    }
}

/// Its kind, its process and its file.
fn kind(holder: &FileSystemHolder) -> (&'static str, Option<u32>, Option<String>) {
    let (kind, pid, path) = match &holder.kind {
        HolderKind::KernelThreads { .. } => ("kernel-threads", None, None),
        HolderKind::Loop { path, .. } => ("loop", None, Some(path)),
        HolderKind::Swap { path } => ("swap", None, Some(path)),
        HolderKind::BinfmtMisc { path, .. } => ("binfmt-misc", None, Some(path)),
        HolderKind::Layer { path, .. } => ("layer", None, Some(path)),
        HolderKind::BlockDevice { .. } => ("block-device", None, None),
        HolderKind::Journal { .. } => ("journal", None, None),
        HolderKind::Active { .. } => ("active", None, None),
        HolderKind::DeviceFileSystem { .. } => ("device-file-system", None, None),
        HolderKind::Facility { path, facility, .. } => {
            let kind = match facility {
                KernelFacility::NfsExport => "nfs-export",
                KernelFacility::Zram => "zram",
                KernelFacility::NvmeTarget => "nvme-target",
                KernelFacility::ScsiTarget => "scsi-target",
                KernelFacility::UsbGadget => "usb-gadget",
                KernelFacility::Uprobe => "uprobe",
                _ => "facility",
            };
            (kind, None, Some(path))
        }
        HolderKind::Descriptor { pid, holds, .. } => {
            let kind = match holds {
                HiddenFiles::InFlight(_) => "in-flight",
                HiddenFiles::IoUring(_) => "io-uring",
                HiddenFiles::Fanotify => "fanotify",
                HiddenFiles::Probe => "probe",
                HiddenFiles::SettingUp => "setting-up",
                HiddenFiles::Disk => "disk",
                HiddenFiles::BoundSocket => "bound-socket",
                _ => "descriptor",
            };
            (kind, Some(pid.0), None)
        }
        HolderKind::Detached { pid, .. } => ("detached", Some(pid.0), None),
        _ => ("other", None, None),
    };
    (kind, pid, path.map(|path| lossy(path)))
}

fn use_answer(one: &FileSystemUse) -> UseAnswer {
    let of = |kind| UseAnswer { kind, mountid: one.mount_id, ..UseAnswer::default() };
    match &one.kind {
        UseKind::Root { tid } => UseAnswer { tid: Some(tid.0), ..of("root") },
        UseKind::WorkingDirectory { tid } => UseAnswer { tid: Some(tid.0), ..of("cwd") },
        UseKind::Executable => of("exe"),
        UseKind::Fd { tid, fd, .. } => UseAnswer { tid: Some(tid.0), fd: Some(*fd), ..of("fd") },
        UseKind::Socket { tid, fd, .. } => UseAnswer { tid: Some(tid.0), fd: Some(*fd), ..of("socket") },
        UseKind::Device { tid, fd, .. } => UseAnswer { tid: Some(tid.0), fd: Some(*fd), ..of("device") },
        UseKind::Mapped { path } => UseAnswer { path: Some(lossy(path)), ..of("mapped") },
        UseKind::MappedDevice { path } => UseAnswer { path: Some(lossy(path)), ..of("mapped-device") },
        _ => of("other"),
    }
}
