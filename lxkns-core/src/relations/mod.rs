//! Pure functions over the model: how namespaces, processes and threads hang together.
//!
//! They need nothing but the values: a snapshot that was read from a file will do as well as one just taken.

mod leaders;
mod pid_map;

pub(crate) use leaders::members;
pub use pid_map::{NamespacedPid, pid_map};
