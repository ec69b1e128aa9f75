//! The image of the service, as engines run it: an ordinary user with a read-only root directory, the capabilities that
//! `deploy` names, and what it sees of the host with these. Only with the image that people get (`cargo xtask dist`):
//! `LXKNS_IMAGE` names it.

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lxkns_fixture::{Actor, probe};
use serde_json::Value;

use super::booted::{on_booted_host, property, unit};
use super::cri::{Message, call};
use super::docker::Docker;
use super::host::{Cgroups, kill, lxkns_says, on_own_host, succeeds, tried};
use super::seen::Seen;
use super::{containerd, inode, podman};

const CAPABILITIES: [&str; 5] = ["SYS_PTRACE", "SYS_CHROOT", "SYS_ADMIN", "DAC_READ_SEARCH", "DAC_OVERRIDE"];

/// The user and the group of the image.
const USER: u32 = 65_532;

/// How long anything may take on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);

/// No option of an engine, but of these tests: the kernel's newer interfaces are denied, which tell the service what its
/// helper tells it otherwise.
const AS_BEFORE: &str = "as before";

/// The profile of system calls that comes with the service.
fn profile() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/seccomp.json").canonicalize().unwrap()
}

/// The same without newer calls.
fn older_profile() -> PathBuf {
    let newer = ["bpf", "listmount", "listns", "open_by_handle_at", "statmount"];
    let mut profile: Value = serde_json::from_slice(&std::fs::read(profile()).unwrap()).unwrap();
    for rule in profile["syscalls"].as_array_mut().unwrap() {
        rule["names"].as_array_mut().unwrap().retain(|name| !newer.contains(&name.as_str().unwrap()));
    }
    let path = PathBuf::from("/run/older-seccomp.json");
    std::fs::write(&path, profile.to_string()).unwrap();
    path
}

/// The file of the image.
fn file() -> String {
    std::env::var("LXKNS_IMAGE").unwrap()
}

/// Loads the image, and returns its name.
fn load(engine: &str) -> String {
    let said = succeeds(engine, &["load", "--input", &file()]);
    let line = said.lines().find(|line| line.starts_with("Loaded image")).unwrap_or_else(|| panic!("{said}"));
    line.rsplit(' ').next().unwrap().to_owned()
}

/// A container of the image, on this host's network.
struct Agent {
    name: String,
    port: u16,
    pid: u32,
}

impl Agent {
    /// Starts one with these capabilities and further options of the engine, and waits until it serves.
    fn start(engine: &str, image: &str, port: u16, capabilities: &[&str], options: &[&str]) -> Self {
        let name = format!("agent{port}");
        let added: Vec<_> = capabilities.iter().map(|name| format!("--cap-add={name}")).collect();
        let profile = if options.contains(&AS_BEFORE) { older_profile() } else { profile() };
        let seccomp = format!("--security-opt=seccomp={}", profile.display());
        let mut start = vec!["run", "--detach", "--name", &name, "--user=65532:65532", "--cap-drop=ALL", "--read-only"];
        start.extend(["--pid=host", "--network=host", "--cgroupns=private", &seccomp]);
        start.extend(added.iter().map(String::as_str));
        start.extend(options.iter().filter(|option| **option != AS_BEFORE));
        let listen = format!("127.0.0.1:{port}");
        start.extend([image, "--listen", &listen, "--log", "json", "--timeout", "30"]);
        succeeds(engine, &start);
        let pid = succeeds(engine, &["inspect", "--format", "{{.State.Pid}}", &name]).trim().parse().unwrap();
        let agent = Self { name, port, pid };
        agent.wait_for(engine, is_ready);
        agent
    }

    /// Waits until its log has this line, and returns it.
    fn wait_for(&self, engine: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut logs = Command::new(engine);
        logs.args(["logs", "--follow", &self.name]);
        said_in(logs, is_it)
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nCache-Control: no-cache\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        let end = reply.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&reply[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_slice(&reply[end + 4..]).unwrap_or_else(|error| panic!("{path}: {error}: {head}")))
    }

