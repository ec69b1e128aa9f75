//! Stuck processes: they were killed and left behind, and wait for the server of a file system. A program checks for
//! them before it starts another process that asks the same server, so their number does not grow with each run.

use std::os::fd::OwnedFd;
use std::path::Path;

use bstr::ByteSlice as _;
use rustix::fs::{AtFlags, CWD, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use crate::failure;
use crate::model::{self, DeviceNumber, Pid, TaskState, Uid};
use crate::procfs::{ProcDir, ProcRoot, parse};
use crate::reach::lookup::has_no_server;

/// The number of stuck processes of a user on a host above which no more are risked.
pub const MOST_STUCK: usize = 16;

/// The prefixes of the names of these processes, each with the end of the path of the program that has it (or the
/// program is the caller's). The device number of the file system follows the prefix: two hexadecimal numbers with a
/// colon between them.
const NAMES: [(&[u8], &[u8]); 2] = [(b"mntns ", b"mntnssandbox"), (b"lxkns ", b"lxkns")];

/// The name, for `PR_SET_NAME`, of a process that asks the server of a file system on the caller's behalf.
pub fn asking_name(file_system: Option<DeviceNumber>) -> [u8; 16] {
    let mut name = [0; 16];
    let text = match file_system {
        Some(DeviceNumber { major, minor }) => format!("lxkns {major:x}:{minor:x}"),
        None => "lxkns ?".to_owned(),
    };
    // A NUL stays at its end.
    name.iter_mut().take(15).zip(text.bytes()).for_each(|(to, byte)| *to = byte);
    name
}

/// A process that was killed and cannot end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stuck {
    /// Its PID.
    pub pid: Pid,
    /// The file system whose server it waits for, if its name tells.
    pub file_system: Option<DeviceNumber>,
}

/// The stuck processes of the caller's user: they asked a server on behalf of this program or a similar one, were
/// killed, and cannot end. A process that is known to run another program does not count.
///
/// Reads the name of each process.
///
/// # Errors
///
/// The processes cannot be listed, or one of the caller's cannot be read: it is not known then which are stuck.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any.
pub fn stuck(proc: &ProcRoot) -> Result<Vec<Stuck>, model::Errno> {
    let own = rustix::process::getuid().as_raw();
    let mut buffer = Vec::new();
    let mut look = |pid: Pid| -> Result<Option<Stuck>, Errno> {
        let dir = proc.process(pid)?;
        let Some((file_system, program)) = asked(dir.read("comm", &mut buffer)?) else { return Ok(None) };
        let is_it = is_killed(dir.read("status", &mut buffer)?, own) && runs(proc, &dir, program);
        Ok(is_it.then_some(Stuck { pid, file_system }))
    };
    let mut found = Vec::new();
    for pid in proc.pids().map_err(failure::public_errno)? {
        match look(pid) {
            Ok(stuck) => found.extend(stuck),
            // A hidden process (`hidepid`) is another user's.
            Err(errno) if failure::is_gone(errno) || failure::is_denied(errno) => {}
            Err(errno) => return Err(failure::public_errno(errno)),
        }
    }
    Ok(found)
}

/// The file system in the name of a process, and the end of the path of the program that it must run.
fn asked(comm: &[u8]) -> Option<(Option<DeviceNumber>, &'static [u8])> {
    let comm = comm.trim_end_with(|character| character == '\n');
    if comm == b"mntnssandbox" {
        return Some((None, NAMES[0].1));
    }
    let (device, program) = NAMES.iter().find_map(|(start, program)| Some((comm.strip_prefix(*start)?, *program)))?;
    let number = |digits: &str| u32::from_str_radix(digits, 16).ok();
    let device = device.to_str().ok().and_then(|device| device.split_once(':'));
    let device = device.and_then(|(major, minor)| Some(DeviceNumber { major: number(major)?, minor: number(minor)? }));
    Some((device, program))
}

/// Whether a process belongs to this user, has a pending `SIGKILL`, and has not ended. A zombie only waits for its
/// parent, and another file system can have the device number by now.
fn is_killed(status: &[u8], uid: u32) -> bool {
    const SIGKILL: u64 = 1 << (9 - 1);
    parse::status::parse(status).is_ok_and(|status| {
        let has_ended = status.state.is_none_or(TaskState::is_dead);
        let is_told = status.pending_signals.is_some_and(|signals| signals & SIGKILL != 0);
        status.process.uids.real == Uid(uid) && !has_ended && is_told
    })
}

/// Whether a process runs a program whose path ends like this, or the caller's program. True if that is not known (the
/// process is undumpable and the caller unprivileged).
fn runs(proc: &ProcRoot, dir: &ProcDir, program: &[u8]) -> bool {
    let read = |dir: &ProcDir, path: &str| {
        let mut buffer = [0; 4096];
        dir.link(path, &mut buffer).map(|text| text.strip_suffix(b" (deleted)").unwrap_or(text).to_vec())
    };
    match read(dir, "exe") {
        Ok(file) => file.ends_with(program) || read(proc.dir(), "self/exe").is_ok_and(|own| own == file),
        Err(_) => true,
    }
}

