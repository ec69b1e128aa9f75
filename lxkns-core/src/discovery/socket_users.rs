//! Processes that have sockets open. Descriptors are identified by the text of their links; nothing is opened or
//! copied.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Mode, OFlags};

use super::found::Found;
use super::search::Search;
use super::task_fds::Tables;
use super::tasks;
use super::workers::share_out;
use crate::failure::{self, Failure};
use crate::model::CompactSort as _;
use crate::model::{Call, Cause, Gap, Object, Operation, Pid, Place, SocketUser, Tid};
use crate::procfs::{ProcDir, ProcRoot, for_each_number, parse};

/// [`Discovery::socket_users`](crate::Discovery::socket_users).
pub(super) fn socket_users(proc: &ProcRoot, pids: &[Pid], inodes: &[u64]) -> (Vec<SocketUser>, Vec<Gap>) {
    let mut wanted = inodes.to_vec();
    wanted.sort_unstable();
    let parts = share_out(pids, |part: &mut Part, &pid| match proc.process(pid) {
        Ok(dir) => process(proc, part, &dir, pid, &wanted),
        Err(errno) => part.gap(Place::Processes, Object::Process(pid), Operation::OPEN, errno),
    });
    let (mut users, mut gaps) = (Vec::new(), Vec::new());
    for part in parts {
        users.extend(part.users);
        gaps.extend(part.gaps);
    }
    users.sort_unstable();
    gaps.compact_sort();
    (users, gaps)
}

/// [`Discovery::all_socket_users`](crate::Discovery::all_socket_users).
pub(super) fn all_socket_users(
    proc: &ProcRoot,
    kept: Option<&Mutex<Kept>>,
    inodes: &[u64],
) -> (Vec<SocketUser>, Vec<Gap>) {
    let mut pids = match proc.pids() {
        Ok(pids) => pids,
        Err(errno) => {
            let gap = failure::gap(Place::Processes, Object::Host, Operation::list("the processes"), errno);
            return (Vec::new(), gap.into_iter().collect());
        }
    };
    let mut known = Vec::new();
    if let Some(kept) = kept {
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        known = kept.of(inodes);
        // What nobody had open, somebody has opened since, or it is the kernel's own.
        let is_known = |inode: &u64| known.binary_search_by_key(inode, |user| user.inode).is_ok();
        if inodes.iter().all(is_known) {
            pids.retain(|pid| kept.pids.binary_search(pid).is_err());
        } else {
            known.clear();
        }
    }
    let (mut users, gaps) = socket_users(proc, &pids, inodes);
    users.append(&mut known);
    users.sort_unstable();
    (users, gaps)
}

/// The processes of a scan, and the sockets that they had open.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Sorted.
    pids: Vec<Pid>,
    /// By socket.
    users: Vec<SocketUser>,
}

impl Kept {
    /// Who had these sockets open.
    fn of(&self, inodes: &[u64]) -> Vec<SocketUser> {
        let of_one = |&inode: &u64| {
            let users = &self.users[self.users.partition_point(|user| user.inode < inode)..];
            users.iter().take_while(move |user| user.inode == inode).copied()
        };
        let mut wanted = inodes.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.iter().flat_map(of_one).collect()
    }
}

/// Keeps who has sockets open, if that is wanted and all tables were to be read.
pub(super) fn keep(search: &Search<'_>, found: &mut Found) {
    let Some(kept) = &search.session.socket_users else { return };
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    *kept = Kept::default();
    // What the kernel reader tells of processes that may not be read is left to who reads them here, with gaps.
    let reads_all = [Place::Processes, Place::Fds, Place::TaskFds].into_iter().all(|place| search.looks_in(place));
    if reads_all && !search.reads_kernel {
        kept.users = std::mem::take(&mut found.socket_users);
        kept.users.sort_unstable();
        kept.users.dedup();
        kept.pids = found.processes.iter().map(|process| process.pid).collect();
        kept.pids.sort_unstable();
    }
}

/// The findings of one worker.
#[derive(Default)]
struct Part {
    users: Vec<SocketUser>,
    gaps: Vec<Gap>,
}

impl Part {
    fn gap(&mut self, place: Place, object: Object, operation: Operation, why: impl Into<Failure>) {
        self.gaps.extend(failure::gap(place, object, operation, why));
    }
}

fn process(proc: &ProcRoot, part: &mut Part, dir: &ProcDir, pid: Pid, wanted: &[u64]) {
    let main = match tasks::living(dir, pid, &mut Vec::new()) {
        Ok(main) => main,
        Err(errno) => return part.gap(Place::Processes, Object::Process(pid), Operation::read("stat"), errno),
    };
    if !table(part, dir, pid, main, wanted) {
        return;
    }
    let mut tables = Tables::of(main);
    let tids = dir.numbers("task").unwrap_or_else(|errno| {
        part.gap(Place::TaskFds, Object::Process(pid), Operation::list("task"), errno);
        Vec::new()
    });
    for tid in tids.into_iter().map(Tid).filter(|&tid| tid != main) {
        if !proc.is_own() {
            // kcmp(2) would mean other tasks than this procfs.
            return part.gap(Place::TaskFds, Object::Host, Call::Kcmp.into(), Cause::OtherPidNamespace);
        }
        match tables.is_new(tid) {
            Ok(false) => {}
            Ok(true) => drop(table(part, dir, pid, tid, wanted)),
            Err(errno) => part.gap(Place::TaskFds, Object::Task(pid, tid), Call::Kcmp.into(), errno),
        }
    }
}

/// Goes through a descriptor table; whether it could.
fn table(part: &mut Part, dir: &ProcDir, pid: Pid, tid: Tid, wanted: &[u64]) -> bool {
    let below = if tid == Tid::from(pid) { "fd".to_owned() } else { format!("task/{tid}/fd") };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut buffer = [0; 64];
    let mut is_readable = true;
    let listed = rustix::fs::openat(dir, below, flags, Mode::empty()).and_then(|fds| {
        for_each_number(&fds, |name, fd| {
            match crate::procfs::link(&fds, name, &mut buffer) {
                Ok(text) => {
                    let inode = parse::links::socket(text);
                    if let Some(inode) = inode.filter(|inode| wanted.binary_search(inode).is_ok()) {
                        part.users.push(SocketUser::new(inode, pid, tid, fd));
                    }
                }
                Err(failure) => {
                    part.gap(Place::Fds, Object::Fd(pid, tid, fd), Operation::read_link("fd"), failure);
                    // One permission goes for the whole table.
                    is_readable = !failure.is_denied();
                }
            }
            if is_readable { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    });
    if let Err(errno) = listed {
        part.gap(Place::Fds, Object::Process(pid), Operation::list("fd"), errno);
        return false;
    }
    is_readable
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn an_own_socket_is_found_and_no_other() {
        let [wanted, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let proc = ProcRoot::host().unwrap();
        let fd = wanted.as_raw_fd() as u32;
        let inode = std::fs::metadata(proc.path().join(format!("self/fd/{fd}"))).unwrap().ino();
        let pid = Pid(std::process::id());
        let (users, gaps) = socket_users(&proc, &[pid], &[inode, 1]);
        assert_eq!(users, [SocketUser::new(inode, pid, Tid::from(pid), fd)]);
        assert_eq!(gaps, []);
        drop(other);
        assert_eq!(socket_users(&proc, &[], &[inode]), (vec![], vec![]));
        let (users, _) = all_socket_users(&proc, None, &[inode]);
        assert_eq!(users, [SocketUser::new(inode, pid, Tid::from(pid), fd)]);
    }
}
