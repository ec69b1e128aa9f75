//! Names of users and groups, from the target's files. A container controls these: they can be devices, FIFOs, endless,
//! or on a file system with a dead server.

use std::ffi::CStr;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lxkns_core::ProcRoot;
use lxkns_core::model::CompactSort as _;
use lxkns_core::model::passwd::{self, PasswdEntry};
use lxkns_sys::{Op, Refusal, SharedFd, SpawnError, Watch};
use rustix::fs::{MemfdFlags, SeekFrom};

use crate::error::Cause;
use crate::process::read_all;

/// The largest allowed size of such a file, in bytes.
const LARGEST: u64 = 4 << 20;

/// A user from a line of `passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: Vec<u8>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: Vec<u8>,
    pub(crate) shell: Vec<u8>,
}

/// The requested user or group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Name(Vec<u8>),
    Id(u32),
}

impl Wanted {
    /// Digits are an ID, as for `docker exec`.
    pub(crate) fn parse(text: &[u8]) -> Self {
        passwd::parse_id(text).map_or_else(|| Self::Name(text.to_vec()), Self::Id)
    }
}

/// Reads a regular file below a root directory, and opens no other type of file. A child reads it: a process that waits
/// for the server of a file system cannot always be killed, and a thread would keep this process from exiting.
pub(crate) fn read_inside(
    proc: &ProcRoot,
    root: &SharedFd,
    path: &'static CStr,
    wait: Duration,
) -> Result<Vec<u8>, Cause> {
    let procfs = Arc::new(rustix::io::fcntl_dupfd_cloexec(proc, 3)?);
    let to = rustix::fs::memfd_create("lxkns-inside", MemfdFlags::CLOEXEC)?;
    let to = Arc::new(rustix::io::fcntl_dupfd_cloexec(to, 3)?);
    let (directory, path) = (Arc::clone(root), path.to_owned());
    let read = Op::ReadBelow { directory, path, procfs, to: Arc::clone(&to), most: LARGEST };
    let began = Instant::now();
    let mut watch =
        Watch { wake: None, goes_on: &mut |_| began.elapsed() < wait, may_launch: &|| true, has_run: &|_| None };
    let done = lxkns_sys::run_steps(&[Op::Guard, read], &mut watch);
    done.map_err(|error| match error {
        SpawnError::Unfit { refusal: Refusal::TooLarge, .. } => Cause::too_large(LARGEST),
        SpawnError::Unfit { refusal, .. } => refusal.into(),
        SpawnError::Start(errno) | SpawnError::Step { errno, .. } => errno.into(),
        SpawnError::GivenUp { .. } => Cause::TIMED_OUT,
        _ => Cause::Words("the process that reads it was killed".into()),
    })?;
    rustix::fs::seek(&to, SeekFrom::Start(0))?;
    let to = rustix::io::fcntl_dupfd_cloexec(&to, 3)?;
    read_all(File::from(to), LARGEST)
}

/// The first user of this name or ID in the text of a `passwd`.
pub(crate) fn user(text: &[u8], wanted: &Wanted) -> Option<User> {
    let is_wanted = |user: &PasswdEntry<'_>| match wanted {
        Wanted::Name(wanted) => user.name == &wanted[..],
        Wanted::Id(uid) => user.uid.0 == *uid,
    };
    let user = passwd::passwd(text).find(is_wanted)?;
    Some(User {
        name: user.name.to_vec(),
        uid: user.uid.0,
        gid: user.gid,
        home: user.home.to_vec(),
        shell: user.shell.to_vec(),
    })
}

/// The GID of the group of this name in the text of a `group`.
pub(crate) fn group(text: &[u8], wanted: &[u8]) -> Option<u32> {
    passwd::groups(text).find(|group| group.name == wanted).map(|group| group.gid)
}

/// This GID, and the GIDs of the groups that have a user of this name as a member: at most as many as the kernel takes.
pub(crate) fn groups_of(text: &[u8], name: &[u8], gid: u32) -> Vec<u32> {
    /// `NGROUPS_MAX` of `linux/limits.h`.
    const MOST: usize = 65_536;
    let mut gids = vec![gid];
    gids.extend(passwd::groups(text).filter(|group| group.has_member(name)).map(|group| group.gid));
    gids.compact_sort();
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
