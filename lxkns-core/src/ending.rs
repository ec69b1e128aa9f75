//! Why PID namespaces do not end.

use std::collections::BTreeSet;
use std::time::Duration;

use bstr::{BString, ByteSlice as _};

use crate::model::{Ending, NamespaceId, NamespaceType, Pid, Process, Snapshot, TaskState, Tid, Waiting};
use crate::procfs::{ProcDir, ProcRoot, parse};

/// So many processes of one PID namespace are looked at, and so many tasks of each.
const MOST: usize = 32;

/// `PF_EXITING`: a task on its way out.
const EXITING: u32 = 0x4;

const SIGKILL: u64 = 1 << (9 - 1);

/// Why a PID namespace does not end, where its init has ended and was not waited for, waits in the kernel for other processes
/// in it, or was killed and cannot end; `None` of any other namespace, and where its init is not readable.
///
/// Reads a few files of each process in it; if its init is not ending, only files of the init. The namespace may end while
/// it is read.
///
/// # Privileges
///
/// Where a process sleeps takes ptrace read access to it, its kernel stack `CAP_SYS_ADMIN`; the rest none.
pub fn ending_of(proc: &ProcRoot, snapshot: &Snapshot, id: NamespaceId) -> Option<Ending> {
    let namespace = snapshot.namespaces.get(&id).filter(|it| it.ns_type == NamespaceType::Pid && !it.initial)?;
    let mut buffer = Vec::new();
    let leaders = namespace.leaders.iter().filter_map(|pid| snapshot.processes.get(pid));
    let init =
        leaders.filter(|process| process.namespaces.get(NamespaceType::Pid) == Some(id)).find(
            |process| match &process.status {
                Some(status) => status.ns_pids.last() == Some(&Pid(1)),
                None => last_pid(proc, process, &mut buffer) == Some(Pid(1)),
            },
        )?;
    let found = waiting(proc, init, &mut buffer)?;
    let is_dead = found.state.is_dead();
    if !is_dead && found.killed != Some(true) {
        return None;
    }
    let mut ending = Ending::new(found);
    if is_dead {
        return Some(ending);
    }
    let inside = below(snapshot, id);
    let is_inside = |process: &&Process| {
        process.pid != init.pid && process.namespaces.get(NamespaceType::Pid).is_some_and(|id| inside.contains(&id))
    };
    for process in snapshot.processes.values().filter(is_inside) {
        if ending.others.len() == MOST {
            ending.more += 1;
        } else {
            ending.others.extend(waiting(proc, process, &mut buffer));
        }
    }
    Some(ending)
}

/// A PID namespace and those below it.
fn below(snapshot: &Snapshot, id: NamespaceId) -> BTreeSet<NamespaceId> {
    let (mut found, mut todo) = (BTreeSet::new(), vec![id]);
    while let Some(id) = todo.pop() {
        if found.insert(id) {
            todo.extend(snapshot.namespaces.get(&id).into_iter().flat_map(|it| &it.children));
        }
    }
    found
}

fn last_pid(proc: &ProcRoot, process: &Process, buffer: &mut Vec<u8>) -> Option<Pid> {
    let status = proc.process(process.pid).ok()?;
    parse::status::parse(status.read("status", buffer).ok()?).ok()?.process.ns_pids.last().copied()
}

