//! Programs from outside the target.
//!
//! A program of the host runs in a new copy of the caller's mount namespace, in which `/proc` and `/sys` are those of
//! the target's PID and network namespaces; no other mount namespace shows these mounts. A single static program can
//! also run among the target's files through a descriptor, without a name there.

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
    /// The caller's mount namespace. The command keeps the caller's environment, user and privileges, and enters the
    /// requested namespaces except the mount and user namespace.
    Host,
    /// This file, a static ELF program of the caller's mount namespace. The first word of the command is its `argv[0]`,
    /// by which multi-call programs choose what they do.
    File(PathBuf),
}
