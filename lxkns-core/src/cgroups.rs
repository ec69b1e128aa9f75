//! Control groups, below the mount points in the caller's mountinfo.

use std::os::fd::{AsFd, OwnedFd};

use bstr::BString;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind};
use crate::failure::{self, Failure};
use crate::model::{self, CgroupMembership, Cgroups, DeviceAccess, Freezer, Gap, Object, Operation, Place, Tid};
use crate::procfs::parse::cgroup_files::FreezerState;
use crate::procfs::parse::mountinfo::MountInfo;
use crate::procfs::{ProcDir, ProcRoot, parse};
use crate::reach::lookup::Roots;

/// The control group hierarchies that are mounted for the caller.
#[derive(Debug, Default)]
pub struct CgroupHierarchies {
    pub(crate) mounted: Vec<Mounted>,
}

#[derive(Debug)]
pub(crate) struct Mounted {
    dir: ProcDir,
    /// The directory of the hierarchy that is mounted: `/` unless the caller sees only a part of it.
    root: Vec<u8>,
    /// The options, which include the controllers, for version 1; `None` for version 2.
    pub(crate) options: Option<BString>,
}

/// The control groups of the process or task with this procfs directory.
///
/// # Errors
///
/// [`ErrorKind::Procfs`]: the kernel's error, or a malformed text.
///
/// # Privileges
///
/// None, unless the procfs hides processes.
///
/// # Minimum kernel version
///
/// Any.
pub fn cgroups_of(process: impl AsFd) -> Result<Cgroups, Error> {
    let read = || -> Result<_, Failure> {
        let process = ProcDir::open(process, ".")?;
        Ok(parse::cgroup::parse(process.read("cgroup", &mut Vec::new())?)?)
    };
    read().map_err(|failure| Error::with_source(ErrorKind::Procfs, "cannot read the control groups", failure))
}

/// The control groups of a process or thread, by where its files are below a procfs:
/// [`Process::directory`](crate::model::Process::directory). With a PID that was given to another process, they are that
/// one's.
///
/// # Errors
///
/// [`ErrorKind::Procfs`]: the kernel's error, or a malformed text.
///
/// # Privileges
///
/// None, unless the procfs hides processes.
///
/// # Minimum kernel version
///
/// Any.
pub fn cgroups_at(proc: &ProcRoot, directory: &str) -> Result<Cgroups, Error> {
    let read = || -> Result<_, Failure> {
        Ok(parse::cgroup::parse(proc.dir().read_record(format!("{directory}/cgroup"), &mut Vec::new())?)?)
    };
    read().map_err(|failure| Error::with_source(ErrorKind::Procfs, "cannot read the control groups", failure))
}

impl CgroupHierarchies {
    /// All hierarchies that are mounted for the caller, and gaps for those that could not be opened.
    pub fn of_the_caller(proc: &ProcRoot) -> (Self, Vec<Gap>) {
        let (mut hierarchies, mut gaps) = (Self::default(), Vec::new());
        match proc.dir().read("thread-self/mountinfo", &mut Vec::new()) {
            Ok(text) => hierarchies.add(text, |info| {
                let opened = ProcDir::open(CWD, info.mount_point().as_ref());
                opened.map_err(|errno| {
                    gaps.extend(gap(Object::Path(info.mount_point().as_ref().into()), Operation::OPEN, errno));
                })
            }),
            Err(errno) => gaps.extend(gap(Object::Host, Operation::read("mountinfo"), errno)),
        }
        (hierarchies, gaps)
    }

