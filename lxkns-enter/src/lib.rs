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
//! # How it goes
//!
//! ```text
//! Enter (what is wanted) -> prepare: open and verify everything -> Plan (steps, rows) -> execute, in a child
//! ```
//!
//! - Everything is opened and verified to be of one and the same process before anything is entered.
//! - The child is single-threaded whatever the caller is, and does nothing but the steps of the plan, with system calls
//!   alone. The first that fails ends it, and is what the error says; nothing stays behind.
//! - Who needs steps of their own adds them to the plan ([`Plan::add`]).
//!
//! # What is not taken over
//!
//! Filters of system calls and Landlock rules, of which the plan has a note; and what the kernel shows nobody
//! (`securebits`) or what is no confinement of the process: resource limits of `setrlimit(2)`, scheduling, the file
//! creation mask. The session keyring is neither the process's nor the caller's, but a new one.
//!
//! # Features
//!
//! None.

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
mod run;
pub mod seal;
mod status;
mod target;
mod terminal;
mod tools;
mod users;
mod wait;

pub use enter::Enter;
pub use environment::Environment;
pub use error::{Error, ErrorKind};
pub use lxkns_sys::{Op, SharedFd};
pub use plan::{Fact, Plan, Row, Spawned, Stage, Step, Subject};
pub use target::Target;
pub use tools::Tools;
pub use wait::Ended;
