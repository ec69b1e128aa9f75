//! Docker.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::host::{Cgroups, Daemon, ReadySocket, enters, kill, lxkns_says, on_own_host, pidfd, signal, succeeds, wait};
use super::image;
use super::seen::{Seen, Told, agree};
use super::{children, directory, inode, is_named};

/// Docker, and its containers.
pub(super) struct Docker {
    pub(super) daemon: Daemon,
}

impl Docker {
    /// Starts it, with the image.
    pub(super) fn start() -> Self {
        let daemon = Daemon::start("dockerd", &["--storage-driver=overlay2"]);
        Self::load();
        Self { daemon }
    }

    /// Gives it the image.
    pub(super) fn load() {
        succeeds("docker", &["load", "--input", &image::archive()]);
    }

    /// Starts a container, with these options, and returns its ID.
    #[track_caller]
    pub(super) fn run(name: &str, options: &[&str]) -> String {
        let start = [&["run", "--detach", "--name", name], options, &[image::NAME, "/bin/sleep", "inf"]].concat();
        succeeds("docker", &start).trim().to_owned()
    }

    /// What Docker says of a container.
    #[track_caller]
    pub(super) fn inspect(name: &str) -> Value {
        Self::inspect_by(&[], name)
    }

    fn inspect_by(host: &[&str], name: &str) -> Value {
        let said = succeeds("docker", &[host, &["container", "inspect", name]].concat());
        let mut said: Value = serde_json::from_str(&said).unwrap();
        said[0].take()
    }

    /// The same, in the form that lxkns must agree with.
    #[track_caller]
    pub(super) fn told(name: &str) -> Told {
        Self::told_by(&[], name)
    }

    /// The same, of a container of the daemon that these options name.
    #[track_caller]
    pub(super) fn told_by(host: &[&str], name: &str) -> Told {
        let said = Self::inspect_by(host, name);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let labels = said["Config"]["Labels"].as_object().unwrap();
        let labels: Vec<_> = labels.iter().map(|(key, value)| (key.clone(), text(value))).collect();
        let projects = labels.iter().filter(|(key, _)| key == "com.docker.compose.project");
        Told {
            kind: "docker.com",
            id: text(&said["Id"]),
            name: text(&said["Name"]).trim_start_matches('/').to_owned(),
            pid: said["State"]["Pid"].as_u64().unwrap(),
            state: match said["State"]["Status"].as_str().unwrap() {
                "running" => "running",
                "paused" => "paused",
                "exited" => "exited",
                state => panic!("{state}"),
            },
            image: Some(text(&said["Config"]["Image"])),
            groups: projects.map(|(_, project)| project.clone()).collect(),
            labels,
            pod: None,
        }
    }
}

/// Names, images, labels, groups and states are those that Docker says: while it runs, while it is stopped, and after it
/// was killed.
pub(super) fn daemon(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let docker = Docker::start();
        succeeds("docker", &["network", "create", "backend"]);
        let of_shop = |service: &str| {
            ["com.docker.compose.project=shop".to_owned(), format!("com.docker.compose.service={service}")]
        };
        let ([project, web], [_, db]) = (of_shop("web"), of_shop("db"));
        Docker::run("web", &["--publish", "8080:80", "--label", &project, "--label", &web]);
        Docker::run("db", &["--network", "backend", "--label", &project, "--label", &db]);
        Docker::run("idle", &["--network", "none"]);
        Docker::run("shares", &["--network", "container:web", "--pid", "container:web"]);
        succeeds("docker", &["pause", "idle"]);
        let told = ["web", "db", "idle", "shares"].map(Docker::told);
        assert_eq!((&*told[0].groups[0], told[2].state), ("shop", "paused"));

        // A process that was started later is in there as well.
        succeeds("docker", &["exec", "--detach", "web", "/bin/sleep", "1000"]);
        let top = succeeds("docker", &["top", "web", "-o", "pid,args"]);
        let later = top.lines().find(|line| line.contains("sleep 1000")).unwrap();
        let later: u64 = later.split_whitespace().next().unwrap().parse().unwrap();
        let check = || {
            let seen = agree(&told);
            assert_eq!(seen.of_process(later), Some(&*told[0].id));
            // The engine and the shims are in none.
            for pid in [docker.daemon.pid(), super::parent(told[0].pid)] {
                assert_eq!(seen.of_process(pid.into()), None, "process {pid}");
            }
        };
        check();
        let containerd = children(docker.daemon.pid()).into_iter().find(|pid| is_named(*pid, "containerd")).unwrap();
        for pid in [docker.daemon.pid(), containerd] {
            signal(pid, Signal::STOP);
        }
        check();
        kill(containerd);
        let Docker { daemon } = docker;
        daemon.kill();
        agree(&told);
    });
}

