//! The limits of containers' control groups: of each the least on the way to the top, as the kernel enforces it.

use std::collections::HashMap;

use bstr::BString;
use rustix::io::Errno;

use crate::cgroups::{CgroupHierarchies, Mounted, gap, has_option};
use crate::failure::Failure;
use crate::model::{Cause, CgroupLimit, CgroupLimits, Cgroups, Gap, Object, Operation, Snapshot};
use crate::procfs::parse::cgroup_files::{self, Bound};
use crate::procfs::parse::cpulist;
use crate::procfs::{ProcDir, ProcRoot};

/// The files that limit, by controller: of version 2, and of version 1, which lacks some.
const FILES: [(&str, CgroupLimit, &str, &str); 5] = [
    ("memory", CgroupLimit::MemoryBytes, "memory.max", "memory.limit_in_bytes"),
    ("memory", CgroupLimit::MemoryHighBytes, "memory.high", ""),
    ("memory", CgroupLimit::SwapBytes, "memory.swap.max", ""),
    ("cpu", CgroupLimit::CpuUsecPerSecond, "cpu.max", "cpu.cfs_quota_us"),
    ("pids", CgroupLimit::TasksMax, "pids.max", "pids.max"),
];
const CPU: usize = 3;
const PIDS: usize = 4;

/// More than any of these files has, but a list of CPUs of the largest machines.
const ROOM: usize = 4096;

/// Adds the limits of the containers of a snapshot that have a process, with gaps for what could not be read. Each control
/// group is read once.
///
/// # Privileges
///
/// None, where the hierarchies of control groups are mounted for the caller.
///
/// # Minimum kernel version
///
/// Any.
pub fn add_container_limits(proc: &ProcRoot, snapshot: &mut Snapshot) {
    let Some(containers) = &mut snapshot.annotations.containers else { return };
    let processes = &snapshot.processes;
    let mut reader = None;
    for container in &mut containers.list {
        let process = container.main.as_ref().and_then(|main| processes.get(&main.value));
        let Some(cgroups) = process.and_then(|process| process.living_task().cgroups.as_ref()) else { continue };
        let reader = reader.get_or_insert_with(|| LimitReader::new(proc));
        container.limits = reader.of(cgroups);
    }
    snapshot.gaps.extend(reader.into_iter().flat_map(|reader| reader.gaps));
}

struct LimitReader {
    hierarchies: CgroupHierarchies,
    known: HashMap<(usize, BString), Level>,
    gaps: Vec<Gap>,
}

/// What holds in a control group.
#[derive(Clone, Debug, Default)]
struct Level {
    /// As [`FILES`]: the least of it and of those above.
    bounds: [Option<Bound>; FILES.len()],
    weight: Option<u64>,
    cpus: Option<String>,
}

impl LimitReader {
    fn new(proc: &ProcRoot) -> Self {
        // Where one could not be opened, the scan itself has said so.
        let (hierarchies, _) = CgroupHierarchies::of_the_host(proc);
        Self { hierarchies, known: HashMap::new(), gaps: Vec::new() }
    }

    /// The limits of these control groups; `None` where they are gone.
    fn of(&mut self, cgroups: &Cgroups) -> Option<CgroupLimits> {
        let [memory, cpu, pids, cpuset] = ["memory", "cpu", "pids", "cpuset"].map(|controller| {
            let of_v1 = cgroups.of_v1_controller(controller);
            let is_its = |mounted: &Mounted| match &mounted.options {
                Some(options) => of_v1.is_some() && has_option(options, controller.as_bytes()),
                None => of_v1.is_none(),
            };
            let path = of_v1.or_else(|| cgroups.unified())?;
            // Of a hierarchy that is not mounted here nothing is known.
            let Some(at) = self.hierarchies.mounted.iter().position(is_its) else { return Some(Level::default()) };
            self.level(at, path)
        });
        let (memory, cpu, pids, cpuset) = (memory?, cpu?, pids?, cpuset?);
        let bounds = [memory.bounds[0], memory.bounds[1], memory.bounds[2], cpu.bounds[CPU], pids.bounds[PIDS]];
        let names = FILES.iter().map(|(_, limit, ..)| *limit).zip(bounds);
        let unlimited = names.filter(|(_, bound)| *bound == Some(Bound::Unlimited)).map(|(limit, _)| limit).collect();
        let [memory_bytes, memory_high_bytes, swap_bytes, cpu_usec_per_second, tasks_max] =
            bounds.map(|bound| if let Some(Bound::At(amount)) = bound { Some(amount) } else { None });
        Some(CgroupLimits {
            memory_bytes,
            memory_high_bytes,
            swap_bytes,
            cpu_usec_per_second,
            cpu_weight: cpu.weight,
            cpus: cpuset.cpus,
            tasks_max,
            unlimited,
        })
    }

    /// What holds in the control group with this path in the hierarchy that is mounted there; `None`: it is gone.
    fn level(&mut self, at: usize, path: &BString) -> Option<Level> {
        let mut so_far = Level::default();
        let mut end = 0;
        // From the top down.
        while end < path.len() {
            let next = path[end + 1..].iter().position(|&byte| byte == b'/').map(|next| end + 1 + next);
            end = if end == 0 { 1 } else { next.unwrap_or(path.len()) };
            let key = (at, BString::from(&path[..end]));
            if let Some(level) = self.known.get(&key) {
                so_far = level.clone();
                continue;
            }
            let mounted = &self.hierarchies.mounted[at];
            let opened = mounted.open(&key.1).map_err(Failure::from);
            let read = opened.and_then(|group| match group {
                Some(group) => so_far.below(&group, mounted.options.as_ref(), end == 1),
                None if end == path.len() => Err(Failure::because(Cause::NoPath)),
                // What is above what is mounted here can limit as well.
                None => Ok(Level::default()),
            });
            so_far = match read {
                Ok(level) => level,
                Err(failure) if failure.is_gone() || failure.is_any(&[Errno::NODEV]) => return None,
                Err(failure) => {
                    self.gaps.extend(gap(Object::Path(key.1.clone()), Operation::read("the limits"), failure));
                    Level::default()
                }
            };
            self.known.insert(key, so_far.clone());
        }
        Some(so_far)
    }
}

