//! Runs a command inside the namespaces of a process or container: within its resource limits, because it joins the
//! container's control groups, and within its confinement, because it takes on the security context too.
//!
//! ```text
//! Enter (what is wanted) -> prepare: open and verify everything -> Plan (steps, rows) -> execute, in a child
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod cgroup;
mod confinement;
mod credentials;
mod directories;
mod enter;
mod environment;
mod error;
mod in_time;
mod plan;
mod prepare;
mod process;
mod status;
mod target;
mod users;

pub use enter::Enter;
pub use environment::Environment;
pub use error::{Error, ErrorKind};
pub use lxkns_sys::{Op, SharedFd};
pub use plan::{Fact, Plan, Row, Spawned, Stage, Step, Subject};
pub use target::Target;
