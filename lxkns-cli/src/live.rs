//! The living host, or a snapshot of one: everything that the commands need from outside comes through here.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, BufReader, Write};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use lxkns_core::model::links::HostLinks;
use lxkns_core::model::{
    DeviceNumber, DiscoveryOptions, NamespaceId, NamespaceType, Pid, Snapshot, Tasks, Uid, unescape_octal,
};
use lxkns_core::wire::{self, WriteOptions};
use lxkns_core::{Discovery, ProcRoot};
use lxkns_enter::{pin_slowly, read_slowly};
use lxkns_inside::Program;
use lxkns_live::questions::Host;
use lxkns_mountns::{Access, DEADLINE, SandboxOptions};
use rustix::fs::{AtFlags, CWD, FileType, OFlags, ResolveFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use crate::args::{DumpArgs, INSIDE, LookArgs, PatienceArgs};
use crate::exit::{Result, say};
use crate::patient::Patient;
use crate::progress::Progress;
use lxkns_answers::file_system::{self, Followed};
use lxkns_answers::reader;

/// Whether a TARGET is this process, so scans must include it; set while the options are read.
static SELF_IS_ASKED: AtomicBool = AtomicBool::new(false);

/// This process, where a TARGET names it.
pub(crate) fn self_is_asked() -> Result<Pid> {
    SELF_IS_ASKED.store(true, Ordering::Relaxed);
    own_pid()
}

/// The way into mount namespaces.
pub(crate) fn access(patience: &PatienceArgs) -> Access {
    Access::new(SandboxOptions::default(), patience.timeout)
}

/// A session of scans of the living host.
pub(crate) fn session(access: &Access) -> Result<Discovery<'_>> {
    Ok(Discovery::of_host()?.mounts_through(access))
}

/// Looks at the living host. The names of users are the host's.
pub(crate) fn discover(
    session: &Discovery<'_>,
    options: &DiscoveryOptions,
    patience: &PatienceArgs,
) -> Result<Snapshot> {
    let progress = Progress::of("scanning this host");
    let mut options = options.clone();
    options.without_self &= !SELF_IS_ASKED.load(Ordering::Relaxed);
    options.reader = patience.reader.reader();
    let mut snapshot = session.run(&options)?;
    if progress.is_told() && !options.without_self {
        // The caller is meant, which has no thread that shows progress.
        let own = own_pid().ok().and_then(|pid| snapshot.processes.get_mut(&pid));
        if let Some(own) = own {
            own.threads = 1;
            own.tasks = Tasks::new(own.tasks.first().clone(), []);
        }
    }
    drop(progress);
    let users = lxkns_live::users_of_host();
    let creators = snapshot.namespaces.values().filter_map(|namespace| namespace.owner_uid);
    let statuses = snapshot.processes.values().filter_map(|process| process.status.as_ref());
    let uids: BTreeSet<Uid> = creators.chain(statuses.map(|status| status.uids.effective)).collect();
    let named = uids.into_iter().filter_map(|uid| Some((uid, users.name(uid)?.to_string())));
    snapshot.annotations.user_names = named.collect();
    annotate_containers(&mut snapshot, patience);
    if let Some(why) = reader::refusal(&snapshot) {
        say(format!("tasks and open files are read from procfs, not from the kernel's iterators: {why}"));
    }
    Ok(snapshot)
}

/// Adds the containers. Engines are asked only where that is wanted. Where a file system does not answer is remembered for the
/// scans to come.
fn annotate_containers(snapshot: &mut Snapshot, patience: &PatienceArgs) {
    static HOST: OnceLock<Option<lxkns_engines::Host>> = OnceLock::new();
    let host = HOST.get_or_init(|| ProcRoot::host().ok().map(lxkns_engines::Host::new));
    if let Some(host) = host {
        let _progress = Progress::of("reading what container engines left");
        let mut options = lxkns_engines::Options::default();
        options.ask_engines = patience.engines.then_some(patience.timeout);
        lxkns_engines::annotate(snapshot, host, &options);
    }
}

