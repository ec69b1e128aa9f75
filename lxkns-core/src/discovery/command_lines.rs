//! Command lines. The kernel takes them from the process's own memory: while that is being changed, or is mapped from
//! a file whose server is gone, the reader waits, perhaps for ever, and cannot be got out of it. So they come last,
//! and a thread of its own reads them.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use bstr::BString;
use rustix::io::Errno;

use super::named;
use super::search::Search;
use crate::model::{Object, Pid, Place, Snapshot};
use crate::procfs::ProcRoot;

/// How long one command line may take. None takes a thousandth of it unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(1);
/// How much of a command line is read. A process can make its own as long as it likes.
const LONGEST: usize = 32 * 1024;

/// Reads the command lines that were asked for. If the reader gets stuck, it is left behind: one thread, which ends when
/// the kernel lets it go; the command lines that it had not read by then stay unknown, and a gap says so.
pub(super) fn all(search: &Search<'_>, snapshot: &mut Snapshot) {
    let pids = named::pids(snapshot, search.options.command_lines);
    let wanted: Vec<_> = pids.iter().map(|pid| (*pid, snapshot.processes[pid].start_time_ticks())).collect();
    if wanted.is_empty() {
        return;
    }
    let (sender, receiver) = mpsc::channel();
    let started = search.proc.try_clone().map_err(std::io::Error::from).and_then(|proc| {
        let read_all = move || {
            for (pid, start_time_ticks) in wanted {
                if sender.send((pid, read(&proc, pid, start_time_ticks))).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("lxkns-cmdline".into()).spawn(read_all)
    });
    let thread = match started {
        Ok(thread) => thread,
        Err(_) => {
            let gap = named::gap(Place::CommandLines, Object::Host, "start a thread to read cmdline", Errno::AGAIN);
            return snapshot.gaps.extend(gap);
        }
    };
    for (index, &pid) in pids.iter().enumerate() {
        match receiver.recv_timeout(PATIENCE) {
            Ok((pid, read)) => note(snapshot, pid, read),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                snapshot.gaps.extend(named::gap(
                    Place::CommandLines,
                    Object::Process(pid),
                    "read cmdline: no answer",
                    Errno::TIMEDOUT,
                ));
                let rest = pids.len() - index - 1;
                if rest > 0 {
                    let operation = format!("read cmdline of {rest} more processes: not tried after that");
                    snapshot.gaps.extend(named::gap(Place::CommandLines, Object::Host, operation, Errno::TIMEDOUT));
                }
                return;
            }
        }
    }
    // All has been received, so it is at its end.
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A command line, and whether it was longer than what was read.
type CommandLine = (Vec<BString>, bool);

fn read(proc: &ProcRoot, pid: Pid, start_time_ticks: u64) -> Result<CommandLine, Errno> {
    let dir = named::open(proc, pid, start_time_ticks)?;
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
