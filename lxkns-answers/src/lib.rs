//! Questions about Linux kernel namespaces, and their answers: as values, as JSON and in words.
//!
//! Whoever shows namespaces to people or programs (a terminal, a service, a page) says the same, in the same words. This
//! crate does no I/O: it answers from a [`Snapshot`](lxkns_model::Snapshot), and what it takes to look up a path comes
//! through a trait.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod context;
pub mod counts;
pub mod holders;
pub mod json;
pub mod names;
pub mod target;
pub mod text;
pub mod users;

pub use context::Context;

#[cfg(any(test, feature = "_testing"))]
#[doc(hidden)]
pub mod testing;
