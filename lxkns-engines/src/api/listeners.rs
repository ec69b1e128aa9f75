//! Who listens: the UNIX sockets on which a process waits for connections.

use lxkns_model::CompactSort as _;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use bstr::{BString, ByteSlice as _};
use rustc_hash::FxHashMap;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// How many sockets of one process are kept.
const MOST: usize = 4;

/// The flag of a socket that waits for connections, as `/proc/PID/net/unix` has it: `__SO_ACCEPTCON`.
const ACCEPTS: u32 = 1 << 16;

/// The paths of the listening sockets of one network namespace, by their inode numbers.
pub(crate) type Listening = FxHashMap<u64, Vec<BString>>;

/// A socket on which a process waits for connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) inode: u64,
    /// Its descriptor in the process.
    pub(crate) fd: RawFd,
    /// Its path, as it was bound; `None` where several are said: a user can name a socket so that it looks like a line.
    pub(crate) path: Option<BString>,
}

/// Reads `/proc/PID/net/unix`. Only sockets that have a path count: names without a file belong to one network namespace.
pub(crate) fn listening(text: &[u8]) -> Listening {
    let mut all = Listening::default();
    for line in text.lines() {
        // Address, references, protocol, flags, type, state, inode; and the path, which can have blanks.
        let mut rest = line;
        let mut field = || {
            rest = rest.trim_start_with(|character| character == ' ');
            let (field, after) = rest.split_once_str(" ").unwrap_or((rest, b""));
            rest = after;
            field.to_str().ok()
        };
        let flags = (field(), field(), field(), field()).3.and_then(|flags| u32::from_str_radix(flags, 16).ok());
        let inode = (field(), field(), field()).2.and_then(|inode| inode.parse().ok());
        let (Some(flags), Some(inode)) = (flags, inode) else { continue };
        if flags & ACCEPTS != 0 && rest.starts_with(b"/") {
            let paths: &mut Vec<BString> = all.entry(inode).or_default();
            if paths.len() < 2 && !paths.iter().any(|path| path == rest) {
                paths.push(rest.into());
            }
        }
    }
    all
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
    let is_other = |path: &BString| path.contains_str("/libnetwork/") || path.ends_with(b"/metrics.sock");
    own.retain(|listener| !listener.path.as_ref().is_some_and(is_other));
    own.compact_sort_by_key(|listener| {
        let is_usual = |path: &BString| path.ends_with(b"/docker.sock") || path.ends_with(b"/podman.sock");
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
            Err(_) => continue,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_that_listen_at_a_path_count() {
        let text = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 24539 /run/a b.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03   123 /run/a b.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01     7 @/abstract\n\
            0000000000000000: 00000002 00000000 00010000 0005 01     8\n\
            0000000000000000: 00000002 00000000 00010000 0001 01     9 /one\n\
            0000000000000000: 00000002 00000000 00010000 0001 01     9 /other\n\
            0000000000000000: 00000002 00000000 00010000 0001 01     9 /third\n\
            nonsense\n\n /\n0: 1 2 zz 4 5 6 /x";
        let all = listening(text);
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(all[&24539], ["/run/a b.sock"]);
        assert_eq!(all[&9], ["/one", "/other"], "which is true nobody knows");
        assert!(listening(b"").is_empty());
    }
}
