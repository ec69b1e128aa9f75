//! Pure functions over the model: what follows from what was found.

mod pid_map;

pub use pid_map::{NamespacedPid, pid_map};
