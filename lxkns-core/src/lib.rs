//! Finds every Linux kernel namespace of a host, how they relate, and what keeps each alive.
//!
//! A [`Discovery`] looks in every place that can hold a namespace: processes, threads, open descriptors, sockets, TUN/TAP
//! files, bind mounts, child and owned namespaces, and the kernel's own lists. What it finds is a [`Snapshot`]: sorted,
//! comparable, an inert value. What it could not read is in the snapshot too, as [`Gap`](model::Gap)s: nothing is
//! guessed. It changes nothing on the host, prints nothing, starts no process and has no global state.
//!
//! The namespaces that have no process or thread, and what holds them:
//!
//! ```
//! use lxkns_core::{Discovery, DiscoveryOptions};
//!
//! let snapshot = Discovery::of_host()?.run(&DiscoveryOptions::namespaces())?;
//! for namespace in snapshot.namespaces_by_type() {
//!     if namespace.is_without_tasks() {
//!         println!("{}:[{}]", namespace.ns_type, namespace.id.ino);
//!         for holder in &namespace.holders {
//!             println!("  {holder:?}");
//!         }
//!     }
//! }
//! println!("{} gaps", snapshot.gaps.len());
//! # Ok::<(), lxkns_core::Error>(())
//! ```
//!
//! # How data flows
//!
//! ```text
//! kernel -> procfs -> discovery -> model (a Snapshot) -> relations, wire
//! ```
//!
//! - `procfs` (private but for [`ProcRoot`]) opens files below one procfs and parses their bytes.
//! - `discovery` (private but for [`Discovery`]) has a file for each place that can hold a namespace. It goes into mount
//!   namespaces through a [`MountAccess`], which is another crate: this one enters nothing.
//! - [`model`] has the values that come out, and the [`DiscoveryOptions`] that go in.
//! - [`relations`] has pure functions over a snapshot.
//! - [`wire`] writes a snapshot as JSON and reads it back.
//! - [`Discovery::file_system_users`] finds what keeps a file system from being unmounted, [`Discovery::socket_users`] who
//!   has sockets open.
//! - [`Interface`] asks which of the newer interfaces this kernel has.
//! - [`Discovery::open`] goes from a namespace of a snapshot to a descriptor on it, [`namespace_of()`] the other way.
//!
//! # What an unprivileged caller does not see
//!
//! Without privileges, a caller sees the namespaces of its own processes, what their descriptors and mounts hold, and
//! owners and parents that are not above its own namespaces. It does not see these, and a gap says each:
//!
//! - the namespaces, descriptors and mounts of processes without ptrace read access to them (`ptrace(2)`): those of
//!   other users, and of programs that gained privileges. Takes `CAP_SYS_PTRACE`, for descriptors also
//!   `CAP_DAC_READ_SEARCH`;
//! - which network namespace a socket or TUN/TAP file holds, without `CAP_NET_ADMIN` in the user namespace that
//!   owns that network namespace;
//! - the mounts of mount namespaces without a readable process, without `CAP_SYS_ADMIN` in the user namespace that
//!   owns them;
//! - the kernel's own lists, without `CAP_SYS_ADMIN` in the initial user namespace and the initial PID namespace;
//! - in a procfs mounted with `hidepid`, the processes that it hides.
//!
//! Capabilities count in the user namespace that owns what is read; the root of a container has them for what is
//! inside.
//!
//! # Kernels
//!
//! Linux 4.11 is the oldest that has the ioctls and the `statx(2)` that this crate is built on. Each newer interface is
//! an addition, detected by asking: without it the older way finds what it can, and a gap says what is missing. Sockets
//! and TUN/TAP files take 5.6 (`pidfd_getfd(2)`); sockets in a descriptor table that one thread has of its own, 6.9;
//! PID namespaces that never had a process, 6.11; mounts of mount namespaces without a process, 6.11 or a [`MountAccess`]; mount namespaces that nothing visible holds, 6.12; all other such namespaces, 6.19. The same goes for a
//! filter of system calls that denies an interface, such as Docker's: whatever it answers, an error is data.
//!
//! # Features
//!
//! None for users. `_fuzz` and `_schema` serve the project's own tests and can change at any time.
//!
//! The project's `ARCHITECTURE.md` says how the parts relate and what never happens in them, `docs/json.md` what
//! the JSON form means.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod error;
mod failure;

// In the order in which data flows.
mod procfs;

mod cgroups;

mod discovery;
mod life;
mod mount_access;
mod reach;
mod security_label;
mod stuck;

pub mod parse {
    //! Parsers of kernel text, for readers of procfs other than discovery.

    #[doc(inline)]
    pub use crate::procfs::parse::ParseError;
    #[doc(inline)]
    pub use crate::procfs::parse::fdinfo::open_flags;
    #[doc(inline)]
    pub use crate::procfs::parse::id_map::parse as id_map;
    #[doc(inline)]
    pub use crate::procfs::parse::stat::{TaskStat, parse as stat};
    #[doc(inline)]
    pub use crate::procfs::parse::status::{TaskStatus, parse as status};
}

pub use cgroups::{CgroupHierarchies, cgroups_of};
pub use discovery::{Discovery, Progress, Step, file_system_on};
pub use error::{Error, ErrorKind};
pub use life::life_of;
#[doc(inline)]
pub use lxkns_model as model;
#[doc(inline)]
pub use lxkns_model::relations;
#[cfg(feature = "wire")]
#[doc(inline)]
pub use lxkns_model::wire;
pub use model::{DiscoveryOptions, Snapshot};
pub use mount_access::{AccessError, InsideMounts, MountAccess};
pub use procfs::ProcRoot;
pub use reach::lookup::{has_no_server, namespace_of};
pub use reach::probe::Interface;
pub use reach::{Opener, identity_of_namespace, identity_without_server};
pub use security_label::security_label;
pub use stuck::{MOST_STUCK, Reached, Stuck, asking_name, pin_without_server, reached, stuck};

#[cfg(any(test, feature = "_fuzz"))]
#[doc(hidden)]
pub mod fuzz;