    /// The same, but where only a part of a hierarchy is mounted for the caller, or none, as in a container, then as it is
    /// mounted for the first process, or else for the first of the kernel's threads, if the caller may look there.
    pub fn of_the_host(proc: &ProcRoot) -> (Self, Vec<Gap>) {
        let (mut hierarchies, gaps) = Self::of_the_caller(proc);
        if hierarchies.mounted.is_empty() || hierarchies.mounted.iter().any(|mounted| !mounted.is_whole()) {
            let mounted = hierarchies.mounted.len();
            for pid in [Tid(1), Tid(2)] {
                if hierarchies.mounted.len() == mounted {
                    hierarchies.add_of(proc, pid);
                }
            }
            // The whole ones come first; of those, the caller's. A part of one is of no further use.
            hierarchies.mounted.sort_by_key(|mounted| !mounted.is_whole());
            let whole = hierarchies.mounted.iter().filter(|mounted| mounted.is_whole());
            let whole: Vec<_> = whole.map(|mounted| mounted.options.clone()).collect();
            hierarchies.mounted.retain(|mounted| mounted.is_whole() || !whole.contains(&mounted.options));
        }
        (hierarchies, gaps)
    }

    /// Those that are mounted for a process. A mount is left out that is no longer where its list says, or whose mount point
    /// cannot be found without asking a server.
    fn add_of(&mut self, proc: &ProcRoot, pid: Tid) {
        let mut text = Vec::new();
        let Ok(text) = proc.dir().read(format!("{pid}/mountinfo"), &mut text) else { return };
        let mut roots = Roots::new(proc, std::iter::once(pid));
        self.add(text, |info| {
            let opened = roots.mount_by_names(&info.mount_point(), info.mount_id);
            opened.map(ProcDir::from).map_err(drop)
        });
    }

    /// The first hierarchy of each version that can freeze.
    pub(crate) fn that_freeze(proc: &ProcRoot) -> (Self, Vec<Gap>) {
        let mut seen = [false; 2];
        let (mut hierarchies, gaps) = Self::of_the_host(proc);
        hierarchies.mounted.retain(|mounted| {
            let options = mounted.options.as_ref();
            let can_freeze = options.is_none_or(|options| has_option(options, b"freezer"));
            can_freeze && !std::mem::replace(&mut seen[usize::from(options.is_some())], true)
        });
        (hierarchies, gaps)
    }

