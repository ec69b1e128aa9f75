//! A host of a test's own whose first process is systemd.
//!
//! Of what a distribution starts at boot, only the message bus is started: the rest would change the host that this one is on
//! (`systemd-sysctl`), or wait for devices.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use super::children;
use super::host::{Cgroups, PART, ReadySocket, arguments, on_own_host, succeeds, until_the_end};

/// What the body runs as.
const INSIDE: &str = "inside";

/// Where it says that it has run to its end.
const DONE: &str = "/run/booted.done";

/// Where systemd says that it has started all.
const READY: &str = "/run/booted.ready";

/// Runs `body` on a host of its own that systemd has booted, with one hierarchy of control groups.
pub(super) fn on_booted_host(name: &str, body: impl FnOnce()) {
    if std::env::var(PART).is_ok_and(|part| part == INSIDE) {
        // Not where it comes from: above the top of what is seen here.
        fs::write("/sys/fs/cgroup/init.scope/cgroup.procs", "0").unwrap();
        body();
        fs::write(DONE, "").unwrap();
        return;
    }
    on_own_host(name, Cgroups::Unified, || {
        let first = boot();
        let mut inside = Command::new("nsenter");
        inside.args(["--target", &first.to_string(), "--pid", "--mount", "--cgroup", "--"]).args(arguments(name));
        let status = inside.env(PART, INSIDE).stdin(Stdio::null()).status().unwrap();
        assert!(status.success(), "{status}");
        assert!(fs::exists(DONE).unwrap(), "the body has not run");
    });
}

/// Starts systemd, waits until it has started all, and returns its PID.
fn boot() -> u32 {
    let units = Path::new("/etc/systemd/system");
    let mask = |name: &Path| {
        let _ = fs::remove_file(name);
        symlink("/dev/null", name).unwrap();
    };
    for target in ["sysinit", "basic", "sockets", "local-fs", "timers", "paths"] {
        for of in [Path::new("/lib/systemd/system"), units] {
            let wanted = fs::read_dir(of.join(format!("{target}.target.wants"))).into_iter().flatten().flatten();
            wanted
                .filter(|unit| unit.file_name() != "dbus.socket")
                .for_each(|unit| mask(&units.join(unit.file_name())));
        }
    }
    let generators = Path::new("/etc/systemd/system-generators");
    fs::create_dir_all(generators).unwrap();
    let all = fs::read_dir("/lib/systemd/system-generators").into_iter().flatten().flatten();
    all.for_each(|generator| mask(&generators.join(generator.file_name())));
    unit(
        "booted.target",
        "[Unit]\nRequires=dbus.service booted-ready.service\nAfter=dbus.service booted-ready.service\n",
    );
    unit(
        "booted-ready.service",
        &format!(
            "[Unit]\nAfter=dbus.service\n[Service]\nType=oneshot\nEnvironment=NOTIFY_SOCKET={READY}\n\
             ExecStart=systemd-notify --ready --no-block\n"
        ),
    );
    // Its messages are not for the terminal that the tests run in.
    succeeds("mount", &["--bind", "/dev/null", "/dev/console"]);

    // Its control group is the top of those that it sees.
    let own = "/sys/fs/cgroup/booted";
    fs::create_dir(own).unwrap();
    fs::write("/sys/fs/cgroup/booted/cgroup.procs", "0").unwrap();
    let ready = ReadySocket::bind(READY);
    let mut systemd = Command::new("unshare");
    systemd.args(["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--cgroup", "--"]);
    systemd.args(["/lib/systemd/systemd", "--unit=booted.target", "--log-target=null", "--show-status=no"]);
    systemd.env_clear().env("container", "lxkns").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    succeeds("mount", &["--bind", own, "/sys/fs/cgroup"]);
    let unshare = until_the_end(systemd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    ready.wait(|| format!("{:?}", children(unshare)));
    let [first] = children(unshare)[..] else { panic!("systemd has ended") };
    first
}

/// Writes a unit.
pub(super) fn unit(name: &str, text: &str) {
    fs::write(Path::new("/etc/systemd/system").join(name), text).unwrap();
}

/// A property of a unit, as systemd says it.
#[track_caller]
pub(super) fn property(unit: &str, name: &str) -> String {
    succeeds("systemctl", &["show", "--property", name, "--value", unit]).trim().to_owned()
}
