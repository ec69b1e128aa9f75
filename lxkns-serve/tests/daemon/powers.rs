//! The daemon as an ordinary user: with the capabilities of its file, with ambient ones, with some, and with none.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use lxkns_fixture::{Actor, probe};
use serde_json::{Value, json};

use super::processes::field;
use super::{Daemon, test};

/// Those that the artefacts name, with their numbers and by the names of setpriv.
const USEFUL: [(&str, u8, &str); 8] = [
    ("CAP_SYS_PTRACE", 19, "sys_ptrace"),
    ("CAP_DAC_READ_SEARCH", 2, "dac_read_search"),
    ("CAP_SYS_ADMIN", 21, "sys_admin"),
    ("CAP_SYS_CHROOT", 18, "sys_chroot"),
    ("CAP_DAC_OVERRIDE", 1, "dac_override"),
    ("CAP_NET_ADMIN", 12, "net_admin"),
    ("CAP_BPF", 39, "bpf"),
    ("CAP_PERFMON", 38, "perfmon"),
];

const USER: u32 = 65_532;

pub(crate) fn tests() -> Vec<Trial> {
    let needs_root = |name, run| test(name, run).with_ignored_flag(!probe::is_root());
    vec![
        needs_root("powers::permitted_ones_of_the_file_are_raised", of_file),
        needs_root("powers::ambient_ones_are_passed_on", ambient),
        needs_root("powers::each_missing_one_is_named", each_missing),
        needs_root("powers::no_new_privs_is_named_as_the_reason", no_new_privs),
        needs_root("powers::a_file_that_makes_them_effective_cannot_be_run_without_one", effective),
        test("powers::none_are_needed", none),
        test("powers::root_of_a_user_namespace_serves", user_namespace).with_ignored_flag(!probe::may_unshare_user()),
        needs_root("powers::root_without_capabilities_serves", bare_root),
    ]
}

fn bits(set: impl IntoIterator<Item = u8>) -> u64 {
    set.into_iter().fold(0, |bits, number| bits | 1 << number)
}

fn all() -> u64 {
    bits(USEFUL.map(|(_, number, _)| number))
}

/// A copy of the program whose file has these capabilities.
struct Program {
    directory: tempfile::TempDir,
}

impl Program {
    fn new(permitted: u64, is_effective: bool) -> Self {
        let directory = tempfile::Builder::new().prefix("lxkns-test-").tempdir().unwrap();
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let program = Self { directory };
        // By another process: a file that a test started meanwhile has inherited to be written to cannot be run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_lxknsd")).arg(program.path()).status().unwrap();
        assert!(copied.success());
        // `struct vfs_cap_data` of linux/capability.h, version 2.
        let words = [0x0200_0000 | u32::from(is_effective), permitted as u32, 0, (permitted >> 32) as u32, 0];
        let value: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        if permitted != 0 {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(program.path(), c"security.capability", &value, flags).unwrap();
        }
        program
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("lxknsd")
    }
}

