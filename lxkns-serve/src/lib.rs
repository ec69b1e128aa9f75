//! The daemon `lxknsd`: what lxkns knows of one host, over HTTP.
//!
//! It has three processes, each the same program run once more:
//!
//! ```text
//!              supervisor    opens listeners, starts and restarts the other two, reads no request
//!              /        \
//!         front -------- reader
//!   HTTP; no capability,   scans, answers; has the capabilities;
//!   no file, no /proc      reads bounded frames only (`protocol`)
//! ```
//!
//! - `protocol` (pure) is what front and reader say: a question, and an answer that is fetched piece by piece.
//! - `control` is what the supervisor and each of them say, with descriptors.
//! - `supervisor`, `reader` and `front` are the processes.
//!
//! A request never reaches code that has a capability: the front turns it into a question, of which the reader takes a
//! fixed set, with parameters of bounded length. What may be asked and what is left out of answers is decided there.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod access;
mod args;
mod control;
mod exposition;
mod front;
mod lists;
mod log;
mod man;
mod memory;
mod powers;
mod protocol;
mod reader;
mod settings;
mod supervisor;
mod tag;
mod web;

#[cfg(feature = "_fuzz")]
#[doc(hidden)]
pub mod fuzz;

use std::ffi::OsStr;
use std::process::ExitCode;

/// The first arguments by which the program is run once more.
mod role {
    /// The process with the capabilities.
    pub(crate) const READER: &str = "reader";
    /// The process that speaks HTTP.
    pub(crate) const FRONT: &str = "front";
    /// A process inside a namespace, for the reader.
    pub(crate) const INSIDE: &str = "inside";
}

/// Runs the daemon, or the process of it that the first argument names.
pub fn run() -> ExitCode {
    lxkns_sys::Memory::ends_with(3);
    lxkns_sys::Memory::returns_large_blocks();
    // Before there is anything in memory: a process of the same user could trace one that has no capability yet.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let first = std::env::args_os().nth(1);
    let is = |role: &str| first.as_deref() == Some(OsStr::new(role));
    let done = if is(role::INSIDE) {
        powers::take();
        lxkns_inside::serve().map_err(Into::into)
    } else if is(role::READER) {
        reader::run()
    } else if is(role::FRONT) {
        front::run()
    } else {
        return args::run();
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::say(&format!("{error:#}"));
            ExitCode::from(3)
        }
    }
}
