//! The devices of open TUN/TAP files, by name. The kernel takes the lock of all network configuration to tell them, so a
//! separate thread reads them.

use std::time::Duration;

use crate::model::CompactSort as _;
use crate::model::links::TunUser;
use crate::model::{Holder, NamespaceId, Pid, Snapshot, Tid};
use crate::procfs::{ProcRoot, parse};

/// Timeout for all of them. Normally each takes some microseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file, and the network namespace of its device.
struct File {
    ns: NamespaceId,
    pid: Pid,
    tid: Tid,
    fd: u32,
    /// When its process started, in ticks: another can have the number since.
    started: u64,
}

/// [`Discovery::tun_users`](crate::Discovery::tun_users).
pub(super) fn tun_users(proc: &ProcRoot, snapshot: &Snapshot) -> Option<Vec<TunUser>> {
    let holders = snapshot.namespaces.values().flat_map(|ns| ns.holders.iter().map(move |holder| (ns.id, holder)));
    let files = holders.filter_map(|(id, holder)| match *holder {
        Holder::Tun { pid, tid, fd, device } => {
            let started = snapshot.processes.get(&pid)?.start_time_ticks();
            Some(File { ns: device.unwrap_or(id), pid, tid, fd, started })
        }
        _ => None,
    });
    let files: Vec<_> = files.collect();
    if files.is_empty() {
        return Some(Vec::new());
    }
    let proc = proc.try_clone().ok()?;
    let read = move || {
        let mut buffer = Vec::new();
        let mut users: Vec<_> = files.iter().filter_map(|file| user(&proc, file, &mut buffer)).collect();
        users.compact_sort();
        users
    };
    lxkns_sys::in_time("lxkns-tun", PATIENCE, read).ok().flatten()
}

fn user(proc: &ProcRoot, file: &File, buffer: &mut Vec<u8>) -> Option<TunUser> {
    let &File { ns, pid, tid, fd, started } = file;
    let dir = proc.process(pid).ok()?;
    if parse::stat::parse(dir.read_record("stat", buffer).ok()?).ok()?.start_time_ticks != started {
        return None;
    }
    let path = if Tid::from(pid) == tid { format!("fdinfo/{fd}") } else { format!("task/{tid}/fdinfo/{fd}") };
    let name = parse::fdinfo::tun_name(dir.read_record(path, buffer).ok()?)?.to_vec();
    Some(TunUser { ns, name, pid, tid, fd })
}
