//! LXC, systemd-nspawn, and runtimes without an engine.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::host::{Cgroups, Daemon, enters, kill, on_own_host, signal, succeeds};
use super::seen::{Seen, Told, agree};
use super::{children, image, parent};

/// Starts a container of LXC, and returns what that says of it.
fn start_lxc(name: &str) -> Told {
    let directory = format!("/var/lib/lxc/{name}");
    image::root(&format!("{directory}/rootfs"));
    let config = format!(
        "lxc.rootfs.path = dir:{directory}/rootfs\nlxc.uts.name = inside\nlxc.net.0.type = veth\n\
         lxc.net.0.link = lxcbr0\nlxc.init.cmd = /bin/sleep inf\nlxc.apparmor.profile = unconfined\n\
         lxc.mount.auto = proc:mixed sys:mixed\n"
    );
    fs::write(format!("{directory}/config"), config).unwrap();
    succeeds("lxc-start", &["--name", name]);
    lxc_told(name)
}

fn lxc_told(name: &str) -> Told {
    let info = |what: &str| succeeds("lxc-info", &["--name", name, "--no-humanize", what]).trim().to_owned();
    Told {
        kind: "lxc",
        id: name.to_owned(),
        name: name.to_owned(),
        pid: info("--pid").parse().unwrap(),
        state: match &*info("--state") {
            "RUNNING" => "running",
            "FROZEN" => "paused",
            state => panic!("{state}"),
        },
        ..Told::default()
    }
}

/// Names and states, with the monitor running, stopped and killed.
pub(super) fn lxc(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        for arguments in [&["link", "add", "lxcbr0", "type", "bridge"][..], &["link", "set", "lxcbr0", "up"]] {
            succeeds("ip", arguments);
        }
        let web = start_lxc("web");
        start_lxc("idle");
        succeeds("lxc-freeze", &["--name", "idle"]);
        let told = [web, lxc_told("idle")];
        assert_eq!(told[1].state, "paused");
        for target in ["web", "lxc:web"] {
            enters(target, "hostname", "inside\n");
        }
        let check = |told: &[Told]| {
            let seen = Seen::now();
            for told in told {
                seen.check(told);
            }
        };
        check(&told);
        let monitors = told.each_ref().map(|told| parent(told.pid));
        monitors.iter().for_each(|&pid| signal(pid, Signal::STOP));
        check(&told);
        monitors.iter().for_each(|&pid| kill(pid));
        // The container ends with its monitor, unless it is frozen.
        check(&told[1..]);
        assert_eq!(Seen::now().of_process(told[0].pid), None);
    });
}

/// A machine that is registered nowhere is known by the program that runs it.
pub(super) fn nspawn(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let root = image::root("/run/machine");
        let nspawn = Daemon::start(
            "systemd-nspawn",
            &[
                "--register=no",
                "--keep-unit",
                "--private-network",
                "--machine=ns1",
                "--as-pid2",
                "--directory",
                root.to_str().unwrap(),
                "/bin/sleep",
                "inf",
            ],
        );
        let first = children(nspawn.pid());
        let [first] = first[..] else { panic!("{first:?}: {}", nspawn.log()) };
        let told = Told {
            kind: "machine",
            id: "ns1".to_owned(),
            name: "ns1".to_owned(),
            pid: first.into(),
            state: "running",
            ..Told::default()
        };
        let check = || {
            Seen::now().check(&told);
        };
        check();
        enters("machine:ns1", "cat /etc/os-release", "ID=lxkns-test\n");
        signal(nspawn.pid(), Signal::STOP);
        check();
        nspawn.kill();
    });
}

/// Starts a container with nothing but a runtime, told these options, and returns what that says of it.
pub(super) fn start_bare(runtime: &'static str, id: &str, options: &[&str]) -> Told {
    let bundle = format!("/run/bundles/{id}");
    image::root(&format!("{bundle}/rootfs"));
    succeeds(runtime, &["spec", "--bundle", &bundle]);
    let path = format!("{bundle}/config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = json!(["/bin/sleep", "inf"]);
    // A host may lack the capability to raise them.
    config["process"]["rlimits"] = json!([]);
    fs::write(&path, config.to_string()).unwrap();
    succeeds(runtime, &[options, &["run", "--detach", "--bundle", &bundle, id]].concat());
    bare_told(runtime, id)
}

fn bare_told(runtime: &'static str, id: &str) -> Told {
    let state: Value = serde_json::from_str(&succeeds(runtime, &["state", id])).unwrap();
    Told {
        kind: runtime,
        id: id.to_owned(),
        name: id.to_owned(),
        pid: state["pid"].as_u64().unwrap(),
        state: match state["status"].as_str().unwrap() {
            "running" => "running",
            "paused" => "paused",
            state => panic!("{state}"),
        },
        ..Told::default()
    }
}

fn bare(name: &str, runtime: &'static str) {
    on_own_host(name, Cgroups::AsHere, || {
        let one = start_bare(runtime, "one", &[]);
        start_bare(runtime, "two", &[]);
        succeeds(runtime, &["pause", "two"]);
        agree(&[one.clone(), bare_told(runtime, "two")]);
        enters("one", "cat /etc/os-release", "ID=lxkns-test\n");
        // A state whose process has ended is nobody else's.
        kill(u32::try_from(one.pid).unwrap());
        let seen = Seen::now();
        assert_eq!(seen.of_process(one.pid), None, "{seen:?}");
    });
}

/// Containers of runc alone.
pub(super) fn runc(name: &str) {
    bare(name, "runc");
}

/// Containers of crun alone.
pub(super) fn crun(name: &str) {
    bare(name, "crun");
}