    #[track_caller]
    fn json(&self, path: &str) -> Value {
        let (status, value) = self.get(path);
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// The names of the capabilities that it says it lacks, and why the first is missing.
    fn missing(&self) -> (Vec<String>, String) {
        let ready = self.json("/readyz");
        let missing = ready["missing-capabilities"].as_array().unwrap();
        let names = missing.iter().map(|missing| missing["capability"].as_str().unwrap().to_owned()).collect();
        (names, missing.first().map_or(String::new(), |missing| missing["reason"].as_str().unwrap().to_owned()))
    }

    /// Its process of this role.
    fn process(&self, role: &str) -> u32 {
        let of = |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let is_it = |pid: &u32| of(pid).split(|&byte| byte == 0).nth(1) == Some(role.as_bytes());
        super::children(self.pid).into_iter().find(is_it).unwrap()
    }

    fn field(pid: u32, name: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap().to_owned()
    }
}

/// Waits until a log has this line, and returns it. `logs`: a program that writes the log for as long as it goes on.
fn said_in(mut logs: Command, is_it: impl Fn(&Value) -> bool) -> Value {
    let (read, write) = std::io::pipe().unwrap();
    logs.stdin(Stdio::null()).stdout(write.try_clone().unwrap()).stderr(write);
    let mut following = logs.spawn().unwrap();
    drop(logs);
    let mut lines = std::io::BufReader::new(read).lines().map_while(Result::ok);
    let mut said = Vec::new();
    let found = lines.find_map(|line| {
        // What the engine writes before it: the time, and which stream it is from.
        let parsed = serde_json::from_str::<Value>(line.find('{').map_or("", |at| &line[at..])).unwrap_or_default();
        said.push(line);
        is_it(&parsed).then_some(parsed)
    });
    following.kill().unwrap();
    following.wait().unwrap();
    found.unwrap_or_else(|| panic!("{said:?}"))
}

fn is_ready(line: &Value) -> bool {
    line["message"] == "ready" && line["process"].is_null()
}

/// A mount namespace without a process, in which a network namespace is mounted.
struct Hidden {
    _holder: Actor,
    net: u64,
    owner: u64,
}

impl Hidden {
    fn new() -> Self {
        probe::pin_to_one_cpu().unwrap();
        let holder = Actor::spawn_in(&["mnt"]);
        let (_, net) = holder.hide_network("/run/tmp");
        let owner = holder.ns_inode("user");
        Self { _holder: holder, net, owner }
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/net:{}", self.net)
    }