/// The limits of a container are those that Docker was told, and those that it was not told are not made up.
pub(super) fn limits(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let _docker = Docker::start();
        Docker::run("limited", &["--memory=64m", "--cpus=0.5", "--pids-limit=50", "--cpuset-cpus=0"]);
        Docker::run("free", &[]);
        let answer = lxkns_says(&["containers", "--json"]).ok().answer_to("containers");
        let of = |name: &str| {
            let container = answer.as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
            container["cgroup-limits"].as_object().expect("they were read").clone()
        };
        let (limited, free, told) = (of("limited"), of("free"), &Docker::inspect("limited")["HostConfig"]);
        assert_eq!(limited["memory-bytes"], told["Memory"]);
        assert_eq!(limited["cpu-usec-per-second"], told["NanoCpus"].as_u64().unwrap() / 1000);
        assert_eq!((&limited["tasks-max"], &limited["cpus"]), (&told["PidsLimit"], &told["CpusetCpus"]));
        for key in ["memory-bytes", "cpu-usec-per-second", "tasks-max"] {
            let is_limit = free.get(key).is_some_and(Value::is_number);
            assert!(!is_limit || free[key].as_u64() > limited[key].as_u64(), "{key}: {free:?}");
        }
        let shown = lxkns_says(&["show", "limited"]).ok().text().to_owned();
        for part in ["memory 64 MiB", "CPUs 0.5", "tasks 50", "runs on CPUs 0"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    });
}

/// `lxkns containers`: which namespaces are a container's own, the host's or another's, and what confines it. The kernel says
/// what is right.
pub(super) fn matrix(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let _docker = Docker::start();
        Docker::run("web", &[]);
        Docker::run("shares", &["--network", "container:web", "--pid", "container:web"]);
        let of_host = ["--network=host", "--pid=host", "--ipc=host", "--uts=host", "--cap-add=SYS_PTRACE"];
        let confined = ["--security-opt=seccomp=unconfined", "--security-opt=no-new-privileges"];
        Docker::run("agent", &[&of_host[..], &confined].concat());
        let told = ["web", "shares", "agent"].map(Docker::told);
        let answer = lxkns_says(&["containers", "--json"]).ok().answer_to("containers");
        let of = |told: &Told| answer.as_array().unwrap().iter().find(|container| container["id"] == told.id).unwrap();
        let ns = |pid: &str, kind: &str| inode(format!("/proc/{pid}/ns/{kind}"));
        let web = told[0].pid.to_string();
        for told in &told {
            let container = of(told);
            let namespaces = container["namespaces"].as_array().unwrap();
            assert!(namespaces.len() >= 7, "{container:#}");
            for namespace in namespaces {
                let kind = namespace["type"].as_str().unwrap();
                let ino = ns(&told.pid.to_string(), kind);
                assert_eq!(namespace["nsid"], ino, "{kind}: {container:#}");
                let whose = match ino {
                    ino if ino == ns("self", kind) => "host",
                    ino if told.name == "shares" && ino == ns(&web, kind) => "container",
                    _ => "own",
                };
                assert_eq!(namespace["whose"], whose, "{kind}: {container:#}");
                if whose == "container" {
                    assert_eq!(namespace["container"], "docker:web", "{kind}: {container:#}");
                }
            }
            let status = fs::read_to_string(format!("/proc/{}/status", told.pid)).unwrap();
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                line.unwrap().trim().to_owned()
            };
            let seccomp = if field("Seccomp") == "2" { "filter" } else { "none" };
            let no_new_privs = field("NoNewPrivs") == "1";
            assert_eq!((&container["seccomp"], &container["no-new-privs"]), (&seccomp.into(), &no_new_privs.into()));
            assert_eq!(container["host-uid-of-root"], 0, "{container:#}");
        }
        let extra = |told: &Told| of(told)["extra-capabilities"].clone();
        assert_eq!([extra(&told[0]), extra(&told[2])], [serde_json::json!([]), serde_json::json!(["CAP_SYS_PTRACE"])]);
        assert_eq!((&of(&told[2])["seccomp"], &of(&told[2])["no-new-privs"]), (&"none".into(), &true.into()));
    });
}

/// With control groups of version 2.
pub(super) fn unified_cgroups(name: &str) {
    on_own_host(name, Cgroups::Unified, || {
        let docker = Docker::start();
        Docker::run("web", &[]);
        Docker::run("idle", &["--network", "none", "--cgroupns", "host"]);
        succeeds("docker", &["pause", "idle"]);
        let told = ["web", "idle"].map(Docker::told);
        let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", told[1].pid)).unwrap();
        assert!(cgroup.contains(&format!("0::/docker/{}", told[1].id)), "{cgroup}");
        agree(&told);
        docker.daemon.kill();
        agree(&told);
    });
}

