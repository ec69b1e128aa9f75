//! Runs a command inside the namespaces of a process or container: within its resource limits, because it joins the
//! container's control groups, and within its confinement, because it takes on the security context too.
//!
//! ```text
//! Enter (what is wanted) -> prepare: open and verify everything -> Plan (steps, rows) -> execute, in a child
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod error;
mod plan;

pub use error::{Error, ErrorKind};
pub use lxkns_sys::{Op, SharedFd};
pub use plan::{Plan, Row, Spawned, Stage, Step, Subject};
