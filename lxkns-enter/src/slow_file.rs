//! Reads files by paths of the caller's, which can lead to a file system with a dead server.
//!
//! A child reads the file, and is left behind if it gets stuck. (A thread that waits for a FUSE server would keep this
//! process from exiting.) No child is started for a file system on which an earlier child of this user is still stuck.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lxkns_core::model::DeviceNumber;
use lxkns_core::{MOST_STUCK, ProcRoot, Reached};
use lxkns_sys::{Op, SharedFd, SpawnError, Watch};
use rustix::event::PollFlags;
use rustix::fs::{AtFlags, CWD, FileType, MemfdFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

/// Reads a regular file in chunks until `take` returns false. Waits at most `wait` for each chunk.
///
/// # Errors
///
/// The kernel's; [`Unsupported`](io::ErrorKind::Unsupported) without an error number: not a regular file;
/// [`TimedOut`](io::ErrorKind::TimedOut): no answer in time, now or earlier; any error of `take`.
pub fn read_slowly(
    path: &Path,
    wait: Duration,
    mut take: impl FnMut(&[u8]) -> io::Result<ControlFlow<()>>,
) -> io::Result<()> {
    if let Some(file) = open_without_server(path) {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let got = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut bytes[..]))?;
            if got == 0 || take(&bytes[..got])?.is_break() {
                return Ok(());
            }
        }
    }
    let asked = CString::new(as_seen_by_a_child(path).as_os_str().as_bytes())?;
    let name = asking(Some(path))?;
    let (pipe, to) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let [pipe, to] = [rustix::io::fcntl_dupfd_cloexec(pipe, 3)?, rustix::io::fcntl_dupfd_cloexec(to, 3)?];
    rustix::io::ioctl_fionbio(&pipe, true)?;
    let read = Op::Stream { path: asked, name, to: Arc::new(to) };
    let mut bytes = vec![0; 64 * 1024];
    // Takes the contents of the pipe; `false` at the end, or if `take` has enough.
    let mut drain = || -> io::Result<bool> {
        match rustix::io::retry_on_intr(|| rustix::io::read(&pipe, &mut bytes[..])) {
            Ok(0) | Err(Errno::AGAIN) => Ok(false),
            Ok(got) => take(&bytes[..got]).map(|flow| flow.is_continue()),
            Err(errno) => Err(errno.into()),
        }
    };
    let (mut last, mut stopped) = (Instant::now(), None);
    let mut goes_on = |_| {
        if !lxkns_sys::poll_now(&pipe, PollFlags::IN).is_ok_and(|events| events.contains(PollFlags::IN)) {
            return last.elapsed() < wait;
        }
        last = Instant::now();
        match drain() {
            Ok(true) => true,
            other => {
                stopped = Some(other.map(drop));
                false
            }
        }
    };
    let mut watch = Watch { wake: Some(pipe.as_fd()), goes_on: &mut goes_on, may_launch: &|| true, has_run: &|_| None };
    let done = lxkns_sys::run_steps(&[Op::Guard, read], &mut watch);
    if let Some(stopped) = stopped {
        return stopped;
    }
    match done {
        // The rest.
        Ok(()) => {
            while drain()? {}
            Ok(())
        }
        Err(SpawnError::GivenUp { .. }) => Err(too_late("no answer in time")),
        Err(SpawnError::Start(errno) | SpawnError::Step { errno, .. }) => Err(errno.into()),
        Err(SpawnError::Unfit { refusal, .. }) => Err(io::Error::new(io::ErrorKind::Unsupported, refusal.to_string())),
        Err(_) => Err(io::Error::other("the process that reads it was killed")),
    }
}