/// An ordinary user sees which container a process is in by its control group, but none of what only root may read; a gap
/// says so.
pub(super) fn ordinary_user(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let _docker = Docker::start();
        Docker::run("web", &[]);
        let told = Docker::told("web");
        let seen = Seen::by_nobody();
        let container = seen.by_id(&told.id);
        assert_eq!((&container["type"], &container["confidence"]), (&"docker.com".into(), &"likely".into()));
        assert_eq!((&container["said-by"]["name"], &container["image"]), (&Value::Null, &Value::Null), "{container:#}");
        assert_eq!(seen.of_process(told.pid), Some(&*told.id));
        assert!(seen.has_gap("denied"), "{seen:?}");
    });
}

/// Leaves a container without daemon and shim, and returns what Docker said of it.
fn with_killed_shim() -> Told {
    let docker = Docker::start();
    Docker::run("web", &[]);
    let told = Docker::told("web");
    docker.daemon.kill();
    kill(super::parent(told.pid));
    told
}

/// What is left when a shim is killed: the container goes on, and is known by its control group and Docker's file.
pub(super) fn killed_shim(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let told = with_killed_shim();
        assert!(fs::exists(format!("/proc/{}/root/bin/busybox", told.pid)).unwrap(), "the container goes on");
        Seen::now().check(&told);
    });
}

/// What Docker's file says of a container that was killed is not said of another process with its PID.
pub(super) fn reused_pid(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let told = with_killed_shim();
        kill(told.pid.try_into().unwrap());
        let config = fs::read(format!("/var/lib/docker/containers/{}/config.v2.json", told.id)).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        let other = super::with_pid(told.pid, Command::new("unshare").args(["--mount", "sleep", "inf"]));
        assert_eq!(config["State"]["Pid"], other, "{config}");
        let seen = Seen::now();
        assert_eq!(seen.of_process(other.into()), None, "{seen:?}");
        assert_eq!(seen.by_id(&told.id)["state"], "exited", "its network namespace is left: {seen:?}");
    });
}

/// A network namespace that stays behind without a process is that of the container which Docker made it for.
pub(super) fn network_namespace_left(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let docker = Docker::start();
        Docker::run("web", &[]);
        let (told, said) = (Docker::told("web"), Docker::inspect("web"));
        let key = said["NetworkSettings"]["SandboxKey"].as_str().unwrap().to_owned();
        let net = inode(&key);
        let shim = super::parent(told.pid);
        docker.daemon.kill();
        kill(shim);
        kill(u32::try_from(told.pid).unwrap());
        assert_eq!(inode(&key), net, "Docker was gone first, so that nobody has taken it down");
        let seen = Seen::now();
        assert_eq!(seen.of_namespace(net), Some(&*told.id), "{seen:?}");
        let why = lxkns_says(&["why", &format!("net:{net}")]).ok();
        assert!(why.text().contains("web"), "{}", why.text());
    });
}

/// The PID that a container's process has here, as the kernel says, whose PID one PID namespace further inside is known.
#[track_caller]
fn pid_here(id: &str, inner_pid: &str) -> u64 {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_it = |pid: &u64| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let status = read("status");
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        read("cgroup").contains(id) && numbers.split_whitespace().nth(1) == Some(inner_pid)
    };
    let found: Vec<u64> = pids.filter(is_it).collect();
    let [pid] = found[..] else { panic!("{found:?}") };
    pid
}

