//! The floor: the least that any program pays that looks at every namespace link and every fd of a host.
//!
//! It opens each `/proc/PID` once, reads the ten links of every task and every link in `fd/`, and keeps nothing but
//! counts. No discovery can be cheaper than this, so `lxkns ls` is measured against it as well as against lsns.

#![forbid(unsafe_code)]

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;

/// The ten links below `/proc/PID/ns`.
const LINKS: [&CStr; 10] =
    [c"cgroup", c"ipc", c"mnt", c"net", c"pid", c"pid_for_children", c"time", c"time_for_children", c"user", c"uts"];

/// Reads every namespace link and every fd link of a host, and keeps nothing.
#[derive(Parser)]
struct Args {
    /// How many threads share the processes among them
    #[arg(long, default_value = "2")]
    threads: NonZeroUsize,
}

/// What was read.
#[derive(Default)]
struct Counts {
    processes: u64,
    tasks: u64,
    links: u64,
    fds: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.processes += other.processes;
        self.tasks += other.tasks;
        self.links += other.links;
        self.fds += other.fds;
    }
}

fn main() -> anyhow::Result<()> {
    let threads = Args::parse().threads.get();
    let proc = openat(CWD, c"/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut pids = Vec::new();
    let mut buf = buffer();
    each_entry(&proc, &mut buf, |name| {
        if name.to_bytes()[0].is_ascii_digit() {
            pids.push(name.to_owned());
        }
    })?;

    let cursor = AtomicUsize::new(0);
    let total = std::thread::scope(|scope| {
        let worker = || {
            let mut counts = Counts::default();
            let mut buf = buffer();
            while let Some(pid) = pids.get(cursor.fetch_add(1, Ordering::Relaxed)) {
                // A process that is gone by now is no error: there is nothing left to read of it.
                let _ = process(&proc, pid, &mut buf, &mut counts);
            }
            counts
        };
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut total = worker();
        for other in others {
            total += other.join().expect("a worker does not panic");
        }
        total
    });
    println!("processes={} tasks={} links={} fds={}", total.processes, total.tasks, total.links, total.fds);
    Ok(())
}

/// Room for one `getdents64`.
fn buffer() -> Vec<MaybeUninit<u8>> {
    vec![MaybeUninit::uninit(); 32 << 10]
}

fn process(proc: &OwnedFd, pid: &CStr, buf: &mut [MaybeUninit<u8>], counts: &mut Counts) -> Result<(), Errno> {
    let dir = open_dir(proc, pid)?;
    counts.processes += 1;

    let tasks = open_dir(&dir, c"task")?;
    each_entry(&tasks, buf, |tid| {
        let mut path = [0_u8; 32];
        let tid = tid.to_bytes();
        path[..tid.len()].copy_from_slice(tid);
        path[tid.len()..tid.len() + 3].copy_from_slice(b"/ns");
        if let Ok(ns) = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::INVAL).and_then(|p| open_dir(&tasks, p)) {
            counts.tasks += 1;
            counts.links += LINKS.iter().filter(|link| read_link(&ns, link)).count() as u64;
        }
    })?;

    let fds = open_dir(&dir, c"fd")?;
    each_entry(&fds, buf, |fd| counts.fds += u64::from(read_link(&fds, fd)))
}

fn open_dir(at: &OwnedFd, path: &CStr) -> Result<OwnedFd, Errno> {
    openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn read_link(dir: &OwnedFd, name: &CStr) -> bool {
    let mut text = [MaybeUninit::<u8>::uninit(); 256];
    readlinkat_raw(dir, name, &mut text).is_ok()
}

/// Calls `f` with every name in a directory but `.` and `..`.
fn each_entry(dir: &OwnedFd, buf: &mut [MaybeUninit<u8>], mut f: impl FnMut(&CStr)) -> Result<(), Errno> {
    let mut entries = RawDir::new(dir, buf);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if entry.file_name().to_bytes()[0] != b'.' {
            f(entry.file_name());
        }
    }
    Ok(())
}