/// Takes the snapshot from a file (`-` is standard input) where one is named, else from the living host.
pub(crate) fn load(look: &LookArgs, options: &DiscoveryOptions) -> Result<Snapshot> {
    load_with(look, &access(&look.patience), options)
}

/// As [`load`], with a way into mount namespaces that there is already.
pub(crate) fn load_with(look: &LookArgs, access: &Access, options: &DiscoveryOptions) -> Result<Snapshot> {
    // The kernel reader alone tells references.
    load_by(look, access, options, options.references)
}

/// As [`load_with`], by the kernel reader wherever that is possible, if `by_kernel`.
pub(crate) fn load_by(
    look: &LookArgs,
    access: &Access,
    options: &DiscoveryOptions,
    by_kernel: bool,
) -> Result<Snapshot> {
    match look.from.as_deref() {
        Some(path) => read(path, &look.patience),
        None => {
            let session = session(access)?;
            let session = if by_kernel { session.repeated() } else { session };
            discover(&session, options, &look.patience)
        }
    }
}

/// Reads a dump (`-` is standard input), with a deadline for a file system that does not answer.
pub(crate) fn read(path: &Path, patience: &PatienceArgs) -> Result<Snapshot> {
    if path == Path::new("-") {
        if lxkns_sys::was_closed_at_start(0) {
            return Err(io::Error::from(Errno::BADF)).context("read standard input").map_err(Into::into);
        }
        let input = Patient::new(io::stdin(), "standard input", patience.timeout);
        return wire::read(BufReader::new(input)).context("standard input").map_err(Into::into);
    }
    let progress = Progress::of("reading the dump");
    let mut text = Vec::new();
    let read = read_slowly(path, patience.timeout, |bytes| {
        text.extend_from_slice(bytes);
        // No dump is read to its end that has not begun like one.
        let may_be_one = text.len() < 4096 || text.trim_ascii_start().starts_with(b"{");
        Ok(if may_be_one { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    });
    match read {
        Ok(()) => wire::read(text.as_slice()),
        // A pipe or device, which may be waited for; or the kernel lacks the call that tells.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            drop(progress);
            let input = Patient::open(path, patience.timeout).with_context(|| format!("open {path:?}"))?;
            wire::read(BufReader::new(input))
        }
        Err(error) => return Err(error).with_context(|| format!("open {path:?}")).map_err(Into::into),
    }
    .with_context(|| format!("read {path:?}"))
    .map_err(Into::into)
}

/// Writes a snapshot in the JSON form.
pub(crate) fn write(snapshot: &Snapshot, args: &DumpArgs, out: &mut impl Write) -> Result<()> {
    let mut options = WriteOptions::default();
    options.command_lines = !args.no_cmdline;
    options.stable = args.stable;
    Ok(wire::write(snapshot, &options, out)?)
}

/// The reader's own namespace of this type.
pub(crate) fn own_namespace(ns_type: NamespaceType) -> Option<NamespaceId> {
    let link = format!("self/ns/{ns_type}");
    // This is the kernel's own file: no server is asked.
    let status = rustix::fs::statat(ProcRoot::host().ok()?, link, AtFlags::empty()).ok()?;
    Some(NamespaceId { ino: status.st_ino, dev: status.st_dev })
}

/// This process, as the procfs calls it.
pub(crate) fn own_pid() -> Result<Pid> {
    let proc = ProcRoot::host()?;
    // A procfs of a PID namespace above has this process too.
    let link = match (rustix::fs::readlinkat(&proc, "self", Vec::new()), lxkns_live::other_procfs(&proc)) {
        (Err(_), Some(why)) => {
            return Err(anyhow::anyhow!("the calling process is not known: {why}; or name a process with -p").into());
        }
        (link, _) => link.context("read /proc/self")?,
    };
    let pid = link.to_str().ok().and_then(|pid| pid.parse().ok());
    Ok(Pid(pid.context("/proc/self is not a process")?))
}

/// As [`questions::settle_thread`](lxkns_live::questions::settle_thread), of this host or of a dump.
pub(crate) fn settle_thread(snapshot: &mut Snapshot, id: Pid, is_live: bool) -> Option<Pid> {
    let proc = if is_live { Some(ProcRoot::host().ok()?) } else { None };
    lxkns_live::questions::settle_thread(proc.as_ref(), snapshot, id)
}

/// The namespace at a path, or `None` where there is something else. Nothing is opened but by name (`O_PATH`).
pub(crate) fn namespace_at(path: &Path) -> io::Result<Option<NamespaceId>> {
    let named = open_by_name(path)?;
    let proc = ProcRoot::host().map_err(io::Error::other)?;
    lxkns_core::namespace_of(&proc, named).map_err(io::Error::other)
}

/// Paths on this host, for what `busy` is asked about.
pub(crate) struct HostPaths<'a>(pub(crate) &'a Snapshot);

