//! Opens paths that other users control.

use crate::protocol::{Reply, Step, Want};
use crate::sys::{self, Errno, Fd};

/// Why a path was not opened.
pub(crate) enum Stopped {
    Refused(Step, Errno),
    /// The parent does not read replies any more.
    Unheard,
}

fn at(step: Step) -> impl Fn(Errno) -> Stopped {
    move |errno| Stopped::Refused(step, errno)
}

/// Opens a path, which ends with NUL, with `O_PATH`, if it leads to the wanted file.
pub(crate) fn open(want: Want, may_walk: bool, terminated: &[u8]) -> Result<Fd, Stopped> {
    /// The longest path that a system call takes, its NUL included.
    const PATH_MAX: usize = 4096;
    let (_, path) = terminated.split_last().ok_or(Stopped::Refused(Step::Open, sys::EINVAL))?;
    if path.first() != Some(&b'/') || names(path).any(|(_, name)| name == b"..") || path.contains(&0) {
        return Err(Stopped::Refused(Step::Open, sys::EINVAL));
    }
    // Without the leading slash, the path is relative to the working directory, which is the root after entering.
    let relative = if path.len() == 1 { b".\0" } else { terminated.get(1..).unwrap_or(b".\0") };
    let cached = if terminated.len() <= PATH_MAX { cached(relative) } else { Err(sys::EAGAIN) };
    let fd = match cached {
        // The path is not in the cache, or the kernel lacks the call, or a seccomp filter denies it.
        Err(sys::EAGAIN | sys::ENOSYS | sys::EPERM | sys::EINVAL) if may_walk => walk(path)?,
        cached => cached.map_err(at(Step::Open))?,
    };
    match verify(want, fd) {
        Ok(()) => Ok(fd),
        Err(errno) => {
            sys::close(fd);
            Err(Stopped::Refused(Step::Look, errno))
        }
    }
}

/// Opens a path from the kernel's cache. The call also fails while any process mounts or renames anything, so it is
/// repeated a few times.
fn cached(path: &[u8]) -> Result<Fd, Errno> {
    const TRIES: usize = 32;
    let mut answer = sys::open_cached(path);
    for _ in 1..TRIES {
        match answer {
            Err(sys::EAGAIN) => answer = sys::open_cached(path),
            _ => break,
        }
    }
    answer
}

/// Opens a path name by name. The last name of a lookup triggers no automount and is not followed, and here each name
/// is the last of its lookup.
///
/// Meanwhile the process name has the device number of the file system: a later run that finds it stuck avoids that
/// file system.
fn walk(path: &[u8]) -> Result<Fd, Stopped> {
    let found = walk_named(path);
    sys::set_name(crate::NAME);
    found
}

fn walk_named(path: &[u8]) -> Result<Fd, Stopped> {
    const NAME_MAX: usize = 255;
    let mut fd = sys::open_top().map_err(at(Step::Open))?;
    for (end, name) in names(path) {
        let mut terminated = [0; NAME_MAX + 1];
        let next = match terminated.get_mut(..name.len()) {
            Some(room) if name.len() <= NAME_MAX => {
                room.copy_from_slice(name);
                say_asked(fd);
                crate::reply(Reply::Walking { offset: end as u32 }).map_err(|_| Stopped::Unheard)?;
                sys::open_path(fd, terminated.get(..=name.len()).unwrap_or(&[]))
            }
            _ => Err(sys::ENAMETOOLONG),
        };
        sys::close(fd);
        fd = next.map_err(at(Step::Open))?;
        if end < path.len()
            && let Err(errno) = passable(fd)
        {
            sys::close(fd);
            return Err(Stopped::Refused(Step::Look, errno));
        }
    }
    Ok(fd)
}

/// Takes the name `mntns MAJOR:MINOR`, in hexadecimal digits, of the file system of this directory.
fn say_asked(directory: Fd) {
    let Ok(stat) = sys::stat(directory) else { return };
    let mut name = *b"mntns \0\0\0\0\0\0\0\0\0\0";
    let mut at = 6;
    let mut push = |byte: u8| {
        // The last byte stays zero.
        if let Some(room) = name.get_mut(..15).and_then(|room| room.get_mut(at)) {
            *room = byte;
            at += 1;
        }
    };
    for (index, number) in [stat.dev_major, stat.dev_minor].into_iter().enumerate() {
        if index > 0 {
            push(b':');
        }
        let digits = (u32::BITS - number.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            push(match (number >> (4 * digit) & 0xf) as u8 {
                digit @ 0..=9 => b'0' + digit,
                digit => b'a' + digit - 10,
            });
        }
    }
    sys::set_name(&name);
}

/// Whether a lookup may go on through this file.
fn passable(fd: Fd) -> Result<(), Errno> {
    let stat = sys::stat(fd)?;
    match stat.file_type() {
        sys::S_IFLNK => Err(sys::ELOOP),
        _ if stat.is_automount_point() => Err(sys::EREMOTE),
        _ => Ok(()),
    }
}

/// Whether this is the wanted file.
fn verify(want: Want, fd: Fd) -> Result<(), Errno> {
    let stat = sys::stat(fd)?;
    let is_wanted = match want {
        Want::Namespace { major, minor, ino } => {
            (stat.dev_major, stat.dev_minor, stat.ino) == (major, minor, ino) && stat.file_type() == sys::S_IFREG
        }
        Want::AnyNamespace { major, minor } => {
            (stat.dev_major, stat.dev_minor) == (major, minor) && stat.file_type() == sys::S_IFREG
        }
        Want::FileOrDirectory => matches!(stat.file_type(), sys::S_IFREG | sys::S_IFDIR),
    };
    match stat.file_type() {
        _ if is_wanted && stat.is_automount_point() => Err(sys::EREMOTE),
        _ if is_wanted => Ok(()),
        sys::S_IFLNK => Err(sys::ELOOP),
        _ => Err(sys::ENXIO),
    }
}

/// The names in a path, each with where it ends.
fn names(path: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut end = 0;
    path.split(|&byte| byte == b'/').filter_map(move |name| {
        end += name.len();
        let this = (end, name);
        end += 1;
        (!name.is_empty() && name != b".").then_some(this)
    })
}
