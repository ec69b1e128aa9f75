//! The state that all helpers of one owner share: the program, the thread that starts them, their number, and the file
//! systems that have timed out.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lxkns_core::{ProcRoot, Stuck};
use rustix::io::Errno;

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::program::Program;
use crate::spawner::Spawner;

/// How long a file system is avoided after a timeout.
const AVOIDED_FOR: Duration = Duration::from_secs(60);

/// How long the list of stuck helpers of other runs is valid.
const STUCK_FOR: Duration = Duration::from_secs(10);

/// How many stuck helpers are tolerated before no more are started.
const MOST_ABANDONED: usize = 16;

#[derive(Debug)]
pub(crate) struct Pool {
    program: Program,
    spawner: Spawner,
    procfs: ProcRoot,
    nsfs: u64,
    most: usize,
    running: Mutex<usize>,
    one_less: Condvar,
    dead: Mutex<Vec<Dead>>,
    stuck: Mutex<Option<(Instant, Arc<[Stuck]>)>>,
}

/// A file system that has timed out.
#[derive(Debug)]
struct Dead {
    device: (u32, u32),
    since: Instant,
}

/// The caller's procfs.
fn procfs() -> Result<ProcRoot, Error> {
    ProcRoot::host().map_err(|error| match error.errno() {
        Some(errno) => Error::call("read the procfs at /proc", Errno::from_raw_os_error(errno.number())),
        None => Error::new(ErrorKind::Other, error.to_string()),
    })
}

impl Pool {
    pub(crate) fn new(program: Program, most: usize) -> Result<Self, Error> {
        let spawner = Spawner::new().map_err(|error| Error::io(ErrorKind::Other, "start a thread", &error))?;
        let procfs = procfs()?;
        let own = rustix::fs::statat(&procfs, c"self/ns/mnt", rustix::fs::AtFlags::empty());
        let nsfs = match own {
            Ok(own) => own.st_dev,
            // The procfs belongs to another PID namespace; nothing has vanished.
            Err(Errno::NOENT) => {
                return Err(Error::new(ErrorKind::Other, "stat of /proc/self/ns/mnt: not this process's"));
            }
            Err(errno) => return Err(Error::call("stat of /proc/self/ns/mnt", errno)),
        };
        let (running, one_less, dead, stuck) = (Mutex::default(), Condvar::new(), Mutex::default(), Mutex::default());
        Ok(Self { program, spawner, procfs, nsfs, most: most.max(1), running, one_less, dead, stuck })
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program.path
    }

    pub(crate) fn spawner(&self) -> &Spawner {
        &self.spawner
    }

    /// The caller's procfs.
    pub(crate) fn procfs(&self) -> BorrowedFd<'_> {
        self.procfs.as_fd()
    }

    /// The device number of the kernel's nsfs.
    pub(crate) fn nsfs(&self) -> u64 {
        self.nsfs
    }

    /// Waits until one more helper is allowed.
    pub(crate) fn slot(pool: &Arc<Self>, deadline: Deadline) -> Result<Slot, Error> {
        if pool.spawner.abandoned().len() >= MOST_ABANDONED {
            return Err(Error::new(ErrorKind::Busy, "start a helper: too many are stuck"));
        }
        let running = pool.running.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut running, wait) = pool
            .one_less
            .wait_timeout_while(running, deadline.left(), |running| *running >= pool.most)
            .unwrap_or_else(PoisonError::into_inner);
        if wait.timed_out() && *running >= pool.most {
            return Err(Error::new(ErrorKind::Busy, "start a helper"));
        }
        *running += 1;
        Ok(Slot(Arc::clone(pool)))
    }

    /// Avoids a file system from now on.
    pub(crate) fn avoid(&self, device: (u32, u32)) {
        let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        dead.retain(|other| other.device != device);
        dead.push(Dead { device, since: Instant::now() });
    }

    /// The file systems that are avoided.
    pub(crate) fn avoided(&self) -> Vec<(u32, u32)> {
        let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        dead.retain(|dead| dead.since.elapsed() < AVOIDED_FOR);
        dead.iter().map(|dead| dead.device).collect()
    }

    /// The stuck processes of this user, of this run and others, from a recent scan; `None` if there was none.
    pub(crate) fn stuck_lately(&self) -> Option<Arc<[Stuck]>> {
        let stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        stuck.as_ref().filter(|(since, _)| since.elapsed() < STUCK_FOR).map(|(_, stuck)| Arc::clone(stuck))
    }

    /// The same, after a scan if that is due. If the scan fails, no file system may be asked: each try could leave one
    /// more process behind.
    pub(crate) fn stuck(&self) -> Result<Arc<[Stuck]>, Error> {
        if let Some(stuck) = self.stuck_lately() {
            return Ok(stuck);
        }
        let proc = procfs()?;
        let found: Arc<[Stuck]> = lxkns_core::stuck(&proc)
            .map_err(|errno| Error::call("look for processes that wait for file systems", errno))?
            .into();
        *self.stuck.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&found)));
        Ok(found)
    }
}

/// The permission to run one helper.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Pool>);

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.one_less.notify_one();
    }
}
