//! Looks into Linux mount namespaces from outside, without waiting for what is in them.
//!
//! A process with threads cannot enter a user namespace, and one whose threads share their root directory cannot enter
//! a mount namespace. Opening a path there can wait for ever: for the server of a FUSE or NFS file system that is gone.
//! A small helper, `mntnssandbox`, does both: one process for each mount namespace enters it, sends back its list of
//! mounts and opened files, and is killed if it does not answer in time. This library carries the helper inside.
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
//! [`Access`] has discovery look into mount namespaces like this.
//!
//! # Guarantees
//!
//! - A path is resolved inside the mount namespace, from its root. Symbolic links and magic links are not followed, no
//!   automount is triggered, nothing is created or executed, and nothing is opened but with `O_PATH`.
//! - What comes back has been seen to be what was wanted: this namespace, a namespace, or a regular file or directory.
//! - Every call comes back by its deadline. A helper that cannot be killed, because a FUSE server has taken a request
//!   and does not answer it, is left behind, named in the [`Error`], and reaped when it ends. For a minute after that no
//!   other path over the same file system is tried.
//! - Helpers end with the process that started them, however that ends. They have an empty environment and no
//!   descriptors but their own, cannot gain privileges, keep no capability but `CAP_DAC_READ_SEARCH`, and cannot be
//!   traced.
//! - No signal handler or disposition is changed. As for any child, the process gets a `SIGCHLD` when a helper ends;
//!   helpers are waited for by their process IDs; if the embedding program has reaped one already, nothing breaks.
//!
//! # Requirements
//!
//! Linux 4.11, and the privileges that [`Sandboxes::open`] names: those of root, or to own the user namespace that owns
//! the mount namespace. Without `openat2(2)` (5.6) and `RESOLVE_CACHED` (5.12) paths that lead over file systems with
//! servers are found out about one deadline at a time; without pidfds (5.3) helpers' ends are looked for every 20 ms.
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

/// The default timeout for an answer. What the kernel knows takes microseconds.
pub const DEADLINE: Duration = Duration::from_secs(1);
