//! Figures of the service's own processes, and limits of the host: read when they are asked for, not by a scan.

use lxkns_core::ProcRoot;
use lxkns_core::model::NamespaceType;
use rustix::process::getppid;

use crate::exposition::{Family, Kind};
use crate::role;

/// What the three processes take. What cannot be read is left out.
pub(crate) fn processes(proc: &ProcRoot) -> Vec<Family> {
    let mut seconds =
        Family::new(Kind::Counter, "lxkns_process_cpu_seconds", "Processor time of the service's processes");
    let help = "Resident memory of the service's processes";
    let mut resident = Family::new(Kind::Gauge, "lxkns_process_resident_memory_bytes", help);
    let mut open = Family::new(Kind::Gauge, "lxkns_process_open_fds", "Open descriptors of the service's processes");
    let help = "Threads of the service's processes";
    let mut threads = Family::new(Kind::Gauge, "lxkns_process_threads", help);
    let help = "When the service's processes were started: a new time is that of another process";
    let mut started = Family::new(Kind::Gauge, "lxkns_process_start_time_seconds", help);
    let booted = proc.read("stat").ok().and_then(|text| booted(&text));
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    for (name, pid) in pids(proc) {
        let usage = proc.read(&format!("{pid}/stat")).ok().and_then(|text| Usage::of_stat(&text));
        let Some(usage) = usage else { continue };
        let labels = [("process", name)];
        seconds.push("", &labels, usage.ticks as f64 / per_second);
        resident.push("", &labels, usage.pages as f64 * rustix::param::page_size() as f64);
        threads.push("", &labels, usage.threads as f64);
        // Without capabilities, those of an undumpable process cannot be listed.
        if let Ok(fds) = proc.numbers(&format!("{pid}/fd")) {
            open.push("", &labels, fds.len() as f64);
        }
        if let (Some(booted), ticks) = (booted, usage.start_ticks as f64) {
            started.push("", &labels, booted as f64 + ticks / per_second);
        }
    }
    vec![seconds, resident, threads, open, started]
}

/// How many namespaces of each type a user may have made, in the service's user namespace.
pub(crate) fn limits(proc: &ProcRoot) -> Family {
    let help = "Namespaces of each type that a user may create in the service's user namespace";
    let mut most = Family::new(Kind::Gauge, "lxkns_namespaces_max", help);
    for ns_type in NamespaceType::ALL {
        let limit = proc.read(&format!("sys/user/max_{ns_type}_namespaces")).ok();
        if let Some(limit) = limit.and_then(|text| std::str::from_utf8(&text).ok()?.trim().parse().ok()) {
            most.push("", &[("type", ns_type.name())], limit);
        }
    }
    most
}

/// The service's processes: this one, its parent and that one's other children, by the argument that tells what each does.
fn pids(proc: &ProcRoot) -> Vec<(&'static str, i32)> {
    let Some(parent) = getppid().map(|pid| pid.as_raw_nonzero().get()) else { return Vec::new() };
    let children = proc.read(&format!("{parent}/task/{parent}/children")).unwrap_or_default();
    let children = String::from_utf8_lossy(&children);
    let mut pids = vec![("supervisor", parent)];
    for pid in children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()) {
        let line = proc.read(&format!("{pid}/cmdline")).unwrap_or_default();
        let word = line.split(|&byte| byte == 0).nth(1).unwrap_or_default();
        pids.extend(
            [role::READER, role::FRONT].into_iter().find(|role| role.as_bytes() == word).map(|role| (role, pid)),
        );
    }
    pids
}

#[derive(Debug, PartialEq, Eq)]
struct Usage {
    ticks: u64,
    threads: u64,
    pages: u64,
    /// Since boot.
    start_ticks: u64,
}

/// When the kernel was started, from `/proc/stat`, in seconds since 1970.
fn booted(text: &[u8]) -> Option<u64> {
    let lines = text.split(|&byte| byte == b'\n');
    let seconds = lines.filter_map(|line| line.strip_prefix(b"btime ")).next()?;
    std::str::from_utf8(seconds).ok()?.trim().parse().ok()
}

impl Usage {
    /// From `/proc/PID/stat`: what is behind the name, which can have any byte but a last parenthesis.
    fn of_stat(text: &[u8]) -> Option<Self> {
        let rest = std::str::from_utf8(&text[text.iter().rposition(|&byte| byte == b')')? + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let ticks = number(11)?.checked_add(number(12)?)?;
        Some(Self { ticks, threads: number(17)?, pages: number(21)?, start_ticks: number(19)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_behind_the_name() {
        let text =
            b"12 (a) b) S 1 12 12 0 -1 4194560 100 0 0 0 25 17 0 0 20 0 4 0 5000 10000000 321 18446744073709551615";
        assert_eq!(Usage::of_stat(text), Some(Usage { ticks: 42, threads: 4, pages: 321, start_ticks: 5000 }));
        assert_eq!(Usage::of_stat(b"12 (a) S 1"), None);
        assert_eq!(Usage::of_stat(b""), None);
    }

    #[test]
    fn the_kernel_says_when_it_was_started() {
        assert_eq!(booted(b"cpu  1 2\nbtime 1700000000\nprocesses 5\n"), Some(1_700_000_000));
        assert_eq!(booted(b"cpu  1 2\n"), None);
        assert!(booted(&ProcRoot::host().unwrap().read("stat").unwrap()).is_some_and(|booted| booted > 0));
    }

    #[test]
    fn this_host_has_limits() {
        let limits = limits(&ProcRoot::host().unwrap());
        let is_net = |sample: &crate::exposition::Sample| sample.labels[0].1 == "net";
        assert!(limits.samples.iter().any(is_net), "{limits:?}");
    }
}
