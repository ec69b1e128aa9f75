//! All about one namespace or process.

mod answer;
mod namespace;
mod network;
mod process;

pub use answer::*;
pub use namespace::{ShownNamespace, Unread};
pub use process::{HostRoot, Label, Reference, ShownProcess};

#[cfg(test)]
mod tests;
