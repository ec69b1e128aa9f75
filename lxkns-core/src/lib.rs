//! Finds every Linux kernel namespace of a host, how they hang together, and what keeps each alive.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod model;
pub mod relations;
pub mod wire;
