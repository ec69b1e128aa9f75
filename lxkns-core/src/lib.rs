//! Finds every Linux kernel namespace of a host, how they relate, and what keeps each alive.
//!
//! A [`Discovery`] scans every place that can hold a namespace: processes, tasks, open descriptors, sockets, TUN/TAP
//! files, bind mounts, child and owned namespaces, and the kernel's own lists. The result is a [`Snapshot`], an inert
//! value that is sorted and comparable. It also contains what could not be read, as [`Gap`](model::Gap)s. Discovery
//! guesses nothing, changes nothing on the host, prints nothing, starts no process and has no global state.
//!
//! List the namespaces without any task, and their holders:
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
//! - `discovery` (private but for [`Discovery`]) has a file for each place that can hold a namespace. It reads other
//!   mount namespaces through a [`MountAccess`] of another crate: this crate enters nothing.
//! - [`model`] has the values of a snapshot, and the [`DiscoveryOptions`].
//! - [`relations`] has pure functions over a snapshot.
//! - [`wire`] writes a snapshot as JSON and reads it back.
//! - [`Discovery::file_system_users`] finds what keeps a file system from being unmounted, [`Discovery::socket_users`]
//!   the processes that have sockets open.
//! - [`Events`] follows what tasks do as it happens, so that a scan is taken when something has changed, and what lived for a
//!   moment only is known.
//! - [`Interface`] tells which of the newer interfaces this kernel has.
//! - [`Discovery::open`] opens a namespace of a snapshot, [`namespace_of()`] tells which namespace a descriptor is on.
//!
//! # What an unprivileged caller does not see
//!
//! An unprivileged caller sees the namespaces of its own processes, those that their descriptors and mounts hold, and
//! owners and parents that are not ancestors of its own namespaces. It does not see the following, and a gap reports
//! each:
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
//! # Readers
//!
//! Processes, tasks and open files are read from procfs or, where that is permitted and faster, from the kernel's
//! iterators: BPF programs that are put together for the running kernel, from its own description of its structures
//! (`/sys/kernel/btf/vmlinux`), and loaded once for all scans of a session. Both readers say the same of an unchanged
//! host; the kernel's needs `CAP_BPF` and `CAP_PERFMON` (or `CAP_SYS_ADMIN`) in the initial user namespace, and no access
//! to the processes. [`DiscoveryOptions::reader`] and [`Discovery::repeated`] say when it is used. If it is not usable,
//! procfs is read, and [`Snapshot::not_kernel`] says why.
//!
//! # Kernels
//!
//! Linux 4.11 is the oldest kernel with the ioctls and the `statx(2)` that this crate needs. Newer interfaces are
//! optional and are detected by calling them: without one, discovery finds less, and a gap reports what is missing.
//! Sockets and TUN/TAP files need 5.6 (`pidfd_getfd(2)`); sockets in a descriptor table that a task does not share with
//! its process, 6.9; PID namespaces that never had a process, 6.11; mounts of mount namespaces without a process, 6.11
//! or a [`MountAccess`]; mount namespaces that nothing visible holds, 6.12; all other such namespaces, 6.19, or 6.18 with the
//! kernel reader, which itself needs 5.8. A seccomp filter that denies an interface, such as Docker's, has the same effect.
//!
//! # Features
//!
//! None for users. `_fuzz` and `_schema` serve the project's own tests and can change at any time.
//!
//! The project's `ARCHITECTURE.md` describes how the parts relate and their invariants, `docs/json.md` the JSON form.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod error;
mod failure;

// In the order in which data flows.
mod procfs;

mod kernel_reader;

mod action_facts;
mod cgroup_limits;
mod cgroups;

mod discovery;
mod ending;
mod events;
mod file;
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
    pub use crate::procfs::parse::net_unix::listening as listening_unix_sockets;
    #[doc(inline)]
    pub use crate::procfs::parse::stat::{TaskStat, parse as stat};
    #[doc(inline)]
    pub use crate::procfs::parse::status::{TaskStatus, parse as status};
}

pub use action_facts::{action_facts, have_thread_stand_for_process};
pub use cgroup_limits::add_container_limits;
pub use cgroups::{CgroupHierarchies, cgroups_at, cgroups_of};
pub use discovery::{Discovery, Progress, Step, file_system_on};
pub use ending::ending_of;
pub use error::{Error, ErrorKind};
pub use events::{EventBatch, EventOptions, Events, Woken};
pub use file::{capabilities, file_of, mount_id_maps, root_of};
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
pub use procfs::{OWN_DESCRIPTORS, OWN_PROGRAM, ProcRoot};
pub use reach::lookup::{has_no_server, namespace_of};
pub use reach::probe::Interface;
pub use reach::{Opener, identity_of_namespace, identity_without_server};
pub use security_label::security_label;
pub use stuck::{MOST_STUCK, Reached, Stuck, asking_name, pin_without_server, reached, stuck};

#[cfg(any(test, feature = "_fuzz"))]
#[doc(hidden)]
pub mod fuzz;
