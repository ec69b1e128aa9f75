//! The sockets on which engines of containers listen.

use std::collections::BTreeMap;

use bstr::{BString, ByteSlice as _};
use rustc_hash::FxHashMap;
use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::Errno;

use crate::failure::{self, Failure};
use crate::model::{EngineSocket, Gap, NamespaceId, NamespaceType, Object, Operation, Pid, Place, Snapshot, Tid};
use crate::procfs::{ProcRoot, parse};
use crate::reach::{self, Fetched};

/// The names of engines: whoever is connected to one may have it run a container with all powers.
const NAMES: [&[u8]; 8] = [b"containerd", b"cri-dockerd", b"crio", b"docker", b"dockerd", b"incusd", b"lxd", b"podman"];

/// The names of their sockets, on which a service manager listens in their place.
const SOCKETS: [&[u8]; 4] = [b"/docker.sock", b"/podman.sock", b"/containerd.sock", b"/crio.sock"];

/// The paths of listening sockets, by their inode numbers.
type Listening = BTreeMap<u64, Vec<BString>>;

/// The sockets of all engines of a snapshot.
pub(super) fn sockets(proc: &ProcRoot, snapshot: &Snapshot, gaps: &mut Vec<Gap>) -> Vec<EngineSocket> {
    let containers = snapshot.annotations.containers.as_ref();
    let known: Vec<Pid> =
        containers.iter().flat_map(|containers| &containers.engines).filter_map(|engine| engine.pid).collect();
    let is_contained = |pid: &Pid| containers.is_some_and(|containers| containers.members.contains_key(pid));
    let mut tables: FxHashMap<Option<NamespaceId>, Option<Listening>> = FxHashMap::default();
    let mut sockets = Vec::new();
    for (&pid, process) in &snapshot.processes {
        let is_named = NAMES.iter().any(|name| process.comm() == name) && !is_contained(&pid);
        let is_engine = is_named || known.contains(&pid);
        let is_manager = pid == Pid(1) || process.comm() == "systemd";
        if !is_engine && (!is_manager || is_contained(&pid)) {
            continue;
        }
        let net = process.namespaces.get(NamespaceType::Net);
        let table =
            tables.entry(net).or_insert_with(|| read(proc, pid, gaps)).as_ref().filter(|table| !table.is_empty());
        let Some(table) = table else { continue };
        let wanted = |path: &BString| match is_engine {
            true => !path.contains_str("/libnetwork/") && !path.ends_with(b"/metrics.sock"),
            false => SOCKETS.iter().any(|name| path.ends_with(name)),
        };
        if let Err(failure) = of_process(proc, snapshot, pid, table, &wanted, &mut sockets) {
            gaps.extend(failure::gap(Place::Fds, Object::Process(pid), Operation::list("fd"), failure));
        }
    }
    sockets.sort_unstable();
    // Whoever has inherited a socket has it too.
    sockets.dedup_by_key(|socket| (socket.pid, socket.inode));
    sockets
}

/// The sockets that listen at a path in the network namespace of a process.
fn read(proc: &ProcRoot, pid: Pid, gaps: &mut Vec<Gap>) -> Option<Listening> {
    let mut buffer = Vec::new();
    match proc.dir().read(format!("{pid}/net/unix"), &mut buffer) {
        Ok(text) => Some(parse::net_unix::listening(text)),
        Err(errno) => {
            gaps.extend(failure::gap(Place::Sockets, Object::Process(pid), Operation::read("net/unix"), errno));
            None
        }
    }
}

/// Those of these sockets that a process has open.
fn of_process(
    proc: &ProcRoot,
    snapshot: &Snapshot,
    pid: Pid,
    table: &Listening,
    is_wanted: &dyn Fn(&BString) -> bool,
    sockets: &mut Vec<EngineSocket>,
) -> Result<(), Failure> {
    let dir = proc.process(pid)?;
    let uid = snapshot.processes.get(&pid).and_then(|process| process.status.as_ref()).map(|it| it.uids.effective);
    let mut text = [0; 64];
    let mut pidfd = None;
    for fd in dir.numbers("fd")? {
        let inode = match dir.link(format!("fd/{fd}"), &mut text) {
            Ok(link) => parse::links::socket(link),
            Err(failure) if failure.is_gone() => continue,
            Err(failure) => return Err(failure),
        };
        let Some((inode, bound_to)) = inode.and_then(|inode| Some((inode, table.get(&inode)?.first()?))) else {
            continue;
        };
        let mut socket = EngineSocket {
            pid,
            uid,
            listener: None,
            bound_to: bound_to.clone(),
            path: bound_to.clone(),
            mount_id: None,
            inode,
        };
        // What was bound to a path can be elsewhere by now, or the path can have led through links.
        let pidfd = pidfd.get_or_insert_with(|| reach::pidfd(proc, &dir, pid, Tid::from(pid)));
        if let Ok(pidfd) = pidfd {
            let _ = place(proc, pidfd, fd, &mut socket);
        }
        if is_wanted(&socket.bound_to) {
            sockets.push(socket);
        }
    }
    Ok(())
}

/// Who listens, and where the file of the socket is.
fn place(proc: &ProcRoot, pidfd: &std::os::fd::OwnedFd, fd: u32, socket: &mut EngineSocket) -> Result<(), Failure> {
    let fetched = Fetched::new(proc, pidfd, fd)?;
    if rustix::fs::fstat(&fetched)?.st_ino != socket.inode {
        return Err(Errno::BADF.into());
    }
    // Lists of sockets are text, in which a user can name one so that it looks like the line of another.
    let address = rustix::net::getsockname(&fetched).ok().and_then(|it| rustix::net::SocketAddrUnix::try_from(it).ok());
    if let Some(path) = address.as_ref().and_then(rustix::net::SocketAddrUnix::path_bytes) {
        socket.bound_to = path.into();
        socket.path = path.into();
    }
    socket.listener = lxkns_sys::so_peercred(&fetched)?.map(|peer| Pid(peer.pid));
    let file = lxkns_sys::siocunixfile(&fetched)?;
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let stat = rustix::fs::statx(&file, c"", flags, StatxFlags::MNT_ID)?;
    if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 {
        use std::os::fd::AsFd as _;
        let mut text = [0; 4096];
        socket.path = proc.own_link(file.as_fd(), &mut text)?.into();
        socket.mount_id = Some(stat.stx_mnt_id);
    }
    Ok(())
}