/// Opens a regular file that is in the kernel's cache, on a file system without a server: no child is needed.
fn open_without_server(path: &Path) -> Option<File> {
    let proc = ProcRoot::host().ok()?;
    let pinned = lxkns_core::pin_without_server(&proc, path)?;
    let stat =
        rustix::fs::statx(&pinned, c"", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE).ok()?;
    if FileType::from_raw_mode(stat.stx_mode.into()) != FileType::RegularFile {
        return None;
    }
    let again = format!("thread-self/fd/{}", pinned.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::openat(&proc, again, flags, Mode::empty()).ok().map(File::from)
}

/// Copies a regular file into an unnamed file in memory, with its offset at the start.
///
/// # Errors
///
/// As for [`read_slowly`]; [`FileTooLarge`](io::ErrorKind::FileTooLarge): the file is larger than allowed.
pub(crate) fn copy_slowly(path: &Path, most: u64, wait: Duration) -> io::Result<File> {
    let mut copy = File::from(rustix::fs::memfd_create("lxkns-copy", MemfdFlags::CLOEXEC)?);
    let mut left = most;
    read_slowly(path, wait, |bytes| {
        left = left.checked_sub(bytes.len() as u64).ok_or_else(|| too_large(most))?;
        copy.write_all(bytes).map(|()| ControlFlow::Continue(()))
    })?;
    copy.rewind()?;
    Ok(copy)
}

/// Lets a child look up a path. The path is then in the kernel's cache, unless the file system forbids caching. An error only
/// if there was no answer in time, now or earlier: a missing file is an answer.
fn look_up(root: Option<&SharedFd>, path: &Path, follow: bool, wait: Duration) -> io::Result<()> {
    // Below another root directory, the path leads the caller elsewhere.
    let name = asking(Some(path).filter(|_| root.is_none()))?;
    let root = root.map(Arc::clone);
    let look_up = Op::LookUp { root, path: CString::new(path.as_os_str().as_bytes())?, follow, name };
    let began = Instant::now();
    let mut watch =
        Watch { wake: None, goes_on: &mut |_| began.elapsed() < wait, may_launch: &|| true, has_run: &|_| None };
    match lxkns_sys::run_steps(&[Op::Guard, look_up], &mut watch) {
        Err(SpawnError::GivenUp { .. }) => Err(too_late("no answer in time")),
        _ => Ok(()),
    }
}

/// An `O_PATH` descriptor of a file, by a path of the caller's, or by one below the root directory of another process, which
/// no link leaves. Waits at most `wait` for a file system that does not answer.
///
/// # Errors
///
/// The kernel's; [`TimedOut`](io::ErrorKind::TimedOut): no answer in time, now or earlier.
///
/// # Minimum kernel version
///
/// 5.6 below another root directory.
pub fn pin_slowly(root: Option<&SharedFd>, path: &Path, follow: bool, wait: Duration) -> io::Result<OwnedFd> {
    let flags = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let how = match root {
        Some(_) => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        None => ResolveFlags::empty(),
    };
    let at = root.map_or(CWD, |root| root.as_fd());
    match lxkns_sys::open_cached(at, path, flags, how) {
        // Not in the cache; or no kernel to ask for its cache alone, or a filter of system calls.
        Err(Errno::AGAIN | Errno::NOSYS | Errno::PERM | Errno::INVAL) => {}
        answer => return Ok(answer?),
    }
    // A child goes first: a thread that waits for a server would keep this program from ending.
    look_up(root, path, follow, wait)?;
    let (root, path) = (root.map(Arc::clone), path.to_owned());
    let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
    let open = move || match root {
        Some(root) => rustix::fs::openat2(&*root, path, flags, Mode::empty(), how),
        None => rustix::fs::open(path, flags, Mode::empty()),
    };
    let opened = lxkns_sys::in_time("lxkns-open", wait, open)?;
    Ok(opened.ok_or_else(|| too_late("no answer in time"))??)
}

/// The value of an extended attribute of a file, of at most 64 bytes. `device`: that of the file. Waits at most `wait` for its
/// file system.
///
/// # Errors
///
/// As for [`pin_slowly`].
pub(crate) fn attribute_slowly(
    file: OwnedFd,
    device: DeviceNumber,
    attribute: &'static CStr,
    wait: Duration,
) -> io::Result<Vec<u8>> {
    let name = asking_of(Some(device))?;
    let [file, to] = [file, rustix::fs::memfd_create("lxkns-attribute", MemfdFlags::CLOEXEC)?];
    let [file, to] = [rustix::io::fcntl_dupfd_cloexec(file, 3)?, rustix::io::fcntl_dupfd_cloexec(to, 3)?].map(Arc::new);
    let proc = ProcRoot::host().map_err(io::Error::other)?;
    let link = proc.path().join(format!("self/fd/{}", file.as_raw_fd()));
    let link = CString::new(link.into_os_string().into_vec())?;
    let began = Instant::now();
    let mut watch =
        Watch { wake: None, goes_on: &mut |_| began.elapsed() < wait, may_launch: &|| true, has_run: &|_| None };
    let read = Op::Attribute { file, link, attribute, name, to: Arc::clone(&to) };
    match lxkns_sys::run_steps(&[Op::Guard, read], &mut watch) {
        Ok(()) => {
            let mut value = vec![0; 64];
            let length = rustix::io::pread(&to, &mut value[..], 0)?;
            value.truncate(length);
            Ok(value)
        }
        Err(SpawnError::GivenUp { .. }) => Err(too_late("no answer in time")),
        Err(SpawnError::Start(errno) | SpawnError::Step { errno, .. }) => Err(errno.into()),
        Err(_) => Err(io::Error::other("the process that reads it was killed")),
    }
}

/// Translates a path that leads to a descriptor of this process (`/dev/fd/63`, as a shell writes `<(command)`) for a
/// child, which does not have the descriptor. Returns any other path unchanged.
fn as_seen_by_a_child(path: &Path) -> Cow<'_, Path> {
    let own = || {
        let proc = ProcRoot::host().ok()?;
        let pid = rustix::fs::readlinkat(&proc, "self", Vec::new()).ok()?;
        let links = ["self", "thread-self"].map(|link| proc.path().join(link).join("fd"));
        let fd = match path.strip_prefix("/dev") {
            Ok(name) if name == Path::new("stdin") => Path::new("0"),
            Ok(name) => name.strip_prefix("fd").ok()?,
            Err(_) => links.iter().find_map(|link| path.strip_prefix(link).ok())?,
        };
        let is_number = !fd.as_os_str().is_empty() && fd.as_os_str().as_bytes().iter().all(u8::is_ascii_digit);
        is_number.then(|| proc.path().join(OsStr::from_bytes(pid.to_bytes())).join("fd").join(fd))
    };
    own().map_or(Cow::Borrowed(path), Cow::Owned)
}

