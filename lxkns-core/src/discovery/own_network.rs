//! The caller's network namespace, as its sockets tell it without a privilege.

use rustix::fs::StatxFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::model::NamespaceId;
use crate::procfs::ProcRoot;

/// Leads to it, in a procfs.
pub(super) const LINK: &str = "thread-self/ns/net";

/// The cookie and the ID of the calling thread's network namespace; `None` before Linux 5.14, which has no cookies.
pub(super) fn cookie_and_id(proc: &ProcRoot) -> Option<(u64, NamespaceId)> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    let stat = proc.dir().stat(LINK, StatxFlags::INO).ok()?;
    let id = NamespaceId { dev: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor), ino: stat.stx_ino };
    Some((lxkns_sys::so_netns_cookie(&socket).ok()?, id))
}
