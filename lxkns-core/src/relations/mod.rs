//! Pure functions over the model: how namespaces, processes and threads hang together.

mod leaders;
mod pid_map;

pub(crate) use leaders::members;
pub use pid_map::{NamespacedPid, pid_map};