/// The process name for a child that looks up this path of the caller's, or another one.
fn asking(path: Option<&Path>) -> io::Result<[u8; 16]> {
    // Without a procfs, stuck processes cannot be found, and the child runs anyway.
    let Ok(proc) = ProcRoot::host() else { return Ok(lxkns_core::asking_name(None)) };
    let reached = path.and_then(|path| lxkns_core::reached(&proc, path));
    let file_system = reached.map(|reached| reached.file_system);
    if matches!(reached, Some(Reached { has_no_server: true, .. })) {
        return Ok(lxkns_core::asking_name(file_system));
    }
    asking_of(file_system)
}

/// The process name for a child that asks this file system, if none is stuck there.
fn asking_of(file_system: Option<DeviceNumber>) -> io::Result<[u8; 16]> {
    let name = lxkns_core::asking_name(file_system);
    let Ok(proc) = ProcRoot::host() else { return Ok(name) };
    let stuck = lxkns_core::stuck(&proc)?;
    if let Some(stuck) = stuck.iter().find(|stuck| stuck.file_system.is_some() && stuck.file_system == file_system) {
        return Err(too_late(&format!("its file system has not answered process {}, which waits for it", stuck.pid)));
    }
    if stuck.len() >= MOST_STUCK {
        return Err(too_late("too many processes wait for file systems that do not answer"));
    }
    Ok(name)
}

