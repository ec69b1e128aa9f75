//! Mounts, devices and open files that lead out.

use bstr::{BStr, BString, ByteSlice as _};
use lxkns_model::CompactSort as _;
use lxkns_model::relations::{is_at_or_below, mount_at};
use lxkns_model::{
    CapabilitySet, EngineKind, Gap, Mount, NamespaceId, NamespaceType, Object, Operation, OutsideUse, OutsideUseKind,
    Pid, Place, Tid, Uid,
};

use super::devices::{Gives, gives};
use super::host::joined;
use super::{Case, Evidence, Severity};
use crate::names::{self, lossy};
use crate::text::escape::printable;
use crate::whose;

/// The kernel's own file systems, which are judged by what they show and not by where.
const OF_KERNEL: [&[u8]; 8] = [b"proc", b"sysfs", b"cgroup", b"cgroup2", b"devpts", b"mqueue", b"nsfs", b"devtmpfs"];

/// Other file systems of the kernel's that let their root change the host.
const CONTROLS: [&[u8]; 7] = [b"debugfs", b"tracefs", b"bpf", b"configfs", b"efivarfs", b"securityfs", b"binfmt_misc"];

const SYS_IS_WRITABLE: &str =
    "/proc/sys is writable: its root can set what the kernel runs on the host (kernel.core_pattern, kernel.modprobe)";
const HAS_SYSRQ: &str = "/proc/sysrq-trigger is not masked: its root can reboot or halt the host";

/// How many mounts of a kind are compared with all others: a container can make any number.
pub(super) const MOST: usize = 64;

/// What engines keep for their containers: of those below, each has what was made for it.
const ENGINES_OWN: [&str; 8] = [
    "/var/lib/docker/",
    "/var/lib/containerd/",
    "/var/lib/containers/",
    "/var/lib/kubelet/pods/",
    "/run/containerd/",
    "/run/containers/",
    "/run/docker/",
    "/run/user/",
];

/// Files of the host's that engines and people give to containers, and that say nothing secret.
const HARMLESS: [&str; 8] = [
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/ssl",
    "/etc/ca-certificates",
    "/etc/pki",
];

/// How to keep descriptors out of a container.
const CLOSE: &str = "end the process; have its parent close what it must not pass on (O_CLOEXEC)";

