//! The service under the AppArmor profile that comes with it: in a virtual machine whose kernel has AppArmor.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lxkns_fixture::{Actor, probe};
use rustix::fs::{Mode, OFlags};
use serde_json::Value;

use crate::harness::Need::{AppArmor, Program, Root, StaticService};
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    // One test: the profile is the host's, and goes when it ends.
    let needs = &[Root, AppArmor, StaticService, Program("apparmor_parser"), Program("setpriv")];
    vec![test("confined_service::apparmor", needs, apparmor)]
}

const PROFILE: &str = "lxknsd";
/// Where the profile lets it serve.
const DIRECTORY: &str = "/run/lxknsd";
/// The user of the image, and what the image's file permits, with the optional capabilities.
const USER: u32 = 65532;
const CAPABILITIES: &str = "+sys_ptrace,+sys_chroot,+sys_admin,+dac_read_search,+dac_override,+net_admin,+bpf,+perfmon";
/// How long anything may take where the processor is emulated.
const PATIENCE: Duration = Duration::from_secs(120);

/// The profile, as long as this is there.
struct Loaded;

impl Loaded {
    fn new() -> Self {
        let mut parser = Command::new("apparmor_parser");
        let ran = parser.args(["--replace", "--skip-cache", "/etc/apparmor.d/lxknsd"]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        Self
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let _ = fs::write("/sys/kernel/security/apparmor/.remove", PROFILE);
    }
}

/// A running service, with or without the profile.
struct Service {
    supervisor: Child,
}

impl Service {
    fn start(options: &[&str]) -> Self {
        let _ = fs::create_dir(DIRECTORY);
        chown(DIRECTORY, Some(USER), Some(USER)).unwrap();
        let mut command = Command::new("setpriv");
        let user = USER.to_string();
        command.args(["--clear-groups", "--reuid", &user, "--regid", &user]);
        for set in ["--inh-caps", "--ambient-caps"] {
            command.args([set, CAPABILITIES]);
        }
        command.args(options).args(["--", "/lxknsd", "--log", "json", "--listen"]);
        command.arg(format!("unix:{DIRECTORY}/socket")).args(["--listen", "127.0.0.1:0", "--scan-timeout", "120"]);
        command.args([
            "--expose-command-lines",
            "--expose-files",
            "--metrics-ports",
            "--metrics-links",
            "--timeout",
            "60",
        ]);
        let supervisor = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut service = Self { supervisor };
        let mut lines = BufReader::new(service.supervisor.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let is_ready = lines.by_ref().any(|line| {
            let parsed = serde_json::from_str::<Value>(&line).unwrap_or_default();
            said.push(line);
            parsed["message"] == "ready" && parsed["process"].is_null()
        });
        assert!(is_ready, "{said:#?}, denied: {:#?}", denials());
        std::thread::spawn(move || lines.for_each(|line| eprintln!("{line}")));
        service
    }

    fn get(path: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(format!("{DIRECTORY}/socket")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\nCache-Control: max-age=3600\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {reply}"));
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Its processes.
    fn pids(&self) -> Vec<u32> {
        let pid = self.supervisor.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        std::iter::once(pid).chain(children).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

/// What the kernel's log has of denials that the profile does not ask to be silent about.
fn denials() -> Vec<String> {
    // A record is one read; at the end there is none.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut log = File::from(rustix::fs::open("/dev/kmsg", flags, Mode::empty()).unwrap());
    let (mut record, mut found) = ([0; 8192], Vec::new());
    while let Ok(length) = log.read(&mut record) {
        let text = String::from_utf8_lossy(&record[..length]).into_owned();
        if text.contains("apparmor=\"DENIED\"") && text.contains(&format!("profile=\"{PROFILE}\"")) {
            found.push(text);
        }
    }
    found
}

/// What is asked, of what there is on the host.
fn questions(actor: &Actor, net: u64) -> Vec<String> {
    let pid = actor.pid();
    let mut all: Vec<_> = ["readyz", "api/v1/doctor", "api/v1/orphans?all", "api/v1/links", "api/v1/ports?unix"]
        .into_iter()
        .chain(["api/v1/mounts", "api/v1/containers", "api/v1/namespaces?all", "api/v1/tree?kind=pid&users"])
        .chain(["api/v1/owner?file=/etc/passwd", "api/v1/busy?path=/dev", "api/v1/audit"])
        .map(|path| format!("/{path}"))
        .collect();
    // Not why?target=PID: it names the holders of the host's namespaces, the service's own among them.
    all.extend(["show", "audit"].map(|question| format!("/api/v1/{question}?target={pid}")));
    all.extend(["mnt", "net", "user"].map(|kind| format!("/api/v1/why?target={pid}/{kind}")));
    all.extend(["show", "why"].map(|question| format!("/api/v1/{question}?target=net:{net}")));
    all.push(format!("/api/v1/owner?file={pid}:/etc/passwd"));
    all.push(format!("/api/v1/mounts/{pid}"));
    all.push(format!("/api/v1/caps?target={pid}&pid={pid}"));
    all.push(format!("/api/v1/explain?action=unshare+-n&pid={pid}"));
    all
}

/// Without what differs between two services on one host: numbers, and their own labels.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for character in text.replace(&format!("{PROFILE} (enforce)"), "unconfined").chars() {
        match character {
            '0'..='9' if plain.ends_with('#') => {}
            '0'..='9' => plain.push('#'),
            other => plain.push(other),
        }
    }
    plain
}

fn apparmor() {
    let _loaded = Loaded::new();
    probe::pin_to_one_cpu().unwrap();
    let holder = Actor::spawn_in(&["mnt"]);
    let (_, net) = holder.hide_network("/tmp");
    let actor = Actor::spawn_in(&["user", "mnt", "net", "uts", "ipc"]);
    actor.make_mounts_private();
    actor.mount("tmpfs", "/tmp");
    let questions = questions(&actor, net);
    let ask = || questions.iter().map(|path| Service::get(path)).collect::<Vec<_>>();
    let free = Service::start(&[]);
    let expected = ask();
    assert!(expected.iter().all(|(status, _)| *status == 200), "{expected:?}");
    let of = |asked: &str, answers: &[(u16, String)]| {
        let at = questions.iter().position(|path| path == asked).unwrap();
        serde_json::from_str::<Value>(&answers[at].1).unwrap()
    };
    // What only the helper or the kernel's lists tell, so it is seen that nothing of it is missing afterwards.
    let shown = of(&format!("/api/v1/show?target=net:{net}"), &expected);
    assert_eq!(shown["results"][0]["namespace"]["owner"], holder.ns_inode("user"), "{shown}");
    drop(free);

    let confined = Service::start(&["--apparmor-profile", PROFILE]);
    for pid in confined.pids() {
        let label = fs::read_to_string(format!("/proc/{pid}/attr/current")).unwrap();
        assert_eq!(label.trim_end(), format!("{PROFILE} (enforce)"), "{pid}");
    }
    for ((path, (_, expected)), (status, found)) in questions.iter().zip(&expected).zip(ask()) {
        assert_eq!(status, 200, "{path}: {found}; denied: {:#?}", denials());
        let (expected, found) = (plain(expected), plain(&found));
        assert_eq!(expected, found, "{path}; denied: {:#?}", denials());
    }
    assert_eq!(denials(), [""; 0]);
    drop(confined);
    denied();
}

/// What an intruder tries in whose process the profile is in force, with all capabilities that root has.
fn denied() {
    let other = Actor::spawn();
    type Try = fn(&Actor) -> std::io::Result<()>;
    let tries: [(&str, Try); 11] = [
        ("write a file", |actor| actor.try_write_file("/tmp/lxkns-there", b"x")),
        ("make a file", |actor| actor.try_touch("/tmp/lxkns-new")),
        ("make a directory", |actor| actor.try_mkdir("/tmp/lxkns-directory")),
        ("rename a file", |actor| actor.try_rename("/tmp/lxkns-there", "/tmp/lxkns-other")),
        ("remove a file", |actor| actor.try_unlink("/tmp/lxkns-other")),
        ("mount", |actor| actor.try_mount("tmpfs", "/mnt")),
        ("unmount", |actor| actor.try_umount("/mnt")),
        ("bind", |actor| actor.try_bind("/tmp", "/mnt")),
        ("change a setting", |actor| actor.try_write_file("/proc/sys/kernel/domainname", b"lxkns")),
        ("be another profile", |actor| actor.try_write_file(ATTRIBUTE, b"changeprofile unconfined")),
        ("run a program", |actor| actor.try_exec(&["/bin/true"])),
    ];
    let run = |actor: &Actor| -> Vec<_> { tries.iter().map(|(what, run)| (*what, run(actor).is_ok())).collect() };
    let prepared = || {
        let actor = Actor::spawn_in(&["mnt", "uts"]);
        actor.make_mounts_private();
        actor.mount("tmpfs", "/tmp");
        actor.touch("/tmp/lxkns-there");
        actor
    };
    let free = run(&prepared());
    let unlike: Vec<_> = free.iter().filter(|(what, done)| !done && *what != "be another profile").collect();
    assert!(unlike.is_empty(), "{unlike:?}");
    let intruder = prepared();
    // The rename would have made it: without it, the removal would fail with ENOENT.
    intruder.touch("/tmp/lxkns-other");
    intruder.write_file(ATTRIBUTE, format!("changeprofile {PROFILE}").as_bytes());
    let done: Vec<_> = run(&intruder).into_iter().filter(|(_, done)| *done).collect();
    assert!(done.is_empty(), "{done:?}");
    // It still reads what the service reads.
    intruder.read_file("/proc/1/status");
    let root = format!("/proc/{}/root/etc/passwd", other.pid());
    assert_eq!(intruder.read_file(&root), fs::read(Path::new("/etc/passwd")).unwrap());
}

/// Where a process changes its profile.
const ATTRIBUTE: &str = "/proc/thread-self/attr/apparmor/current";