/// Docker in another mount, PID and control group namespace, which is no container: its containers are known outside, too.
pub(super) fn seen_from_outside(name: &str) {
    const SOCKET: &str = "LXKNS_TEST_OUTSIDE";
    if let Some(socket) = std::env::var_os(SOCKET) {
        return on_own_host(name, Cgroups::AsHere, || {
            let _docker = Docker::start();
            Docker::run("web", &[]);
            let Told { id, pid, .. } = Docker::told("web");
            let mut socket = UnixStream::connect(socket).unwrap();
            socket.write_all(format!("{id} {pid}\n").as_bytes()).unwrap();
            assert_eq!(socket.read(&mut [0]).unwrap(), 0, "who looks from outside has seen it");
        });
    }
    let directory = directory();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let [program, rest @ ..] = super::host::arguments(name);
    let mut inside = Command::new(program);
    inside.args(rest).env(SOCKET, &path).stdout(Stdio::piped()).stderr(Stdio::piped());
    let inside = inside.spawn().unwrap();
    let has_begun =
        wait(&[&listener, &pidfd(inside.id())], Duration::from_secs(60)) && wait(&[&listener], Duration::ZERO);
    if has_begun {
        let (socket, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&socket).read_line(&mut line).unwrap();
        let (id, inner_pid) = line.trim().split_once(' ').unwrap();
        let seen = Seen::now();
        let told = Told {
            kind: "docker.com",
            id: id.to_owned(),
            name: "web".to_owned(),
            pid: pid_here(id, inner_pid),
            state: "running",
            image: Some(image::NAME.to_owned()),
            ..Told::default()
        };
        seen.agrees(&told);
    }
    let output = inside.wait_with_output().unwrap();
    assert!(has_begun && output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Docker in a container of Docker: its containers are inside that container, with the PIDs that this host has for them.
pub(super) fn in_docker(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        const INNER: &str = "--host=unix:///run/inner/docker.sock";
        let docker = Docker::start();
        fs::create_dir("/run/inner").unwrap();
        let ready = ReadySocket::bind("/run/inner/ready");
        // The inner engine has this host's programs, and directories of its own to write to. Its mounts of control groups
        // are read-only unless it is privileged, which takes all capabilities: a host may lack some.
        let mut options = vec!["--env=PATH=/usr/sbin:/usr/bin:/bin", "--env=NOTIFY_SOCKET=/run/inner/ready"];
        options.extend(["--env=TMPDIR=/var/lib/docker", "--network=none", "--volume=/run/inner:/run/inner"]);
        options.extend(["--tmpfs=/var/lib/docker:mode=755,exec", "--device-cgroup-rule=a *:* rwm"]);
        options.extend(["--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined"]);
        options.extend(["--security-opt=systempaths=unconfined"]);
        options.extend(["--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN", "--cap-add=SYS_PTRACE"]);
        let of_host = ["/usr", "/lib", "/lib64"].into_iter().filter(|path| fs::exists(path).unwrap());
        let of_host: Vec<_> = of_host.map(|path| format!("--volume={path}:{path}:ro")).collect();
        options.extend(of_host.iter().map(|option| &**option));
        let script = "mount -o remount,rw /sys/fs/cgroup; for at in /sys/fs/cgroup/*; do mount -o remount,rw,bind $at; done; \
                      exec dockerd --host=unix:///run/inner/docker.sock --iptables=false --bridge=none \
                      --storage-driver=overlay2 --exec-opt native.cgroupdriver=cgroupfs >/run/inner/log 2>&1";
        let start =
            [&["run", "--detach", "--name", "outer"], &*options, &[image::NAME, "/bin/sh", "-c", script]].concat();
        succeeds("docker", &start);
        ready.wait(|| fs::read_to_string("/run/inner/log").unwrap_or_default());
        succeeds("docker", &[INNER, "load", "--input", "/run/image.tar"]);
        let start = ["run", "--detach", "--name", "inner", "--network=none", image::NAME, "/bin/sleep", "inf"];
        let id = succeeds("docker", &[&[INNER], &start[..]].concat()).trim().to_owned();
        let inner_pid = succeeds("docker", &[INNER, "inspect", "--format", "{{.State.Pid}}", "inner"]);

        let pid = pid_here(&id, inner_pid.trim());
        let inner = Told {
            kind: "docker.com",
            id,
            name: "inner".to_owned(),
            pid,
            state: "running",
            image: Some(image::NAME.to_owned()),
            labels: vec![("turtlefinder/container/prefix".to_owned(), "outer".to_owned())],
            ..Told::default()
        };
        let outer = Docker::told("outer");
        let check = || {
            let seen = agree(std::slice::from_ref(&outer));
            let container = seen.check(&inner);
            assert_eq!(container["inside"], seen.by_id(&outer.id)["index"], "{seen:?}");
            // Files in a container are what that container says.
            assert_eq!(container["confidence"], "likely", "{container:#}");
            let mut evidence = container["evidence"].as_array().unwrap().iter();
            assert!(evidence.any(|evidence| evidence["kind"] == "runtime-state"), "{container:#}");
            // The inner engine is in the outer container.
            assert_eq!(seen.of_process(super::parent(pid).into()), Some(&*outer.id));
        };
        check();
        signal(u32::try_from(outer.pid).unwrap(), Signal::STOP);
        signal(docker.daemon.pid(), Signal::STOP);
        check();
    });
}

/// People name containers where they name PIDs.
pub(super) fn targets(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let _docker = Docker::start();
        let id = Docker::run("web", &["--hostname", "inside"]);
        let told = Docker::told("web");
        let pid = told.pid;
        let net = inode(format!("/proc/{pid}/ns/net"));
        for target in ["web", "docker:web", &id[..12], &id] {
            let why = lxkns_says(&["why", &format!("{target}/net")]).ok();
            assert!(why.text().contains(&net.to_string()), "{target}: {}", why.text());
            enters(target, "hostname; cat /etc/os-release", "inside\nID=lxkns-test\n");
        }
        let none = lxkns_says(&["why", "docker:nobody"]);
        assert_ne!(none.code, Some(0), "{none:?}");
        assert!(none.stderr.contains("nobody"), "{none:?}");
    });
}
