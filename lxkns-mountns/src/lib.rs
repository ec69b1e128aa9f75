//! Reads Linux mount namespaces from outside, without waiting for dead file systems in them.
//!
//! A multi-threaded process cannot enter a user namespace, nor a mount namespace if its threads share their root
//! directory. Opening a path there can wait forever for the server of a FUSE or NFS file system. A small helper,
//! `mntnssandbox`, does both: one process for each mount namespace enters it, sends its list of mounts and opened
//! files, and is killed if it does not answer in time. This library contains the helper program.
//!
//! ```
//! use std::path::Path;
//!
//! use lxkns_mountns::{DEADLINE, SandboxOptions, Sandboxes, Target};
//!
//! let sandboxes = Sandboxes::new(&SandboxOptions::default())?;
//! match sandboxes.open(Target::Path(Path::new("/proc/self/ns/mnt")), DEADLINE) {
//!     Ok(namespace) => print!("{}", String::from_utf8_lossy(&namespace.mountinfo()?)),
//!     Err(error) => println!("{error}"), // without privileges: not even one's own
//! }
//! # Ok::<(), lxkns_mountns::Error>(())
//! ```
//!
//! With [`Access`], discovery reads mount namespaces like this.
//!
//! # Guarantees
//!
//! - A path is resolved inside the mount namespace, from its root. The helper follows no symbolic or magic links,
//!   triggers no automount, creates and executes nothing, and opens files with `O_PATH` only.
//! - Returned descriptors are verified: this namespace, any namespace, or a regular file or directory, as requested.
//! - Every call returns by its deadline. A helper that cannot be killed, because a FUSE server has read its request and
//!   does not answer, is abandoned, named in the [`Error`], and reaped when it ends. For a minute after that, no path
//!   over the same file system is tried.
//! - Helpers end with the process that started them, however it ends. They have an empty environment, no inherited
//!   descriptors, `no_new_privs`, no capability but `CAP_DAC_READ_SEARCH`, and cannot be traced.
//! - No signal disposition changes. As for any child, the process gets `SIGCHLD` when a helper ends. The library waits
//!   for helpers by PID, and tolerates it if the embedding program has reaped one.
//!
//! # Requirements
//!
//! Linux 4.11, and the privileges of [`Sandboxes::open`]: root's, or those of the owner of the user namespace that owns
//! the mount namespace. Without `openat2(2)` (5.6) and `RESOLVE_CACHED` (5.12), each dead file system costs one
//! deadline. Without pidfds (5.3), the library polls for the end of helpers every 20 ms.
//!
//! # Features
//!
//! None for users. `_fuzz` serves the project's own tests and can change at any time.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod access;
mod crossed;
mod deadline;
mod error;
mod helper;
mod namespace;
mod pool;
mod program;
#[cfg_attr(not(any(test, feature = "_fuzz")), expect(dead_code, reason = "the other half is the helper's"))]
mod protocol;
mod sandboxes;
mod spawner;

#[cfg(any(test, feature = "_fuzz"))]
#[doc(hidden)]
pub mod fuzz;
#[cfg(test)]
mod protocol_tests;

use std::time::Duration;

pub use access::Access;
pub use error::{Error, ErrorKind};
pub use namespace::MountNamespace;
pub use program::{HelperProgram, carried_helper};
pub use sandboxes::{SandboxOptions, Sandboxes, Target};

/// The default timeout for an answer. Cached paths take microseconds.
pub const DEADLINE: Duration = Duration::from_secs(1);
