//! Things that hold a namespace without the kernel saying which one.

use super::fds::Table;
use super::search::Found;
use crate::model::{NamespaceType, Place, Suspect, Tid};
use crate::procfs::{ProcDir, parse};

/// Descriptors on their way to a UNIX socket.
pub(super) fn in_flight(found: &mut Found, process: &ProcDir, table: &Table, fd: u32) {
    let info = fd_info(found, process, table, fd);
    if let Some(count) = info.and_then(|info| info.scm_fds).filter(|&count| count > 0) {
        found.suspects.push(Suspect::InFlight { pid: table.pid, tid: table.tid, fd, count });
    }
}

/// Files registered with an io_uring.
pub(super) fn io_uring(found: &mut Found, process: &ProcDir, table: &Table, fd: u32) {
    let mut text = [0; 64];
    if !matches!(table.link(fd, &mut text), Ok(b"anon_inode:[io_uring]")) {
        return;
    }
    let info = fd_info(found, process, table, fd);
    if let Some(count) =
        info.and_then(|info| info.registered_files).map(|files| files.at_most()).filter(|&count| count > 0)
    {
        found.suspects.push(Suspect::IoUring { pid: table.pid, tid: table.tid, fd, count });
    }
}

/// An open file that is a suspect if `dev` turns out to be a procfs.
pub(super) fn proc_file(found: &mut Found, table: &Table, fd: u32, dev: u64) {
    /// As long as a path gets.
    const LONGEST: usize = 4096;
    let mut text = [0; LONGEST];
    let path = match table.link(fd, &mut text) {
        Ok(path) => path,
        Err(errno) => return found.gap(Place::Suspects, table.object(fd), "readlink fd", errno),
    };
    if let Some(ns_type) = held_through(path) {
        let (pid, tid) = (table.pid, table.tid);
        found.proc_files.push((dev, Suspect::ProcFile { pid, tid, fd, ns_type, path: path.into() }));
    }
}

/// The type of namespace that an open file of a procfs with this path holds.
fn held_through(path: &[u8]) -> Option<NamespaceType> {
    let is_number = |name: &[u8]| !name.is_empty() && name.iter().all(u8::is_ascii_digit);
    let mut names = path.split(|&byte| byte == b'/').skip_while(|name| !is_number(name)).skip(1);
    let mut name = names.next()?;
    if name == b"task" {
        name = names.nth(1)?;
    }
    match name {
        b"mountinfo" | b"mounts" | b"mountstats" => Some(NamespaceType::Mnt),
        b"net" => names.next().map(|_| NamespaceType::Net),
        _ => None,
    }
}

fn fd_info(found: &mut Found, process: &ProcDir, table: &Table, fd: u32) -> Option<parse::fdinfo::FdInfo> {
    let path = if table.tid == Tid::from(table.pid) {
        format!("fdinfo/{fd}")
    } else {
        format!("task/{}/fdinfo/{fd}", table.tid)
    };
    let mut buffer = std::mem::take(&mut found.buffer);
    let result = process.read(path, &mut buffer).map(parse::fdinfo::parse);
    found.buffer = buffer;
    match result {
        Ok(Ok(info)) => Some(info),
        Ok(Err(error)) => {
            found.malformed(Place::Suspects, table.object(fd), error);
            None
        }
        Err(errno) => {
            found.gap(Place::Suspects, table.object(fd), "read fdinfo", errno);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_hold_a_namespace_are_suspects() {
        for (path, expected) in [
            ("/proc/12/mountinfo", Some(NamespaceType::Mnt)),
            ("/proc/12/task/13/mounts", Some(NamespaceType::Mnt)),
            ("/host/proc/1/net/tcp", Some(NamespaceType::Net)),
            ("/proc/12/task/13/net/stat/nf_conntrack", Some(NamespaceType::Net)),
            ("/proc/12/net", None),
            ("/proc/12/status", None),
            ("/proc/12/task", None),
            ("/proc/sys/net/core/somaxconn", None),
            ("/proc/uptime", None),
            ("", None),
        ] {
            assert_eq!(held_through(path.as_bytes()), expected, "{path}");
        }
    }
}