impl file_system::Paths for HostPaths<'_> {
    fn working_directory(&self) -> Option<PathBuf> {
        working_directory()
    }

    fn follow(&self, path: &Path, is_patient: bool) -> Option<Followed> {
        follow(path, is_patient)
    }

    fn has_symbolic_link(&self, path: &Path) -> bool {
        has_symbolic_link(path)
    }

    fn file_system_on(&self, device: DeviceNumber) -> Option<DeviceNumber> {
        lxkns_core::file_system_on(self.0, device)
    }

    fn mount_points(&self) -> Option<Vec<(u64, PathBuf)>> {
        mount_points("self/mountinfo")
    }
}

/// What a path leads to when its symbolic links are followed; `None` where nothing is there, or it is not known. Nothing is
/// opened but by name. Without `is_patient`, only as far as the kernel knows without asking any file system.
fn follow(path: &Path, is_patient: bool) -> Option<Followed> {
    let opened = match is_patient {
        true => open_by_name(path).ok()?,
        false => open_cached(path, ResolveFlags::NO_MAGICLINKS).ok()?,
    };
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let status = rustix::fs::statx(opened, c"", flags, StatxFlags::TYPE | StatxFlags::MNT_ID).ok()?;
    let is_device = FileType::from_raw_mode(status.stx_mode.into()) == FileType::BlockDevice;
    let has_mount = status.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    Some(Followed {
        mount: has_mount.then_some(status.stx_mnt_id),
        is_mount_root: status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        device: is_device.then_some(DeviceNumber { major: status.stx_rdev_major, minor: status.stx_rdev_minor }),
    })
}

/// The working directory; `None` where no path leads there.
fn working_directory() -> Option<PathBuf> {
    // Of one on a mount that is not visible the kernel says "(unreachable)".
    std::env::current_dir().ok().filter(|path| path.is_absolute())
}

/// Whether a component of a path is a symbolic link, as far as the kernel knows without asking any file system.
fn has_symbolic_link(path: &Path) -> bool {
    matches!(open_cached(path, ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS), Err(Errno::LOOP))
}

/// Opens a path with `O_PATH`, with a deadline: the server of a file system on the way may be gone.
fn open_by_name(path: &Path) -> io::Result<OwnedFd> {
    pin_slowly(None, path, true, DEADLINE)
}

/// From the kernel's cache alone.
fn open_cached(path: &Path, how: ResolveFlags) -> std::result::Result<OwnedFd, Errno> {
    lxkns_sys::open_cached(CWD, path, OFlags::empty(), how)
}

/// What reads this host beside a scan.
pub(crate) struct Living<'a> {
    session: Discovery<'a>,
    program: Program,
    timeout: Duration,
}

impl<'a> Living<'a> {
    /// By this way into mount namespaces.
    pub(crate) fn new(access: &'a Access, timeout: Duration) -> Result<Self> {
        Self::of(session(access)?, timeout)
    }

