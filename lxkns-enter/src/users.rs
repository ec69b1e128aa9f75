//! Names of users and groups, as the files inside have them. Those are whatever the container's owner wants them to be: a
//! device, a FIFO, endless, or on a file system whose server does not answer.

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use lxkns_core::ProcRoot;
use lxkns_sys::SharedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use crate::in_time::in_time;
use crate::process::read_all;

/// How large such a file may be, in bytes.
const LARGEST: u64 = 4 << 20;

/// A user, as a line of `passwd` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: Vec<u8>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: Vec<u8>,
    pub(crate) shell: Vec<u8>,
}

/// Who is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Name(Vec<u8>),
    Id(u32),
}

impl Wanted {
    /// Digits are an ID, as `docker exec` has it.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let id = std::str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse().ok());
        // The highest number means "no change" to the kernel.
        id.filter(|&id| id != u32::MAX).map_or_else(|| Self::Name(text.to_vec()), Self::Id)
    }
}

/// Reads a file below a root directory, by a path of that root's. Only a regular file is opened at all.
pub(crate) fn read_inside(
    proc: &ProcRoot,
    root: &SharedFd,
    path: &'static str,
    wait: Duration,
) -> Result<Vec<u8>, Errno> {
    let root = root.try_clone().map_err(|_| Errno::MFILE)?;
    let own_fds = rustix::fs::openat(proc, "thread-self/fd", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    drop(own_fds?);
    let procfs = rustix::io::fcntl_dupfd_cloexec(proc, 3)?;
    in_time(wait, move || {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let pinned = rustix::fs::openat2(&root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
        if !is_regular(&pinned)? {
            return Err(Errno::NXIO);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let through = format!("thread-self/fd/{}", pinned.as_raw_fd());
        let file = rustix::fs::openat(&procfs, through, flags, Mode::empty())?;
        read_all(File::from(file), LARGEST)
    })
}

fn is_regular(fd: &OwnedFd) -> Result<bool, Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let stat = rustix::fs::statx(fd, c"", flags, StatxFlags::TYPE)?;
    Ok(FileType::from_raw_mode(stat.stx_mode.into()) == FileType::RegularFile)
}

fn lines(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    text.split(|&byte| byte == b'\n').map(|line| line.split(|&byte| byte == b':').collect())
}

fn number(text: &[u8]) -> Option<u32> {
    match Wanted::parse(text) {
        Wanted::Id(id) => Some(id),
        Wanted::Name(_) => None,
    }
}

/// The first user of this name or ID in the text of a `passwd`.
pub(crate) fn user(passwd: &[u8], wanted: &Wanted) -> Option<User> {
    lines(passwd).find_map(|fields| {
        let [name, _, uid, gid, _, home, shell] = fields[..] else { return None };
        let user =
            User { name: name.into(), uid: number(uid)?, gid: number(gid)?, home: home.into(), shell: shell.into() };
        let is_wanted = match wanted {
            Wanted::Name(wanted) => user.name == *wanted,
            Wanted::Id(uid) => user.uid == *uid,
        };
        is_wanted.then_some(user)
    })
}

/// The GID of the group of this name in the text of a `group`.
pub(crate) fn group(groups: &[u8], wanted: &[u8]) -> Option<u32> {
    lines(groups).find_map(|fields| match fields[..] {
        [name, _, gid, _] if name == wanted => number(gid),
        _ => None,
    })
}

/// The GIDs of the groups that a user of this name is a member of, and this one: as many as the kernel takes.
pub(crate) fn groups_of(groups: &[u8], name: &[u8], gid: u32) -> Vec<u32> {
    /// `NGROUPS_MAX` of `linux/limits.h`.
    const MOST: usize = 65_536;
    let mut gids = vec![gid];
    gids.extend(lines(groups).filter_map(|fields| match fields[..] {
        [_, _, gid, members] if members.split(|&byte| byte == b',').any(|member| member == name) => number(gid),
        _ => None,
    }));
    gids.sort_unstable();
    gids.dedup();
    gids.truncate(MOST);
    gids
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\nbad\nw:x:x:1::/:/\nu:x:1000:100:a,b:/home/u:/bin/sh\n";
    const GROUP: &[u8] = b"users:x:100:\nwheel:x:10:root,u\nodd:x:-1:u\naudio:x:29:uu\n";

    #[test]
    fn users_and_groups_are_found_by_name_and_id() {
        let u = user(PASSWD, &Wanted::parse(b"u")).unwrap();
        assert_eq!((u.uid, u.gid, &u.home[..], &u.shell[..]), (1000, 100, &b"/home/u"[..], &b"/bin/sh"[..]));
        assert_eq!(user(PASSWD, &Wanted::Id(0)).unwrap().name, b"root");
        assert_eq!(user(PASSWD, &Wanted::parse(b"w")), None);
        assert_eq!(group(GROUP, b"wheel"), Some(10));
        assert_eq!(group(GROUP, b"odd"), None);
        assert_eq!(groups_of(GROUP, b"u", 100), [10, 100]);
    }

    #[test]
    fn what_is_no_number_that_the_kernel_takes_is_a_name() {
        for text in ["4294967295", "99999999999", "-1", "+1", "", "1a"] {
            assert_eq!(Wanted::parse(text.as_bytes()), Wanted::Name(text.into()), "{text}");
        }
        assert_eq!(Wanted::parse(b"4294967294"), Wanted::Id(4_294_967_294));
    }
}
