//! A host that systemd has booted: its control groups, its machines, its units.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::booted::{on_booted_host, property, unit};
use super::docker::Docker;
use super::host::{enters, kill, lxkns_says, signal, succeeds};
use super::seen::{Seen, Told, agree};
use super::{children, image, podman, rootless, user, with_pid};

/// Which control group of version 2 a process is in.
fn cgroup(pid: u64) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned()
}

/// Runs a program as a service, and waits until it says that it is ready.
fn serve(name: &str, properties: &[&str], command: &[&str]) -> u32 {
    let properties: Vec<String> = properties.iter().map(|property| format!("--property={property}")).collect();
    let properties: Vec<&str> = properties.iter().map(String::as_str).collect();
    succeeds("systemd-run", &[&["--quiet", "--unit", name], &properties[..], command].concat());
    property(&format!("{name}.service"), "MainPID").parse().unwrap()
}

/// Docker has systemd make scopes, in slices that one chooses.
pub(super) fn docker(name: &str) {
    on_booted_host(name, || {
        let daemon = ["dockerd", "--storage-driver=overlay2", "--exec-opt", "native.cgroupdriver=systemd"];
        let daemon = serve("engine", &["Type=notify", "Delegate=yes", "KillMode=process"], &daemon);
        Docker::load();
        Docker::run("web", &[]);
        Docker::run("idle", &["--network", "none", "--cgroupns", "host"]);
        Docker::run("apart", &["--cgroup-parent", "lxkns-apart.slice"]);
        succeeds("docker", &["pause", "idle"]);
        let told = ["web", "idle", "apart"].map(Docker::told);
        for (told, slice) in told.iter().zip(["system.slice", "system.slice", "lxkns.slice/lxkns-apart.slice"]) {
            assert_eq!(cgroup(told.pid), format!("/{slice}/docker-{}.scope", told.id));
            assert_eq!(agree(std::slice::from_ref(told)).by_id(&told.id)["cgroup"], cgroup(told.pid));
        }
        enters("docker:apart", "cat /etc/os-release", "ID=lxkns-test\n");
        signal(daemon, Signal::STOP);
        agree(&told);
        kill(daemon);
        agree(&told);
    });
}

/// Podman has a slice for each pod, and a container of a unit is in that unit's control group.
pub(super) fn podman(name: &str) {
    on_booted_host(name, || {
        podman::lay_out("runc");
        let by_systemd = fs::read_to_string("/etc/containers/containers.conf").unwrap();
        fs::write("/etc/containers/containers.conf", by_systemd.replace("cgroupfs", "systemd")).unwrap();
        podman::run("web", &["--network", "none"]);
        succeeds("podman", &["pod", "create", "--name", "p1", "--network", "none", "--infra-image", image::NAME]);
        podman::run("member", &["--pod", "p1"]);
        let start = "podman run --name served --cgroups split --sdnotify conmon --detach --network none";
        let start = format!("{start} {} /bin/sleep inf", image::NAME);
        unit("served.service", &format!("[Service]\nDelegate=yes\nType=notify\nNotifyAccess=all\nExecStart={start}\n"));
        succeeds("systemctl", &["daemon-reload"]);
        succeeds("systemctl", &["start", "served.service"]);
        let infra = succeeds("podman", &["pod", "inspect", "--format", "{{.InfraContainerID}}", "p1"]);
        let told = ["web", "member", infra.trim(), "served"].map(podman::told);
        assert_eq!(cgroup(told[0].pid), format!("/machine.slice/libpod-{}.scope", told[0].id));
        assert!(cgroup(told[1].pid).starts_with("/machine.slice/machine-libpod_pod_"), "{}", cgroup(told[1].pid));
        assert_eq!(cgroup(told[3].pid), format!("/system.slice/served.service/libpod-payload-{}", told[3].id));
        assert_eq!((&*told[1].groups, &told[3].groups[..]), (&["p1".to_owned()][..], &[][..]));
        agree(&told);
    });
}