    /// Adds those of a mountinfo that can be opened.
    fn add(&mut self, text: &[u8], mut open: impl FnMut(&MountInfo<'_>) -> Result<ProcDir, ()>) {
        for info in parse::mountinfo::parse(text).flatten() {
            let options = match info.raw_fs_type {
                b"cgroup2" => None,
                b"cgroup" => Some(BString::from(info.super_options)),
                _ => continue,
            };
            if let Ok(dir) = open(&info) {
                self.mounted.push(Mounted { dir, root: info.root().to_vec(), options });
            }
        }
    }

    /// Opens the directory of a control group with `O_PATH`. `None`: the hierarchy, or this part of it, is not mounted for
    /// the caller.
    ///
    /// # Errors
    ///
    /// The kernel's.
    ///
    /// # Privileges
    ///
    /// None.
    ///
    /// # Minimum kernel version
    ///
    /// Any.
    pub fn open(&self, membership: &CgroupMembership) -> Result<Option<OwnedFd>, model::Errno> {
        let mut error = None;
        for mounted in self.mounted.iter().filter(|mounted| mounted.has(membership)) {
            match mounted.open(&membership.path) {
                Ok(Some(group)) => return Ok(Some(group.into())),
                Ok(None) => {}
                Err(errno) => error = Some(errno),
            }
        }
        error.map_or(Ok(None), |errno| Err(failure::public_errno(errno)))
    }

    /// Whether tasks in these control groups are frozen; `None` if not known. Adds gaps for what could not be read.
    pub fn freezer(&self, cgroups: &Cgroups, gaps: &mut Vec<Gap>) -> Option<Freezer> {
        let of_version_1 = |options: &[u8]| has_option(options, b"freezer");
        let v1 =
            self.mounted.iter().find(|mounted| mounted.options.as_ref().is_some_and(|options| of_version_1(options)));
        let v1 = v1.zip(cgroups.of_v1_controller("freezer"));
        let v2 = self.mounted.iter().find(|mounted| mounted.options.is_none()).zip(cgroups.unified());
        let mut freezer: Option<Freezer> = None;
        for (read, mounted) in [(v1_state as Read, v1), (v2_state as Read, v2)] {
            let Some((mounted, path)) = mounted else { continue };
            let opened = mounted.open(path).map_err(Failure::from).and_then(|group| group.ok_or(Failure::VANISHED));
            match opened.and_then(|group| read(&group)) {
                Ok(state) => {
                    let so_far = freezer.get_or_insert(Freezer { own: false, effective: false });
                    so_far.own |= state.own;
                    so_far.effective |= state.effective;
                }
                Err(failure) => {
                    gaps.extend(gap(Object::Path(path.clone()), Operation::read("the freezer state"), failure))
                }
            }
        }
        freezer
    }
}

impl CgroupHierarchies {
    /// Which devices these control groups let a process open; `None` if not known.
    pub(crate) fn device_access(&self, cgroups: &Cgroups) -> Option<DeviceAccess> {
        let mut access = DeviceAccess::All;
        for mounted in &self.mounted {
            match &mounted.options {
                Some(options) if has_option(options, b"devices") => {
                    let group = mounted.open(cgroups.of_v1_controller("devices")?).ok()??;
                    let mut buffer = Vec::new();
                    access = parse::cgroup_files::device_list(group.read("devices.list", &mut buffer).ok()?);
                    if access == DeviceAccess::NoBlockDevice {
                        return Some(access);
                    }
                }
                Some(_) => {}
                None => {
                    let group = mounted.open(cgroups.unified()?).ok()??;
                    match lxkns_sys::bpf_device_programs(&group) {
                        Ok(0) => {}
                        Ok(_) => return Some(DeviceAccess::Program),
                        // The kernel was built without programs for control groups.
                        Err(Errno::INVAL) => {}
                        Err(_) => return None,
                    }
                }
            }
        }
        // The controller of a hierarchy that is not mounted here can keep them away.
        let is_read = |membership: &CgroupMembership| self.mounted.iter().any(|mounted| mounted.has(membership));
        let decides = |membership: &&CgroupMembership| match membership.hierarchy {
            // Where nobody uses version 2, every task is at its top.
            0 => membership.path != "/",
            _ => has_option(&membership.controllers, b"devices"),
        };
        cgroups.0.iter().filter(decides).all(is_read).then_some(access)
    }
}

pub(crate) fn gap(object: Object, operation: Operation, why: impl Into<Failure>) -> Option<Gap> {
    failure::gap(Place::Cgroups, object, operation, why)
}

pub(crate) fn has_option(options: &[u8], wanted: &[u8]) -> bool {
    options.split(|&byte| byte == b',').any(|option| option == wanted)
}

type Read = fn(&ProcDir) -> Result<Freezer, Failure>;

impl Mounted {
    /// Whether all of the hierarchy is mounted.
    fn is_whole(&self) -> bool {
        self.root == b"/"
    }

    /// Whether this membership is in this hierarchy.
    fn has(&self, membership: &CgroupMembership) -> bool {
        match &self.options {
            None => membership.hierarchy == 0 && membership.controllers.is_empty(),
            Some(options) => {
                let mut controllers = membership.controllers.split(|&byte| byte == b',');
                !membership.controllers.is_empty() && controllers.all(|controller| has_option(options, controller))
            }
        }
    }

