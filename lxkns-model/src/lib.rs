//! Linux kernel namespaces as values: what was found on a host, and how it relates.
//!
//! A [`Snapshot`] is what a scan of a host found, in the kernel's words. It has [`Namespace`]s, each with its [`Holder`]s
//! and [`Relation`]s; [`Process`]es, each with its [`Task`]s; the [`Mount`]s of mount namespaces; [`Suspect`]s, which hold
//! some namespace without the kernel saying which; and [`Gap`]s, which say what could not be read. What can be in it
//! depends on the [`Observer`]. `None` always means "not known"; zero never does. Units are in the names of fields:
//! `start_time_ticks`.
//!
//! - [`relations`] has pure functions over a snapshot: hierarchy, ownership, capabilities, hidden mounts, changes.
//! - [`passwd`] reads the names of users and groups.
//! - [`inside`] has what only a process inside a namespace can tell.
//! - `wire` (a feature) writes a snapshot as JSON and reads it back.
//!
//! Nothing in this crate does I/O of its own or needs an operating system: it relates the dump of a Linux host anywhere.
//! `lxkns-core` scans a host and re-exports this crate.
//!
//! ```
//! # #[cfg(feature = "wire")] {
//! # use std::time::SystemTime;
//! # use lxkns_model::{DiscoveryOptions, Host};
//! use lxkns_model::{relations, wire};
//!
//! # let snapshot = lxkns_model::Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::now());
//! # let mut dump = Vec::new();
//! # wire::write(&snapshot, &wire::WriteOptions::default(), &mut dump)?;
//! let snapshot = wire::read(dump.as_slice())?;
//! for namespace in snapshot.namespaces_by_type() {
//!     println!("{}: seen whole: {:?}", namespace.id.ino, relations::members_seen(&snapshot, namespace));
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! - `wire`: the JSON form (serde, serde_json).
//! - `schema`: its JSON Schema, derived from the types (schemars).

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod action_facts;
mod annotations;
mod capability_set;
mod cause;
mod cgroup_limits;
mod compact_sort;
mod confinement;
mod container;
mod ending;
mod errno;
mod file;
mod file_system_user;
mod gap;
mod holder;
mod ids;
mod keeper;
mod mount;
mod namespace;
mod observer;
mod octal;
mod operation;
mod options;
mod process;
mod reader;
mod references;
mod snapshot;
mod socket_user;
mod suspect;
mod task_event;
mod task_powers;
mod tasks;
mod texts;

pub mod inside;

pub mod links;

pub mod passwd;

pub mod relations;

#[cfg(feature = "wire")]
pub mod wire;

pub use action_facts::{ActionFacts, PidsLimit, SharedFs};
pub use annotations::Annotations;
pub use capability_set::{Capability, CapabilitySet};
pub use cause::Cause;
pub use cgroup_limits::{CgroupLimit, CgroupLimits};
pub use compact_sort::CompactSort;
pub use confinement::{
    ConfinementFacts, DeviceAccess, DeviceFile, EngineSocket, OutsideUse, OutsideUseKind, TaskCredentials,
};
pub use container::{
    Confidence, Container, ContainerHealth, ContainerRole, ContainerState, Containers, Disagreement, Engine,
    EngineKind, Evidence, EvidenceKind, Group, GroupKind, Pod, Said, Unit, UnitKind,
};
pub use ending::{Ending, Waiting};
pub use errno::{Errno, NoErrno};
pub use file::{File, FileCapabilities, Ids, MountIdMaps};
pub use file_system_user::{
    ControlAccess, ControlFile, DeviceRole, FileSystemHolder, FileSystemHolderKind, FileSystemQuery, FileSystemUse,
    FileSystemUseKind, FileSystemUser, FileSystemUsers, HiddenFiles, KernelFacility, UnreadHolders,
};
pub use gap::{Gap, Object, Place};
pub use holder::{Holder, InFlight};
pub use ids::{NamespaceId, NamespaceType, ParseNamespaceTypeError, Pid, Tid, TypedInode, Uid};
pub use keeper::{KEEPERS, Keeper, Visibility};
pub use mount::{DeviceNumber, Mount, Propagation, SharedText};
pub use namespace::{IdMapping, Namespace, Relation, TimeOffsets};
pub use observer::Observer;
pub use octal::unescape_octal;
pub use operation::{Call, Operation};
pub use options::{DiscoveryOptions, Places, Scope};
pub use process::{
    Capabilities, CgroupMembership, Cgroups, CpuRange, Freezer, NamespaceLinks, Process, ProcessStatus, Scheduling,
    Seccomp, Task, TaskState, Uids,
};
pub use reader::{NotKernel, Reader};
pub use references::{Exactness, References};
pub use snapshot::{Host, Snapshot};
pub use socket_user::SocketUser;
pub use suspect::Suspect;
pub use task_event::{EventRefusal, EventSource, LostEvents, SeenNamespace, TaskEvent, TaskEventKind};
pub use task_powers::TaskPowers;
pub use tasks::Tasks;
pub use texts::Texts;