    fn owner_by(&self, agent: &Agent) -> Value {
        agent.json(&self.path())["results"][0]["namespace"]["owner"].clone()
    }
}

/// What an agent sees and is, whatever runs it.
fn check(agent: &Agent, hidden: &Hidden, frozen: u64) {
    let (reader, front) = (agent.process("reader"), agent.process("front"));
    for pid in [agent.pid, reader, front] {
        assert_eq!(Agent::field(pid, "Uid"), "65532\t65532\t65532\t65532");
    }
    assert_eq!(Agent::field(agent.pid, "Seccomp"), "2");
    assert_eq!((Agent::field(reader, "NoNewPrivs").as_str(), Agent::field(front, "NoNewPrivs").as_str()), ("1", "1"));
    assert_eq!(Agent::field(front, "CapPrm"), "0000000000000000");
    // The five, without CAP_NET_ADMIN.
    assert_eq!(Agent::field(reader, "CapEff"), "00000000002c0006");
    let (missing, reason) = agent.missing();
    assert_eq!(missing, ["CAP_NET_ADMIN"]);
    assert!(reason.starts_with("it is not in the bounding set"), "{reason}");

    // Whatever namespace the engine has put it in, it has returned to that of the host.
    assert_eq!(cgroup_namespace(reader), cgroup_namespace(1));
    let shown = agent.json(&format!("/api/v1/processes/{frozen}"));
    let text = shown.to_string();
    let cgroups = std::fs::read_to_string(format!("/proc/{frozen}/cgroup")).unwrap();
    for line in cgroups.lines() {
        let path = line.splitn(3, ':').nth(2).unwrap();
        assert!(text.contains(&format!("\"path\":\"{path}\"")), "{path}: {text}");
    }
    assert!(text.contains("\"frozen\":true"), "{text}");
    assert_eq!(hidden.owner_by(agent), hidden.owner, "{}", agent.json("/readyz"));
}

fn cgroup_namespace(pid: u32) -> u64 {
    inode(format!("/proc/{pid}/ns/cgroup"))
}

/// Docker, with the profile of system calls that comes with the service. It must see what root sees.
pub(super) fn docker(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let docker = Docker::start();
        let hidden = Hidden::new();
        Docker::run("idle", &["--network", "none"]);
        succeeds("docker", &["pause", "idle"]);
        let idle = Docker::told("idle");
        let image = load("docker");
        let agent = Agent::start("docker", &image, 5010, &CAPABILITIES, &[]);
        assert_ne!(cgroup_namespace(agent.pid), cgroup_namespace(1));
        check(&agent, &hidden, idle.pid);
        // The engine's socket belongs to root and its group.
        let version = succeeds("docker", &["version", "--format", "{{.Server.Version}}"]);
        let seen = Seen::of(agent.json("/api/v1/snapshot"));
        assert_eq!(seen.engine(docker.daemon.pid())["version"], version.trim(), "{seen:?}");
        // And that of its containerd.
        let is_containerd =
            |pid: &u32| std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == b"containerd\n");
        let containerd = super::children(docker.daemon.pid()).into_iter().find(is_containerd).unwrap();
        let version = containerd::version("/run/docker/containerd/containerd.sock");
        assert_eq!(seen.engine(containerd)["version"], version, "{seen:?}");
        seen.check(&idle);
        // It is not what keeps a file system busy.
        let busy = lxkns_says(&["busy", "/run/tmp", "--json"]);
        assert!(!busy.text().contains("lxknsd"), "{busy:?}");

        let without =
            |capability: &str| CAPABILITIES.into_iter().filter(|name| *name != capability).collect::<Vec<_>>();
        let agent = Agent::start("docker", &image, 5011, &without("SYS_CHROOT"), &[]);
        assert_eq!(agent.missing().0, ["CAP_SYS_CHROOT", "CAP_NET_ADMIN"]);
        // The helper, run from memory, was inside, as far as it may.
        let agent = Agent::start("docker", &image, 5014, &CAPABILITIES, &[AS_BEFORE]);
        assert_eq!(hidden.owner_by(&agent), hidden.owner, "{}", agent.json("/readyz"));
        let agent = Agent::start("docker", &image, 5015, &without("SYS_CHROOT"), &[AS_BEFORE]);
        let (status, said) = agent.get(&hidden.path());
        assert_eq!(status, 403, "the helper enters nothing without CAP_SYS_CHROOT: {said}");
        let agent = Agent::start("docker", &image, 5012, &without("DAC_OVERRIDE"), &[]);
        assert_eq!(agent.missing().0, ["CAP_DAC_OVERRIDE", "CAP_NET_ADMIN"]);
        let seen = Seen::of(agent.json("/api/v1/snapshot"));
        for engine in [docker.daemon.pid(), containerd] {
            assert_eq!(seen.engine(engine)["version"], "", "{seen:?}");
        }
        let ready = agent.json("/readyz");
        let unasked = "answers of 2 container engines not readable: needs CAP_DAC_OVERRIDE";
        assert!(ready["gaps"].to_string().contains(unasked), "{ready}");

