//! Reads what only a process inside a network, UTS or user namespace can tell: links, addresses, routes and listening
//! sockets; host and domain name; limits.
//!
//! What the kernel is asked there can take for ever: it waits for the lock of all network configuration. So a process of
//! its own enters the namespace, answers, and can be given up. That process is a program that calls [`serve`]; the
//! caller says which ([`Program`]), as only it knows what its own executable does.
//!
//! - [`Inside`] is the process inside as its parent sees it: one namespace, one question after another.
//! - [`survey`] reads a part of many network namespaces, with a few processes that go from one to the next.
//! - [`look`] reads all that there is to a namespace of a snapshot, with what its links and sockets lead to outside.
//! - [`links`] reads the links of all network namespaces of a snapshot, without entering any.
//! - [`Lives`] asks whether namespaces live that are no longer visible.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use lxkns_core::{Discovery, DiscoveryOptions};
//! use lxkns_inside::Program;
//!
//! if std::env::args().nth(1).is_some_and(|argument| argument == "inside") {
//!     return Ok(lxkns_inside::serve()?);
//! }
//! let discovery = Discovery::of_host()?;
//! let snapshot = discovery.run(&DiscoveryOptions::namespaces())?;
//! let program = Program::again("inside")?;
//! for namespace in snapshot.namespaces.values() {
//!     let looked = lxkns_inside::look(&discovery, &snapshot, namespace, &program, Duration::from_secs(1));
//!     println!("{}: {:?}", namespace.id.ino, looked.inside);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! None for users. `_fuzz` serves the project's own tests and can change at any time.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod around;
mod child;
mod life;
mod links;
mod netlink;
mod parent;
mod protocol;
mod route;
mod sock_diag;
mod survey;

#[cfg(any(test, feature = "_fuzz"))]
#[doc(hidden)]
pub mod fuzz;

pub use around::{Looked, Unreadable, look};
pub use child::serve;
pub use life::Lives;
pub use links::links;
pub use parent::{Error, ErrorKind, Inside, Program};
pub use protocol::MOST_FDS;
pub use route::nsids;
pub use survey::survey;
