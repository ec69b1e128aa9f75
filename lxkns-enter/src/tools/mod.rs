//! Programs that the target does not have.
//!
//! A program of the host runs in a mount namespace of its own, made from the caller's, where `/proc` and `/sys` are those of
//! the target's PID and network namespaces; nothing of that can be seen in any other mount namespace. One static file can
//! also be brought into the target's own view, by descriptor: it gets no name there.

mod file;
pub(crate) mod host;

use std::path::PathBuf;

pub(crate) use file::ToolFile;

/// Where the command's program comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tools {
    /// The target.
    #[default]
    Target,
    /// The caller's mount namespace: the command runs there, with its environment, user and powers, in all other
    /// namespaces of the target's that are asked for but the user namespace.
    Host,
    /// This file, a static ELF program of the caller's mount namespace. The command's first word is what it is called, and
    /// so what programs do that are many in one.
    File(PathBuf),
}