        let agent = Agent::start("docker", &image, 5013, &CAPABILITIES, &["--security-opt=no-new-privileges"]);
        let said = agent.wait_for("docker", |line| line["capability"] == "CAP_SYS_ADMIN");
        assert!(said["reason"].as_str().unwrap().starts_with("no_new_privs is set"), "{said}");
        let (missing, reason) = agent.missing();
        assert!(missing.len() == 8 && reason.starts_with("no_new_privs is set"), "{missing:?} {reason}");
        // It is of use all the same.
        assert_eq!(agent.get("/api/v1/namespaces").0, 200);
    });
}

/// What the profile denies to whoever takes the service over, with all that its capabilities allow otherwise.
pub(super) fn denied(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let _docker = Docker::start();
        let profile = format!("seccomp={}", profile().display());
        let mut run = vec!["run", "--rm", "--network=none", "--security-opt=apparmor=unconfined"];
        let capabilities = CAPABILITIES.map(|name| format!("--cap-add={name}"));
        run.extend(capabilities.iter().map(String::as_str));
        for command in [&["mount", "-t", "tmpfs", "none", "/tmp"][..], &["hostname", "another"]] {
            let with = |profile: &str| {
                let option = ["--security-opt", profile, super::image::NAME];
                tried("docker", &[&run, &option[..], command].concat())
            };
            let allowed = with("seccomp=unconfined");
            assert_eq!(allowed.code, Some(0), "{command:?}: {allowed:?}");
            let denied = with(&profile);
            assert_ne!(denied.code, Some(0), "{command:?}: {denied:?}");
            assert!(denied.stderr.contains("not permitted") || denied.stderr.contains("denied"), "{denied:?}");
        }
    });
}

/// podman takes the same file.
pub(super) fn podman(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        podman::lay_out("crun");
        let hidden = Hidden::new();
        podman::run("idle", &["--network", "none"]);
        succeeds("podman", &["pause", "idle"]);
        let idle = podman::told("idle");
        let agent = Agent::start("podman", &load("podman"), 5010, &CAPABILITIES, &[]);
        assert_ne!(cgroup_namespace(agent.pid), cgroup_namespace(1));
        check(&agent, &hidden, idle.pid);
    });
}

/// The files of a Secret, as a kubelet mounts it for the group of a pod: links to a directory that it exchanges.
fn secret(at: &str, files: &[(&str, &str)]) {
    let (at, of_now) = (Path::new(at), "..2026_03_01_12_00_00.123456789");
    std::fs::create_dir_all(at.join(of_now)).unwrap();
    std::os::unix::fs::symlink(of_now, at.join("..data")).unwrap();
    for (name, text) in files {
        let file = at.join(of_now).join(name);
        std::fs::write(&file, text).unwrap();
        std::os::unix::fs::chown(&file, None, Some(USER)).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o440)).unwrap();
        std::os::unix::fs::symlink(Path::new("..data").join(name), at.join(name)).unwrap();
    }
}

