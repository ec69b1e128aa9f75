//! The answer as JSON.

use serde::Serialize;

use super::words::kind;
use super::{Id, Owner, Pair, View};
use crate::names::lossy;
use crate::whose::WhoseForm;

/// Whose a file is.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "OwnerAnswer"))]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// As it was asked for.
    pub asked: String,
    /// Its path, from the root of its mount namespace.
    pub path: String,
    /// `regular file`, `directory`, `symbolic link`, `block device`, `character device`, `FIFO`, `socket`, `file`.
    pub kind: &'static str,
    /// Its mode, without its kind.
    pub mode: u32,
    /// Its inode number.
    pub inode: u64,
    /// Whether the IDs of `on-host` are those of the initial user namespace; otherwise it is not visible from here.
    pub host_visible: bool,
    /// As the host has it, in the initial user namespace.
    pub on_host: IdsAnswer,
    /// As it was found: through its mount, in the user namespace of the observer.
    pub as_found: IdsAnswer,
    /// The mount that it was found through; `null` where that is not in the list of mounts.
    pub mount: Option<MountAnswer>,
    /// Its file system; `null` likewise.
    #[serde(rename = "stored-on")]
    pub file_system: Option<FileSystemAnswer>,
    /// Whether it is a program that runs as its owner or its group.
    pub set_id: bool,
    /// Whether its capabilities were read.
    pub capabilities_read: bool,
    /// The capabilities that running it gives; `null` where it gives none, or they were not read.
    #[serde(rename = "file-capabilities")]
    pub capabilities: Option<CapabilitiesAnswer>,
    /// As each user namespace that sees it has it.
    pub views: Vec<ViewAnswer>,
}

/// A UID and a GID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "OwnerIds"))]
#[serde(rename_all = "kebab-case")]
pub struct IdsAnswer {
    /// The UID; `null` where there is none, or it is not known.
    pub uid: Option<u32>,
    /// `known`, `not-mapped` (the kernel shows 65534), `overflow` (65534 or not mapped), `unknown`.
    pub uid_state: &'static str,
    /// The name of the user, by the `/etc/passwd` of the mount namespace; `null` where there is none, or it was not read.
    pub user: Option<String>,
    /// The GID; likewise.
    pub gid: Option<u32>,
    /// As `uid-state`.
    pub gid_state: &'static str,
    /// The name of the group, by `/etc/group`.
    pub group: Option<String>,
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "OwnerMount"))]
#[serde(rename_all = "kebab-case")]
pub struct MountAnswer {
    /// Its mount namespace.
    pub mntns: u64,
    /// Its ID.
    #[serde(rename = "mountid")]
    pub id: u64,
    /// Where it is mounted; `null` where no path leads there.
    pub point: Option<String>,
    /// The directory of the file system that is mounted.
    pub root: String,
    /// Whether it shows other IDs than the file system has.
    pub id_mapped: bool,
    /// Whether its ID maps could be read; `null` where it has none.
    pub maps_read: Option<bool>,
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "OwnerFileSystem"))]
#[serde(rename_all = "kebab-case")]
pub struct FileSystemAnswer {
    /// Its device number, as in mountinfo.
    pub device: String,
    /// Its type.
    #[serde(rename = "type")]
    pub fs_type: String,
}

/// The capabilities that running a file gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "OwnerCapabilities"))]
#[serde(rename_all = "kebab-case")]
pub struct CapabilitiesAnswer {
    /// Those that it gives.
    pub permitted: lxkns_model::CapabilitySet,
    /// Those that it gives where the process has them in its inheritable set.
    pub inheritable: lxkns_model::CapabilitySet,
    /// Whether they are effective from the start (the effective bit).
    #[serde(rename = "takes-effect")]
    pub effective: bool,
    /// The UID, in the user namespace of the observer, that must be root in the user namespace where they count.
    pub root_uid: u32,
}