/// Has the same command run this program as the user, with nothing but these capabilities in the bounding set.
fn become_user(command: &mut Command, program: &Path, bounding: u64, options: &[&str]) {
    let names = USEFUL.into_iter().filter(|(_, number, _)| bounding >> number & 1 == 1).map(|(.., name)| name);
    let names: String = names.map(|name| format!(",+{name}")).collect();
    let mut setpriv = Command::new("setpriv");
    setpriv.args([format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".to_owned()]);
    // What setpriv itself runs still has root's permitted capabilities to begin with.
    setpriv.args([format!("--bounding-set=-all{names}")]).args(options).args(["--", "env"]);
    setpriv.arg(program).args(command.get_args());
    let stdio = || std::process::Stdio::null();
    setpriv.stdin(stdio()).stdout(stdio()).stderr(std::process::Stdio::piped());
    *command = setpriv;
}

fn start(program: &Program, bounding: u64, options: &[&str]) -> Daemon {
    Daemon::start_with(&[], |command| become_user(command, &program.path(), bounding, options))
}

fn capabilities(pid: u32, set: &str) -> u64 {
    u64::from_str_radix(&field(pid, set), 16).unwrap()
}

fn missing(daemon: &Daemon) -> Vec<Value> {
    daemon.json("/readyz")["missing-capabilities"].as_array().unwrap().clone()
}

/// A mount namespace without a process, in which a network namespace is mounted.
struct Hidden {
    _holder: Actor,
    net: u64,
}

impl Hidden {
    fn new() -> Self {
        probe::pin_to_one_cpu().unwrap();
        let holder = Actor::spawn_in(&["mnt"]);
        let (_, net) = holder.hide_network(std::env::temp_dir().canonicalize().unwrap());
        Self { _holder: holder, net }
    }

    fn owner(&self, daemon: &Daemon) -> Value {
        daemon.json(&format!("/api/v1/namespaces/net:{}", self.net))["results"][0]["namespace"]["owner"].clone()
    }
}

fn of_file() {
    let hidden = Hidden::new();
    let wanted = all();
    let program = Program::new(wanted, false);
    let daemon = start(&program, wanted, &[]);
    let (front, reader) = (daemon.process("front").unwrap(), daemon.process("reader").unwrap());
    for pid in [daemon.pid(), front, reader] {
        assert_eq!(field(pid, "Uid").split_whitespace().next(), Some("65532"));
    }
    assert_eq!(capabilities(reader, "CapEff"), wanted);
    assert_eq!(capabilities(reader, "CapAmb"), wanted, "for programs that are run from memory");
    assert_eq!(field(reader, "NoNewPrivs"), "1");
    assert_eq!(capabilities(daemon.pid(), "CapEff"), 0, "the supervisor uses none");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(capabilities(front, set), 0, "{set} of the front");
    }
    assert_eq!(field(front, "NoNewPrivs"), "1");
    assert_eq!(missing(&daemon), [] as [Value; 0]);
    let own = std::fs::metadata("/proc/self/ns/user").unwrap();
    assert_eq!(hidden.owner(&daemon), json!(std::os::unix::fs::MetadataExt::ino(&own)));
    // The process inside was run once more from the file.
    let links = daemon.json(&format!("/api/v1/links?target=net:{}", hidden.net));
    assert!(links.to_string().contains("\"lo\""), "{links}");
}

fn ambient() {
    let program = Program::new(0, false);
    let names: String = USEFUL.map(|(.., name)| format!(",+{name}")).concat();
    let names = names.trim_start_matches(',');
    let (inherited, ambient) = (format!("--inh-caps={names}"), format!("--ambient-caps={names}"));
    // What systemd does for AmbientCapabilities= and NoNewPrivileges=.
    let daemon = start(&program, all(), &[&inherited, &ambient, "--no-new-privs"]);
    assert_eq!(capabilities(daemon.process("reader").unwrap(), "CapEff"), all());
    assert_eq!(capabilities(daemon.pid(), "CapEff"), 0);
    assert_eq!(capabilities(daemon.process("front").unwrap(), "CapPrm"), 0);
    assert_eq!(missing(&daemon), [] as [Value; 0]);
}

fn each_missing() {
    let program = Program::new(all(), false);
    for (name, number, _) in USEFUL {
        // Both are implied by CAP_SYS_ADMIN.
        let implied = [38, 39].contains(&number);
        let without = bits([number]) | if implied { bits([21]) } else { 0 };
        let daemon = start(&program, all() & !without, &[]);
        let missing = missing(&daemon);
        let found = missing.iter().find(|missing| missing["capability"] == name);
        let found = found.unwrap_or_else(|| panic!("{name}: {missing:?}"));
        assert!(!found["adds"].as_str().unwrap().is_empty());
        assert!(found["reason"].as_str().unwrap().starts_with("it is not in the bounding set"), "{found}");
        assert_eq!(missing.len(), 1 + usize::from(implied), "{missing:?}");
        assert_eq!(daemon.metric(&format!("lxkns_capability_missing{{capability=\"{name}\"}}")), 1.0);
        assert!(daemon.json("/api/v1/namespaces")["namespaces"].as_array().is_some_and(|all| !all.is_empty()));
        let (supervisor, _) = (daemon.pid(), daemon.metric("lxkns_up"));
        assert_eq!(capabilities(supervisor, "CapPrm"), all() & !without);
    }
}

fn no_new_privs() {
    let program = Program::new(all(), false);
    let daemon = Daemon::start_unready(&[], |command| {
        become_user(command, &program.path(), all(), &["--no-new-privs"]);
    });
    let said = daemon.logged(|line| line["message"] == "capability missing" && line["capability"] == "CAP_SYS_PTRACE");
    assert!(said["reason"].as_str().unwrap().starts_with("no_new_privs is set"), "{said}");
    let missing = missing(&daemon);
    assert_eq!(missing.len(), USEFUL.len(), "{missing:?}");
    for missing in missing {
        assert!(missing["reason"].as_str().unwrap().starts_with("no_new_privs is set"), "{missing}");
    }
}

fn effective() {
    let wanted = all();
    let ran = |program: &Program, bounding| {
        let mut command = Command::new("lxknsd");
        command.arg("check");
        become_user(&mut command, &program.path(), bounding, &[]);
        command.output().unwrap()
    };
    let (permitted, effective) = (Program::new(wanted, false), Program::new(wanted, true));
    for program in [&permitted, &effective] {
        assert!(ran(program, wanted).status.success());
    }
    let without = wanted & !bits([18]);
    assert!(ran(&permitted, without).status.success());
    let refused = ran(&effective, without);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("Operation not permitted"), "the kernel refuses to run it: {said}");
}

/// Whether a daemon serves that another program starts.
fn serves(starter: &[&str]) {
    let daemon = Daemon::start_by(|socket| {
        let mut command = Command::new(starter[0]);
        command.args(&starter[1..]).arg(env!("CARGO_BIN_EXE_lxknsd"));
        command.args(["--log", "json", "--listen", "127.0.0.1:0", "--listen"]);
        command.arg(format!("unix:{}", socket.display()));
        command
    });
    assert_eq!(daemon.get("/healthz", &[]).status, 200);
    assert!(daemon.json("/api/v1/namespaces")["namespaces"].as_array().is_some_and(|all| !all.is_empty()));
}

/// The kernel knows no other user in there, and lets no group be given up.
fn user_namespace() {
    serves(&["unshare", "--user", "--map-root-user"]);
}

/// The kernel lets it become no other user.
fn bare_root() {
    serves(&["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--"]);
}

fn none() {
    let program = Program::new(0, false);
    let daemon = Daemon::start_with(&[], |command| {
        if probe::is_root() {
            become_user(command, &program.path(), 0, &[]);
        }
    });
    let missing = missing(&daemon);
    assert_eq!(missing.len(), USEFUL.len(), "{missing:?}");
    assert!(daemon.json("/api/v1/namespaces")["namespaces"].as_array().is_some_and(|all| !all.is_empty()));
}
