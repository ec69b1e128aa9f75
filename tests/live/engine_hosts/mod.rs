//! Engines of containers, started from their own packages, each test's on a host of its own; and what lxkns says of their
//! containers beside what they say.

mod api;
mod audit;
mod booted;
mod containerd;
mod cri;
mod docker;
mod forged;
mod guides;
mod host;
mod image;
mod lxc;
mod own_host;
mod podman;
mod rootless;
mod seen;
mod service;
mod systemd;
mod user;

use std::fs;

use super::{directory, inode};
use crate::harness::Need::{self, File, FileSystem, Image, Program, RealProcessor, Root};
use crate::harness::{Test, test};

/// What a host of one's own takes, with an image; and what else.
macro_rules! needs {
    ($($need:expr),* $(,)?) => {
        &[
            Root,
            RealProcessor,
            FileSystem("overlay"),
            FileSystem("tmpfs"),
            Program("unshare"),
            Program("ip"),
            Program("tar"),
            Program("sha256sum"),
            Program("busybox"),
            $($need),*
        ]
    };
}

/// The same on a host that systemd boots.
macro_rules! systemd_and {
    ($($need:expr),* $(,)?) => {
        needs![File("/lib/systemd/systemd"), Program("dbus-daemon"), Program("nsenter"), $($need),*]
    };
}