impl Level {
    /// What holds in a control group below one where this holds; `options` are those of version 1.
    fn below(&self, group: &ProcDir, options: Option<&BString>, is_first: bool) -> Result<Self, Failure> {
        let mut level = Self { weight: None, ..self.clone() };
        let mut buffer = Vec::new();
        let mut read = |file: &str| match group.read_start(file, &mut buffer, ROOM) {
            Ok(text) => Ok(Some(text.trim_ascii().to_vec())),
            // Without the controller there, or at the top, which limits nothing.
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Failure::from(errno)),
        };
        // The first can be that of a namespace, with others above that limit too.
        let is_top = is_first
            && match options {
                Some(_) => read("release_agent")?.is_some(),
                None => read("cgroup.type")?.is_none(),
            };
        if is_top {
            level.bounds = [Some(Bound::Unlimited); FILES.len()];
        }
        for (bound, (controller, _, v2_file, v1_file)) in level.bounds.iter_mut().zip(FILES) {
            let file = match options {
                None => v2_file,
                Some(options) if has_option(options, controller.as_bytes()) => v1_file,
                Some(_) => "",
            };
            if file.is_empty() {
                *bound = None;
                continue;
            }
            let Some(text) = read(file)? else { continue };
            let period = if file == "cpu.cfs_quota_us" { read("cpu.cfs_period_us")? } else { None };
            let own = cgroup_files::bound(&text, period.as_deref())?;
            *bound = match (*bound, own) {
                // What limits above is not seen, but it gives no more.
                (None, Bound::At(_)) => Some(own),
                (above, _) => above.map(|above| above.min(own)),
            };
        }
        let text = |text: Vec<u8>| String::from_utf8(text).ok();
        if options.is_none() {
            level.weight = read("cpu.weight")?.and_then(text).and_then(|text| text.parse().ok());
        }
        let cpus = read(if options.is_some() { "cpuset.effective_cpus" } else { "cpuset.cpus.effective" })?;
        if let Some(cpus) = cpus {
            cpulist::parse(&cpus)?;
            level.cpus = text(cpus);
        }
        Ok(level)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::CWD;

    use super::*;

    /// What holds in a directory with these files, below what holds above it.
    fn level(above: &Level, files: &[(&str, &str)], options: Option<&str>, is_first: bool) -> Level {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let group = ProcDir::open(CWD, dir.path()).unwrap();
        above.below(&group, options.map(BString::from).as_ref(), is_first).unwrap()
    }

    #[test]
    fn of_version_2() {
        let (at, any) = (|number| Some(Bound::At(number)), Some(Bound::Unlimited));
        let top = level(&Level::default(), &[("cpuset.cpus.effective", "0-3\n")], None, true);
        assert_eq!((top.bounds, top.cpus.as_deref()), ([any; 5], Some("0-3")));
        let files = [
            ("cgroup.type", "domain\n"),
            ("memory.max", "67108864\n"),
            ("memory.high", "max\n"),
            ("cpu.max", "50000 100000\n"),
            ("cpu.weight", "50\n"),
            ("pids.max", "max\n"),
        ];
        let slice = level(&top, &files, None, false);
        assert_eq!(slice.bounds, [at(67_108_864), any, any, at(500_000), any]);
        let less = [("memory.max", "1048576\n"), ("cpu.max", "max 100000\n"), ("cpuset.cpus.effective", "1\n")];
        let inner = level(&slice, &less, None, false);
        assert_eq!(inner.bounds, [at(1_048_576), any, any, at(500_000), any]);
        assert_eq!((inner.cpus.as_deref(), slice.weight, inner.weight), (Some("1"), Some(50), None));
        // Below the first group that a cgroup namespace shows, what limits above is not seen.
        let of_namespace = level(&Level::default(), &files, None, true);
        assert_eq!(of_namespace.bounds, [at(67_108_864), None, None, at(500_000), None]);
    }

    #[test]
    fn of_version_1() {
        let files = [("release_agent", "\n"), ("memory.limit_in_bytes", "9223372036854771712\n")];
        let top = level(&Level::default(), &files, Some("rw,memory"), true);
        let inner = level(&top, &[("memory.limit_in_bytes", "1048576\n")], Some("rw,memory"), false);
        let memory = |level: &Level| [level.bounds[0], level.bounds[1], level.bounds[FILES.len() - 1]];
        assert_eq!(memory(&top), [Some(Bound::Unlimited), None, None]);
        assert_eq!(memory(&inner), [Some(Bound::At(1_048_576)), None, None]);
        let cpu = [("cpu.cfs_quota_us", "25000\n"), ("cpu.cfs_period_us", "100000\n")];
        assert_eq!(level(&Level::default(), &cpu, Some("rw,cpu,cpuacct"), true).bounds[CPU], Some(Bound::At(250_000)));
    }
}
