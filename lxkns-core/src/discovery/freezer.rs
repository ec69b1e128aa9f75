//! The freezer: cgroup v1's controller and cgroup v2's own, on hybrid hosts both.

use std::collections::HashMap;
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::named;
use super::search::Search;
use crate::model::{Cgroups, Freezer, Gap, Object, Place, Snapshot};
use crate::procfs::parse;
use crate::procfs::parse::cgroup_files::FreezerState;
use crate::procfs::{ProcDir, ProcRoot};

/// Reads the freezer state of each control group that a task is in, once.
pub(super) fn all(search: &Search<'_>, snapshot: &mut Snapshot) {
    if !search.options.freezer {
        return;
    }
    let (hierarchies, mut gaps) = Hierarchies::of_the_caller(search.proc);
    let mut known: HashMap<Arc<Cgroups>, Option<Freezer>> = HashMap::new();
    for task in snapshot.processes.values_mut().flat_map(|process| &mut process.tasks) {
        let Some(cgroups) = &task.cgroups else { continue };
        task.freezer = match known.get(cgroups) {
            Some(freezer) => *freezer,
            None => {
                let freezer = hierarchies.freezer(cgroups, &mut gaps);
                known.insert(Arc::clone(cgroups), freezer);
                freezer
            }
        };
    }
    snapshot.gaps.append(&mut gaps);
}

/// Where the caller has the hierarchies mounted that can freeze.
#[derive(Default)]
struct Hierarchies {
    v1: Option<Mounted>,
    v2: Option<Mounted>,
}

struct Mounted {
    dir: ProcDir,
    /// What of the hierarchy is mounted: `/` unless the caller sees only a part of it.
    root: Vec<u8>,
}

impl Hierarchies {
    fn of_the_caller(proc: &ProcRoot) -> (Self, Vec<Gap>) {
        let mut hierarchies = Self::default();
        let mut gaps = Vec::new();
        let mut buffer = Vec::new();
        let text = match proc.dir().read("thread-self/mountinfo", &mut buffer) {
            Ok(text) => text,
            Err(errno) => {
                gaps.extend(named::gap(Place::Cgroups, Object::Host, "read mountinfo", errno));
                return (hierarchies, gaps);
            }
        };
        for info in parse::mountinfo::parse(text).flatten() {
            let slot = match info.raw_fs_type {
                b"cgroup2" => &mut hierarchies.v2,
                b"cgroup" if info.super_options.split(|&byte| byte == b',').any(|option| option == b"freezer") => {
                    &mut hierarchies.v1
                }
                _ => continue,
            };
            if slot.is_some() {
                continue;
            }
            match ProcDir::open(CWD, info.mount_point().as_ref()) {
                Ok(dir) => *slot = Some(Mounted { dir, root: info.root().to_vec() }),
                Err(errno) => {
                    let path = Object::Path(info.mount_point().as_ref().into());
                    gaps.extend(named::gap(Place::Cgroups, path, "open", errno));
                }
            }
        }
        (hierarchies, gaps)
    }

    /// Whether tasks in these control groups are frozen, as far as that can be said.
    fn freezer(&self, cgroups: &Cgroups, gaps: &mut Vec<Gap>) -> Option<Freezer> {
        let v1 = self.v1.as_ref().zip(cgroups.of_v1_controller("freezer"));
        let v2 = self.v2.as_ref().zip(cgroups.unified());
        let mut freezer: Option<Freezer> = None;
        for (read, mounted) in [(v1_state as Read, v1), (v2_state as Read, v2)] {
            let Some((mounted, path)) = mounted else { continue };
            match mounted.open(path).and_then(|group| read(&group)) {
                Ok(state) => {
                    let so_far = freezer.get_or_insert(Freezer { own: false, effective: false });
                    so_far.own |= state.own;
                    so_far.effective |= state.effective;
                }
                Err(errno) => {
                    gaps.extend(named::gap(
                        Place::Cgroups,
                        Object::Path(path.clone()),
                        "read the freezer state",
                        errno,
                    ));
                }
            }
        }
        freezer
    }
}

type Read = fn(&ProcDir) -> Result<Freezer, Errno>;

impl Mounted {
    /// Opens a control group by its path in the hierarchy.
    fn open(&self, path: &[u8]) -> Result<ProcDir, Errno> {
        let below = match self.root.as_slice() {
            b"/" => path,
            root => path.strip_prefix(root).ok_or(Errno::NOENT)?,
        };
        let relative = below.strip_prefix(b"/").unwrap_or(below);
        if relative.split(|&byte| byte == b'/').any(|name| name == b"..") {
            // Outside the caller's cgroup namespace.
            return Err(Errno::NOENT);
        }
        let relative = if relative.is_empty() { b"." } else { relative };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat2(&self.dir, relative, flags, Mode::empty(), resolve) {
            Ok(fd) => Ok(ProcDir::from(fd)),
            // Before 5.6, or denied by a filter that does not know it.
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => ProcDir::open(&self.dir, relative),
            Err(errno) => Err(errno),
        }
    }
}

/// A file that the root of a hierarchy does not have: it cannot be frozen.
fn unless_root(read: Result<&[u8], Errno>) -> Result<Option<&[u8]>, Errno> {
    match read {
        Ok(text) => Ok(Some(text)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn v1_state(group: &ProcDir) -> Result<Freezer, Errno> {
    let mut buffer = Vec::new();
    let own = match unless_root(group.read("freezer.self_freezing", &mut buffer))? {
        Some(text) => parse::cgroup_files::flag(text).map_err(|_| Errno::BADMSG)?,
        None => false,
    };
    let effective = match unless_root(group.read("freezer.state", &mut buffer))? {
        Some(text) => parse::cgroup_files::freezer_state(text).map_err(|_| Errno::BADMSG)? == FreezerState::Frozen,
        None => false,
    };
    Ok(Freezer { own, effective })
}

fn v2_state(group: &ProcDir) -> Result<Freezer, Errno> {
    let mut buffer = Vec::new();
    let own = match unless_root(group.read("cgroup.freeze", &mut buffer))? {
        Some(text) => parse::cgroup_files::flag(text).map_err(|_| Errno::BADMSG)?,
        None => false,
    };
    let effective = match unless_root(group.read("cgroup.events", &mut buffer))? {
        Some(text) => parse::cgroup_files::events_frozen(text).map_err(|_| Errno::BADMSG)?.unwrap_or(false),
        None => false,
    };
    Ok(Freezer { own, effective })
}
