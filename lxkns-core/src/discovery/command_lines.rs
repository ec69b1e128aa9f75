//! Command lines. The kernel takes them from the process's own memory: while that is being changed, or is mapped from
//! a file whose server is gone, the reader waits, perhaps for ever, and cannot be got out of it. So a thread of their own
//! reads them, beside what comes after the processes.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bstr::BString;
use rustix::io::Errno;

use super::named::{self, Known};
use super::search::{Found, Search};
use crate::model::{Object, Pid, Place, Process, Snapshot};
use crate::procfs::ProcRoot;

/// How long one command line may take. None takes a thousandth of it unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long all of them may take, however slow each is.
const ALL_PATIENCE: Duration = Duration::from_secs(10);
/// How much of a command line is read. A process can make its own as long as it likes.
const LONGEST: usize = 32 * 1024;

/// Command lines that are being read.
pub(super) struct Reading {
    wanted: Vec<Pid>,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What has been read, in the order of what was wanted.
    read: Vec<Result<CommandLine, Errno>>,
    is_done: bool,
    /// Nobody wants the rest.
    is_abandoned: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is a single step, so that a panic leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins to read the command lines that were asked for.
pub(super) fn begin(search: &Search<'_>, found: &mut Found) -> Option<Reading> {
    let wanted = named::in_scope(search.options.command_lines, found);
    if wanted.is_empty() {
        return None;
    }
    let of = |process: &Process| wanted.binary_search(&process.pid).is_ok();
    let processes = found.processes.iter().filter(|process| of(process));
    let mut processes: Vec<_> = processes.map(|process| Known::of(process, found)).collect();
    processes.sort_unstable_by_key(|known| known.pid);
    let wanted = processes.iter().map(|known| known.pid).collect();
    let shared = Arc::new(Shared::default());
    let started = search.proc.try_clone().map_err(std::io::Error::from).and_then(|proc| {
        let shared = Arc::clone(&shared);
        std::thread::Builder::new().name("lxkns-cmdline".into()).spawn(move || read_all(&proc, &processes, &shared))
    });
    match started {
        Ok(thread) => Some(Reading { wanted, shared, thread }),
        Err(_) => {
            found.gap(Place::CommandLines, Object::Host, "start a thread to read cmdline", Errno::AGAIN);
            None
        }
    }
}

fn read_all(proc: &ProcRoot, processes: &[Known], shared: &Shared) {
    for &known in processes {
        let read = read(proc, known);
        let mut state = shared.state();
        state.read.push(read);
        if state.is_abandoned {
            return;
        }
    }
    shared.state().is_done = true;
    shared.changed.notify_all();
}

impl Reading {
    /// Waits for the command lines. If the reader gets stuck, it is left behind: one thread, which ends when the kernel
    /// lets it go; the command lines that it had not read by then stay unknown, and a gap says so.
    pub(super) fn finish(self, snapshot: &mut Snapshot) {
        let mut state = self.shared.state();
        let began = Instant::now();
        while !state.is_done {
            let so_far = state.read.len();
            let waited = self.shared.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            let is_stuck = waited.1.timed_out() && state.read.len() == so_far;
            if self.thread.is_finished() || is_stuck || began.elapsed() > ALL_PATIENCE {
                state.is_abandoned = !state.is_done;
                break;
            }
        }
        let read = std::mem::take(&mut state.read);
        let is_stuck = state.is_abandoned && !self.thread.is_finished();
        drop(state);

        let rest = self.wanted.len() - read.len();
        for (pid, read) in self.wanted.iter().zip(read) {
            note(snapshot, *pid, read);
        }
        if !is_stuck {
            if let Err(panic) = self.thread.join() {
                std::panic::resume_unwind(panic);
            }
            return;
        }
        let mut gap = |object, operation| {
            snapshot.gaps.extend(named::gap(Place::CommandLines, object, operation, Errno::TIMEDOUT));
        };
        if let Some(&pid) = self.wanted.get(self.wanted.len() - rest) {
            gap(Object::Process(pid), "read cmdline: no answer".to_owned());
        }
        if rest > 1 {
            gap(Object::Host, format!("read cmdline of {} more processes: not tried after that", rest - 1));
        }
    }
}

/// A command line, and whether it was longer than what was read.
type CommandLine = (Vec<BString>, bool);

fn read(proc: &ProcRoot, known: Known) -> Result<CommandLine, Errno> {
    let dir = known.open(proc)?;
    let mut buffer = Vec::new();
    let text = dir.read_at_most("cmdline", &mut buffer, LONGEST + 1)?;
    let (text, is_cut) = if text.len() > LONGEST { (&text[..LONGEST], true) } else { (text, false) };
    Ok((arguments(text), is_cut))
}

/// The arguments: each ends with a NUL, except where the process has written over them.
fn arguments(text: &[u8]) -> Vec<BString> {
    if text.is_empty() {
        return Vec::new();
    }
    text.strip_suffix(b"\0").unwrap_or(text).split(|&byte| byte == 0).map(BString::from).collect()
}

fn note(snapshot: &mut Snapshot, pid: Pid, read: Result<CommandLine, Errno>) {
    let gap = match read {
        Ok((command_line, is_cut)) => {
            if let Some(process) = snapshot.processes.get_mut(&pid) {
                process.command_line = Some(command_line);
            }
            is_cut.then_some(("read cmdline: only its beginning", Errno::TOOBIG))
        }
        Err(errno) => Some(("read cmdline", errno)),
    };
    let gap =
        gap.and_then(|(operation, errno)| named::gap(Place::CommandLines, Object::Process(pid), operation, errno));
    snapshot.gaps.extend(gap);
}

#[cfg(test)]
mod tests {
    use super::arguments;

    #[test]
    fn arguments_end_with_nul() {
        assert!(arguments(b"").is_empty());
        assert_eq!(arguments(b"sh\0-c\0\0"), ["sh", "-c", ""]);
        assert_eq!(arguments(b"nginx: worker process"), ["nginx: worker process"]);
        assert_eq!(arguments(b"\0"), [""]);
    }
}
