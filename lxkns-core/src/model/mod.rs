//! Inert values: what discovery found, in the kernel's words.
//!
//! Nothing in here does I/O, and nothing depends on how it was found. `None` always means "not known"; zero never
//! does. Units are in the names of fields: `start_time_ticks`.
//!
//! [`Snapshot`] is the whole. It has [`Namespace`]s, each with its [`Holder`]s and [`Relation`]s; [`Process`]es, each
//! with its [`Task`]s; the [`Mount`]s of mount namespaces; [`Suspect`]s, which hold some namespace without the kernel saying which; and [`Gap`]s, which say
//! what could not be read. What can be in it depends on the [`Observer`].

mod file_system_user;
mod gap;
mod holder;
mod ids;
mod keeper;
mod mount;
mod namespace;
mod observer;
mod options;
mod process;
mod snapshot;
mod socket_user;
mod suspect;

pub use file_system_user::{
    DeviceRole, FileSystemHolder, FileSystemHolderKind, FileSystemQuery, FileSystemUse, FileSystemUseKind,
    FileSystemUser, FileSystemUsers, HiddenFiles, KernelFacility,
};
pub use gap::{Gap, GapKind, Object, Operation, Place};
pub use holder::Holder;
pub use ids::{NamespaceId, NamespaceType, ParseNamespaceTypeError, Pid, Tid, Uid};
pub use keeper::{KEEPERS, Keeper, Visibility};
pub use mount::{FileSystem, Mount, Propagation, SharedText};
pub use namespace::{IdMapping, Namespace, Relation, TimeOffsets};
pub use observer::Observer;
pub use options::{DiscoveryOptions, Places, Scope};
pub use process::{
    Capabilities, CgroupMembership, Cgroups, CpuRange, Freezer, NamespaceLinks, Process, ProcessStatus, Scheduling,
    Task, TaskState, Uids,
};
pub use snapshot::{Host, Snapshot};
pub use socket_user::SocketUser;
pub use suspect::Suspect;
