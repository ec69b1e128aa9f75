//! What would make a holder let go.

use lxkns_core::model::{Holder, NamespaceId, NamespaceType, Pid, Snapshot, Task, Tid};

use super::escape::shell_word;
use super::names::{self, Way};

/// What would make this holder of a namespace of this type let go: one sentence without its full stop.
pub(crate) fn hint(
    snapshot: &Snapshot,
    ns_type: NamespaceType,
    holder: &Holder,
    home: Option<NamespaceId>,
) -> Option<String> {
    let closing = |pid: &Pid, tid: &Tid, fd: &u32| match Tid::from(*pid) == *tid {
        true => format!("process {pid} closes fd {fd}, or exits"),
        false => format!("thread {tid} of process {pid} closes fd {fd}, or exits"),
    };
    Some(match holder {
        Holder::Process { pid } => format!("process {pid} exits"),
        Holder::Task { pid, tid } => format!("thread {tid} of process {pid} exits"),
        Holder::ForChildren { pid, tid } if Tid::from(*pid) == *tid => format!("process {pid} exits"),
        Holder::ForChildren { pid, tid } => format!("thread {tid} of process {pid} exits"),
        Holder::Fd { pid, tid, fd } | Holder::Socket { pid, tid, fd, .. } | Holder::Tun { pid, tid, fd, .. } => {
            closing(pid, tid, fd)
        }
        Holder::Sockets { .. } => "the processes in it close them, or exit".to_owned(),
        Holder::BindMount { mount_ns, path, .. } | Holder::Mount { mount_ns, path, .. } => {
            let Some(path) = path else {
                let mount_ns = names::target(snapshot, *mount_ns);
                return Some(format!("what covers it is unmounted, or {mount_ns} ends (lxkns why {mount_ns})"));
            };
            let is_bind = matches!(holder, Holder::BindMount { .. });
            umount(snapshot, ns_type, *mount_ns, path, is_bind, home)
        }
        Holder::Child { ns } | Holder::Owned { ns } => {
            let ns = names::target(snapshot, *ns);
            format!("{ns} ends (lxkns why {ns})")
        }
        _ => return None,
    })
}

/// The command that unmounts a path in a mount namespace. In another one it is never a program of that namespace's,
/// which `nsenter` would run with all the powers of whoever follows the hint.
pub(crate) fn umount(
    snapshot: &Snapshot,
    ns_type: NamespaceType,
    mount_ns: NamespaceId,
    path: &[u8],
    is_bind: bool,
    home: Option<NamespaceId>,
) -> String {
    let word = shell_word(path);
    if Some(mount_ns) == home {
        let name = path.strip_prefix(b"/run/netns/").or_else(|| path.strip_prefix(b"/var/run/netns/"));
        return match name.filter(|name| is_bind && ns_type == NamespaceType::Net && !name.contains(&b'/')) {
            Some(name) => format!("`ip netns delete {}`, or `umount {word}`", shell_word(name)),
            None => format!("`umount {word}`"),
        };
    }
    let namespace = snapshot.namespaces.get(&mount_ns);
    if let Some(&pid) = namespace.and_then(|namespace| namespace.leaders.first()) {
        return match living(snapshot, pid, mount_ns) {
            Some(tid) => format!("`umount -N {PROC}/{pid}/task/{tid}/ns/mnt {word}`"),
            None => format!("`umount -N {pid} {word}`"),
        };
    }
    let way = namespace.and_then(|namespace| names::ways(snapshot, namespace, home).next());
    match way {
        Some(Way::Proc(holder) | Way::Mount(holder)) => format!("`umount -N {} {word}`", shell_word(&holder)),
        _ => {
            let mount_ns = names::target(snapshot, mount_ns);
            format!("{mount_ns} ends (lxkns why {mount_ns})")
        }
    }
}

/// Where the procfs is, in what is shown to people.
const PROC: &str = "/proc";

/// A living task in a mount namespace of a process whose thread group leader has exited, so that no link of its own leads
/// there.
fn living(snapshot: &Snapshot, pid: Pid, mount_ns: NamespaceId) -> Option<Tid> {
    let process = snapshot.processes.get(&pid)?;
    let is_dead = process.tasks.first().is_some_and(|task| task.state.is_dead());
    let is_in_it = |task: &&Task| !task.state.is_dead() && task.namespaces.get(NamespaceType::Mnt) == Some(mount_ns);
    process.tasks.iter().find(is_in_it).filter(|_| is_dead).map(|task| task.tid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BUSY, HOME, LEFT, LOOSE, ODD, id, snapshot};

    fn mount(mount_ns: NamespaceId, path: Option<&str>) -> Holder {
        Holder::BindMount { mount_ns, mount_id: 3, path: path.map(Into::into) }
    }

    #[test]
    fn one_hint_for_each_kind() {
        let snapshot = snapshot();
        let (pid, tid, own) = (Pid(200), Tid(201), Tid(200));
        for (holder, expected) in [
            (Holder::Process { pid }, "process 200 exits"),
            (Holder::Task { pid, tid }, "thread 201 of process 200 exits"),
            (Holder::ForChildren { pid, tid: own }, "process 200 exits"),
            (Holder::Fd { pid, tid: own, fd: 5 }, "process 200 closes fd 5, or exits"),
            (Holder::Fd { pid, tid, fd: 5 }, "thread 201 of process 200 closes fd 5, or exits"),
            (Holder::Child { ns: BUSY }, "net:4026532200 ends (lxkns why net:4026532200)"),
            (Holder::Owned { ns: id(9) }, "9 ends (lxkns why 9)"),
            (mount(HOME, Some("/run/netns/a b")), "`ip netns delete 'a b'`, or `umount '/run/netns/a b'`"),
            (mount(HOME, Some("/x")), "`umount /x`"),
            (mount(LOOSE, Some("/x")), "`umount -N /proc/200/task/201/ns/mnt /x`"),
            (mount(ODD, Some("/x")), "pid:4026532500 ends (lxkns why pid:4026532500)"),
            (mount(LEFT, None), "what covers it is unmounted, or net:4026532300 ends (lxkns why net:4026532300)"),
        ] {
            assert_eq!(hint(&snapshot, NamespaceType::Net, &holder, Some(HOME)).as_deref(), Some(expected));
        }
        assert_eq!(hint(&snapshot, NamespaceType::Net, &Holder::Kernel, None), None);
        let elsewhere = hint(&snapshot, NamespaceType::Net, &mount(HOME, Some("/run/netns/a")), None);
        assert_eq!(elsewhere.as_deref(), Some("`umount -N 1 /run/netns/a`"));
    }
}
