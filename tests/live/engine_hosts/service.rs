//! The image of the service, as engines run it: an ordinary user with a read-only root directory, the capabilities that
//! `deploy` names, and what it sees of the host with these. Only with the image that people get (`cargo xtask dist`):
//! `LXKNS_IMAGE` names it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lxkns_fixture::{Actor, probe};
use serde_json::Value;

use super::docker::Docker;
use super::host::{Cgroups, lxkns_says, on_own_host, succeeds, tried};
use super::seen::Seen;
use super::{inode, podman};

const CAPABILITIES: [&str; 5] = ["SYS_PTRACE", "SYS_CHROOT", "SYS_ADMIN", "DAC_READ_SEARCH", "DAC_OVERRIDE"];

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
        agent.wait_for(engine, |line| line["message"] == "ready" && line["process"].is_null());
        agent
    }

    /// Waits until its log has this line, and returns it.
    fn wait_for(&self, engine: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        use std::io::BufRead as _;
        let mut logs = Command::new(engine);
        logs.args(["logs", "--follow", &self.name]).stdin(Stdio::null()).stdout(Stdio::null());
        let mut logs = logs.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = std::io::BufReader::new(logs.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let found = lines.find_map(|line| {
            let parsed = serde_json::from_str::<Value>(&line).unwrap_or_default();
            said.push(line);
            is_it(&parsed).then_some(parsed)
        });
        logs.kill().unwrap();
        logs.wait().unwrap();
        found.unwrap_or_else(|| panic!("{}: {said:?}", self.name))
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

    // It has returned to the control group namespace of the host.
    let cgroup = |pid: &str| inode(format!("/proc/{pid}/ns/cgroup"));
    assert_ne!(cgroup(&agent.pid.to_string()), cgroup("self"));
    assert_eq!(cgroup(&reader.to_string()), cgroup("self"));
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
        check(&agent, &hidden, idle.pid);
        // The engine's socket belongs to root and its group.
        let version = succeeds("docker", &["version", "--format", "{{.Server.Version}}"]);
        let seen = Seen::of(agent.json("/api/v1/snapshot"));
        assert_eq!(seen.engine(docker.daemon.pid())["version"], version.trim(), "{seen:?}");
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
        assert_eq!(seen.engine(docker.daemon.pid())["version"], "", "{seen:?}");

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
        check(&agent, &hidden, idle.pid);
    });
}
