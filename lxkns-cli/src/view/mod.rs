//! From a snapshot to text: nothing in here does I/O but writing to the output it is given.

pub(crate) mod audit;
pub(crate) mod branches;
pub(crate) mod busy;
pub(crate) mod caps;
pub(crate) mod changes;
pub(crate) mod columns;
pub(crate) mod containers;
pub(crate) mod doctor;
pub(crate) mod enter;
pub(crate) mod explain;
pub(crate) mod links;
#[cfg(test)]
mod links_tests;
pub(crate) mod mounts;
pub(crate) mod orphans;
pub(crate) mod paint;
pub(crate) mod ports;
pub(crate) mod screen;
pub(crate) mod sheet;
pub(crate) mod table;
pub(crate) mod tree;
pub(crate) mod who_can;
pub(crate) mod why;

#[cfg(test)]
mod owner_tests;

pub(crate) use lxkns_answers::names;
pub(crate) use lxkns_answers::text::{charset, escape, shorten};