/// A file system, and whether it is known to answer without a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reached {
    /// The file system.
    pub file_system: DeviceNumber,
    /// Whether a lookup on it asks no server.
    pub has_no_server: bool,
}

/// The file system of a path of the caller's, or of its nearest ancestor directory in the kernel's cache, without
/// asking any server. `None` before 5.12, and if the last cached directory is on a procfs, which can lead anywhere.
pub fn reached(proc: &ProcRoot, path: &Path) -> Option<Reached> {
    let above = path.ancestors().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    reached_by(proc, &above.map(open_cached).find_map(Result::ok)?)
}

/// An `O_PATH` descriptor of a path of the caller's, if the path is in the kernel's cache and its file system has no
/// server: reopening and reading it does not wait.
pub fn pin_without_server(proc: &ProcRoot, path: &Path) -> Option<OwnedFd> {
    let pinned = open_cached(path).ok()?;
    reached_by(proc, &pinned).is_some_and(|reached| reached.has_no_server).then_some(pinned)
}

/// The file system that a descriptor is on.
fn reached_by(proc: &ProcRoot, pinned: &OwnedFd) -> Option<Reached> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let stat = rustix::fs::statx(pinned, c"", flags, StatxFlags::TYPE).ok()?;
    let file_system = DeviceNumber { major: stat.stx_dev_major, minor: stat.stx_dev_minor };
    let mut buffer = Vec::new();
    let text = proc.dir().read("thread-self/mountinfo", &mut buffer).ok()?;
    let mut mounts = parse::mountinfo::parse(text).flatten();
    let fs_type = mounts.find(|mount| mount.file_system == file_system).map(|mount| mount.raw_fs_type);
    let has_no_server = fs_type.is_some_and(has_no_server);
    (fs_type != Some(b"proc")).then_some(Reached { file_system, has_no_server })
}

fn open_cached(path: &Path) -> Result<OwnedFd, Errno> {
    lxkns_sys::open_cached(CWD, path, OFlags::empty(), ResolveFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fs(major: u32, minor: u32) -> Option<DeviceNumber> {
        Some(DeviceNumber { major, minor })
    }

    #[test]
    fn names_say_what_is_asked() {
        for file_system in [fs(0, 47), fs(4095, 1_048_575), None] {
            let name = asking_name(file_system);
            assert_eq!(name[15], 0);
            let text = name.split(|&byte| byte == 0).next().unwrap();
            assert_eq!(asked(text), Some((file_system, &b"lxkns"[..])), "{}", text.as_bstr());
        }
        assert_eq!(asked(b"mntns 0:2f\n"), Some((fs(0, 47), &b"mntnssandbox"[..])));
        assert_eq!(asked(b"mntns x:2f\n"), Some((None, &b"mntnssandbox"[..])));
        assert_eq!(asked(b"mntnssandbox\n"), Some((None, &b"mntnssandbox"[..])), "it was not looking up anything");
        assert_eq!((asked(b"lxkns\n"), asked(b"bash\n"), asked(b"")), (None, None, None));
    }

    #[test]
    fn only_who_was_killed_counts() {
        let status = |uid: u32, own: &str, shared: &str| {
            format!(
                "Name:\tx\nState:\tD (disk sleep)\nPid:\t9\nUid:\t{uid}\t0\t0\t0\nSigPnd:\t{own}\nShdPnd:\t{shared}\n\
                 SigBlk:\t0000000000000100\nCapInh:\t0\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t0\n"
            )
        };
        let (none, kill) = ("0000000000000000", "0000000000000100");
        assert!(is_killed(status(7, none, kill).as_bytes(), 7) && is_killed(status(7, kill, none).as_bytes(), 7));
        assert!(!is_killed(status(7, none, none).as_bytes(), 7), "it may still answer");
        let ended = status(7, kill, kill).replace("D (disk sleep)", "Z (zombie)");
        assert!(!is_killed(ended.as_bytes(), 7), "it waits for its parent alone");
        assert!(!is_killed(status(8, kill, kill).as_bytes(), 7) && !is_killed(b"", 0));
    }

    #[test]
    fn the_nearest_directory_will_do() {
        let proc = ProcRoot::host().unwrap();
        let Some(top) = reached(&proc, Path::new("/sys")) else { return };
        assert!(top.has_no_server, "sysfs is in memory");
        assert_eq!(reached(&proc, Path::new("/sys/nobody/at/all")), Some(top));
        assert!(reached(&proc, Path::new("nowhere")).is_some(), "that is below the working directory");
        assert_eq!(reached(&proc, Path::new("/proc/nobody/at/all")), None);
    }
}
