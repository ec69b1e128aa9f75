//! Place 4: descriptors on namespaces; and the single pass over a descriptor table that places 4 to 7 and the suspects
//! share.

use std::ffi::{CStr, CString};
use std::hash::BuildHasher as _;
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, OwnedFd};

use rustc_hash::{FxBuildHasher, FxHashSet};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, StatxFlags};
use rustix::io::Errno;

use super::found::Found;
use super::search::Search;
use super::{sockets, suspects, tun};
use crate::failure::Failure;
use crate::model::{Call, Cause, Holder, NamespaceId, NamespaceType, Object, Operation, Pid, Place, Tid};
use crate::procfs::{ProcDir, for_each_number, parse};
use crate::reach::TUN_DEVICE;
use crate::reach::lookup;

/// A descriptor table: that of a process, through one of its tasks, or that of a single task.
pub(super) struct Table {
    pub(super) pid: Pid,
    pub(super) tid: Tid,
    /// The directory `fd`, which lists it.
    dir: OwnedFd,
}

/// The owner of the table.
fn owner(pid: Pid, tid: Tid) -> Object {
    if tid == Tid::from(pid) { Object::Process(pid) } else { Object::Task(pid, tid) }
}

/// The kind of file that a descriptor is on, as far as discovery needs it.
enum Kind {
    Namespace(NamespaceId),
    /// With its inode number.
    Socket(u64),
    Tun,
    /// Without a name: io_uring and others.
    Anonymous,
    /// A file on a file system without a device of its own, as a procfs is; with its device number.
    Regular(u64),
    /// A directory there.
    Directory(u64),
    Other,
}

impl Table {
    /// Opens the table of `tid`, if any place needs it and it is readable.
    pub(super) fn open(search: &Search<'_>, found: &mut Found, dir: &ProcDir, pid: Pid, tid: Tid) -> Option<Self> {
        let places = [Place::Fds, Place::Sockets, Place::Tun];
        if !search.options.suspects && !places.into_iter().any(|place| search.looks_in(place)) {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = if tid == Tid::from(pid) {
            rustix::fs::openat(dir, c"fd", flags, Mode::empty())
        } else {
            rustix::fs::openat(dir, format!("task/{tid}/fd"), flags, Mode::empty())
        };
        match opened {
            Ok(dir) => Some(Self { pid, tid, dir }),
            Err(errno) => {
                found.gap(Place::Fds, owner(pid, tid), Operation::open("fd"), errno);
                None
            }
        }
    }

    pub(super) fn object(&self, fd: u32) -> Object {
        Object::Fd(self.pid, self.tid, fd)
    }

    /// The text of the link of a descriptor: its path when it was opened, which does not prove what it is.
    pub(super) fn link<'a>(&self, fd: u32, buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
        let length = rustix::fs::readlinkat_raw(&self.dir, crate::procfs::decimal(fd).as_str(), &mut *buffer)?;
        Ok(&buffer[..length])
    }

