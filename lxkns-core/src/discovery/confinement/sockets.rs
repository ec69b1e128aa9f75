//! What sockets lead to: engines of containers, and other network namespaces.

use std::os::fd::OwnedFd;

use rustc_hash::FxHashMap;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::super::own_network;
use super::{Known, Voice};
use crate::failure::Failure;
use crate::model::{Call, EngineSocket, NamespaceId, OutsideUse, OutsideUseKind, Pid};
use crate::reach::{self, Fetched};

/// What sockets have said of network namespaces.
#[derive(Default)]
pub(super) struct Asked {
    /// Network namespaces by their cookies, which the kernel gives once.
    cookies: FxHashMap<u64, NamespaceId>,
}

impl Asked {
    /// What a socket leads to, and whether it is a UNIX socket; or which call failed and why.
    pub(super) fn uses(
        &mut self,
        known: &Known<'_>,
        voice: &Voice<'_>,
        pidfd: &OwnedFd,
        fd: u32,
        inode: u64,
    ) -> Result<(Vec<OutsideUse>, bool), (Call, Failure)> {
        let socket = Fetched::new(known.proc, pidfd, fd).map_err(|failure| (Call::PidfdGetfd, failure))?;
        if reach::identity(&socket).map_err(|errno| (Call::Fstat, errno.into()))?.ino != inode {
            return Ok((Vec::new(), false));
        }
        let is_unix = sockopt::socket_domain(&socket) == Ok(AddressFamily::UNIX);
        let used = |kind, path| OutsideUse { pid: voice.pid, tid: voice.tid, kind, mount_id: None, path };
        let mut uses = Vec::new();
        let engine = connected(known, &socket).map_err(|errno| (Call::PidfdGetfd, errno.into()))?;
        if let Some(engine) = engine {
            uses.push(used(OutsideUseKind::EngineSocket { fd, engine: engine.pid }, engine.bound_to.clone()));
        }
        let Some(home) = voice.net.filter(|_| may_go_on(&socket, is_unix)) else { return Ok((uses, is_unix)) };
        let net = self.network(known, &socket, home)?;
        if net != home {
            uses.push(used(OutsideUseKind::Socket { fd, net }, format!("socket:[{inode}]").into()));
        }
        Ok((uses, is_unix))
    }

    /// The network namespace of a socket. `home`: that of its task.
    fn network(
        &mut self,
        known: &Known<'_>,
        socket: &Fetched,
        home: NamespaceId,
    ) -> Result<NamespaceId, (Call, Failure)> {
        // Before Linux 5.14 there are none.
        let cookie = lxkns_sys::so_netns_cookie(socket).ok();
        if let Some(&id) = cookie.and_then(|cookie| self.cookies.get(&cookie)) {
            return Ok(id);
        }
        let id = match lxkns_sys::siocgskns(socket) {
            Ok(ns) => reach::identity(&ns).map_err(|errno| (Call::Fstat, errno.into()))?,
            // The caller's own needs no privilege to be known.
            Err(Errno::PERM)
                if cookie.is_some()
                    && own_network::cookie_and_id(known.proc) == cookie.map(|cookie| (cookie, home)) =>
            {
                home
            }
            Err(errno) => return Err((Call::Siocgskns, errno.into())),
        };
        self.cookies.extend(cookie.map(|cookie| (cookie, id)));
        Ok(id)
    }
}

/// The network namespace that a TUN/TAP file was opened in, and that of its device where it has one that is elsewhere.
pub(super) fn tun(known: &Known<'_>, pidfd: &OwnedFd, fd: u32) -> Result<[Option<NamespaceId>; 2], (Call, Failure)> {
    let file = Fetched::new(known.proc, pidfd, fd).map_err(|failure| (Call::PidfdGetfd, failure))?;
    let id = |namespace: Result<OwnedFd, Errno>| reach::identity(&namespace?);
    let held = id(lxkns_sys::siocgskns(&file)).map_err(|errno| (Call::Siocgskns, errno.into()))?;
    match id(lxkns_sys::tungetdevnetns(&file)) {
        Ok(device) => Ok([Some(held), (device != held).then_some(device)]),
        // It has no device.
        Err(Errno::BADFD) => Ok([Some(held), None]),
        Err(errno) => Err((Call::Tungetdevnetns, errno.into())),
    }
}

/// Whether a socket can come to others of its network namespace: all but a UNIX stream that is connected, which stays so. A
/// UNIX socket that is not connected finds abstract names there.
fn may_go_on(socket: &Fetched, is_unix: bool) -> bool {
    let stays = !matches!(sockopt::socket_type(socket), Ok(SocketType::DGRAM));
    let is_bound_to_one = || {
        sockopt::socket_acceptconn(socket) == Ok(true)
            || !matches!(rustix::net::getpeername(socket), Err(Errno::NOTCONN) | Ok(None))
    };
    !(is_unix && stays && is_bound_to_one())
}

/// The socket of an engine's that a socket is connected to.
fn connected<'a>(known: &Known<'a>, socket: &Fetched) -> Result<Option<&'a EngineSocket>, Errno> {
    if known.engine_sockets.is_empty() {
        return Ok(None);
    }
    // Of one that is not connected, or no UNIX socket, it is none of an engine's.
    let Ok(Some(peer)) = rustix::net::getpeername(socket) else { return Ok(None) };
    let Ok(address) = rustix::net::SocketAddrUnix::try_from(peer) else { return Ok(None) };
    let Some(path) = address.path_bytes() else { return Ok(None) };
    let Some(listener) = lxkns_sys::so_peercred(socket)? else { return Ok(None) };
    let is_it = |engine: &&EngineSocket| engine.listener == Some(Pid(listener.pid)) && engine.bound_to == path;
    Ok(known.engine_sockets.iter().find(is_it))
}