/// A process that may keep its PID namespace; `None` where it has gone.
fn waiting(proc: &ProcRoot, process: &Process, buffer: &mut Vec<u8>) -> Option<Waiting> {
    let dir = proc.process(process.pid).ok()?;
    let stat = parse::stat::parse(dir.read_record("stat", buffer).ok()?).ok()?;
    if stat.start_time_ticks != process.start_time_ticks() {
        return None;
    }
    let mut waiting = Waiting::new(process.pid, stat.state);
    waiting.parent = Some(Pid(stat.ppid)).filter(|parent| parent.0 != 0);
    let (is_alone, is_exiting) = (stat.num_threads <= 1, stat.flags & EXITING != 0);
    waiting.killed = Some(is_exiting);
    if stat.state.is_dead() && is_alone {
        waiting.tracer = tracer(&dir, buffer).0;
        return Some(waiting);
    }
    let mut tasks = vec![process.pid.0];
    if !is_alone {
        tasks = dir.numbers("task").unwrap_or_default();
    }
    // The one that is stuck the hardest: it is in uninterruptible sleep.
    let mut best: Option<(Tid, TaskState, bool, ProcDir)> = None;
    for tid in tasks.into_iter().take(MOST) {
        let Ok(task) = ProcDir::open(&dir, format!("task/{tid}")) else { continue };
        let Some(stat) = task.read_record("stat", buffer).ok().and_then(|text| parse::stat::parse(text).ok()) else {
            continue;
        };
        let rank = |state: TaskState| match state {
            state if state.is_dead() => 0,
            TaskState(b'D') => 3,
            TaskState(b't' | b'T') => 2,
            _ => 1,
        };
        let (state, is_exiting) = (stat.state, stat.flags & EXITING != 0);
        if best.as_ref().is_none_or(|(_, before, ..)| rank(state) > rank(*before)) {
            best = Some((Tid(tid), state, is_exiting, task));
        }
    }
    let (tid, state, is_exiting, task) = best?;
    (waiting.tid, waiting.state) = (tid, state);
    let (tracer, is_killed) = tracer(&task, buffer);
    waiting.tracer = tracer;
    waiting.killed = if is_exiting { Some(true) } else { is_killed };
    // Zero where it does not sleep, and without ptrace access.
    let wchan = task.read_record("wchan", buffer).ok().map(|text| BString::from(text.trim_ascii()));
    waiting.wchan = wchan.filter(|name| !name.is_empty() && *name != "0");
    waiting.stack = stack(&task);
    if waiting.waits_for_fuse() {
        waiting.fuse = connections(&dir, buffer);
    }
    Some(waiting)
}

/// Who traces a task, and whether it was killed.
fn tracer(task: &ProcDir, buffer: &mut Vec<u8>) -> (Option<Pid>, Option<bool>) {
    let Ok(text) = task.read("status", buffer) else { return (None, None) };
    let line = text.lines().find_map(|line| line.strip_prefix(b"TracerPid:"));
    let tracer = line.and_then(|pid| pid.trim_ascii().to_str().ok()?.parse().ok()).filter(|&pid| pid != 0).map(Pid);
    let pending = parse::status::parse(text).ok().and_then(|status| status.pending_signals);
    (tracer, pending.map(|pending| pending & SIGKILL != 0))
}

/// The kernel stack of a task. A task that is stuck in `execve` can hold the lock that this takes.
fn stack(task: &ProcDir) -> Option<Vec<BString>> {
    const PATIENCE: Duration = Duration::from_millis(200);
    let task = task.try_clone().ok()?;
    let read = move || task.read("stack", &mut Vec::new()).ok().map(functions);
    lxkns_sys::in_time("lxkns-stack", PATIENCE, read).ok()??
}

/// The functions in a kernel stack: `[<0>] do_wait+0x57/0xb0`.
fn functions(text: &[u8]) -> Vec<BString> {
    let name = |line: &[u8]| {
        let name = line.split_str("] ").nth(1)?.split(|&byte| byte == b'+').next()?;
        (!name.is_empty()).then(|| BString::from(name))
    };
    text.lines().filter_map(name).take(MOST).collect()
}

/// The FUSE connections of the mounts that a process sees.
fn connections(dir: &ProcDir, buffer: &mut Vec<u8>) -> Vec<u32> {
    let Ok(text) = dir.read("mountinfo", buffer) else { return Vec::new() };
    let mounts = parse::mountinfo::parse(text).filter_map(Result::ok);
    let is_fuse = |fs_type: &[u8]| fs_type == b"fuse" || fs_type == b"fuseblk" || fs_type.starts_with(b"fuse.");
    let minors = mounts.filter(|mount| is_fuse(mount.raw_fs_type)).map(|mount| mount.file_system.minor);
    minors.collect::<BTreeSet<_>>().into_iter().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_a_list_of_functions() {
        let text = b"[<0>] request_wait_answer+0x1a/0x2 [fuse]\n[<0>] fuse_simple_request+0x1/0x2\n[<0>] 0xffff\nodd\n";
        assert_eq!(functions(text), ["request_wait_answer", "fuse_simple_request", "0xffff"]);
        let mut waiting = Waiting::new(Pid(1), TaskState(b'D'));
        assert!(!waiting.waits_for_fuse());
        waiting.stack = Some(functions(text));
        assert!(waiting.waits_for_fuse());
    }
}
