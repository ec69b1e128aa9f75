//! Command lines. The kernel reads them from the process's memory, whose lock a stuck process can hold, so a reader can
//! wait forever and cannot be interrupted. A separate thread reads them, in parallel to everything else.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bstr::BString;
use rustc_hash::FxHashMap;
use rustix::io::Errno;

use super::found::Found;
use super::left_behind::LeftBehind;
use super::named::{self, Known};
use super::search::Search;
use crate::failure::{self, Failure};
use crate::model::{Cause, Object, Operation, Pid, Place, Scope, Snapshot};
use crate::procfs::ProcRoot;

/// Timeout for one command line. Normally it takes less than a thousandth of that.
const PATIENCE: Duration = Duration::from_secs(1);
/// Timeout for all command lines after everything else is done.
const ALL_PATIENCE: Duration = Duration::from_secs(10);
/// The largest part of a command line that is read. A process can make its own as long as it likes.
const LONGEST: usize = 32 * 1024;
const READ: Operation = Operation::read("cmdline");
/// How many command lines are requested together: waking the reader costs more than passing one request.
const BATCH: usize = 32;

/// The thread that reads command lines.
pub(super) struct Reader {
    queue: Sender<Vec<Known>>,
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
    read: FxHashMap<Pid, Result<CommandLine, Failure>>,
    /// The process whose command line is being read.
    at: Option<Known>,
    is_done: bool,
    /// The rest is not needed any more.
    is_abandoned: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is a single step, so that a panic leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the reader, if command lines are wanted.
pub(super) fn start(search: &Search<'_>, found: &mut Found) -> Option<Reader> {
    if search.options.command_lines == Scope::None {
        return None;
    }
    let shared = Arc::new(Shared::default());
    let (queue, asked) = mpsc::channel();
    let started = search.proc.try_clone().map_err(std::io::Error::from).and_then(|proc| {
        let shared = Arc::clone(&shared);
        std::thread::Builder::new().name("lxkns-cmdline".into()).spawn(move || read_all(&proc, &asked, &shared))
    });
    match started {
        Ok(thread) => Some(Reader { queue, shared, thread }),
        Err(error) => {
            let failure = Errno::from_io_error(&error).map_or(Cause::Limit.into(), Failure::from);
            found.gap(Place::CommandLines, Object::Host, Operation::StartThread, failure);
            None
        }
    }
}

/// Requests the command line of a process that will probably be needed.
pub(super) fn guess(search: &Search<'_>, found: &mut Found, known: Known) {
    let Some(reader) = search.command_lines else { return };
    found.guessed.push(known);
    if found.guessed.len() >= BATCH {
        reader.ask(found, &search.session.left_behind);
    }
}

/// Requests the needed command lines that have not been requested yet, and returns all processes whose command lines
/// are needed.
pub(super) fn ask_for_the_rest(search: &Search<'_>, found: &mut Found) -> Vec<Pid> {
    let Some(reader) = search.command_lines else { return Vec::new() };
    let wanted = named::in_scope(search.options.command_lines, found);
    found.asked.extend(found.guessed.iter().map(|known| known.pid));
    let is_missing = |pid: &Pid| wanted.binary_search(pid).is_ok() && !found.asked.contains(pid);
    let missing = found.processes.iter().filter(|process| is_missing(&process.pid));
    let missing: Vec<_> = missing.map(|process| Known::of(process, &found.directories)).collect();
    found.guessed.extend(missing);
    reader.ask(found, &search.session.left_behind);
    wanted
}

fn read_all(proc: &ProcRoot, asked: &Receiver<Vec<Known>>, shared: &Shared) {
    let mut buffer = Vec::new();
    for known in asked.iter().flatten() {
        shared.state().at = Some(known);
        let read = read(proc, known, &mut buffer);
        let mut state = shared.state();
        state.read.insert(known.pid, read);
        if state.is_abandoned {
            return;
        }
    }
    shared.state().is_done = true;
    shared.changed.notify_all();
}

impl Reader {
    /// Skip processes for which a thread already waits.
    fn ask(&self, found: &mut Found, left_behind: &LeftBehind) {
        let mut batch = std::mem::take(&mut found.guessed);
        found.asked.extend(batch.iter().map(|known| known.pid));
        batch.retain(|known| !left_behind.waits_for(known.life()));
        // If the reader has ended early, `finish` reports it.
        let _ = self.queue.send(batch);
    }

    /// Waits for the command lines of the `wanted`. A stuck reader is left behind: one thread, which ends when the
    /// kernel lets it. The command lines that it has not read are unknown, and a gap reports that.
    pub(super) fn finish(self, left_behind: &LeftBehind, wanted: &[Pid], snapshot: &mut Snapshot) {
        drop(self.queue);
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
        let mut read = std::mem::take(&mut state.read);
        let at = state.at;
        let is_stuck = state.is_abandoned && !self.thread.is_finished();
        drop(state);
        let mut gaps = Vec::new();
        let mut gap = |object, operation, cause: Cause| {
            gaps.extend(failure::gap(Place::CommandLines, object, operation, cause));
        };

        let mut unread = 0;
        for &pid in wanted {
            match read.remove(&pid) {
                Some(read) => note(snapshot, pid, read),
                None if is_stuck && at.is_some_and(|at| at.pid == pid) => {
                    gap(Object::Process(pid), READ, Cause::TimedOut)
                }
                None if is_left_alone(left_behind, snapshot, pid) => gap(Object::Process(pid), READ, Cause::TimedOut),
                None => unread += 1,
            }
        }
        if unread > 0 && is_stuck {
            gap(Object::Host, Operation::Read(format!("cmdline of {unread} more processes").into()), Cause::NotTried);
        }
        snapshot.gaps.extend(gaps);
        match at {
            Some(at) if is_stuck => left_behind.leave(at.life(), self.thread),
            _ => {
                if let Err(panic) = self.thread.join() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}

/// Whether a thread of an earlier scan waits for this process.
fn is_left_alone(left_behind: &LeftBehind, snapshot: &Snapshot, pid: Pid) -> bool {
    let process = snapshot.processes.get(&pid);
    process.is_some_and(|process| left_behind.waits_for((pid, process.start_time_ticks())))
}

/// A command line, and whether it was longer than what was read.
type CommandLine = (Vec<BString>, bool);

fn read(proc: &ProcRoot, known: Known, buffer: &mut Vec<u8>) -> Result<CommandLine, Failure> {
    let file = known.file("cmdline");
    // Read first and verify the process afterwards, which takes one descriptor less.
    let path = format!("{}/{file}", known.pid);
    let read = proc.dir().read_start(path, buffer, LONGEST + 1).is_ok() && known.has_its_directory(proc);
    let text = if read { buffer.as_slice() } else { known.open(proc)?.read_start(file, buffer, LONGEST + 1)? };
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

fn note(snapshot: &mut Snapshot, pid: Pid, read: Result<CommandLine, Failure>) {
    let failure = match read {
        Ok((command_line, is_cut)) => {
            if let Some(process) = snapshot.processes.get_mut(&pid) {
                process.command_line = Some(command_line);
            }
            is_cut.then_some(Cause::Cut.into())
        }
        Err(failure) => Some(failure),
    };
    let gap = failure.and_then(|failure| failure.gap(Place::CommandLines, Object::Process(pid), READ));
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