/// Directories that make a process that writes there root: programs, libraries and their configuration, with all that is
/// below.
const COMMANDS: [&str; 11] =
    ["/etc", "/root", "/boot", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/var/spool/cron", "/run/systemd"];

/// Directories that have others of these, or the engines' own: each by itself.
const ABOVE: [&str; 14] = [
    "/",
    "/var",
    "/var/lib",
    "/var/spool",
    "/var/run",
    "/run",
    "/home",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/kubelet",
    "/run/containerd",
    "/run/docker",
    "/dev",
];

/// How much a directory of the host's gives to who writes to it and who reads it; `None` for what is an engine's own.
pub(super) fn weight(path: &BStr) -> Option<(Severity, Severity)> {
    let is = |known: &&str| path == known.as_bytes();
    let is_in = |known: &&str| is_at_or_below(path, known.as_bytes());
    if ABOVE.iter().any(is) {
        return Some((Severity::High, Severity::Medium));
    }
    if HARMLESS.iter().any(is_in) {
        return Some((Severity::Medium, Severity::Info));
    }
    if COMMANDS.iter().any(is_in) {
        return Some((Severity::High, if is_in(&"/usr") { Severity::Info } else { Severity::Medium }));
    }
    if ENGINES_OWN.iter().any(|own| path.starts_with(own.as_bytes())) {
        return None;
    }
    let depth = path.iter().filter(|&&byte| byte == b'/').count();
    if is_in(&"/home") && depth <= 2 {
        return Some((Severity::High, Severity::Medium));
    }
    Some((Severity::Info, Severity::Info))
}

impl Case<'_, '_> {
    /// The mount namespaces that its processes are in, without the host's.
    fn mount_namespaces(&mut self) -> Vec<NamespaceId> {
        let snapshot = self.audit.context.snapshot;
        let processes = self.subject.pids.iter().filter_map(|pid| snapshot.processes.get(pid));
        let links = processes
            .flat_map(|process| process.tasks.iter().map(|task| &task.namespaces).chain([&process.namespaces]));
        let mut ids: Vec<_> = links.filter_map(|links| links.get(NamespaceType::Mnt)).collect();
        ids.compact_sort();
        ids.dedup();
        ids.retain(|id| Some(*id) != self.audit.host.mount_ns && super::host::of_host(snapshot, *id) != Some(true));
        ids
    }

    /// What is mounted for it.
    pub(super) fn judge_mounts(&mut self) {
        let snapshot = self.audit.context.snapshot;
        let ids = self.mount_namespaces();
        if !ids.is_empty() && !self.audit.host.has_mounts {
            self.unknown("files of the host that are mounted: not known, as the mounts of the host are not", None);
        }
        if !ids.is_empty() && self.audit.host.unplaced_sockets > 0 {
            let count = self.audit.host.unplaced_sockets;
            self.unknown(format!("paths of {count} of the sockets on which engines listen: not known"), None);
        }
        for id in ids {
            let Some(mounts) = snapshot.mounts.get(&id) else {
                let name = names::namespace(snapshot, id);
                self.unknown(format!("mounts of {name}: not readable"), None);
                continue;
            };
            self.judge_files(mounts);
            self.judge_layers(mounts);
            self.judge_kernel_files(mounts);
            self.judge_sockets(mounts);
            self.judge_propagation(mounts);
            self.judge_devices(id);
        }
        self.judge_device_access();
    }

    pub(super) fn of_mount(&self, mount: &Mount, more: &str) -> Evidence {
        let point = mount.path();
        let shown = point.map_or_else(|| "without a path".to_owned(), printable);
        let hidden = if mount.hidden { ", hidden by another mount" } else { "" };
        let more = if more.is_empty() { String::new() } else { format!(": {more}") };
        Evidence {
            text: format!("mount {} at {shown}{more}{hidden}", mount.id),
            path: point.map(|path| lossy(path)),
            mount_id: Some(mount.id),
            ..Evidence::default()
        }
    }

    /// Files of the host's.
    fn judge_files(&mut self, mounts: &[Mount]) {
        // What stands below one of these comes with it.
        let mut tops: Vec<&BStr> = Vec::new();
        let mut sorted: Vec<&Mount> = mounts.iter().collect();
        sorted.compact_sort_by_key(|mount| (mount.path().map_or(0, |path| path.len()), mount.id));
        for mount in sorted {
            if OF_KERNEL.contains(&&**mount.fs_type) || CONTROLS.contains(&&**mount.fs_type) {
                continue;
            }
            let Some(path) = self.audit.host.path_of(mount) else { continue };
            let Some((writing, reading)) = weight(path.as_bstr()) else { continue };
            let is_root = mount.path().is_some_and(|point| point == "/");
            let is_below = |point: &BStr| tops.iter().any(|top| is_at_or_below(point, top));
            // Its own root directory is somewhere on the host, and means nothing by itself.
            if is_root && path != "/" || mount.path().is_some_and(is_below) {
                continue;
            }
            let severity = if mount.is_writable() { writing } else { reading };
            if severity >= Severity::Medium && !is_root && tops.len() < MOST {
                tops.extend(mount.path());
            }
            let how = if mount.is_writable() { "writable" } else { "read-only" };
            let severity = match self.may_be_host_root {
                // An ordinary user of the host's has no more there than the files' modes give.
                Some(false) => severity.min(Severity::Medium),
                _ => severity,
            };
            let evidence = self.of_mount(mount, "");
            let text = format!("{} of the host is mounted, {how}", printable(&path));
            self.find("host-files", severity, text, Some(evidence), &|case| match case.engine {
                Some(EngineKind::Docker | EngineKind::Podman) => {
                    "mount only the directory that it needs, read-only where possible (`--volume HERE:THERE:ro`)"
                        .to_owned()
                }
                _ => "mount only the directory that it needs, read-only where possible".to_owned(),
            });
        }
    }

    /// The kernel's own file systems.
    fn judge_kernel_files(&mut self, mounts: &[Mount]) {
        let hosts_pids = self.is_of_host(NamespaceType::Pid);
        let mut procs = 0;
        let unmask = |case: &Self| {
            case.without(
                "--security-opt systempaths=unconfined` or `--privileged",
                "have the runtime mask and protect it",
            )
        };
        for mount in mounts {
            let Some(point) = mount.path() else { continue };
            let kind: &[u8] = &mount.fs_type;
            if kind == b"devtmpfs" && **mount.root == b"/"[..] {
                let evidence = self.of_mount(mount, "");
                let text = "all devices of the host are mounted (devtmpfs)";
                self.find("device", Severity::High, text, Some(evidence), &|_| "mount single devices only".to_owned());
            }
            if kind == b"proc" && **mount.root == b"/"[..] {
                if self.audit.host.has_file_system(mount) && hosts_pids == Some(false) {
                    let severity = if mount.is_writable() { Severity::High } else { Severity::Medium };
                    let evidence = self.of_mount(mount, "");
                    let text =
                        "/proc of the host is mounted: it sees the host's processes, and what their links lead to";
                    self.find("host-files", severity, text, Some(evidence), &|_| "do not mount it".to_owned());
                }
                procs += 1;
                if procs <= MOST {
                    self.judge_proc(mounts, point, &unmask);
                }
            }
            if self.may_be_host_root == Some(false) || !mount.is_writable() {
                continue;
            }
            let evidence = self.of_mount(mount, "");
            match kind {
                // A part of it that was mounted by itself.
                b"proc" if is_at_or_below(&mount.root, b"/sys") => {
                    self.find("kernel-files", Severity::High, SYS_IS_WRITABLE, Some(evidence), &unmask);
                }
                b"proc" if **mount.root == b"/sysrq-trigger"[..] => {
                    self.find("kernel-files", Severity::Medium, HAS_SYSRQ, Some(evidence), &unmask);
                }
                b"sysfs" if **mount.root == b"/"[..] || is_at_or_below(&mount.root, b"/kernel") => {
                    let text =
                        "/sys is writable: its root can have the kernel run a program on the host (uevent_helper)";
                    self.find("kernel-files", Severity::High, text, Some(evidence), &unmask);
                }
                b"cgroup" => {
                    let is_admin = self.host_capabilities.contains(CapabilitySet::SYS_ADMIN);
                    let severity = if is_admin { Severity::High } else { Severity::Medium };
                    let text = "control groups of version 1 are writable: release_agent runs a program on the host";
                    self.find("kernel-files", severity, text, Some(evidence), &|case| {
                        case.without("--privileged", "mount them read-only")
                    });
                }
                b"cgroup2" => {
                    let is_hosts = self.is_of_host(NamespaceType::Cgroup) == Some(true);
                    let severity = if is_hosts { Severity::Medium } else { Severity::Low };
                    let text = "control groups are writable: it can raise its own limits";
                    self.find("kernel-files", severity, text, Some(evidence), &|_| "mount them read-only".to_owned());
                }
                kind if CONTROLS.contains(&kind) => {
                    let severity = if kind == b"binfmt_misc" { Severity::High } else { Severity::Medium };
                    let text = format!("{} is mounted writable: its root controls the kernel", printable(kind));
                    self.find("kernel-files", severity, text, Some(evidence), &|_| "do not mount it".to_owned());
                }
                _ => {}
            }
        }
    }

    pub(super) fn is_of_host(&self, ns_type: NamespaceType) -> Option<bool> {
        let snapshot = self.audit.context.snapshot;
        let id = match self.subject.container {
            Some(index) => self.audit.namespaces.namespaces(index).get(ns_type),
            None => snapshot.processes.get(&self.subject.main?)?.namespaces.get(ns_type),
        };
        super::host::of_host(snapshot, id?)
    }

    /// What of a procfs can be written to.
    fn judge_proc(&mut self, mounts: &[Mount], point: &BStr, remedy: &dyn Fn(&Self) -> String) {
        if self.may_be_host_root == Some(false) {
            return;
        }
        for (name, severity, text) in
            [("sys", Severity::High, SYS_IS_WRITABLE), ("sysrq-trigger", Severity::Medium, HAS_SYSRQ)]
        {
            let has_it = self.audit.facts.and_then(|facts| facts.has_sysrq_trigger);
            if name != "sys" && has_it != Some(true) {
                // Without it there is nothing to mask.
                if has_it.is_none() && self.audit.facts.is_some() {
                    self.unknown("whether /proc/sysrq-trigger is masked: not readable", None);
                }
                continue;
            }
            let path: BString = joined(point, name.as_bytes());
            let Some(mount) = mount_at(mounts, &path) else { continue };
            if **mount.fs_type == b"proc"[..] && mount.is_writable() {
                let evidence = Evidence { path: Some(lossy(&path)), ..self.of_mount(mount, &printable(&path)) };
                self.find("kernel-files", severity, text, Some(evidence), remedy);
            }
        }
    }

    /// The sockets of engines that a path leads to.
    fn judge_sockets(&mut self, mounts: &[Mount]) {
        let Some(facts) = self.audit.facts else { return };
        for (index, file_system, in_it) in &self.audit.host.sockets {
            let Some(socket) = facts.engine_sockets.get(*index) else { continue };
            // An engine inside of it is its own.
            if self.subject.has(socket.pid) {
                continue;
            }
            let shows = |mount: &&Mount| mount.file_system == *file_system && is_at_or_below(in_it, &mount.root);
            for mount in mounts.iter().filter(shows).take(MOST) {
                let Some(point) = mount.path() else { continue };
                let rest = match **mount.root == b"/"[..] {
                    true => in_it.as_slice(),
                    false => in_it.strip_prefix(&**mount.root).unwrap_or_default(),
                };
                let path = joined(point, rest);
                let who = self.called(socket.pid);
                let is_covered = mount_at(mounts, &path).is_none_or(|visible| visible.id != mount.id);
                let covered = if is_covered && !mount.hidden { ", below another mount" } else { "" };
                let words =
                    format!("{} of process {who}, bound to {}{covered}", printable(&path), printable(&socket.bound_to));
                let evidence =
                    Evidence { path: Some(lossy(&path)), pid: Some(socket.pid.0), ..self.of_mount(mount, &words) };
                self.engine_socket(socket.uid, "is mounted", evidence);
            }
        }
    }

    fn engine_socket(&mut self, uid: Option<Uid>, how: &str, evidence: Evidence) {
        let (severity, whom) = match uid {
            Some(uid) if uid != Uid(0) => (Severity::Medium, format!("UID {uid}")),
            _ => (Severity::High, "root".to_owned()),
        };
        let text = format!("the socket of a container engine {how}: it can start containers with all rights of {whom}");
        self.find("engine-socket", severity, text, Some(evidence), &|_| {
            "do not give it the socket (a read-only mount does not help), or put a proxy in between that allows only \
            certain requests"
                .to_owned()
        });
    }

    /// Mounts that come and go on the host with those of the container.
    fn judge_propagation(&mut self, mounts: &[Mount]) {
        for mount in mounts {
            let is_peer = mount.propagation.shared.is_some_and(|group| self.audit.host.peer_groups.contains(&group));
            if !is_peer {
                continue;
            }
            let may_mount = self.host_capabilities.contains(CapabilitySet::SYS_ADMIN);
            let severity = if may_mount { Severity::High } else { Severity::Medium };
            let group = mount.propagation.shared.unwrap_or_default();
            let evidence = self.of_mount(mount, &format!("shared:{group}"));
            let text = "a mount propagates back to the host: what is mounted there is mounted on the host too";
            self.find("propagation", severity, text, Some(evidence), &|_| {
                "mount it with propagation `rslave` or `rprivate` in place of `shared` or `rshared`".to_owned()
            });
        }
    }

    /// What its processes have open, and where they stand.
    pub(super) fn judge_uses(&mut self) {
        let Some(facts) = self.audit.facts else { return self.judge_namespace_fds() };
        for &pid in &self.subject.pids {
            let from = facts.uses.partition_point(|used| used.pid < pid);
            for used in facts.uses[from..].iter().take_while(|used| used.pid == pid) {
                self.judge_use(used);
            }
        }
        self.judge_namespace_fds();
    }

    fn judge_use(&mut self, used: &OutsideUse) {
        let path = printable(&used.path);
        let (fd, how) = match used.kind {
            OutsideUseKind::Root => (None, "root directory".to_owned()),
            OutsideUseKind::WorkingDirectory => (None, "working directory".to_owned()),
            OutsideUseKind::Directory { fd }
            | OutsideUseKind::File { fd: Some(fd), .. }
            | OutsideUseKind::Device { fd: Some(fd), .. }
            | OutsideUseKind::EngineSocket { fd, .. } => (Some(fd), format!("fd {fd}")),
            OutsideUseKind::File { .. } | OutsideUseKind::Device { .. } => (None, "mapping".to_owned()),
            OutsideUseKind::Socket { fd, net } => {
                return self.judge_namespace_use(used.pid, used.tid, fd, net, Some("socket"));
            }
            OutsideUseKind::Tun { fd, net } => {
                return self.judge_namespace_use(used.pid, used.tid, fd, net, Some("TUN/TAP file"));
            }
            OutsideUseKind::InFlight { fd, .. } => {
                let what = "whether descriptors in flight lead outside";
                return self.unknown(format!("{what}: the kernel does not tell (fd {fd})"), Some(used.pid));
            }
            OutsideUseKind::IoUring { fd, .. } => {
                let what = "whether the files registered with an io_uring lead outside";
                return self.unknown(format!("{what}: the kernel does not tell (fd {fd})"), Some(used.pid));
            }
            OutsideUseKind::Process { .. } => (None, String::new()),
            _ => return self.unknown("something that is open: not known to this version", Some(used.pid)),
        };
        if let OutsideUseKind::Process { fd, process } = used.kind {
            return self.judge_pidfd(used, fd, process);
        }
        let evidence = |case: &Self, more: &str| Evidence {
            fd,
            path: Some(lossy(&used.path)),
            mount_id: used.mount_id,
            ..case.of_task(used.pid, used.tid, &format!("{how} on {path}{more}"))
        };
        let close = |_: &Self| CLOSE.to_owned();
        match used.kind {
            OutsideUseKind::File { is_writable, fd } => {
                let Some((severity, whose)) = self.weight_of_open(used, is_writable) else { return };
                // What programs have mapped by themselves: their libraries, and what they are told of languages.
                if fd.is_none() && severity < Severity::Medium {
                    return;
                }
                let evidence = evidence(self, "");
                let how = if is_writable { "written" } else { "read" };
                let kept = if fd.is_some() { "open" } else { "mapped" };
                let text = format!("a file on a mount {whose} is kept {kept}: it can be {how} from there");
                self.find("fd-file", severity, text, Some(evidence), &close);
            }
            OutsideUseKind::Device { device, is_block, .. } => {
                let evidence = evidence(self, &format!(", {device}"));
                let (severity, text) = match gives(is_block, device) {
                    _ if is_block => (
                        Severity::High,
                        "a block device is open or mapped: it reads or writes what is on it, past all file systems",
                    ),
                    Gives::Log => (Severity::Medium, "the memory or the log of the kernel is open"),
                    Gives::Host => (Severity::High, "the memory or the log of the kernel is open"),
                    Gives::DriverDecides => {
                        (Severity::Medium, "a character device of the host is open or mapped: it can use its driver")
                    }
                };
                self.find("fd-device", severity, text, Some(evidence), &close);
            }
            OutsideUseKind::EngineSocket { engine, .. } => {
                let evidence = evidence(self, &format!(" of process {}", self.called(engine)));
                let process = self.audit.context.snapshot.processes.get(&engine);
                let uid = process.and_then(|process| process.status.as_ref()).map(|status| status.uids.effective);
                self.engine_socket(uid, "is connected to", evidence);
            }
            _ => {
                let host = used.mount_id.is_some_and(|id| self.audit.host.mounts.contains_key(&id));
                let other = used.mount_id.and_then(|id| self.audit.host.elsewhere.get(&id));
                let (severity, whose) = match (host, other) {
                    (true, _) => (Severity::High, "of the host".to_owned()),
                    (_, Some(&other)) => {
                        let snapshot = self.audit.context.snapshot;
                        let name = names::namespace(snapshot, other);
                        (Severity::Medium, format!("of {name}{}", whose::of_words(snapshot, other)))
                    }
                    _ => (Severity::Medium, "in no mount namespace, which can be the host's".to_owned()),
                };
                let evidence = evidence(self, "");
                let text =
                    format!("a directory on a mount {whose} is kept open: all that is below can be reached from there");
                self.find("fd-directory", severity, text, Some(evidence), &close);
            }
        }
    }

    /// How bad it is that a file of others is open, and whose it is; `None` of what is its own or an engine's.
    fn weight_of_open(&self, used: &OutsideUse, is_writable: bool) -> Option<(Severity, String)> {
        let id = used.mount_id?;
        let path = used.path.as_bstr();
        let Some(mount) = self.audit.host.mounts.get(&id) else {
            let snapshot = self.audit.context.snapshot;
            let other = *self.audit.host.elsewhere.get(&id)?;
            let container = lxkns_model::relations::container_of_namespace(snapshot, other)?;
            let is_own = Some(container) == self.subject.container || self.is_inside(container);
            let severity = if is_writable { Severity::Medium } else { Severity::Low };
            let name = names::namespace(snapshot, other);
            return (!is_own).then(|| (severity, format!("of {name}{}", whose::of_words(snapshot, other))));
        };
        let severity = match (&**mount.fs_type, is_writable) {
            // The memory of its processes, and what the kernel is told.
            (kind, true) if [&b"proc"[..], b"sysfs"].contains(&kind) || CONTROLS.contains(&kind) => Severity::High,
            (b"cgroup" | b"cgroup2", true) => Severity::Medium,
            (b"proc", false) if path.ends_with(b"/mem") => Severity::Medium,
            (kind, false) if OF_KERNEL.contains(&kind) => Severity::Info,
            _ => weight(path).map(|(writing, reading)| if is_writable { writing } else { reading })?,
        };
        Some((severity, "of the host".to_owned()))
    }

    /// A pidfd of a process of others, which leads into all its namespaces.
    fn judge_pidfd(&mut self, used: &OutsideUse, fd: u32, process: Pid) {
        let snapshot = self.audit.context.snapshot;
        // A process that sees the host's processes can open such a descriptor at any time.
        if self.subject.has(process) || self.is_of_host(NamespaceType::Pid) == Some(true) {
            return;
        }
        let Some(target) = snapshot.processes.get(&process) else {
            return self.unknown("whose process an open pidfd stands for: not known", Some(used.pid));
        };
        let links = &target.living_task().namespaces;
        let is_of_host = |(ns_type, id): (NamespaceType, NamespaceId)| {
            super::host::of_host(snapshot, id) == Some(true) && self.is_of_host(ns_type) != Some(true)
        };
        let container = snapshot.annotations.containers.as_ref().and_then(|it| it.members.get(&process).copied());
        let (severity, whose) = match container {
            Some(other) if Some(other) == self.subject.container || self.is_inside(other) => return,
            Some(_) => (Severity::Medium, whose::in_words(snapshot, process)),
            None if links.iter().any(is_of_host) => (Severity::High, " of the host".to_owned()),
            None => return,
        };
        let called = self.called(process);
        let words = format!("fd {fd}, a pidfd of {called}");
        let evidence = Evidence { fd: Some(fd), ..self.of_task(used.pid, used.tid, &words) };
        let text = format!("a process{whose} is kept open: setns(2) and pidfd_getfd(2) lead to what it has");
        self.find("fd-process", severity, text, Some(evidence), &|_| CLOSE.to_owned());
    }

    /// Descriptors on namespaces of others.
    fn judge_namespace_fds(&mut self) {
        for &pid in &self.subject.pids {
            for &(id, tid, fd) in self.audit.namespace_fds.get(&pid).into_iter().flatten() {
                self.judge_namespace_use(pid, tid, fd, id, None);
            }
        }
    }

    /// A descriptor that leads into a namespace of others: by `setns`, or as a socket, which stays where it was made.
    fn judge_namespace_use(&mut self, pid: Pid, tid: Tid, fd: u32, id: NamespaceId, file: Option<&str>) {
        let snapshot = self.audit.context.snapshot;
        let Some(namespace) = snapshot.namespaces.get(&id) else {
            if let Some(file) = file {
                self.unknown(format!("whose network namespace a {file} is in: not known"), Some(pid));
            }
            return;
        };
        let container = lxkns_model::relations::container_of_namespace(snapshot, id);
        let own = self.subject.container;
        let (severity, whose) = match super::host::of_host(snapshot, id) {
            Some(true) if self.is_of_host(namespace.ns_type) == Some(true) => return,
            Some(true) if file.is_some() => (Severity::Medium, "of the host".to_owned()),
            Some(true) => (Severity::High, "of the host".to_owned()),
            _ => match container {
                Some(other) if own.is_some() && Some(other) != own && !self.is_inside(other) => {
                    (Severity::Medium, whose::of_words(snapshot, id).trim_start().to_owned())
                }
                _ => return,
            },
        };
        let name = names::namespace(snapshot, id);
        let words = match file {
            Some(file) => format!("fd {fd}, a {file} in {name}"),
            None => format!("fd {fd} on {name}"),
        };
        let evidence = Evidence { fd: Some(fd), nsid: Some(id.ino), ..self.of_task(pid, tid, &words) };
        let text = match file {
            Some(file) => {
                format!("a {file} in a network namespace {whose} is kept open: it can send and receive there")
            }
            None => format!("a namespace {whose} is kept open: setns(2) leads there"),
        };
        self.find("fd-namespace", severity, text, Some(evidence), &|_| CLOSE.to_owned());
    }

    /// What could not be read of its processes, of its mounts and of engines.
    pub(super) fn judge_gaps(&mut self) {
        let (gaps, subject) = (&self.audit.gaps, self.subject);
        for &pid in subject.pids.iter().chain(&subject.entered) {
            for gap in gaps.of_processes.get(&pid).into_iter().flatten() {
                let what = match gap.place {
                    Place::ProcessFacts => "credentials and labels",
                    Place::Fds | Place::TaskFds => "what is open",
                    Place::Sockets => "to whom its sockets lead",
                    Place::Tasks => "its tasks",
                    Place::Processes => "its namespaces, root and working directory",
                    // Control groups say what is in it, and that is known.
                    _ => continue,
                };
                self.unknown(format!("{what}: {}", reason(gap)), Some(pid));
            }
        }
        for id in self.mount_namespaces() {
            for gap in gaps.of_namespaces.get(&id).into_iter().flatten() {
                if !matches!(gap.operation, Operation::List(_)) {
                    let name = names::namespace(self.audit.context.snapshot, id);
                    self.unknown(format!("mounts of {name}: {}", reason(gap)), None);
                    continue;
                }
                let mounts = self.audit.context.snapshot.mounts.get(&id).into_iter().flatten();
                let at = mounts.into_iter().find(|mount| gap.object == Object::Mount(id, mount.id));
                let at = at.and_then(|mount| mount.path()).map_or_else(|| "/dev".to_owned(), printable);
                self.unknown(format!("devices at {at}: {}", reason(gap)), None);
            }
        }
        let of_host = self.audit.host.mount_ns.and_then(|id| gaps.of_namespaces.get(&id));
        for gap in of_host.into_iter().flatten().filter(|_| !subject.pids.is_empty()) {
            self.unknown(format!("which mounts are of the host: {}", reason(gap)), None);
        }
        for gap in gaps.of_engines.iter().filter(|_| !subject.pids.is_empty()) {
            self.unknown(format!("the sockets on which engines listen: {}", reason(gap)), None);
        }
    }
}

/// Why something is not known.
fn reason(gap: &Gap) -> String {
    match gap.errno {
        Some(errno) => format!("{} ({errno})", gap.cause),
        None => gap.cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_directories_of_the_host_give() {
        use Severity::{High, Info, Medium};
        let weight = |path: &str| weight(BStr::new(path));
        for (path, expected) in [
            ("/", Some((High, Medium))),
            ("/etc", Some((High, Medium))),
            ("/etc/cron.d", Some((High, Medium))),
            ("/etc/hosts", Some((Medium, Info))),
            ("/etcetera", Some((Info, Info))),
            ("/usr/share/zoneinfo", Some((High, Info))),
            ("/home/jo", Some((High, Medium))),
            ("/home/jo/src/web", Some((Info, Info))),
            ("/srv/data", Some((Info, Info))),
            ("/var/lib/docker", Some((High, Medium))),
            ("/var/lib/docker/volumes/x/_data", None),
            ("/run/containers/storage/overlay-containers/1/userdata/hosts", None),
        ] {
            assert_eq!(weight(path), expected, "{path}");
        }
    }
}