/// Runtimes without an engine have systemd make scopes as well.
pub(super) fn runc(name: &str) {
    on_booted_host(name, || {
        let told = super::lxc::start_bare("runc", "bare1", &["--systemd-cgroup"]);
        assert_eq!(cgroup(told.pid), "/system.slice/runc-bare1.scope");
        let seen = Seen::now();
        assert_eq!(seen.check(&told)["cgroup"], cgroup(told.pid));
        let long = super::lxc::start_bare("runc", &"ab".repeat(32), &["--systemd-cgroup"]);
        let seen = Seen::now();
        let container = seen.check(&long);
        // Whoever reads no state knows it by its scope.
        let by_scope = container["evidence"].as_array().unwrap().iter().find(|it| it["kind"] == "cgroup");
        assert_eq!(by_scope.map(|it| &it["at"]), Some(&cgroup(long.pid).into()), "{container:#}");
        let by_nobody = Seen::by_nobody();
        let container = by_nobody.by_id(&long.id);
        assert_eq!((&container["type"], &container["confidence"]), (&"runc".into(), &"likely".into()));
        assert_eq!(by_nobody.of_process(long.pid), Some(&*long.id));
    });
}

/// What systemd-machined says of one of its machines.
fn machine(name: &str) -> Told {
    let leader = succeeds("machinectl", &["show", "--property", "Leader", "--value", name]);
    let name = name.to_owned();
    Told {
        kind: "machine",
        id: name.clone(),
        name,
        pid: leader.trim().parse().unwrap(),
        state: "running",
        ..Told::default()
    }
}

/// Machines that are registered, with a scope of their own and in the service that one enables; one that is no container.
pub(super) fn machines(name: &str) {
    on_booted_host(name, || {
        image::root("/var/lib/machines/own-2");
        let root = image::root("/run/machine");
        let nspawn = ["systemd-nspawn", "--machine=m-1", "--private-network", "--as-pid2"];
        let command = ["--directory", root.to_str().unwrap(), "/bin/sleep", "inf"];
        let nspawn = serve("nspawn", &["Type=notify"], &[&nspawn[..], &command].concat());
        fs::create_dir_all("/etc/systemd/nspawn").unwrap();
        let settings =
            "[Exec]\nBoot=no\nProcessTwo=yes\nParameters=/bin/sleep inf\n[Network]\nVirtualEthernet=no\nPrivate=yes\n";
        fs::write("/etc/systemd/nspawn/own-2.nspawn", settings).unwrap();
        succeeds("machinectl", &["start", "own-2"]);
        let told = ["m-1", "own-2"].map(machine);
        let cgroups = [r"/machine.slice/machine-m\x2d1.scope", "/machine.slice/systemd-nspawn@own-2.service"];
        for (told, own) in told.iter().zip(cgroups) {
            assert!(cgroup(told.pid).starts_with(own), "{}", cgroup(told.pid));
            assert_eq!(agree(std::slice::from_ref(told)).by_id(&told.id)["cgroup"], own);
        }
        // The program that runs it is no part of it.
        assert_eq!(Seen::now().of_process(nspawn.into()), None);
        enters("machine:m-1", "hostname", "m-1\n");
        enters("machine:own-2", "id -u", "0\n");
        // The emulator of a virtual machine is no container, though it may be in namespaces of its own.
        let emulator = serve("emulator", &["PrivateNetwork=yes"], &["sleep", "inf"]);
        let register =
            ["call", "org.freedesktop.machine1", "/org/freedesktop/machine1", "org.freedesktop.machine1.Manager"];
        let pid = emulator.to_string();
        let of_vm = ["RegisterMachine", "sayssus", "vm1", "0", "lxkns", "vm", &pid, "/"];
        succeeds("busctl", &[&register[..], &of_vm].concat());
        assert_eq!(machine("vm1").pid, u64::from(emulator));
        let check = || {
            let seen = agree(&told);
            assert_eq!((seen.has("vm1"), seen.of_process(emulator.into())), (false, None), "{seen:?}");
        };
        check();
        let machined: u32 = property("systemd-machined.service", "MainPID").parse().unwrap();
        let seen = Seen::now();
        assert_eq!(seen.engine(machined)["type"], "machine", "{seen:?}");
        signal(machined, Signal::STOP);
        check();
        kill(machined);
        // Its files say the same as long as they are there.
        check();
        // Its file stays behind; a process that has the number by now is in no machine.
        kill(nspawn);
        let mut other = std::process::Command::new("unshare");
        other.args(["--mount", "sleep", "inf"]);
        let reused = with_pid(told[0].pid, &mut other);
        assert!(
            fs::read_to_string("/run/systemd/machines/m-1").unwrap().contains(&format!("LEADER={}\n", told[0].pid))
        );
        let seen = Seen::now();
        assert_eq!((seen.has("m-1"), seen.of_process(reused.into())), (false, None), "{seen:?}");
        agree(&told[1..]);
    });
}

