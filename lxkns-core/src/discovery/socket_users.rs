//! Processes that have sockets open. Descriptors are identified by the text of their links; nothing is opened or
//! copied.

use super::task_fds::Tables;
use super::tasks;
use super::workers::share_out;
use crate::failure::{self, Failure};
use crate::model::CompactSort as _;
use crate::model::{Call, Cause, Gap, Object, Operation, Pid, Place, SocketUser, Tid};
use crate::procfs::{ProcDir, ProcRoot, parse};

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
pub(super) fn all_socket_users(proc: &ProcRoot, inodes: &[u64]) -> (Vec<SocketUser>, Vec<Gap>) {
    match proc.pids() {
        Ok(pids) => socket_users(proc, &pids, inodes),
        Err(errno) => {
            let gap = failure::gap(Place::Processes, Object::Host, Operation::list("the processes"), errno);
            (Vec::new(), gap.into_iter().collect())
        }
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
    let fds = match dir.numbers(&below) {
        Ok(fds) => fds,
        Err(errno) => {
            part.gap(Place::Fds, Object::Process(pid), Operation::list("fd"), errno);
            return false;
        }
    };
    let mut buffer = [0; 64];
    for fd in fds {
        let inode = match dir.link(format!("{below}/{fd}"), &mut buffer) {
            Ok(text) => parse::links::socket(text),
            Err(failure) => {
                part.gap(Place::Fds, Object::Fd(pid, tid, fd), Operation::read_link("fd"), failure);
                if failure.is_denied() {
                    // One permission goes for the whole table.
                    return false;
                }
                continue;
            }
        };
        if let Some(inode) = inode.filter(|inode| wanted.binary_search(inode).is_ok()) {
            part.users.push(SocketUser::new(inode, pid, tid, fd));
        }
    }
    true
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
        let (users, _) = all_socket_users(&proc, &[inode]);
        assert_eq!(users, [SocketUser::new(inode, pid, Tid::from(pid), fd)]);
    }
}
