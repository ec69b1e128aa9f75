//! Suspects: files that hold a namespace which the kernel does not name.

use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::Errno;

use super::fds::Table;
use super::found::Found;
use super::search::Search;
use crate::model::{NamespaceType, Operation, Place, Suspect, Tid};
use crate::procfs::{ProcDir, parse};

/// Descriptors on their way to a UNIX socket.
pub(super) fn in_flight(found: &mut Found, process: &ProcDir, table: &Table, fd: u32) {
    let info = fd_info(found, process, table, fd);
    if let Some(count) = info.and_then(|info| info.scm_fds).filter(|&count| count > 0) {
        found.suspects.push(Suspect::InFlight { pid: table.pid, tid: table.tid, fd, count });
    }
}

/// Files registered with an io_uring; and, where they are no file system of their own, pidfds.
pub(super) fn anonymous(found: &mut Found, process: &ProcDir, table: &Table, fd: u32) {
    let mut text = [0; 64];
    match table.link(fd, &mut text) {
        Ok(b"anon_inode:[io_uring]") => {}
        Ok(PIDFD) => return pidfd(found, process, table, fd),
        Ok(_) => return,
        Err(errno) => return found.gap(Place::Suspects, table.object(fd), Operation::read_link("fd"), errno),
    }
    let info = fd_info(found, process, table, fd);
    if let Some(count) =
        info.and_then(|info| info.registered_files).map(|files| files.at_most()).filter(|&count| count > 0)
    {
        found.suspects.push(Suspect::IoUring { pid: table.pid, tid: table.tid, fd, count });
    }
}

/// The text of the link of a pidfd, also on its own file system (Linux 6.9).
const PIDFD: &[u8] = b"anon_inode:[pidfd]";
/// As long as a path gets.
const LONGEST: usize = 4096;

/// A pidfd of a process that has been reaped: it keeps its PIDs, and these keep their PID namespaces.
fn pidfd(found: &mut Found, process: &ProcDir, table: &Table, fd: u32) {
    let info = fd_info(found, process, table, fd);
    if info.is_some_and(|info| info.is_of_the_dead) {
        found.suspects.push(proc_file(table, fd, NamespaceType::Pid, PIDFD));
    }
}

fn proc_file(table: &Table, fd: u32, ns_type: NamespaceType, path: &[u8]) -> Suspect {
    Suspect::ProcFile { pid: table.pid, tid: table.tid, fd, ns_type, path: path.into() }
}

/// An open file that is a suspect if `dev` turns out to be a procfs, or is that of control groups.
pub(super) fn file(search: &Search<'_>, found: &mut Found, process: &ProcDir, table: &Table, fd: u32, dev: u64) {
    let mut text = [0; LONGEST];
    let path = match table.link(fd, &mut text) {
        Ok(PIDFD) => return pidfd(found, process, table, fd),
        Ok(path) => path,
        Err(errno) => return found.gap(Place::Suspects, table.object(fd), Operation::read_link("fd"), errno),
    };
    if is_of_control_group(path) {
        found.cgroup_files.push((dev, proc_file(table, fd, NamespaceType::Cgroup, path)));
    }
    if let Some(ns_type) = held_through(path) {
        found.proc_files.push((dev, proc_file(table, fd, ns_type, path)));
    }
    if is_of_the_dead(search, path) {
        found.proc_files.push((dev, proc_file(table, fd, NamespaceType::Pid, path)));
    }
}

/// An open directory that is a suspect if `dev` turns out to be a procfs.
pub(super) fn directory(search: &Search<'_>, found: &mut Found, table: &Table, fd: u32, dev: u64) {
    let mut text = [0; LONGEST];
    match table.link(fd, &mut text) {
        Ok(path) if is_of_the_dead(search, path) => {
            found.proc_files.push((dev, proc_file(table, fd, NamespaceType::Pid, path)));
        }
        Ok(_) => {}
        Err(errno) => found.gap(Place::Suspects, table.object(fd), Operation::read_link("fd"), errno),
    }
}

/// Whether a path, if it is one of a procfs, is that of a process that is not there any more: the file keeps its PIDs.
fn is_of_the_dead(search: &Search<'_>, path: &[u8]) -> bool {
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    let Some(pid) = path.split(|&byte| byte == b'/').find(|name| is_number(name)) else { return false };
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    matches!(rustix::fs::statx(search.proc, pid, flags, StatxFlags::TYPE), Err(Errno::NOENT))
}

/// Whether a file is called like those of control groups, each of which keeps the cgroup namespace of who opened it.
fn is_of_control_group(path: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 17] = [
        b"blkio.",
        b"cgroup.",
        b"cpu.",
        b"cpuacct.",
        b"cpuset.",
        b"devices.",
        b"dmem.",
        b"freezer.",
        b"hugetlb.",
        b"io.",
        b"irq.",
        b"memory.",
        b"misc.",
        b"net_",
        b"perf_event.",
        b"pids.",
        b"rdma.",
    ];
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    name == b"tasks" || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn is_number(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_digit)
}

/// The type of namespace that an open file of a procfs with this path holds.
fn held_through(path: &[u8]) -> Option<NamespaceType> {
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
    let result = process.read_record(path, &mut buffer).map(parse::fdinfo::parse);
    found.buffer = buffer;
    match result {
        Ok(Ok(info)) => Some(info),
        Ok(Err(error)) => {
            found.malformed(Place::Suspects, table.object(fd), error);
            None
        }
        Err(errno) => {
            found.gap(Place::Suspects, table.object(fd), Operation::read("fdinfo"), errno);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_control_groups_are_known_by_their_names() {
        for (path, expected) in [
            ("/sys/fs/cgroup/a/cgroup.procs", true),
            ("/sys/fs/cgroup/cpu/tasks", true),
            ("/sys/fs/cgroup/memory.pressure", true),
            ("/sys/fs/cgroup", false),
            ("/tmp/cgroup.procs/x", false),
            ("", false),
        ] {
            assert_eq!(is_of_control_group(path.as_bytes()), expected, "{path}");
        }
    }

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