/// The pod of `deploy/kubernetes`, as a kubelet has containerd run it, but on this host's network.
fn agent_in_pod(image: &str) -> Agent {
    const NODE: u64 = 2;
    const LABELS: [(&str, &str); 4] = [
        ("io.kubernetes.container.name", "lxknsd"),
        ("io.kubernetes.pod.name", "lxknsd-x"),
        ("io.kubernetes.pod.namespace", "lxkns"),
        ("io.kubernetes.pod.uid", "aaaa-bbbb"),
    ];
    let labelled =
        |message: Message, field| LABELS.iter().fold(message, |it, (key, value)| it.entry(field, key, value));
    let namespaces = || Message::new().value(1, NODE).value(2, NODE);
    let user = || Message::new().value(1, USER.into());
    // An empty profile is the runtime's own.
    let runtimes_own = Message::new;
    let of_pod = Message::new().message(1, namespaces()).message(3, user()).value(5, USER.into()).message(8, user());
    let sandbox = || {
        let metadata = Message::new().text(1, "lxknsd-x").text(2, "aaaa-bbbb").text(3, "lxkns");
        let linux = Message::new().text(1, "/kubepods/burstable/podaaaa-bbbb");
        let linux = linux.message(2, of_pod.clone().message(9, runtimes_own()));
        labelled(Message::new().message(1, metadata).text(3, "/run/logs"), 6).message(8, linux)
    };
    let id = call("RunPodSandbox", &Message::new().message(1, sandbox())).text(1);

    secret("/run/secret", &[("web.yml", "http_server_config:\n  http2: false\n")]);
    let mount = Message::new().text(1, "/etc/lxknsd").text(2, "/run/secret").value(3, 1);
    let capabilities = CAPABILITIES.iter().fold(Message::new(), |it, name| it.text(1, name)).text(2, "ALL");
    let of_container = Message::new()
        .message(1, capabilities)
        .message(3, namespaces())
        .message(5, user())
        .value(7, 1)
        .value(8, USER.into())
        .message(12, user())
        .message(15, runtimes_own());
    let metadata = Message::new().text(1, "lxknsd");
    let mut config = Message::new().message(1, metadata).message(2, Message::new().text(1, image));
    let options = ["--listen=127.0.0.1:5010", "--web.config.file=/etc/lxknsd/web.yml", "--log=json", "--timeout=30"];
    config = options.iter().fold(config, |it, option| it.text(4, option));
    config = labelled(config.message(7, mount), 9).text(11, "lxknsd.log");
    config = config.message(15, Message::new().message(2, of_container));
    let create = Message::new().text(1, &id).message(2, config).message(3, sandbox());
    let id = call("CreateContainer", &create).text(1);
    call("StartContainer", &Message::new().text(1, &id));
    let pid = u32::try_from(containerd::pid_of("ContainerStatus", &id)).unwrap();
    let mut logs = Command::new("tail");
    logs.args(["--follow", "--lines=+1", "/run/logs/lxknsd.log"]);
    said_in(logs, is_ready);
    Agent { name: id, port: 5010, pid }
}

/// containerd, as Kubernetes uses it, with its own profile of system calls.
pub(super) fn pod(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let daemon = containerd::start(&["k8s.io"]);
        succeeds("ctr", &["--namespace", "k8s.io", "image", "import", &file()]);
        let images = succeeds("ctr", &["--namespace", "k8s.io", "image", "list", "--quiet"]);
        let image = images.lines().find(|name| name.starts_with("localhost/lxknsd")).unwrap();
        let hidden = Hidden::new();
        let (_, idle) = containerd::pod();
        let frozen = containerd::pid_of("ContainerStatus", &idle);
        succeeds("ctr", &["--namespace", "k8s.io", "task", "pause", &idle]);
        let agent = agent_in_pod(image);
        check(&agent, &hidden, frozen);
        let seen = Seen::of(agent.json("/api/v1/snapshot"));
        let version = containerd::version("/run/containerd/containerd.sock");
        assert_eq!(seen.engine(daemon.pid())["version"], version, "{seen:?}");
        assert_eq!(seen.group("shop/web-0")["labels"]["tier"], "front", "{seen:?}");
        for (id, pod) in [(&idle, "web-0"), (&agent.name, "lxknsd-x")] {
            assert_eq!(seen.by_id(id)["pod"]["name"], pod, "{seen:?}");
        }
        // It ends on its signal, and within the time that a kubelet gives it.
        call("StopContainer", &Message::new().text(1, &agent.name).value(2, 15));
        let status = call("ContainerStatus", &Message::new().text(1, &agent.name)).message(1);
        assert_eq!(status.text(10), "Completed", "{status:?}");
    });
}

