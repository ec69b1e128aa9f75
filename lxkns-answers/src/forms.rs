//! The JSON forms that several answers share: namespaces, holders and suspects. The keys are those of dumps.
//!
//! A key that applies to a kind is always present, and `null` if the value is not known or there is none; other keys are left
//! out. Invalid UTF-8 is replaced with U+FFFD.

use bstr::BString;
use lxkns_model::{Exactness, Holder, Namespace, NamespaceId, NamespaceType, Pid, References, Snapshot, Suspect, Tid};
use serde::Serialize;

use crate::context::Context;
use crate::holders::{self, Kind};
use crate::names;
use crate::steps::Release;
use crate::suspects;
use crate::whose::WhoseForm;

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Namespace"))]
#[serde(rename_all = "kebab-case")]
pub struct NamespaceForm {
    /// Its inode number.
    pub nsid: u64,
    /// Its type.
    #[serde(rename = "type")]
    pub ns_type: &'static str,
    /// Its ID, which is never reused before the next boot. Can exceed 2^53.
    pub unique_id: Option<u64>,
    /// Whether the kernel started with it.
    pub initial: bool,
    /// The user namespace that owns it.
    pub owner: Option<u64>,
    /// Its parent; on user and PID namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Option<u64>>,
    /// Its name in `ip netns`, in the observer's mount namespace; on network namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns_name: Option<Option<String>>,
    /// The PIDs of the topmost processes in it, the most senior first; left out where an event is about one process or
    /// holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaders: Option<Vec<u32>>,
    /// What it belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

impl NamespaceForm {
    /// The form of a namespace. Its name is that in `mount_ns`.
    pub fn of(snapshot: &Snapshot, namespace: &Namespace, mount_ns: Option<NamespaceId>) -> Self {
        let has_parent = matches!(namespace.ns_type, NamespaceType::User | NamespaceType::Pid);
        let netns_name = names::netns_name(snapshot, namespace.id, mount_ns);
        Self {
            nsid: namespace.id.ino,
            ns_type: namespace.ns_type.name(),
            unique_id: namespace.unique_id,
            initial: namespace.initial,
            owner: namespace.owner.known().map(|id| id.ino),
            parent: has_parent.then(|| namespace.parent.known().map(|id| id.ino)),
            netns_name: (namespace.ns_type == NamespaceType::Net).then(|| netns_name.map(|name| names::lossy(name))),
            leaders: Some(namespace.leaders.iter().map(|pid| pid.0).collect()),
            whose: WhoseForm::namespace(snapshot, namespace.id),
        }
    }
}

/// How many references to a namespace there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "References"))]
pub struct ReferencesForm {
    /// The kernel's count.
    pub total: u32,
    /// How many of them are explained by what was found.
    pub explained: u32,
    /// Whether all of them can be: something else holds the namespace where one is not.
    pub exact: bool,
}

impl ReferencesForm {
    /// Those of a namespace; `None` where they are not known.
    pub fn of(snapshot: &Snapshot, namespace: &Namespace) -> Option<Self> {
        let &References { total, explained, exactness } = snapshot.references.get(&namespace.id)?;
        Some(Self { total, explained, exact: exactness == Exactness::Exact })
    }
}

/// A process, or one of its tasks or descriptors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Process"))]
#[serde(rename_all = "kebab-case")]
pub struct ProcessForm {
    /// Its PID.
    pub pid: u32,
    /// The task, or the task that owns the descriptor table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// The descriptor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<u32>,
    /// Its command line, or its name if it has none.
    pub command: Option<String>,
    /// What it belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

impl ProcessForm {
    /// The form of a process.
    pub fn of(snapshot: &Snapshot, pid: Pid, tid: Option<Tid>, fd: Option<u32>) -> Self {
        let command = snapshot.processes.get(&pid).map(|process| names::lossy(&names::command(process)));
        Self { pid: pid.0, tid: tid.map(|tid| tid.0), fd, command, whose: WhoseForm::process(snapshot, pid) }
    }
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "MountOfHolder"))]
#[serde(rename_all = "kebab-case")]
pub struct MountForm {
    /// The mount namespace that it is in.
    pub mntns: u64,
    /// Its ID as in mountinfo.
    pub mountid: u64,
    /// The type of its file system; not on bind mounts of a namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fstype: Option<String>,
    /// Its mount point; `null` if no path leads there.
    pub path: Option<String>,
    /// What the mount namespace belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

impl MountForm {
    fn of(
        snapshot: &Snapshot,
        mount_ns: NamespaceId,
        mount_id: u64,
        fs_type: Option<&BString>,
        path: Option<&BString>,
    ) -> Self {
        let lossy = |text: &BString| names::lossy(text);
        let whose = WhoseForm::namespace(snapshot, mount_ns);
        Self { mntns: mount_ns.ino, mountid: mount_id, fstype: fs_type.map(lossy), path: path.map(lossy), whose }
    }
}

/// A holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Holder"))]
#[serde(rename_all = "kebab-case")]
pub struct HolderForm {
    /// What it is; later versions can have others.
    pub kind: &'static str,
    /// The process.
    #[serde(flatten)]
    pub process: Option<ProcessForm>,
    /// A socket's inode number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// What waits in a socket: `descriptor`, `socket` or `connection`; later versions can have others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<&'static str>,
    /// The number of sockets of processes in the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The network namespace of a TUN/TAP device, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_nsid: Option<u64>,
    /// The mount.
    #[serde(flatten)]
    pub mount: Option<MountForm>,
    /// The child or the owned namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nsid: Option<u64>,
    /// The steps that release it, in order; empty if none are known, or it no longer holds the namespace.
    pub release: Release,
}

impl HolderForm {
    /// The form of a holder, with the steps that release it.
    pub fn of(snapshot: &Snapshot, holder: &Holder, release: Release) -> Self {
        let process = |pid, tid, fd| Some(ProcessForm::of(snapshot, pid, tid, fd));
        let mut form = Self {
            kind: Kind::of(holder).name(),
            process: None,
            inode: None,
            what: None,
            count: None,
            device_nsid: None,
            mount: None,
            nsid: None,
            release,
        };
        match holder {
            Holder::Process { pid } => form.process = process(*pid, None, None),
            Holder::Task { pid, tid } | Holder::ForChildren { pid, tid } => {
                form.process = process(*pid, Some(*tid), None);
            }
            Holder::Fd { pid, tid, fd } => form.process = process(*pid, Some(*tid), Some(*fd)),
            Holder::Socket { pid, tid, fd, inode } => {
                form.process = process(*pid, Some(*tid), Some(*fd));
                form.inode = Some(*inode);
            }
            Holder::Sockets { count } => form.count = Some(*count),
            Holder::Tun { pid, tid, fd, device } => {
                form.process = process(*pid, Some(*tid), Some(*fd));
                form.device_nsid = device.map(|id| id.ino);
            }
            Holder::InFlight { pid, tid, fd, inode, what } => {
                form.process = process(*pid, Some(*tid), Some(*fd));
                (form.inode, form.what) = (Some(*inode), Some(holders::what(*what)));
            }
            Holder::BindMount { mount_ns, mount_id, path } => {
                form.mount = Some(MountForm::of(snapshot, *mount_ns, *mount_id, None, path.as_ref()));
            }
            Holder::Mount { mount_ns, mount_id, fs_type, path } => {
                form.mount = Some(MountForm::of(snapshot, *mount_ns, *mount_id, Some(fs_type), path.as_ref()));
            }
            Holder::Child { ns } | Holder::Owned { ns } => form.nsid = Some(ns.ino),
            _ => {}
        }
        form
    }
}

/// A suspect: something that may hold a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Suspect"))]
#[serde(rename_all = "kebab-case")]
pub struct SuspectForm {
    /// What it is; later versions can have others.
    pub kind: &'static str,
    /// The process.
    #[serde(flatten)]
    pub process: Option<ProcessForm>,
    /// The type of namespace that an open file holds.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub ns_type: Option<&'static str>,
    /// The path of an open file.
    #[serde(rename = "path", skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The number of descriptors or files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The mounted file system.
    #[serde(flatten)]
    pub mount: Option<MountForm>,
    /// Its major device number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major: Option<u32>,
    /// Its minor device number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor: Option<u32>,
    /// The ID of a System V shared memory segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shmid: Option<u64>,
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<u32>,
    /// The suspect as a sentence.
    pub text: String,
}

impl SuspectForm {
    /// The form of a suspect.
    pub fn of(context: &Context<'_>, suspect: &Suspect) -> Self {
        let process = |pid, tid, fd| Some(ProcessForm::of(context.snapshot, pid, tid, fd));
        let mut form = Self {
            kind: "other",
            process: None,
            ns_type: None,
            file: None,
            count: None,
            mount: None,
            major: None,
            minor: None,
            shmid: None,
            key: None,
            text: suspects::describe(context, suspect),
        };
        match suspect {
            Suspect::ProcFile { pid, tid, fd, ns_type, path } => {
                form.kind = "proc-file";
                form.process = process(*pid, Some(*tid), Some(*fd));
                (form.ns_type, form.file) = (Some(ns_type.name()), Some(names::lossy(path)));
            }
            Suspect::InFlight { pid, tid, fd, count } => {
                form.kind = "in-flight";
                form.process = process(*pid, Some(*tid), Some(*fd));
                form.count = Some(*count);
            }
            Suspect::IoUring { pid, tid, fd, count } => {
                form.kind = "io-uring";
                form.process = process(*pid, Some(*tid), Some(*fd));
                form.count = Some(*count);
            }
            Suspect::SharedMemory { pid, id, key } => {
                form.kind = "shared-memory";
                form.process = process(*pid, None, None);
                (form.shmid, form.key) = (Some(*id), Some(*key));
            }
            Suspect::Mount { mount_ns, mount_id, fs_type, file_system, path } => {
                form.kind = "mount";
                form.mount = Some(MountForm::of(context.snapshot, *mount_ns, *mount_id, Some(fs_type), path.as_ref()));
                (form.major, form.minor) = (Some(file_system.major), Some(file_system.minor));
            }
            _ => {}
        }
        form
    }
}
