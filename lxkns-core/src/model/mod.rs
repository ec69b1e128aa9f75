//! Inert values: what discovery found, in the kernel's words.
//!
//! Nothing in here does I/O, and nothing depends on how it was found. `None` always means "not known"; zero never
//! does.

mod gap;
mod holder;
mod ids;
mod mount;
mod namespace;
mod options;
mod process;
mod snapshot;
mod suspect;

pub use gap::{Gap, GapKind, Object, Operation, Place};
pub use holder::Holder;
pub use ids::{NamespaceId, NamespaceType, ParseNamespaceTypeError, Pid, Tid, Uid};
pub use mount::FileSystem;
pub use namespace::{IdMapping, Namespace, Relation, TimeOffsets};
pub use options::{DiscoveryOptions, Places, Scope};
pub use process::{
    Capabilities, CgroupMembership, Cgroups, CpuRange, Freezer, NamespaceLinks, Process, ProcessStatus, Scheduling,
    Task, TaskState, Uids,
};
pub use snapshot::{Host, Snapshot};
pub use suspect::Suspect;
