//! A thread that starts helpers, kills them, and reaps them when they end.
//!
//! A helper is killed when the *thread* that started it ends. So this thread starts all helpers, and runs until the
//! last one has ended. It waits only for helpers and for work.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::thread::{CapabilitySet, capabilities, configure_capability_in_ambient_set, set_capabilities};

/// The interval for polling on kernels without pidfds (before 5.3).
const LOOK_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Work for the thread.
enum Work {
    Start { program: PathBuf, stdio: [OwnedFd; 3], answer: SyncSender<io::Result<Id>> },
    Kill(Id),
}

/// The identity of a helper. The number distinguishes it from an earlier one with the same PID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    pub(crate) pid: u32,
    number: u64,
}

/// The helpers that have not ended yet.
#[derive(Debug, Default)]
struct Alive {
    helpers: Vec<Id>,
    abandoned: Vec<Id>,
}

/// A handle to the thread. After it is dropped, the thread kills all helpers, and ends when they have ended.
#[derive(Debug)]
pub(crate) struct Spawner {
    work: Sender<Work>,
    wake: Arc<OwnedFd>,
    alive: Arc<Mutex<Alive>>,
}

impl Spawner {
    pub(crate) fn new() -> io::Result<Self> {
        let (work, todo) = channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let alive = Arc::new(Mutex::new(Alive::default()));
        let thread =
            Thread { todo, wake: Arc::clone(&wake), alive: Arc::clone(&alive), children: Vec::new(), started: 0 };
        std::thread::Builder::new().name("lxkns-helpers".into()).spawn(move || thread.run())?;
        Ok(Self { work, wake, alive })
    }

    /// Starts a helper with these as its descriptors 0, 1 and 2.
    pub(crate) fn start(&self, program: PathBuf, stdio: [OwnedFd; 3], wait: Duration) -> io::Result<Id> {
        // The channel has room for the answer, so the thread never waits for a caller that has given up.
        let (answer, answered) = sync_channel(1);
        self.ask(Work::Start { program, stdio, answer });
        // A helper whose start is not waited for ends because its requests end.
        answered.recv_timeout(wait).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Kills a helper without waiting for it, and counts it as abandoned or not until it ends.
    pub(crate) fn kill(&self, id: Id, abandon: bool) {
        if abandon {
            let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
            if alive.helpers.contains(&id) {
                alive.abandoned.push(id);
            }
        }
        self.ask(Work::Kill(id));
    }

    /// The PIDs of the helpers that have not ended.
    pub(crate) fn helpers(&self) -> Vec<u32> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).helpers.iter().map(|id| id.pid).collect()
    }

    /// The PIDs of the abandoned helpers.
    pub(crate) fn abandoned(&self) -> Vec<u32> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).abandoned.iter().map(|id| id.pid).collect()
    }

    fn ask(&self, work: Work) {
        // The thread runs as long as this handle exists.
        let _ = self.work.send(work);
        wake(&self.wake);
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // A new channel without a sender tells the thread that there is no more work.
        self.work = channel().0;
        wake(&self.wake);
    }
}

fn wake(eventfd: &OwnedFd) {
    // The write can only fail if the pipe is full, and then the thread is awake.
    let _ = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
}

/// A process that was started and has not been reaped.
struct Started {
    id: Id,
    child: Child,
    pidfd: Option<OwnedFd>,
}

struct Thread {
    todo: Receiver<Work>,
    wake: Arc<OwnedFd>,
    alive: Arc<Mutex<Alive>>,
    children: Vec<Started>,
    /// The number of helpers started so far.
    started: u64,
}

/// Makes the capabilities for entering ambient, so helpers inherit them from a program with file capabilities
/// (`setcap(8)`). Root's helpers inherit them anyway.
fn pass_on() {
    let Ok(mut sets) = capabilities(None) else { return };
    let taken = CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_CHROOT | CapabilitySet::DAC_READ_SEARCH;
    sets.inheritable |= sets.permitted & taken;
    if set_capabilities(None, sets).is_err() {
        return;
    }
    for capability in (sets.permitted & taken).iter() {
        // If securebits forbid that, the helper reports the step that fails.
        let _ = configure_capability_in_ambient_set(capability, true);
    }
}

impl Thread {
    fn run(mut self) {
        pass_on();
        loop {
            let mut is_asked = true;
            loop {
                match self.todo.try_recv() {
                    Ok(work) => self.work(work),
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                        is_asked = false;
                        break;
                    }
                }
            }
            if !is_asked {
                self.children.iter_mut().for_each(Started::kill);
            }
            self.reap();
            if !is_asked && self.children.is_empty() {
                return;
            }
            self.wait();
            let _ = rustix::io::read(&*self.wake, &mut [0_u8; 8]);
        }
    }

    fn work(&mut self, work: Work) {
        match work {
            Work::Start { program, stdio, answer } => {
                let started = self.start(program, stdio);
                // A caller that has given up has closed the other end of the requests, so the helper ends.
                let _ = answer.try_send(started);
            }
            Work::Kill(id) => self.children.iter_mut().filter(|started| started.id == id).for_each(Started::kill),
        }
    }

    fn start(&mut self, program: PathBuf, [requests, replies, socket]: [OwnedFd; 3]) -> io::Result<Id> {
        let child = Command::new(program)
            .env_clear()
            .stdin(Stdio::from(requests))
            .stdout(Stdio::from(replies))
            .stderr(Stdio::from(socket))
            .spawn()?;
        self.started += 1;
        let id = Id { pid: child.id(), number: self.started };
        // It waits for its first request, and is reaped only after it is registered here, so the PID is its own.
        let pidfd =
            Pid::from_raw(id.pid as i32).and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).helpers.push(id);
        self.children.push(Started { id, child, pidfd });
        Ok(id)
    }

    /// Reaps helpers that have ended, and no other children of this process.
    fn reap(&mut self) {
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        self.children.retain_mut(|started| {
            // An error means that other code in this process has reaped it, or the kernel has.
            let has_ended = !matches!(started.child.try_wait(), Ok(None));
            if has_ended {
                alive.helpers.retain(|other| *other != started.id);
                alive.abandoned.retain(|other| *other != started.id);
            }
            !has_ended
        });
    }

    fn wait(&self) {
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        fds.extend(self.children.iter().filter_map(|started| {
            let pidfd = started.pidfd.as_ref()?;
            Some(PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN))
        }));
        let is_blind = self.children.iter().any(|started| started.pidfd.is_none());
        let _ = poll(&mut fds, is_blind.then_some(&LOOK_AGAIN));
    }
}

impl Started {
    fn kill(&mut self) {
        let killed = match &self.pidfd {
            Some(pidfd) => rustix::process::pidfd_send_signal(pidfd, Signal::KILL),
            None => Err(Errno::NOSYS),
        };
        if matches!(killed, Err(Errno::NOSYS | Errno::PERM)) {
            // By PID, which is its own as it has not been reaped.
            let _ = self.child.kill();
        }
    }
}
