//! From a question to its answer, on a living host or a dump: which scan it takes, what is read beside it, and the answer.
//!
//! `lxkns` and `lxknsd` give the same answers because both find them here, in [`questions`].

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod caller;
mod doctor;
mod files;
mod processes;
pub mod questions;

pub use caller::caller;
pub use doctor::{interfaces, living, with_reason};
pub use files::{FilesOfHost, users_of_host};
pub use processes::{has_task, other_procfs, pidfd_inode};