/// How a user namespace has a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "OwnerView"))]
#[serde(rename_all = "kebab-case")]
pub struct ViewAnswer {
    /// The user namespace.
    pub userns: u64,
    /// A process that is in it and sees the file; `null` where the user namespace only owns the mount namespace.
    pub pid: Option<u32>,
    /// What the process belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
    /// The IDs and names.
    #[serde(flatten)]
    pub ids: IdsAnswer,
    /// The mount namespace where it sees it: the first of them.
    pub mntns: u64,
    /// How many mount namespaces show it in the same way.
    pub mount_namespaces: usize,
    /// The path there.
    pub path: String,
    /// Whether the mount there shows other IDs than the file system has.
    pub id_mapped: bool,
    /// Whether running it there takes effect as its owner or group; `null` where not known.
    pub set_id: Option<bool>,
    /// Whether its capabilities count there; `null` where not known.
    #[serde(rename = "capabilities-count")]
    pub capabilities: Option<bool>,
}

fn state(id: Id) -> &'static str {
    match id {
        Id::Known(_) => "known",
        Id::NotMapped => "not-mapped",
        Id::Overflow => "overflow",
        Id::Unknown => "unknown",
    }
}

fn ids([uid, gid]: Pair, [user, group]: &[Option<bstr::BString>; 2]) -> IdsAnswer {
    let name = |name: &Option<bstr::BString>| name.as_ref().map(|name| lossy(name));
    IdsAnswer {
        uid: uid.known(),
        uid_state: state(uid),
        user: name(user),
        gid: gid.known(),
        gid_state: state(gid),
        group: name(group),
    }
}

impl Owner<'_> {
    /// It as JSON; `asked` is what was asked for.
    pub fn answer(&self, asked: &[u8]) -> Answer {
        let file = self.file;
        let own = self.sights.own.as_ref();
        let home = self.snapshot.observer_mount_ns;
        let (host, found) = (self.on_host(), self.as_found());
        let of_mount = own.map(|own| own.mount_ns);
        Answer {
            asked: lossy(asked),
            path: lossy(&file.path),
            kind: kind(file.mode),
            mode: file.mode & 0o7777,
            inode: file.ino,
            host_visible: self.sees_host(),
            on_host: ids(host, &self.names_in(home, host)),
            as_found: ids(found, &self.names_in(of_mount, found)),
            mount: own.map(|own| MountAnswer {
                mntns: own.mount_ns.ino,
                id: own.mount.id,
                point: own.mount.path().map(|point| lossy(point)),
                root: lossy(&own.mount.root),
                id_mapped: own.is_id_mapped(),
                maps_read: own.is_id_mapped().then_some(self.reading.maps.is_some()),
            }),
            file_system: own.map(|own| FileSystemAnswer {
                device: own.mount.file_system.to_string(),
                fs_type: lossy(&own.mount.fs_type),
            }),
            set_id: self.has_set_id(),
            capabilities_read: file.capabilities.is_some(),
            capabilities: file.capabilities.flatten().map(|it| CapabilitiesAnswer {
                permitted: it.permitted,
                inheritable: it.inheritable,
                effective: it.effective,
                root_uid: it.root.0,
            }),
            views: self.views.iter().map(|view| self.view_answer(view)).collect(),
        }
    }

    fn view_answer(&self, view: &View<'_>) -> ViewAnswer {
        let whose = match view.process {
            Some(pid) => WhoseForm::process(self.snapshot, pid),
            None => WhoseForm::namespace(self.snapshot, view.user_ns),
        };
        ViewAnswer {
            userns: view.user_ns.ino,
            pid: view.process.map(|pid| pid.0),
            whose,
            ids: ids(view.ids, &view.names),
            mntns: view.sight.mount_ns.ino,
            mount_namespaces: view.mount_namespaces,
            path: lossy(&view.sight.path),
            id_mapped: view.sight.is_id_mapped(),
            set_id: view.set_id,
            capabilities: view.capabilities,
        }
    }
}
