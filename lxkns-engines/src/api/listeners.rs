//! Who listens: the UNIX sockets on which a process waits for connections.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use bstr::{BString, ByteSlice as _};
use lxkns_model::CompactSort as _;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// How many sockets of one process are kept.
const MOST: usize = 4;

/// The paths of the listening sockets of one network namespace, by their inode numbers.
pub(crate) type Listening = BTreeMap<u64, Vec<BString>>;

/// A socket on which a process waits for connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) inode: u64,
    /// Its descriptor in the process.
    pub(crate) fd: RawFd,
    /// Its path, as it was bound; `None` where several are said: a user can name a socket so that it looks like a line.
    pub(crate) path: Option<BString>,
}

/// Those of these sockets that a process has open and that can be an engine's API: what is usually that comes first.
pub(crate) fn of_process(process: impl AsFd, listening: &Listening) -> Result<Vec<Listener>, Errno> {
    let mut own = Vec::new();
    for_each_socket(process, |fd, inode| {
        if let Some(paths) = listening.get(&inode) {
            let path = if let [path] = &paths[..] { Some(path.clone()) } else { None };
            own.push(Listener { inode, fd, path });
        }
        true
    })?;
    const OTHERS: [&[u8]; 4] = [b"/metrics.sock", b"/debug.sock", b"/containerd-debug.sock", b".ttrpc"];
    let is_other =
        |path: &BString| path.contains_str("/libnetwork/") || OTHERS.iter().any(|other| path.ends_with(other));
    own.retain(|listener| !listener.path.as_ref().is_some_and(is_other));
    own.compact_sort_by_key(|listener| {
        const USUAL: [&[u8]; 3] = [b"/docker.sock", b"/podman.sock", b"/containerd.sock"];
        let is_usual = |path: &BString| USUAL.iter().any(|usual| path.ends_with(usual));
        (!listener.path.as_ref().is_some_and(is_usual), listener.inode, listener.fd)
    });
    own.dedup_by_key(|listener| listener.inode);
    own.truncate(MOST);
    Ok(own)
}

/// Whether a process has this socket open.
pub(crate) fn has(process: impl AsFd, inode: u64) -> bool {
    let mut has = false;
    let read = for_each_socket(process, |_, other| {
        has = other == inode;
        !has
    });
    read.is_ok() && has
}

/// Calls `each` with the descriptor and the inode number of all sockets that a process has open, until it returns false.
fn for_each_socket(process: impl AsFd, mut each: impl FnMut(RawFd, u64) -> bool) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fds: OwnedFd = rustix::fs::openat(process, "fd", flags, Mode::empty())?;
    let mut buffer = Vec::with_capacity(64);
    for entry in rustix::fs::Dir::read_from(&fds)? {
        let entry = entry?;
        let Some(fd) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok()) else { continue };
        let link = match rustix::fs::readlinkat(&fds, entry.file_name(), std::mem::take(&mut buffer)) {
            Ok(link) => link,
            // It was closed.
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(errno),
        };
        buffer = link.into_bytes();
        let inode =
            buffer.strip_prefix(b"socket:[").and_then(|rest| rest.strip_suffix(b"]")?.to_str().ok()?.parse().ok());
        if inode.is_some_and(|inode| !each(fd, inode)) {
            break;
        }
        buffer.clear();
    }
    Ok(())
}
