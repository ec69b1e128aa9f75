//! podman, which has no daemon: what is stopped and killed is its monitor.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use super::host::{Cgroups, enters, kill, lxkns_says, on_own_host, signal, succeeds, tried, until_the_end};
use super::seen::{Seen, Told, agree};
use super::{image, parent, user};

/// Lays out podman for a runtime, with the image.
pub(super) fn lay_out(runtime: &str) {
    configure(runtime);
    succeeds("podman", &["load", "--quiet", "--input", &image::archive()]);
}

/// Lays out podman for a runtime.
pub(super) fn configure(runtime: &str) {
    // Nobody may raise a limit in a host that lacks that capability, and without the controller there is none to set.
    let config = format!(
        r#"[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
pids_limit = 0
[network]
network_backend = "netavark"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "{runtime}"
"#
    );
    fs::create_dir_all("/etc/containers").unwrap();
    fs::write("/etc/containers/containers.conf", config).unwrap();
}

/// Starts a container with these options.
#[track_caller]
pub(super) fn run(name: &str, options: &[&str]) {
    let start = [&["run", "--detach", "--name", name], options, &[image::NAME, "/bin/sleep", "inf"]].concat();
    succeeds("podman", &start);
}

/// What podman says of a container, in the form that lxkns must agree with.
#[track_caller]
pub(super) fn told(name: &str) -> Told {
    let said: Value = serde_json::from_str(&succeeds("podman", &["container", "inspect", name])).unwrap();
    let said = &said[0];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pod = said["Pod"].as_str().filter(|pod| !pod.is_empty());
    let pod = pod.map(|pod| succeeds("podman", &["pod", "inspect", "--format", "{{.Name}}", pod]).trim().to_owned());
    Told {
        kind: "podman.io",
        id: text(&said["Id"]),
        name: text(&said["Name"]),
        pid: said["State"]["Pid"].as_u64().unwrap(),
        state: match said["State"]["Status"].as_str().unwrap() {
            "running" => "running",
            "paused" => "paused",
            state => panic!("{state}"),
        },
        image: Some(text(&said["ImageName"])),
        groups: pod.iter().cloned().collect(),
        pod: pod.map(|name| ("", name)),
        labels: Vec::new(),
    }
}

/// The monitor of a container.
fn monitor(told: &Told) -> u32 {
    let pid = parent(told.pid);
    assert!(super::is_named(pid, "conmon"), "process {pid} of {}", told.name);
    pid
}

/// Names, images, pods and states, with the monitors running, stopped and killed.
pub(super) fn containers(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        lay_out("crun");
        run("web", &[]);
        succeeds("podman", &["pod", "create", "--name", "p1", "--infra-image", image::NAME]);
        run("member", &["--pod", "p1"]);
        run("idle", &[]);
        run("bare", &["--cgroups", "disabled"]);
        succeeds("podman", &["pause", "idle"]);
        let infra = succeeds("podman", &["pod", "inspect", "--format", "{{.InfraContainerID}}", "p1"]);
        let told = ["web", "member", "idle", "bare", infra.trim()].map(told);
        assert_eq!(told[1].groups, ["p1"]);
        let check = || {
            let seen = agree(&told);
            assert_eq!(seen.by_id(infra.trim())["role"], "sandbox");
            for told in &told {
                let monitor = parent(told.pid);
                assert_eq!(seen.of_process(monitor.into()), None, "the monitor of {}", told.name);
            }
        };
        check();
        let monitors = told.each_ref().map(monitor);
        monitors.iter().for_each(|&pid| signal(pid, Signal::STOP));
        check();
        monitors.iter().for_each(|&pid| kill(pid));
        let seen = Seen::now();
        for told in &told {
            seen.check(told);
        }
    });
}

/// A user's own containers: what says so is the user's, and so it is claimed.
pub(super) fn rootless(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        user::make();
        lay_out("crun");
        let of_user = |arguments: &[&str]| {
            let podman = user::arguments("podman");
            let podman: Vec<&str> = podman.iter().map(String::as_str).chain(["--storage-driver=vfs"]).collect();
            succeeds("setpriv", &[&podman, arguments].concat())
        };
        of_user(&["load", "--quiet", "--input", "/run/image.tar"]);
        of_user(&["run", "--detach", "--name", "mine", "--network", "none", image::NAME, "/bin/sleep", "inf"]);
        let said: Value = serde_json::from_str(&of_user(&["container", "inspect", "mine"])).unwrap();
        let told = Told {
            kind: "podman.io",
            id: said[0]["Id"].as_str().unwrap().to_owned(),
            name: "mine".to_owned(),
            pid: said[0]["State"]["Pid"].as_u64().unwrap(),
            state: "running",
            ..Told::default()
        };
        assert_eq!(Seen::now().check(&told)["confidence"], "claimed");
        // The user's own service is asked too, and is believed about the user's containers alone.
        let socket = format!("{}/podman.sock", user::RUNTIME);
        let mut service = user::command("podman");
        service.args(["--storage-driver=vfs", "system", "service", "--time=0", &format!("unix://{socket}")]);
        service.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        until_the_end(&mut service);
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            std::thread::yield_now();
        }
        let seen = Seen::by_engines_in_time();
        let mine = seen.check(&told);
        let by_engine = mine["evidence"].as_array().unwrap().iter().find(|it| it["kind"] == "engine");
        assert_eq!(by_engine.map(|it| &it["at"]), Some(&socket.into()), "{seen:?}");
        assert_eq!(mine["confidence"], "claimed");
        enters("podman:mine", "cat /etc/os-release", "ID=lxkns-test\n");
    });
}

/// Control groups as with systemd's: the container's is one of the monitor's own.
pub(super) fn split_cgroups(name: &str) {
    on_own_host(name, Cgroups::Unified, || {
        lay_out("runc");
        run("split", &["--cgroups", "split"]);
        let told = told("split");
        let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", told.pid)).unwrap();
        assert!(cgroup.contains("libpod-payload-"), "{cgroup}");
        agree(&[told]);
    });
}

/// People name podman's containers and pods.
pub(super) fn targets(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        lay_out("crun");
        run("web", &["--hostname", "inside"]);
        let told = told("web");
        for target in ["web", "podman:web", &told.id[..12]] {
            enters(target, "hostname; cat /etc/os-release", "inside\nID=lxkns-test\n");
        }
        let other = lxkns_says(&["enter", "docker:web", "--", "/bin/true"]);
        assert_ne!(other.code, Some(0), "it is none of Docker's: {other:?}");
    });
}

/// A pod that is gone is none, and a container that has ended has no process.
pub(super) fn ended(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        lay_out("crun");
        run("web", &[]);
        let told = told("web");
        agree(std::slice::from_ref(&told));
        succeeds("podman", &["kill", "web"]);
        // It does not wait for the end.
        assert_eq!(tried("podman", &["wait", "web"]).code, Some(0));
        let seen = Seen::now();
        assert_eq!(seen.of_process(told.pid), None, "{seen:?}");
        if seen.has(&told.id) {
            assert_ne!(seen.by_id(&told.id)["state"], "running", "{seen:?}");
        }
    });
}
