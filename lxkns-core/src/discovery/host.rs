//! Facts about the host.

use bstr::ByteSlice as _;

use crate::model::{DiscoveryOptions, Host};
use crate::procfs::{ProcRoot, parse};
use crate::relations::is_at_or_below;

const CPUS_ONLINE: &str = "/sys/devices/system/cpu/online";
const CPUS_POSSIBLE: &str = "/sys/devices/system/cpu/possible";

/// Whether every CPU that the kernel can ever have is online. Only then `sched_getaffinity`, which leaves out the others,
/// says the same as `Cpus_allowed_list`.
pub(super) fn has_all_cpus(proc: &ProcRoot) -> bool {
    let online = read_of_sysfs(proc, CPUS_ONLINE);
    online.is_some() && online == read_of_sysfs(proc, CPUS_POSSIBLE)
}

/// About how many tasks the host has.
pub(super) fn tasks(proc: &ProcRoot) -> u64 {
    // The kernel counts tasks in 16 bits here, and processes among the links of the procfs.
    #[expect(clippy::useless_conversion, reason = "the type of st_nlink differs between architectures")]
    let processes = rustix::fs::fstat(proc).map_or(0, |stat| u64::from(stat.st_nlink));
    processes.max(rustix::system::sysinfo().procs.into())
}

/// Reads a file of sysfs; `None` if it is not readable, or another file system is mounted there: lxcfs in containers
/// has other contents, and its server can be dead.
pub(crate) fn read_of_sysfs(proc: &ProcRoot, path: &str) -> Option<Vec<u8>> {
    read_of(proc, path, b"sysfs")
}

/// Whether the kernel gives no program what reads its memory.
pub(crate) fn is_locked_down(proc: &ProcRoot) -> bool {
    let levels = read_of(proc, "/sys/kernel/security/lockdown", b"securityfs");
    levels.is_some_and(|levels| levels.find(b"[confidentiality]").is_some())
}

/// Reads a file below a mount point with this type of file system.
fn read_of(proc: &ProcRoot, path: &str, fs_type: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = Vec::new();
    let text = proc.dir().read("thread-self/mountinfo", &mut buffer).ok()?;
    let mut at = None;
    for mount in parse::mountinfo::parse(text) {
        let mount = mount.ok()?;
        let point = mount.mount_point();
        let is_above = is_at_or_below(path.as_bytes(), point.as_ref());
        // Of several mounts at one point, the last one is visible.
        if is_above && at.as_ref().is_none_or(|&(length, _)| length <= point.as_ref().len()) {
            at = Some((point.as_ref().len(), mount.raw_fs_type == fs_type));
        }
    }
    at.is_some_and(|(_, is_it)| is_it).then(|| std::fs::read(path).ok()).flatten()
}

pub(super) fn host(proc: &ProcRoot, options: &DiscoveryOptions) -> Host {
    let uname = rustix::system::uname();
    let mut buffer = Vec::new();
    let boot_id = proc.read_own("sys/kernel/random/boot_id", &mut buffer).ok();
    let cpus_online = options.scheduling.then(|| read_of_sysfs(proc, CPUS_ONLINE)).flatten();
    Host {
        kernel_release: uname.release().to_string_lossy().into_owned(),
        boot_id: boot_id.map(|text| String::from_utf8_lossy(text).trim_end().to_owned()),
        hostname: uname.nodename().to_string_lossy().into_owned(),
        cpus_online: cpus_online.and_then(|text| parse::cpulist::parse(text.trim_ascii_end()).ok()),
    }
}
