//! Finds every Linux kernel namespace of a host, how they hang together, and what keeps each alive.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod procfs;

pub mod model;

#[cfg(any(test, feature = "_fuzz"))]
#[doc(hidden)]
pub mod fuzz;
