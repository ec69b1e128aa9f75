//! An ordinary user of a host of a test's own, who may run containers.

use std::fs;
use std::process::Command;

use rustix::mount::MountPropagationFlags;

use super::host::succeeds;

pub(super) const UID: u32 = 4711;

/// The directory of the user's sockets and pids.
pub(super) const RUNTIME: &str = "/run/user/4711";

const HOME: &str = "/opt/users-home";

/// Makes the user, with IDs of their own, and what containers without root need.
pub(super) fn make() {
    let append = |file: &str, line: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        fs::write(file, format!("{text}{line}\n")).unwrap();
    };
    append("/etc/passwd", &format!("lxknstest:x:{UID}:{UID}::{HOME}:/bin/sh"));
    append("/etc/group", &format!("lxknstest:x:{UID}:"));
    append("/etc/subuid", "lxknstest:300000:65536");
    append("/etc/subgid", "lxknstest:300000:65536");
    for directory in [RUNTIME, HOME] {
        fs::create_dir_all(directory).unwrap();
        succeeds("chown", &[&format!("{UID}:{UID}"), directory]);
    }
    rustix::mount::mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).unwrap();
}

/// A program that the user runs.
pub(super) fn command(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(arguments(program));
    command
}

/// The same, as arguments of `setpriv`.
pub(super) fn arguments(program: &str) -> Vec<String> {
    let of_user = [format!("--reuid={UID}"), format!("--regid={UID}")];
    let environment = [format!("HOME={HOME}"), format!("XDG_RUNTIME_DIR={RUNTIME}"), "USER=lxknstest".to_owned()];
    let others = ["--clear-groups", "env", "--chdir=/"].map(str::to_owned);
    of_user.into_iter().chain(others).chain(environment).chain([program.to_owned()]).collect()
}

/// Makes the device that gives the user's network namespace a link.
pub(super) fn make_tun() {
    succeeds("mknod", &["--mode=666", "/run/tun", "c", "10", "200"]);
    succeeds("mount", &["--bind", "/run/tun", "/dev/net/tun"]);
}
