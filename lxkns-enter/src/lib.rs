//! Runs a command inside the namespaces of a process or container: within its resource limits, because it joins the
//! container's control groups, and within its confinement, because it takes on the security context too.
//!
//! ```no_run
//! use std::os::fd::AsFd;
//!
//! use lxkns_core::{ProcRoot, model::Pid};
//! use lxkns_enter::{Enter, Target};
//!
//! let proc = ProcRoot::host()?;
//! let target = Target::process(&proc, Pid(1234))?;
//! let plan = Enter::new(&proc, target).command(["ps", "ax"]).prepare()?;
//! for row in plan.rows() {
//!     println!("{row:?}");
//! }
//! let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
//! let spawned = plan.execute([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()])?;
//! println!("started as {}", spawned.pid);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! ```text
//! Enter (what is wanted) -> prepare: open and verify everything -> Plan (steps, rows) -> execute, in a child
//! ```
//!
//! - `prepare` opens everything and verifies that it belongs to one process, before anything is entered.
//! - An intermediate process carries out the steps in the caller's PID namespace, single-threaded, with system calls
//!   alone. The process that it starts in the target's PID namespace has only what the command has. If a step fails,
//!   the error names it and no process is left.
//! - A command with more than the processes in a PID namespace have, such as the caller's capabilities or one of the
//!   caller's namespaces, stays outside of it; a note of the plan says so.
//!
//! # What is not taken over
//!
//! Seccomp filters and Landlock rules; the scheduling policy; and securebits, which the kernel does not show (but root
//! that has dropped capabilities does not regain them). The session keyring is new.
//!
//! # Features
//!
//! None.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod answer;
mod buffer;
mod cgroup;
mod confinement;
mod credentials;
mod descriptors;
mod directories;
mod enter;
mod environment;
mod error;
mod files;
mod in_time;
mod limits;
mod plan;
mod prepare;
mod process;
mod run;
pub mod seal;
mod seclusion;
mod slow_file;
mod status;
mod steps;
mod streams;
mod target;
mod terminal;
mod tools;
mod users;
mod wait;

pub use enter::{CgroupsOf, Enter, PowersOf};
pub use environment::Environment;
pub use error::{Error, ErrorKind};
pub use files::Files;
pub use limits::LimitsOf;
pub use plan::{Plan, Spawned};
pub use slow_file::{pin_slowly, read_slowly};
pub use steps::{Fact, Row, Stage, Subject};
pub use target::Target;
pub use tools::Tools;
pub use wait::Ended;
