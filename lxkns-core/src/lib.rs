//! Finds every Linux kernel namespace of a host, how they hang together, and what keeps each alive.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod error;
mod procfs;

mod discovery;
pub mod model;
mod reach;
pub mod relations;
pub mod wire;

pub use discovery::{discover, discover_in};
pub use error::{Error, ErrorKind};
pub use model::{DiscoveryOptions, Snapshot};
pub use procfs::ProcRoot;
pub use reach::open_namespace;

#[cfg(any(test, feature = "_fuzz"))]
#[doc(hidden)]
pub mod fuzz;
