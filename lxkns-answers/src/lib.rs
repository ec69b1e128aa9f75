//! Questions about Linux kernel namespaces, and their answers: as values, as JSON and in words.
//!
//! A terminal, a service and a page that show namespaces say the same thing in the same words. This crate does no I/O: it
//! answers from a [`Snapshot`](lxkns_model::Snapshot) and looks up paths through a trait.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod audit;
pub mod busy;
mod called;
pub mod caps;
pub mod cell;
pub mod changes;
mod columns;
pub mod containers;
pub mod context;
pub mod counts;
pub mod doctor;
pub mod ending;
pub mod enter;
pub mod event_source;
pub mod events;
pub mod explain;
pub mod file_system;
pub mod forms;
pub mod gaps;
pub mod holders;
pub mod isolation;
pub mod json;
pub mod lacks;
pub mod links;
pub mod list;
pub mod mounts;
pub mod names;
pub mod netns;
mod noted;
pub mod orphans;
pub mod owner;
pub mod ports;
pub mod reader;
pub mod release;
pub mod resolve;
#[cfg(feature = "schema")]
mod schema;
pub mod sheet;
pub mod show;
pub mod steps;
pub mod suspects;
pub mod target;
pub mod text;
pub mod tree;
pub mod users;
pub mod watch;
pub mod who_can;
pub mod whose;
pub mod why;

pub use context::Context;
#[cfg(feature = "schema")]
pub use schema::schemas;

#[cfg(any(test, feature = "_testing"))]
#[doc(hidden)]
pub mod testing;