/// What is in no container has a unit.
pub(super) fn units(name: &str) {
    on_booted_host(name, || {
        user::make();
        let own = serve("private", &["PrivateTmp=yes", "DynamicUser=yes"], &["sleep", "inf"]);
        let network = serve("net-only@a\\x2db", &["PrivateNetwork=yes"], &["sleep", "inf"]);
        let in_slice = serve("sliced", &["PrivateTmp=yes", "Slice=lxkns-deep.slice"], &["sleep", "inf"]);
        let mine = ("mine.service", "[Service]\nPrivateUsers=yes\nType=exec\nExecStart=sleep inf\n");
        let manager = user_manager("mine.service", &[mine]);
        let mine = children(manager).into_iter().find(|&pid| super::is_named(pid, "sleep")).unwrap();
        let dump = lxkns_says(&["dump"]).ok().json();
        let units = dump["discovery-options"]["snapshot"]["containers"]["units"].as_array().unwrap().clone();
        let of = |pid: u32| {
            let has = |unit: &&Value| unit["pids"].as_array().unwrap().contains(&pid.into());
            units.iter().find(has).unwrap_or_else(|| panic!("process {pid}: {units:#?}"))
        };
        for (pid, name) in [
            (own, "private.service"),
            (network, r"net-only@a\x2db.service"),
            (in_slice, "sliced.service"),
            (mine, "mine.service"),
        ] {
            assert_eq!((&of(pid)["kind"], &of(pid)["name"]), (&"service".into(), &name.into()), "{pid}");
        }
        assert_eq!(of(mine)["of-user"], user::UID, "{:#}", of(mine));
        let list = lxkns_says(&["ls", "--type", "mnt"]).ok();
        let line = list.text().lines().find(|line| line.contains("private.service")).map(str::to_owned);
        assert!(line.is_some_and(|line| line.contains(&format!(" {own} "))), "{}", list.text());
    });
}

/// Starts the service manager of a user, with these units, of which it starts one; returns its PID.
fn user_manager(start: &str, units: &[(&str, &str)]) -> u32 {
    let (uid, runtime) = (user::UID, user::RUNTIME);
    let own = format!("user@{uid}.service");
    unit(
        &own,
        &format!(
            "[Service]\nUser={uid}\nSlice=user-{uid}.slice\nType=notify\nDelegate=yes\n\
             Environment=XDG_RUNTIME_DIR={runtime} DBUS_SESSION_BUS_ADDRESS=unix:path={runtime}/bus\n\
             ExecStart=/lib/systemd/systemd --user --unit=lxkns.target\n"
        ),
    );
    fs::create_dir_all("/etc/systemd/user").unwrap();
    for (name, text) in units.iter().chain([&("lxkns.target", "[Unit]\n")]) {
        fs::write(format!("/etc/systemd/user/{name}"), text).unwrap();
    }
    succeeds("systemctl", &["daemon-reload"]);
    succeeds("systemctl", &["start", &own]);
    let systemctl = user::arguments("systemctl");
    let systemctl: Vec<&str> = systemctl.iter().map(String::as_str).chain(["--user", "start", start]).collect();
    succeeds("setpriv", &systemctl);
    property(&own, "MainPID").parse().unwrap()
}

/// Docker without root has a user's service manager make scopes.
pub(super) fn rootless_docker(name: &str) {
    on_booted_host(name, || {
        user::make();
        let socket = "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=%t/bus\nService=dbus.service\n";
        let bus = "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n[Service]\nType=notify\nSockets=dbus.socket\n\
                   ExecStart=dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation\n";
        user_manager("dbus.service", &[("dbus.socket", socket), ("dbus.service", bus)]);
        rootless::start();
        let told = [rootless::run("mine", &[]), rootless::run("other", &["--cgroupns", "host"])];
        let own = format!("/user.slice/user-{0}.slice/user@{0}.service/user.slice/", user::UID);
        assert!(cgroup(told[0].pid).starts_with(&own), "{}", cgroup(told[0].pid));
        let seen = Seen::now();
        rootless::check(&seen, &told);
        assert_eq!(seen.by_id(&told[0].id)["cgroup"], cgroup(told[0].pid));
    });
}
