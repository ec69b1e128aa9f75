//! A thread that starts helpers, kills them, and reaps them when they end.
//!
//! A helper asks to be killed when the *thread* that started it ends; so that is always this one, which stays until
//! the last helper is gone. It waits only for helpers' ends and for work.

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

/// How often to look for ends on kernels that have no pidfds to wait with (before 5.3).
const LOOK_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// What the thread is asked to do.
enum Work {
    Start { program: PathBuf, stdio: [OwnedFd; 3], answer: SyncSender<io::Result<Id>> },
    Kill(Id),
}

/// What a helper is known by. The number makes it another than an earlier one with the same process ID.
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

/// A handle on the thread. When it is dropped the thread kills all helpers, and ends when they have.
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
        // Room for the answer, so that the thread never waits for somebody who has given up.
        let (answer, answered) = sync_channel(1);
        self.ask(Work::Start { program, stdio, answer });
        // Who is not waited for is killed by the end of its requests.
        answered.recv_timeout(wait).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Kills a helper, does not wait for it, and counts it as abandoned or not until it ends.
    pub(crate) fn kill(&self, id: Id, abandon: bool) {
        if abandon {
            let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
            if alive.helpers.contains(&id) {
                alive.abandoned.push(id);
            }
        }
        self.ask(Work::Kill(id));
    }

    /// The process IDs of the helpers that have not ended.
    pub(crate) fn helpers(&self) -> Vec<u32> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).helpers.iter().map(|id| id.pid).collect()
    }

    /// Those of them that were abandoned.
    pub(crate) fn abandoned(&self) -> Vec<u32> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).abandoned.iter().map(|id| id.pid).collect()
    }

    fn ask(&self, work: Work) {
        // The thread is there as long as this is.
        let _ = self.work.send(work);
        wake(&self.wake);
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // A channel of its own without a sender: that is how the thread sees that nobody asks any more.
        self.work = channel().0;
        wake(&self.wake);
    }
}

fn wake(eventfd: &OwnedFd) {
    // It can only fail when it is full, and then the thread is awake.
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
    /// How many helpers there have been.
    started: u64,
}

/// Has what this thread starts keep the capabilities that entering takes. A program that has them
/// from its file (`setcap(8)`) would be the only one; root's go on as they are.
fn pass_on() {
    let Ok(mut sets) = capabilities(None) else { return };
    let taken = CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_CHROOT | CapabilitySet::DAC_READ_SEARCH;
    sets.inheritable |= sets.permitted & taken;
    if set_capabilities(None, sets).is_err() {
        return;
    }
    for capability in (sets.permitted & taken).iter() {
        // Where that is forbidden (securebits), the helper says what it could not do.
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
                // Who has given up meanwhile has closed the other end of the requests; the helper sees that, and ends.
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
        // It waits for its first request and is not reaped before it is known here, so that the number is its own.
        let pidfd =
            Pid::from_raw(id.pid as i32).and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).helpers.push(id);
        self.children.push(Started { id, child, pidfd });
        Ok(id)
    }

    /// Reaps those that have ended, and no other children of this process.
    fn reap(&mut self) {
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        self.children.retain_mut(|started| {
            // An error: somebody else in this process has reaped it, or nobody need.
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
            // By its number, which is its own, as it has not been reaped.
            let _ = self.child.kill();
        }
    }
}
