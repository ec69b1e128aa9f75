//! Reads from a living host what a scan does not have, and what answers about its namespaces need: who asks, files and whose
//! they are, what the kernel would say to `unshare(2)`, which interfaces there are.
//!
//! `lxkns` and `lxknsd` give the same answers because both read it here.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod caller;
mod doctor;
mod explain;
mod files;
mod processes;

pub use caller::caller;
pub use doctor::{interfaces, living, with_reason};
pub use explain::action_facts;
pub use files::{FilesOfHost, users_of_host};
pub use processes::{has_task, other_procfs, pidfd_inode};