    /// Opens a control group by its path in the hierarchy; `None` if that part of it is not mounted here.
    pub(crate) fn open(&self, path: &[u8]) -> Result<Option<ProcDir>, Errno> {
        let below = match self.root.as_slice() {
            b"/" => Some(path),
            root => path.strip_prefix(root),
        };
        let Some(below) = below else { return Ok(None) };
        let relative = below.strip_prefix(b"/").unwrap_or(below);
        if relative.split(|&byte| byte == b'/').any(|name| name == b"..") {
            // Outside the caller's cgroup namespace.
            return Ok(None);
        }
        let relative = if relative.is_empty() { b"." } else { relative };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat2(&self.dir, relative, flags, Mode::empty(), resolve) {
            Ok(fd) => Ok(Some(ProcDir::from(fd))),
            // Before 5.6, or a filter denies it.
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => ProcDir::open(&self.dir, relative).map(Some),
            Err(errno) => Err(errno),
        }
    }
}

/// Reads a file that the root of a hierarchy lacks, as it cannot be frozen.
fn unless_root(read: Result<&[u8], Errno>) -> Result<Option<&[u8]>, Errno> {
    match read {
        Ok(text) => Ok(Some(text)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn v1_state(group: &ProcDir) -> Result<Freezer, Failure> {
    let mut buffer = Vec::new();
    let own = match unless_root(group.read("freezer.self_freezing", &mut buffer))? {
        Some(text) => parse::cgroup_files::flag(text)?,
        None => false,
    };
    let effective = match unless_root(group.read("freezer.state", &mut buffer))? {
        Some(text) => parse::cgroup_files::freezer_state(text)? == FreezerState::Frozen,
        None => false,
    };
    Ok(Freezer { own, effective })
}

fn v2_state(group: &ProcDir) -> Result<Freezer, Failure> {
    let mut buffer = Vec::new();
    let own = match unless_root(group.read("cgroup.freeze", &mut buffer))? {
        Some(text) => parse::cgroup_files::flag(text)?,
        None => false,
    };
    let effective = match unless_root(group.read("cgroup.events", &mut buffer))? {
        Some(text) => parse::cgroup_files::events_frozen(text)?.unwrap_or(false),
        None => false,
    };
    Ok(Freezer { own, effective })
}

#[cfg(test)]
mod tests {
    use crate::procfs::parse;

    /// The lines of `/proc/PID/cgroup`.
    fn path(text: &str) -> Option<String> {
        let cgroups = parse::cgroup::parse(text.as_bytes()).unwrap();
        cgroups.path().map(ToString::to_string)
    }

    #[test]
    fn one_control_group_whatever_is_mounted() {
        for (text, expected) in [
            ("0::/system.slice/ssh.service\n", "/system.slice/ssh.service"),
            ("0::/\n", "/"),
            // Only version 1, with systemd and without.
            (
                "4:cpu,cpuacct:/\n3:pids:/system.slice/a.service\n1:name=systemd:/system.slice/b.service\n",
                "/system.slice/b.service",
            ),
            ("4:memory:/m\n3:freezer:/f\n2:cpu,cpuacct:/c\n", "/c"),
            ("4:cpuacct:/\n3:blkio:/\n2:cpu:/\n", "/"),
            ("4:rdma:/r\n3:blkio:/b\n", "/b"),
            // Both versions, with systemd, which uses its own hierarchies, and not the controllers, for services.
            ("5:cpu:/\n4:memory:/\n1:name=systemd:/x.scope\n0::/x.scope\n", "/x.scope"),
            (
                "5:cpu:/system.slice\n1:name=systemd:/system.slice/x.service\n0::/system.slice/x.service\n",
                "/system.slice/x.service",
            ),
            // Both versions, without systemd: version 2 is not used.
            ("9:name=systemd:/\n2:cpuacct:/lxc.payload.lx1\n1:cpu:/lxc.payload.lx1\n0::/\n", "/lxc.payload.lx1"),
            ("9:name=systemd:/\n4:memory:/libpod_parent/libpod-1\n1:cpu:/\n0::/\n", "/libpod_parent/libpod-1"),
            // As seen from a descendant cgroup namespace.
            ("1:cpu:/\n0::/../other\n", "/../other"),
        ] {
            assert_eq!(path(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(path(""), None);
    }

    #[test]
    fn the_order_of_lines_does_not_matter() {
        let lines = ["7:a:/1\n", "8:b:/2\n", "6:pids:/3\n", "5:memory:/4\n", "1:name=systemd:/\n", "0::/\n"];
        let forwards = path(&lines.concat());
        let backwards: String = lines.into_iter().rev().collect();
        assert_eq!((forwards.as_deref(), path(&backwards).as_deref()), (Some("/4"), Some("/4")));
    }
}
