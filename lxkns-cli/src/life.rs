//! Whether namespaces live that are no longer visible.

use std::os::fd::OwnedFd;

use lxkns_core::model::{Namespace, NamespaceType};
use lxkns_core::relations::Life;
use lxkns_core::{ProcRoot, life_of};
use lxkns_mountns::DEADLINE;
use lxkns_sys::NsHandle;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Asks the kernel, and knows whether a "no" of its is one.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    opens_all: Option<bool>,
}

impl Lives {
    /// Whether this namespace, which was seen before, lives.
    pub(crate) fn of(&mut self, namespace: &Namespace) -> Life {
        life_of(namespace, || *self.opens_all.get_or_insert_with(opens_all))
    }
}

/// Whether the kernel opens any namespace that lives by its handle: tried on one that only a socket of ours holds.
fn opens_all() -> bool {
    // The kernel can take long to make a network namespace while others are being taken down.
    let opens = lxkns_sys::in_time("lxkns-handle", DEADLINE, || opens_what_a_socket_holds().unwrap_or(false));
    opens.ok().flatten() == Some(true)
}

/// The calling thread goes to a new network namespace, opens a socket there, and comes back.
fn opens_what_a_socket_holds() -> anyhow::Result<bool> {
    let proc = ProcRoot::host()?;
    let own = || -> rustix::io::Result<OwnedFd> {
        rustix::fs::openat(&proc, c"thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    };
    let home = own()?;
    lxkns_sys::unshare_network()?;
    let asked = own().and_then(|there| {
        let id = lxkns_sys::ns_get_id(&there)?;
        let ino = rustix::fs::fstat(&there)?.st_ino;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        Ok((id, ino, socket))
    });
    move_into_link_name_space(std::os::fd::AsFd::as_fd(&home), Some(LinkNameSpaceType::Network))?;
    let (id, ino, _socket) = asked?;
    let handle = NsHandle { id, ns_type: NamespaceType::Net.clone_flag(), ino: u32::try_from(ino)? };
    Ok(lxkns_sys::open_namespace_by_handle(handle).is_ok())
}
