//! Place 5: sockets, each of which holds the network namespace that it was made in.

use std::os::fd::OwnedFd;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, sockopt};

use super::fds::Table;
use super::found::{Found, Socket};
use super::own_network;
use super::search::Search;
use crate::failure::Failure;
use crate::model::{Call, Holder, NamespaceId, Object, Operation, Pid, Place, Tid};
use crate::procfs::ProcDir;
use crate::reach::{self, Fetched};

/// Copies descriptors from one table, and opens its pidfd for the first one. The pidfd is opened by number, so a copy
/// can be another process's and must be checked.
pub(super) struct Fetcher<'a> {
    pub(super) process: &'a ProcDir,
    pub(super) table: &'a Table,
    pidfd: Option<Result<OwnedFd, Failure>>,
}

impl<'a> Fetcher<'a> {
    pub(super) fn new(process: &'a ProcDir, table: &'a Table) -> Self {
        Self { process, table, pidfd: None }
    }

    /// A copy of the descriptor `fd`, or which call failed and why.
    pub(super) fn fetch(&mut self, search: &Search<'_>, fd: u32) -> Result<Fetched, (Call, Failure)> {
        let &Table { pid, tid, .. } = self.table;
        let pidfd = self.pidfd.get_or_insert_with(|| reach::pidfd_by_number(search.proc, pid, tid));
        match pidfd {
            Ok(pidfd) => Fetched::new(search.proc, pidfd, fd).map_err(|failure| (Call::PidfdGetfd, failure)),
            Err(failure) => Err((reach::pidfd_call(pid, tid), *failure)),
        }
    }
}

/// Notes the network namespace of a socket. `home` is that of the task.
pub(super) fn socket(
    search: &Search<'_>,
    found: &mut Found,
    fetcher: &mut Fetcher<'_>,
    fd: u32,
    inode: u64,
    home: Option<NamespaceId>,
) {
    if !search.looks_in(Place::Sockets) || search.is_without(Place::Sockets) {
        return;
    }
    let &Table { pid, tid, .. } = fetcher.table;
    let holder = Holder::Socket { pid, tid, fd, inode };
    // Many descriptors of many processes can refer to one socket.
    let id = match found.sockets.get(&inode) {
        Some(socket) => socket.ns,
        None => match fetch(search, fetcher, fd, inode)
            .and_then(|socket| namespace(search, found, pid, &socket).map(|ns| (socket, ns)))
        {
            Ok((socket, (id, ns))) => {
                let has_none_in_flight = search.options.suspects && has_none_in_flight(&socket);
                found.sockets.insert(inode, Socket { ns: id, has_none_in_flight });
                match ns {
                    Some(ns) if found.namespaces.contains_key(&id) => found.last_socket_ns = Some(ns),
                    Some(ns) => {
                        if let Err(failure) = found.note_open(search, id, ns, None) {
                            return found.gap(Place::Sockets, Object::Namespace(id), Operation::OPEN, failure);
                        }
                    }
                    None => {}
                }
                id
            }
            // The socket was closed meanwhile; or it is an O_PATH descriptor on a socket file, which holds nothing.
            Err((_, failure)) if failure.is_closed() => return,
            Err((call, failure)) => return failed(search, found, fetcher, fd, call, failure),
        },
    };
    if home == Some(id) {
        found.sockets_at_home.push((inode, id));
    } else if let Some(seen) = found.namespaces.get_mut(&id) {
        seen.holders.push(holder);
    }
}

/// Fetches a copy of a socket: the one with this inode number.
fn fetch(search: &Search<'_>, fetcher: &mut Fetcher<'_>, fd: u32, inode: u64) -> Result<Fetched, (Call, Failure)> {
    let socket = fetcher.fetch(search, fd)?;
    // While a socket is open, no other has its inode number, so this is the expected one.
    if reach::identity(&socket).is_ok_and(|id| id.ino != inode) {
        return Err((Call::PidfdGetfd, Failure::VANISHED));
    }
    Ok(socket)
}

/// Asks a socket for its network namespace; opens it only where no other socket has said the same cookie, which the kernel
/// gives to one network namespace and never again. Of the caller's own sockets, those of its network namespace need no
/// privilege.
fn namespace(
    search: &Search<'_>,
    found: &mut Found,
    pid: Pid,
    socket: &Fetched,
) -> Result<(NamespaceId, Option<OwnedFd>), (Call, Failure)> {
    // Before Linux 5.14 there are none, and each is opened.
    let cookie = lxkns_sys::so_netns_cookie(socket).ok();
    let known = cookie.and_then(|cookie| found.netns_cookies.get(&cookie));
    if let Some(&id) = known.filter(|id| found.namespaces.contains_key(id)) {
        return Ok((id, None));
    }
    let ns = match lxkns_sys::siocgskns(socket) {
        Err(Errno::PERM) if search.proc.own_pid() == Some(pid) && is_of_own_network(search, cookie) => {
            reach::open_link(search.proc, own_network::LINK).map_err(|failure| (Call::Siocgskns, failure.into()))?
        }
        ns => ns.map_err(|errno| (Call::Siocgskns, errno.into()))?,
    };
    let id = reach::identity(&ns).map_err(|errno| (Call::Fstat, errno.into()))?;
    if let Some(cookie) = cookie {
        found.netns_cookies.insert(cookie, id);
    }
    Ok((id, Some(ns)))
}

/// Whether this is the cookie of the caller's network namespace.
fn is_of_own_network(search: &Search<'_>, cookie: Option<u64>) -> bool {
    cookie.is_some() && own_network::cookie_and_id(search.proc).map(|(own, _)| own) == cookie
}

/// Whether no descriptor waits in a socket to be received, as far as two calls say, which are cheaper than its fdinfo: only
/// UNIX sockets carry descriptors, each with a message, and one that has a message is readable.
fn has_none_in_flight(socket: &Fetched) -> bool {
    match sockopt::socket_domain(socket) {
        // Other families can change their sockets when they are polled.
        Ok(AddressFamily::UNIX) => {
            lxkns_sys::poll_now(socket, PollFlags::IN).is_ok_and(|events| !events.contains(PollFlags::IN))
        }
        Ok(_) => true,
        Err(_) => false,
    }
}

fn failed(search: &Search<'_>, found: &mut Found, fetcher: &Fetcher<'_>, fd: u32, call: Call, failure: Failure) {
    let object = fetcher.table.object(fd);
    if fetcher.table.tid == Tid::from(fetcher.table.pid) {
        return found.failed(search, Place::Sockets, object, call, failure);
    }
    // Only tables of single tasks cannot be reached.
    match search.missing(call, failure) {
        Some(missing) => found.gap(Place::TaskFds, Object::Host, call, missing),
        None => found.gap(Place::TaskFds, object, call, failure),
    }
}
