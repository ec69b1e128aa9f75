//! Facts about the host.

use crate::model::{DiscoveryOptions, Host};
use crate::procfs::{ProcRoot, parse};

const CPUS_ONLINE: &str = "/sys/devices/system/cpu/online";
const CPUS_POSSIBLE: &str = "/sys/devices/system/cpu/possible";

/// Whether every CPU that the kernel can ever have is online. Only then `sched_getaffinity`, which leaves out the others,
/// says the same as `Cpus_allowed_list`.
pub(super) fn has_all_cpus() -> bool {
    let online = std::fs::read(CPUS_ONLINE).ok();
    online.is_some() && online == std::fs::read(CPUS_POSSIBLE).ok()
}

pub(super) fn host(proc: &ProcRoot, options: &DiscoveryOptions) -> Host {
    let uname = rustix::system::uname();
    let mut buffer = Vec::new();
    let boot_id = proc.dir().read("sys/kernel/random/boot_id", &mut buffer).ok();
    let cpus_online = options.scheduling.then(|| std::fs::read(CPUS_ONLINE).ok()).flatten();
    Host {
        kernel_release: uname.release().to_string_lossy().into_owned(),
        boot_id: boot_id.map(|text| String::from_utf8_lossy(text).trim_end().to_owned()),
        hostname: uname.nodename().to_string_lossy().into_owned(),
        cpus_online: cpus_online.and_then(|text| parse::cpulist::parse(text.trim_ascii_end()).ok()),
    }
}