    /// The kind of file that a descriptor is on. Asks only the kernel, and opens only namespaces.
    fn kind(&self, search: &Search<'_>, found: &mut Found, name: &CStr, fd: u32) -> Result<Kind, Failure> {
        if search.is_without(Place::Fds) {
            return self.kind_by_link(search, found, fd);
        }
        let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        let stat = match rustix::fs::statx(&self.dir, name, flags, StatxFlags::TYPE | StatxFlags::INO) {
            Ok(stat) => stat,
            // A filter denies statx: use the text of the link, which tells less.
            Err(errno @ (Errno::NOSYS | Errno::PERM | Errno::INVAL)) => {
                search.do_without(Place::Fds);
                found.gap(Place::Fds, Object::Host, Call::Statx, errno);
                return self.kind_by_link(search, found, fd);
            }
            Err(errno) => return Err(errno.into()),
        };
        let dev = rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor);
        if dev == search.devices.nsfs {
            return Ok(Kind::Namespace(NamespaceId { ino: stat.stx_ino, dev }));
        }
        Ok(match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::Socket if search.devices.sockfs.is_none_or(|sockfs| sockfs == dev) => Kind::Socket(stat.stx_ino),
            FileType::CharacterDevice if (stat.stx_rdev_major, stat.stx_rdev_minor) == TUN_DEVICE => Kind::Tun,
            _ if search.devices.anon_inode == Some(dev) => Kind::Anonymous,
            // A pidfd, which has no type.
            FileType::Unknown if stat.stx_dev_major == 0 => Kind::Anonymous,
            FileType::RegularFile if stat.stx_dev_major == 0 => Kind::Regular(dev),
            FileType::Directory if stat.stx_dev_major == 0 => Kind::Directory(dev),
            _ => Kind::Other,
        })
    }

    fn kind_by_link(&self, search: &Search<'_>, found: &mut Found, fd: u32) -> Result<Kind, Failure> {
        let mut buffer = [0; 64];
        let text = self.link(fd, &mut buffer)?;
        if let Some((_, ino)) = parse::links::parse(text) {
            return Ok(Kind::Namespace(NamespaceId { ino, dev: search.devices.nsfs }));
        }
        Ok(match parse::links::socket(text) {
            Some(inode) => Kind::Socket(inode),
            None if text == b"/dev/net/tun" => Kind::Tun,
            None if text.starts_with(b"anon_inode:") => Kind::Anonymous,
            None if text.starts_with(b"/") => self.opened_through_bind_mount(search, found, fd)?.unwrap_or(Kind::Other),
            None => Kind::Other,
        })
    }

    /// The namespace of a descriptor whose link is a path, if it was opened through a bind mount that the process still
    /// sees.
    fn opened_through_bind_mount(
        &self,
        search: &Search<'_>,
        found: &mut Found,
        fd: u32,
    ) -> Result<Option<Kind>, Failure> {
        let Self { pid, tid, .. } = *self;
        if !matches!(found.bind_mounts, Some((task, _)) if task == tid) {
            let read = lookup::bind_mounts(search.proc, tid);
            if let Err(errno) = read {
                found.gap(Place::Fds, owner(pid, tid), Operation::read("mountinfo"), errno);
            }
            found.bind_mounts = Some((tid, read.unwrap_or_default()));
        }
        let Some((_, bind_mounts)) = found.bind_mounts.as_ref().filter(|(_, bind_mounts)| !bind_mounts.is_empty())
        else {
            return Ok(None);
        };
        let mut buffer = Vec::new();
        let info = format!("{pid}/task/{tid}/fdinfo/{fd}");
        let mount_id = parse::fdinfo::mount_id(search.proc.dir().read_record(info, &mut buffer)?);
        if !bind_mounts.contains(&mount_id.ok_or(Cause::Malformed)?) {
            return Ok(None);
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let pinned = rustix::fs::openat(&self.dir, crate::procfs::decimal(fd).as_str(), flags, Mode::empty())?;
        match lookup::identify(search.proc, tid, pinned.as_fd()) {
            Ok(id) => Ok(Some(Kind::Namespace(id))),
            // It is on another file by now.
            Err(failure) if failure.is_elsewhere() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The entries of a table: descriptors with a hash of their links.
    pub(super) fn entries(&self) -> Result<FxHashSet<Entry>, Errno> {
        let mut entries = FxHashSet::default();
        rustix::fs::seek(&self.dir, SeekFrom::Start(0))?;
        for_each_number(&self.dir, |_, fd| {
            entries.extend(self.entry(fd).ok());
            ControlFlow::Continue(())
        })?;
        Ok(entries)
    }

    fn entry(&self, fd: u32) -> Result<Entry, Errno> {
        let mut text = [0; 256];
        let text = self.link(fd, &mut text)?;
        Ok((fd, FxBuildHasher.hash_one(text)))
    }
}

/// A descriptor, and a hash of its link's text.
pub(super) type Entry = (u32, u64);

/// Reads a descriptor table. Sockets are expected in `home`, the task's network namespace.
///
/// Skips entries that are `known` from other tables of the process, and adds the rest to these.
pub(super) fn scan(
    search: &Search<'_>,
    found: &mut Found,
    process: &ProcDir,
    table: &Table,
    home: Option<NamespaceId>,
    mut known: Option<&mut FxHashSet<Entry>>,
) {
    let mut fetcher = sockets::Fetcher::new(process, table);
    let listed = for_each_number(&table.dir, |name, fd| {
        if let Some(known) = known.as_deref_mut() {
            // A table that cannot be compared with others is read, and a gap says why.
            let is_news = table.entry(fd).map_or_else(|errno| errno != Errno::NOENT, |entry| known.insert(entry));
            if !is_news {
                return ControlFlow::Continue(());
            }
        }
        match table.kind(search, found, name, fd) {
            Ok(Kind::Namespace(id)) => namespace(search, found, table, fd, id),
            Ok(Kind::Socket(inode)) => {
                found.note_socket(search, inode, table.pid, table.tid, fd);
                sockets::socket(search, found, &mut fetcher, fd, inode, home);
                let has_none_in_flight = found.sockets.get(&inode).is_some_and(|socket| socket.has_none_in_flight);
                if search.options.suspects && !has_none_in_flight {
                    suspects::in_flight(found, process, table, fd);
                }
            }
            Ok(Kind::Tun) => tun::file(search, found, &mut fetcher, fd),
            Ok(kind) => suspect(search, found, process, table, fd, &kind),
            Err(failure) => {
                found.gap(Place::Fds, table.object(fd), Operation::stat("fd"), failure);
                if failure.is_denied() {
                    // Permission is the same for the whole table.
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    });
    if let Err(errno) = listed {
        found.gap(Place::Fds, owner(table.pid, table.tid), Operation::list("fd"), errno);
    }
}

fn suspect(search: &Search<'_>, found: &mut Found, process: &ProcDir, table: &Table, fd: u32, kind: &Kind) {
    if !search.options.suspects {
        return;
    }
    match *kind {
        Kind::Anonymous => suspects::anonymous(found, process, table, fd),
        Kind::Regular(dev) => suspects::file(search, found, process, table, fd, dev),
        Kind::Directory(dev) => suspects::directory(search, found, table, fd, dev),
        Kind::Namespace(_) | Kind::Socket(_) | Kind::Tun | Kind::Other => {}
    }
}

/// Looks at one descriptor that may be a suspect; `false` if the whole table is not readable.
pub(super) fn suspect_of(search: &Search<'_>, found: &mut Found, process: &ProcDir, table: &Table, fd: u32) -> bool {
    let Ok(name) = CString::new(crate::procfs::decimal(fd).as_str()) else { return true };
    match table.kind(search, found, &name, fd) {
        Ok(kind) => suspect(search, found, process, table, fd, &kind),
        Err(failure) => {
            found.gap(Place::Suspects, table.object(fd), Operation::stat("fd"), failure);
            return !failure.is_denied();
        }
    }
    true
}

fn namespace(search: &Search<'_>, found: &mut Found, table: &Table, fd: u32, id: NamespaceId) {
    if !search.looks_in(Place::Fds) {
        return;
    }
    let holder = Holder::Fd { pid: table.pid, tid: table.tid, fd };
    if let Some(seen) = found.namespaces.get_mut(&id) {
        seen.holders.push(holder);
        return;
    }
    // Its type is not known until it is opened.
    let opened = super::facts::ensure(search, id, || crate::reach::through(search.proc, NamespaceType::Mnt, &holder));
    let ns_type = match opened {
        Ok(()) => search.facts().get(&id).map(|facts| facts.ns_type),
        Err(_) => table.link(fd, &mut [0; 64]).ok().and_then(parse::links::parse).map(|(ns_type, _)| ns_type),
    };
    match (ns_type, opened) {
        (Some(ns_type), _) => found.note(search, Place::Fds, id, ns_type, holder),
        (None, Err(failure)) => found.gap(Place::Fds, table.object(fd), Operation::open("the namespace"), failure),
        (None, Ok(())) => {}
    }
}
