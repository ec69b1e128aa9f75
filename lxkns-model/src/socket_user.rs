//! Who has a socket open.

use super::{Pid, Tid};

/// A descriptor on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketUser {
    /// The socket's inode number, as in `socket:[...]` and `ss -e`.
    pub inode: u64,
    /// The process.
    pub pid: Pid,
    /// The task in whose table the descriptor is: of a shared one, the first.
    pub tid: Tid,
    /// The descriptor.
    pub fd: u32,
}

impl SocketUser {
    /// Such a descriptor.
    pub fn new(inode: u64, pid: Pid, tid: Tid, fd: u32) -> Self {
        Self { inode, pid, tid, fd }
    }
}