pub(super) fn tests() -> Vec<Test> {
    const BARE: &[Need] = needs![];
    const DOCKER: &[Need] = needs![Program("dockerd"), Program("docker"), Program("runc"), Program("iptables")];
    const DOCKER_USER: &[Need] =
        needs![Program("dockerd"), Program("docker"), Program("runc"), Program("iptables"), Program("setpriv")];
    const API: &[Need] = needs![Program("setpriv"), File("/bin/busybox")];
    const CONTAINERD: &[Need] = needs![Program("containerd"), Program("ctr"), Program("runc")];
    const CRI: &[Need] = needs![
        Program("containerd"),
        Program("ctr"),
        Program("runc"),
        File("/usr/lib/cni/bridge"),
        Program("iptables")
    ];
    const PODMAN: &[Need] = needs![
        Program("podman"),
        Program("conmon"),
        Program("crun"),
        File("/usr/lib/podman/netavark"),
        Program("iptables"),
    ];
    const PODMAN_RUNC: &[Need] = needs![
        Program("podman"),
        Program("conmon"),
        Program("runc"),
        File("/usr/lib/podman/netavark"),
        Program("iptables"),
    ];
    const ROOTLESS: &[Need] = needs![
        Program("podman"),
        Program("conmon"),
        Program("crun"),
        Program("newuidmap"),
        Program("slirp4netns"),
        Program("setpriv"),
        File("/usr/lib/podman/netavark"),
    ];
    const LXC: &[Need] = needs![Program("lxc-start"), Program("lxc-info"), Program("lxc-freeze")];
    const NSPAWN: &[Need] = needs![Program("systemd-nspawn")];
    const RUNC: &[Need] = needs![Program("runc")];
    const CRUN: &[Need] = needs![Program("crun")];
    const ROOTLESS_DOCKER: &[Need] = needs![
        Program("dockerd"),
        Program("docker"),
        Program("runc"),
        Program("rootlesskit"),
        Program("newuidmap"),
        Program("slirp4netns"),
        Program("setpriv"),
        File(rootless::PROGRAM),
    ];
    const USER: &[Need] = needs![Program("setpriv")];
    const SERVICE_DOCKER: &[Need] =
        needs![Image, Program("dockerd"), Program("docker"), Program("ctr"), Program("runc"), Program("iptables")];
    const SERVICE_PODMAN: &[Need] = needs![
        Image,
        Program("podman"),
        Program("conmon"),
        Program("crun"),
        File("/usr/lib/podman/netavark"),
        Program("iptables"),
    ];
    const SERVICE_POD: &[Need] = needs![
        Image,
        Program("containerd"),
        Program("ctr"),
        Program("runc"),
        Program("tail"),
        File("/usr/lib/cni/bridge"),
        Program("iptables"),
    ];
    const GUIDE_DOCKER: &[Need] = needs![
        Program("dockerd"),
        Program("docker"),
        Program("runc"),
        Program("iptables"),
        Program("findmnt"),
        Program("lsns"),
        Program("nsenter"),
        Program("ss"),
        File("/bin/busybox"),
    ];
    const GUIDE_PODMAN: &[Need] = needs![
        Program("podman"),
        Program("conmon"),
        Program("crun"),
        File("/usr/lib/podman/netavark"),
        Program("iptables"),
        Program("findmnt"),
        Program("lsns"),
        Program("nsenter"),
        Program("ss"),
        File("/bin/busybox"),
    ];
    let engine = |name: &'static str, needs, body: fn(&str)| test(name, needs, move || body(name));
    vec![
        engine("engine_hosts::own_host::leaves_nothing", BARE, own_host::leaves_nothing),
        engine("engine_hosts::own_host::ends_with_its_test", BARE, own_host::ends_with_its_test),
        engine("engine_hosts::api::docker", DOCKER, api::docker),
        engine("engine_hosts::api::silent", API, api::silent),
        engine("engine_hosts::api::false_engines", API, api::false_engines),
        engine("engine_hosts::api::false_containerd", API, api::false_containerd),
        engine("engine_hosts::api::only_systemd_listens", API, api::only_systemd_listens),
        engine("engine_hosts::api::podman", PODMAN, api::podman),
        engine("engine_hosts::docker::daemon", DOCKER, docker::daemon),
        engine("engine_hosts::docker::matrix", DOCKER, docker::matrix),
        engine("engine_hosts::docker::limits", DOCKER, docker::limits),
        engine("engine_hosts::docker::unified_cgroups", DOCKER, docker::unified_cgroups),
        engine("engine_hosts::docker::ordinary_user", DOCKER_USER, docker::ordinary_user),
        engine("engine_hosts::docker::killed_shim", DOCKER, docker::killed_shim),
        engine("engine_hosts::docker::reused_pid", DOCKER, docker::reused_pid),
        engine("engine_hosts::docker::network_namespace_left", DOCKER, docker::network_namespace_left),
        engine("engine_hosts::docker::seen_from_outside", DOCKER, docker::seen_from_outside),
        engine("engine_hosts::docker::in_docker", DOCKER, docker::in_docker),
        engine("engine_hosts::docker::targets", DOCKER, docker::targets),
        engine("engine_hosts::audit::docker", DOCKER, audit::docker),
        engine("engine_hosts::audit::hostile", DOCKER, audit::hostile),
        engine("engine_hosts::audit::podman", PODMAN, audit::podman),
        engine("engine_hosts::containerd::own_client", CONTAINERD, containerd::own_client),
        engine("engine_hosts::containerd::same_id", CONTAINERD, containerd::same_id),
        engine("engine_hosts::containerd::asked", CRI, containerd::asked),
        engine("engine_hosts::containerd::pods", CRI, containerd::pods),
        engine("engine_hosts::containerd::failed_removal", CRI, containerd::failed_removal),
        engine("engine_hosts::containerd::targets", CRI, containerd::targets),
        engine("engine_hosts::podman::containers", PODMAN, podman::containers),
        engine("engine_hosts::podman::rootless", ROOTLESS, podman::rootless),
        engine("engine_hosts::podman::split_cgroups", PODMAN_RUNC, podman::split_cgroups),
        engine("engine_hosts::podman::ended", PODMAN, podman::ended),
        engine("engine_hosts::podman::targets", PODMAN, podman::targets),
        engine("engine_hosts::lxc::lxc", LXC, lxc::lxc),
        engine("engine_hosts::lxc::nspawn", NSPAWN, lxc::nspawn),
        engine("engine_hosts::lxc::runc", RUNC, lxc::runc),
        engine("engine_hosts::lxc::crun", CRUN, lxc::crun),
        engine("engine_hosts::rootless::docker", ROOTLESS_DOCKER, rootless::docker),
        engine(
            "engine_hosts::systemd::docker",
            systemd_and![Program("dockerd"), Program("runc"), Program("iptables")],
            systemd::docker,
        ),
        engine(
            "engine_hosts::systemd::podman",
            systemd_and![Program("podman"), Program("conmon"), Program("runc")],
            systemd::podman,
        ),
        engine("engine_hosts::systemd::runc", systemd_and![Program("runc"), Program("setpriv")], systemd::runc),
        engine(
            "engine_hosts::systemd::machines",
            systemd_and![Program("machinectl"), Program("busctl")],
            systemd::machines,
        ),
        engine("engine_hosts::systemd::units", systemd_and![], systemd::units),
        engine(
            "engine_hosts::systemd::rootless_docker",
            systemd_and![Program("dockerd"), Program("rootlesskit"), Program("slirp4netns"), File(rootless::PROGRAM)],
            systemd::rootless_docker,
        ),
        engine("engine_hosts::guides::no_tools_docker", GUIDE_DOCKER, guides::no_tools_docker),
        engine("engine_hosts::guides::no_tools_podman", GUIDE_PODMAN, guides::no_tools_podman),
        engine("engine_hosts::guides::audit", GUIDE_DOCKER, guides::audit),
        engine("engine_hosts::guides::which_container_docker", GUIDE_DOCKER, guides::which_container_docker),
        engine("engine_hosts::guides::which_container_podman", GUIDE_PODMAN, guides::which_container_podman),
        engine("engine_hosts::service::docker", SERVICE_DOCKER, service::docker),
        engine("engine_hosts::service::denied", DOCKER, service::denied),
        engine("engine_hosts::service::podman", SERVICE_PODMAN, service::podman),
        engine("engine_hosts::service::pod", SERVICE_POD, service::pod),
        engine(
            "engine_hosts::service::systemd",
            systemd_and![Image, Program("tar"), Program("gzip"), Program("systemd-sysusers")],
            service::systemd,
        ),
        engine("engine_hosts::forged::by_a_user", USER, forged::by_a_user),
    ]
}

/// The parent of a process.
#[track_caller]
fn parent(pid: u64) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    line.trim().parse().unwrap()
}

/// The children of a process.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

/// Starts a process that ends with this host and has this PID, which must be free.
#[track_caller]
fn with_pid(pid: u64, command: &mut std::process::Command) -> u32 {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        let child = host::until_the_end(command);
        if u64::from(child) == pid {
            return child;
        }
        // Another process was started in between.
        host::signal(child, rustix::process::Signal::KILL);
        let child = rustix::process::Pid::from_raw(child as i32);
        rustix::process::waitpid(child, rustix::process::WaitOptions::empty()).unwrap();
        assert!(std::time::Instant::now() < end, "PID {pid} is not free");
    }
}

/// Whether a process has this name.
fn is_named(pid: u32, name: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
}