fn too_large(most: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {most} bytes"))
}

fn too_late(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::AsRawFd;

    use super::*;

    const WAIT: Duration = Duration::from_secs(10);
    const NOT_REGULAR: (io::ErrorKind, Option<i32>) = (io::ErrorKind::Unsupported, None);

    fn read(path: &Path) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        read_slowly(path, WAIT, |bytes| {
            text.extend_from_slice(bytes);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(text)
    }

    #[test]
    fn what_is_read_is_all_there_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for length in [0, 1, 65_536, 3_000_001] {
            let text: Vec<u8> = (0..length).map(|at: u32| at as u8).collect();
            std::fs::write(&path, &text).unwrap();
            assert!(read(&path).unwrap() == text, "{length}");
        }
        let mut copy = Vec::new();
        copy_slowly(&path, 3_000_001, WAIT).unwrap().read_to_end(&mut copy).unwrap();
        assert_eq!(copy.len(), 3_000_001);
        let too_long = copy_slowly(&path, 3_000_000, WAIT).unwrap_err();
        assert_eq!((too_long.kind(), too_long.raw_os_error()), (io::ErrorKind::FileTooLarge, None));
        assert_eq!(too_long.to_string(), "larger than 3000000 bytes");
        // `take` is not called again after it returned false.
        let mut pieces = 0;
        read_slowly(&path, WAIT, |_| {
            pieces += 1;
            Ok(ControlFlow::Break(()))
        })
        .unwrap();
        assert_eq!(pieces, 1);
    }

    #[test]
    fn descriptors_of_this_process_are_read() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"text").unwrap();
        let (pipe, _writer) = io::pipe().unwrap();
        let fd = |file: &dyn AsRawFd| file.as_raw_fd();
        let proc = ProcRoot::host().unwrap();
        let links = ["self/fd", "thread-self/fd"].map(|link| proc.path().join(link));
        for directory in [&links[..], &["/dev/fd".into()]].concat() {
            let path = |fd: i32| directory.join(fd.to_string());
            assert_eq!(read(&path(fd(&file))).unwrap(), b"text", "{directory:?}");
            let error = read(&path(fd(&pipe))).unwrap_err();
            assert_eq!((error.kind(), error.raw_os_error()), NOT_REGULAR, "{directory:?}");
        }
        for other in ["/dev/fd", "/dev/fd/x", "/dev/null", "/dev/fd/3/x", "fd/3", "/"] {
            assert_eq!(as_seen_by_a_child(Path::new(other)), Path::new(other));
        }
        let own = proc.path().join(std::process::id().to_string()).join("fd/0");
        assert_eq!(as_seen_by_a_child(Path::new("/dev/stdin")), own);
    }

    #[test]
    fn errors_are_the_kernels() {
        let directory = tempfile::tempdir().unwrap();
        let is =
            |path: &Path, errno| assert_eq!(Errno::from_io_error(&read(path).unwrap_err()), Some(errno), "{path:?}");
        is(Path::new("/nowhere"), Errno::NOENT);
        for path in [directory.path(), Path::new("/dev/null")] {
            let error = read(path).unwrap_err();
            assert_eq!(
                (error.kind(), error.raw_os_error(), error.to_string().as_str()),
                (NOT_REGULAR.0, None, "not a regular file")
            );
        }
        let invalid = read_slowly(Path::new("a\0b"), WAIT, |_| Ok(ControlFlow::Break(()))).unwrap_err();
        assert_eq!(invalid.kind(), io::ErrorKind::InvalidInput);
        assert!(["/nowhere", "/"].into_iter().all(|path| look_up(None, Path::new(path), true, WAIT).is_ok()));
    }
}
