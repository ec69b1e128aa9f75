//! Whether namespaces live that are no longer visible.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use lxkns_core::{ProcRoot, life_of};
use lxkns_model::relations::Life;
use lxkns_model::{Namespace, NamespaceType};
use lxkns_sys::NsHandle;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// How long the kernel may take to make a network namespace: long, while others are being taken down.
const DEADLINE: Duration = Duration::from_secs(1);

/// Asks the kernel whether namespaces live that are no longer visible, and knows what its "no" proves: once, one thread goes
/// to a new network namespace for a moment to learn that.
#[derive(Debug, Default)]
pub struct Lives {
    opens_all: Option<bool>,
}

impl Lives {
    /// Whether this namespace, which was seen before, lives.
    ///
    /// # Privileges
    ///
    /// Those of [`life_of`]; without them, the result is not known.
    ///
    /// # Minimum kernel version
    ///
    /// 6.18; before, the result is not known.
    pub fn of(&mut self, namespace: &Namespace) -> Life {
        life_of(namespace, || *self.opens_all.get_or_insert_with(opens_all))
    }
}

/// Whether the kernel opens any namespace that lives by its handle: tried on one that only a socket of ours holds.
fn opens_all() -> bool {
    let opens = lxkns_sys::in_time("lxkns-handle", DEADLINE, || opens_what_a_socket_holds().unwrap_or(false));
    opens.ok().flatten() == Some(true)
}

/// The calling thread goes to a new network namespace, opens a socket there, and comes back.
fn opens_what_a_socket_holds() -> io::Result<bool> {
    let proc = ProcRoot::host().map_err(io::Error::other)?;
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
    move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network))?;
    let (id, ino, _socket) = asked?;
    let handle =
        NsHandle { id, ns_type: NamespaceType::Net.clone_flag(), ino: u32::try_from(ino).map_err(io::Error::other)? };
    Ok(lxkns_sys::open_namespace_by_handle(handle).is_ok())
}
