//! Docker without root: what says so is its user's, and counts for that user's processes.

use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use super::docker::Docker;
use super::host::{Cgroups, enters, on_own_host, pidfd, signal, succeeds, until_the_end, wait};
use super::seen::{Seen, Told};
use super::{image, is_named, user};

/// Where Debian puts it.
pub(super) const PROGRAM: &str = "/usr/share/docker.io/contrib/dockerd-rootless.sh";

const SOCKET: &str = "/run/user/4711/docker.sock";
const HOST: &str = "unix:///run/user/4711/docker.sock";

/// Starts it, as its user, with the image.
pub(super) fn start() {
    user::make_tun();
    let mut daemon = user::command(PROGRAM);
    daemon.args(["--storage-driver=vfs", "--iptables=false", "--bridge=none"]);
    daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let ended = pidfd(until_the_end(&mut daemon));
    while UnixStream::connect(SOCKET).is_err() {
        assert!(!wait(&[&ended], Duration::from_millis(10)), "it has ended");
    }
    succeeds("docker", &["--host", HOST, "load", "--input", &image::archive()]);
}

/// Starts a container, and returns what Docker says of it.
#[track_caller]
pub(super) fn run(name: &str, options: &[&str]) -> Told {
    let start = [&["--host", HOST, "run", "--detach", "--name", name, "--network", "none"], options].concat();
    succeeds("docker", &[&start[..], &[image::NAME, "/bin/sleep", "inf"]].concat());
    Docker::told_by(&["--host", HOST], name)
}

/// Checks what lxkns says of such containers: all that Docker does, and that it is claimed.
#[track_caller]
pub(super) fn check(seen: &Seen, told: &[Told]) {
    for told in told {
        let container = seen.check(told);
        assert_eq!(container["confidence"], "claimed", "{container:#}");
        assert_eq!(container["disagreements"].as_array().map_or(0, Vec::len), 0, "{container:#}");
    }
}

/// Names, images, labels and states, with the daemon running, stopped, and asked.
pub(super) fn docker(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        user::make();
        start();
        let told =
            [run("mine", &["--label", "com.docker.compose.project=shop"]), run("other", &["--cgroupns", "host"])];
        assert_eq!(told[0].groups, ["shop"]);
        check(&Seen::now(), &told);
        let seen = Seen::by_engines_in_time();
        check(&seen, &told);
        let dockerd = dockerd();
        let engine = seen.engine(dockerd);
        assert_eq!(engine["api"], SOCKET, "{seen:?}");
        let mut pids = told.each_ref().map(|told| told.pid);
        pids.sort_unstable();
        assert_eq!(engine["containers"], serde_json::json!(pids), "its containers: {seen:?}");
        for target in ["mine", "docker:mine"] {
            enters(target, "cat /etc/os-release", "ID=lxkns-test\n");
        }
        signal(dockerd, Signal::STOP);
        check(&Seen::now(), &told);
    });
}

/// The user's daemon.
fn dockerd() -> u32 {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|&pid| is_named(pid, "dockerd")).unwrap()
}