/// The units of the packages, with the program that is in the image, on a host that systemd has booted.
pub(super) fn systemd(name: &str) {
    on_booted_host(name, || {
        std::fs::create_dir("/run/image").unwrap();
        succeeds("tar", &["--extract", "--file", &file(), "--directory", "/run/image"]);
        let manifest: Value = serde_json::from_slice(&std::fs::read("/run/image/manifest.json").unwrap()).unwrap();
        let layer = format!("/run/image/{}", manifest[0]["Layers"][0].as_str().unwrap());
        succeeds("tar", &["--extract", "--gzip", "--file", &layer, "--directory", "/opt", "lxknsd"]);
        let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd");
        for name in ["lxknsd.service", "lxknsd.socket"] {
            let text = std::fs::read_to_string(units.join(name)).unwrap();
            unit(name, &text.replace("/usr/sbin/lxknsd", "/opt/lxknsd"));
        }
        succeeds("systemd-sysusers", &[units.join("lxknsd.sysusers").to_str().unwrap()]);
        succeeds("systemctl", &["daemon-reload"]);
        succeeds("systemctl", &["start", "lxknsd.socket"]);
        assert_eq!(property("lxknsd.service", "ActiveState"), "inactive");
        std::fs::create_dir("/run/tmp/disk").unwrap();
        succeeds("mount", &["-t", "tmpfs", "none", "/run/tmp/disk"]);
        // The first request starts it.
        let is_served = || {
            let mut stream = TcpStream::connect("127.0.0.1:5010").unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).unwrap();
            assert!(reply.starts_with("HTTP/1.0 200") || reply.starts_with("HTTP/1.1 200"), "{reply}");
            // Waits until it has read the host.
            succeeds("systemctl", &["start", "lxknsd.service"]);
            let pid = property("lxknsd.service", "MainPID").parse().unwrap();
            Agent { name: "lxknsd".to_owned(), port: 5010, pid }
        };
        let agent = is_served();
        let [uid, gid] = ["-u", "-g"].map(|which| succeeds("id", &[which, "lxknsd"]).trim().to_owned());
        let reader = agent.process("reader");
        for pid in [agent.pid, reader, agent.process("front")] {
            assert_eq!(Agent::field(pid, "Uid"), [&*uid; 4].join("\t"));
            assert_eq!((Agent::field(pid, "NoNewPrivs"), Agent::field(pid, "Seccomp")), ("1".into(), "2".into()));
        }
        assert_eq!(Agent::field(reader, "CapEff"), "00000000002c0006");
        assert_eq!(agent.missing().0, ["CAP_NET_ADMIN"]);
        let ready = agent.json("/readyz").to_string();
        assert!(!ready.contains("filter of system calls"), "the unit's filter hides something: {ready}");
        for kind in ["mnt", "net", "user", "pid", "uts", "ipc"] {
            let of = |pid: u32| inode(format!("/proc/{pid}/ns/{kind}"));
            assert_eq!((of(agent.pid), of(reader)), (of(1), of(1)), "{kind}");
        }
        let socket = std::fs::metadata("/run/lxknsd.socket").unwrap();
        assert_eq!((socket.gid().to_string(), socket.mode() & 0o777), (gid, 0o660));

        // What it has looked at can be unmounted.
        let mounts = agent.json("/api/v1/mounts/1").to_string();
        assert!(mounts.contains("/run/tmp/disk"), "{mounts}");
        succeeds("umount", &["/run/tmp/disk"]);

        succeeds("systemctl", &["reload", "lxknsd.service"]);
        assert_eq!(property("lxknsd.service", "MainPID"), agent.pid.to_string());
        kill(agent.pid);
        let again = is_served();
        assert_ne!(again.pid, agent.pid, "it is started again");
        succeeds("systemctl", &["stop", "lxknsd.socket", "lxknsd.service"]);
        assert_eq!(property("lxknsd.service", "Result"), "success");
        assert!(!std::fs::exists("/run/lxknsd.socket").unwrap());
    });
}