    /// Of a session that has scanned it.
    pub(crate) fn of(session: Discovery<'a>, timeout: Duration) -> Result<Self> {
        Ok(Self { session, program: Program::again(INSIDE)?, timeout })
    }

    /// It.
    pub(crate) fn host(&self) -> Host<'_> {
        Host { session: &self.session, program: &self.program, timeout: self.timeout }
    }
}

/// The links of all network namespaces of a snapshot.
pub(crate) fn links(snapshot: &Snapshot, timeout: Duration) -> Result<HostLinks> {
    let _progress = Progress::of("reading the links of all network namespaces");
    let access = Access::new(SandboxOptions::default(), timeout);
    Ok(Living::new(&access, timeout)?.host().links(snapshot))
}

/// Whether the caller's root directory is another than that of its mount namespace, so that paths mean other files than in
/// the list of mounts.
pub(crate) fn is_chrooted(snapshot: &Snapshot, home: NamespaceId) -> bool {
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let Ok(root) = rustix::fs::statx(CWD, "/", flags, StatxFlags::MNT_ID) else { return false };
    let is_root_of_mount = root.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    // Kernels before 5.8 do not tell.
    if root.stx_mask & StatxFlags::MNT_ID.bits() == 0 || !root.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
    {
        return false;
    }
    let mounts = snapshot.mounts.get(&home);
    let mount = mounts.and_then(|mounts| mounts.iter().find(|mount| mount.id == root.stx_mnt_id));
    let is_elsewhere = match mount {
        Some(mount) => mount.path().is_some_and(|path| path != "/"),
        None => is_elsewhere_to_leader(snapshot, home, root.stx_mnt_id),
    };
    !is_root_of_mount || is_elsewhere
}

/// Whether the most senior process of a mount namespace sees this mount below its own root directory.
fn is_elsewhere_to_leader(snapshot: &Snapshot, home: NamespaceId, mount_id: u64) -> bool {
    let leader = snapshot.namespaces.get(&home).and_then(|namespace| namespace.leaders.first());
    let points = leader.and_then(|leader| mount_points(&format!("{leader}/mountinfo")));
    points.is_some_and(|points| points.iter().any(|(id, point)| *id == mount_id && *point != Path::new("/")))
}

/// The mount points in a mountinfo, with the IDs of the mounts.
fn mount_points(file: &str) -> Option<Vec<(u64, PathBuf)>> {
    let text = ProcRoot::host().ok()?.read(file).ok()?;
    let point = |line: &[u8]| {
        let mut fields = line.split(|&byte| byte == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let point = OsString::from_vec(unescape_octal(fields.nth(3)?).into_owned());
        Some((id, PathBuf::from(point)))
    };
    Some(text.split(|&byte| byte == b'\n').filter_map(point).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_an_own_namespace_leads_to_it() {
        for ns_type in [NamespaceType::Net, NamespaceType::User] {
            let path = ProcRoot::host().unwrap().path().join(format!("self/ns/{ns_type}"));
            let own = own_namespace(ns_type).unwrap();
            assert_eq!(namespace_at(&path).unwrap(), Some(own));
        }
    }

    #[test]
    fn symbolic_links_are_seen_and_other_files_are_no_devices() {
        let directory = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| directory.path().join(name));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        // So that the kernel knows it already.
        assert!(std::fs::metadata(&link).is_ok());
        assert!(!has_symbolic_link(&file));
        assert_eq!(
            has_symbolic_link(&link),
            rustix::fs::openat2(
                CWD,
                &file,
                OFlags::PATH | OFlags::CLOEXEC,
                rustix::fs::Mode::empty(),
                ResolveFlags::CACHED
            )
            .is_ok()
        );
        assert!(follow(&file, true).unwrap().device.is_none());
        assert!(follow(Path::new("/dev/null"), true).unwrap().device.is_none());
    }

    #[test]
    fn other_files_are_no_namespaces() {
        assert_eq!(namespace_at(Path::new("/")).unwrap(), None);
        assert_eq!(namespace_at(Path::new("/nowhere/at/all")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
