//! `lxkns dump`, and what reads it.

use std::io::Read as _;
use std::process::{Command, Stdio};

use lxkns_fixture::{Actor, Open, Socket, probe};
use serde_json::Value;

use super::with_bind_mount;
use crate::harness::Need::{FileSystem, Program, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{row, run, run_lxkns, run_lxkns_with, without_suspects};

const PUBLISHED: &str = include_str!("../../../docs/schema.json");

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::dump::fits_the_schema", &[UserNamespaces], fits_the_schema),
        test("cli::dump::stable", &[UserNamespaces, FileSystem("proc"), Program("unshare"), Program("sh")], stable),
        test("cli::dump::no_cmdline", &[UserNamespaces], no_cmdline),
        test("cli::dump::read_again", &[UserNamespaces], read_again),
        test(
            "cli::dump::written_again",
            &[UserNamespaces, FileSystem("proc"), Program("unshare"), Program("sh")],
            written_again,
        ),
        test("cli::dump::of_the_go_program", &[], of_the_go_program),
        test("cli::dump::streams", &[UserNamespaces, FileSystem("proc"), Program("unshare"), Program("sh")], streams),
        test("cli::dump::labels", &[UserNamespaces], labels),
    ]
}

/// A bit of everything, with names that no one would choose.
fn fixture() -> (Actor, Vec<Actor>) {
    let actor = Actor::spawn_in(&["user", "mnt", "uts", "ipc", "net"]);
    actor.set_comm(b"\x1b[31m\xff\n");
    actor.open("/proc/self/ns/net", Open::ReadOnly);
    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    actor.send_fd_in_flight(fd);
    actor.socket(Socket::Udp4);
    actor.unshare(&["net"]);
    let thread = actor.thread();
    thread.unshare(&["net"]);
    actor.unshare(&["pid"]);
    let others = vec![actor.fork(), thread];
    (actor, others)
}

#[track_caller]
fn assert_fits(dump: &Value) {
    let published = serde_json::from_str(PUBLISHED).unwrap();
    for schema in [published, lxkns_model::wire::schema()] {
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(dump).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(errors, [""; 0]);
        assert!(!validator.is_valid(&serde_json::json!({ "namespaces": 1 })), "a schema that anything fits");
    }
}

fn fits_the_schema() {
    let (actor, _others) = fixture();
    for arguments in [&["dump"][..], &["dump", "--stable"], &["dump", "--no-cmdline"]] {
        let ran = run_lxkns(arguments).ok();
        assert!(ran.text().ends_with('\n'));
        let dump = ran.json();
        assert_fits(&dump);
        assert_eq!(dump["namespaces"][actor.ns_inode("uts").to_string()]["type"], "uts");
        assert!(dump["processes"][actor.pid().to_string()].is_object());
    }
}

/// A dump has the label that the kernel says, or that no module gives one; who reads it says the same.
fn labels() {
    let (actor, _others) = fixture();
    let file = |name: &str| std::fs::read_to_string(format!("/proc/{}/attr/{name}", actor.pid())).ok();
    let label = ["current", "apparmor/current"].into_iter().filter_map(file);
    let label = label.map(|text| text.trim_end_matches(['\n', '\0']).to_owned()).find(|text| !text.is_empty());
    let pid = actor.pid().to_string();
    let dump = run_lxkns(["dump"]).ok();
    let (written, process) = (dump.json(), &dump.json()["processes"][&pid]);
    assert_eq!(written["discovery-options"]["snapshot"]["options"]["security-labels"], true);
    assert_eq!(process["lsm-label"], label.as_deref().unwrap_or_default(), "{process}");
    let read = |arguments: &[&str]| {
        let arguments = [arguments, &["--from", "-"]].concat();
        run_lxkns_with(&arguments, &dump.stdout).ok().text().to_owned()
    };
    let shown = read(&["show", &pid]);
    let line = shown.lines().find_map(|line| line.trim_start().strip_prefix("LSM label")).unwrap();
    assert_eq!(line.trim(), label.as_deref().unwrap_or("none"), "{shown}");
    let audited = read(&["audit", &pid]);
    assert!(!audited.contains("labels of security modules"), "{audited}");
    assert_eq!(audited.contains("no security module labels processes"), label.is_none(), "{audited}");
}

/// In a PID namespace with its own procfs nothing changes but what lxkns itself does.
fn stable() {
    let script = r#""$0" dump --stable && "$0" dump --stable && "$0" dump; exit $?"#;
    let ran = run(Command::new("unshare")
        .args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script])
        .arg(lxkns().get_program()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines: Vec<_> = ran.text().lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0] == lines[1], "{}\n{}", lines[0], lines[1]);
    let dump: Value = serde_json::from_str(lines[0]).unwrap();
    assert_fits(&dump);
    assert_eq!(dump["processes"].as_object().unwrap().keys().collect::<Vec<_>>(), ["1"], "the shell, and not lxkns");
    let whole = |line: &str| serde_json::from_str::<Value>(line).unwrap()["discovery-options"]["snapshot"].clone();
    for key in ["taken-at", "took-nsec"] {
        assert_eq!(whole(lines[0])[key], Value::Null, "{key}");
        assert_ne!(whole(lines[2])[key], Value::Null, "{key}");
    }
}

fn no_cmdline() {
    let (actor, _others) = fixture();
    let secret = "--lxkns-actor";
    let pid = actor.pid().to_string();
    let with = run_lxkns(["dump"]).ok();
    assert!(with.json()["processes"][&pid].to_string().contains(secret));
    let without = run_lxkns(["dump", "--no-cmdline"]).ok();
    assert!(without.json()["processes"][&pid].is_object());
    assert!(!without.text().contains(secret), "nobody's command line is there");
}

fn read_again() {
    let directory = directory();
    let (actor, net) = with_bind_mount(&directory.path().join("ns"));
    let (other, others) = fixture();
    let columns = "NS,TYPE,PATH,NPROCS,PID,PPID,COMMAND,UID,USER,NSFS,PNS,ONS,UNIQUEID,NTASKS,HOLDERS,CGROUP";
    // The kernel reader tells references, and discovery chooses it where there are many tasks.
    let dump = run_lxkns(["dump", "--reader", "proc"]).ok().stdout;
    let read = run_lxkns_with(&["ls", "--json", "-o", columns, "--from", "-"], &dump).ok().json();
    let live = run_lxkns(["ls", "--json", "-o", columns]).ok().json();
    let mut inodes = vec![net, others[1].ns_inode("net"), others[0].ns_inode("pid")];
    for actor in [&actor, &other] {
        inodes.extend(["user", "mnt", "net"].map(|name| actor.ns_inode(name)));
    }
    for ino in inodes {
        assert!(row(&live, ino).is_some(), "{ino}");
        assert_eq!(row(&read, ino), row(&live, ino));
    }

    let file = directory.path().join("dump.json");
    std::fs::write(&file, &dump).unwrap();
    let from = file.to_str().unwrap();
    for target in [net.to_string(), format!("{}/net", actor.pid())] {
        let read = run_lxkns(["why", &target, "--from", from]).ok();
        let live = run_lxkns(["why", &target, "--reader", "proc"]).ok();
        assert_eq!(without_suspects(read.text()), without_suspects(live.text()));
        let read = run_lxkns(["ls", &target, "--from", from]).ok();
        assert_eq!(read.text(), run_lxkns(["ls", &target]).ok().text());
    }
    // What a path leads to on this host says nothing about another.
    run_lxkns(["why", "/proc/self/ns/net", "--from", from]).fails(2, "a dump has no paths");
    run_lxkns(["ls", "--from", from, "4194304"]).fails(1, "4194304: no such process");
}

/// The most memory that `lxkns dump` has held, in bytes, by the kernel's account. It runs in a PID namespace of its own
/// with so many other processes, and sees no others: tests that run meanwhile have some, and end them when they like.
fn peak_of_dump(reader: &str, others: u32) -> u64 {
    const SCRIPT: &str = r#"exec 3<&0; i=0; while [ $i -lt "$1" ]; do read -r _ <&3 >&2 & i=$((i + 1)); done; exec "$0" dump --reader "$2""#;
    let mut unshare = Command::new("unshare");
    // Root of a user namespace below may not use the kernel reader.
    if !probe::is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec", SCRIPT]);
    unshare.arg(lxkns().get_program()).args([&others.to_string(), reader]);
    let mut unshare = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = unshare.stdout.take().unwrap();
    // What the pipe holds is less than what is written, so that it lives when the last of this is read.
    rustix::pipe::fcntl_setpipe_size(&stdout, 4096).unwrap();
    let mut buffer = [0; 64 * 1024];
    let mut length = stdout.read(&mut buffer).unwrap();
    let id = unshare.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let status = format!("/proc/{}/status", children.trim());
    let mut peak = 0;
    while length > 0 {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kibibytes.unwrap_or(0) * 1024);
        length = stdout.read(&mut buffer).unwrap();
    }
    assert!(unshare.wait().unwrap().success() && peak > 0);
    peak
}

/// It keeps no second form of what it writes: memory grows by what the snapshot has of a process.
fn streams() {
    const FEW: u32 = 100;
    const MORE: u32 = 1500;
    // The kernel reader takes some memory by itself, and of many processes only.
    for reader in ["proc", "kernel"] {
        let before = peak_of_dump(reader, FEW);
        let of_each = peak_of_dump(reader, FEW + MORE).saturating_sub(before) / u64::from(MORE);
        assert!(of_each < 3072, "{of_each} bytes for each process, {reader}");
    }
}

/// A dump that is written again without something is as if that had never been read.
fn written_again() {
    let directory = directory();
    let file = directory.path().join("whole.json");
    let options = ["--stable", "--stable --no-cmdline", "--stable --no-mounts", "--stable --no-cmdline --no-mounts"];
    // Nothing changes in there, so each pair must be the same to the last byte.
    let pairs: String =
        options.iter().map(|options| format!("lx dump {options}; lx dump {options} --from \"$1\"; ")).collect();
    let script =
        format!("lx() {{ \"$0\" \"$@\"; }}; lx dump >\"$1\"; {pairs} lx dump --from \"$1\"; lx dump --from - <\"$1\"");
    let mut unshare = Command::new("unshare");
    unshare.args([
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-ec",
        &script,
    ]);
    let ran = run(unshare.arg(lxkns().get_program()).arg(&file));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines: Vec<_> = ran.text().lines().collect();
    assert_eq!(lines.len(), 2 * options.len() + 2);
    for (pair, options) in lines.chunks(2).zip(options) {
        assert_eq!(pair[0], pair[1], "{options}");
        assert_fits(&serde_json::from_str(pair[1]).unwrap());
    }
    let whole = std::fs::read_to_string(&file).unwrap();
    for again in &lines[2 * options.len()..] {
        assert_eq!(*again, whole.trim_end());
    }
    // What is to be left out was there.
    let dump = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let [all, bare] = [dump(&whole), dump(lines[7])];
    let has_line = |dump: &Value| dump["processes"]["1"].to_string().contains("--from");
    assert!(has_line(&all) && !has_line(&bare), "{bare}");
    let mounts = |dump: &Value| dump["mounts"].as_object().is_some_and(|mounts| !mounts.is_empty());
    assert!(mounts(&all) && !mounts(&bare), "{bare}");
    run_lxkns(["dump", "--from", "/nonexistent"]).fails(3, "No such file or directory (ENOENT)");
}

/// What the Go program writes has nothing of ours; written again, it has.
fn of_the_go_program() {
    let theirs = serde_json::json!({
        "discovery-options": { "from-procs": true, "scanned-namespace-types": ["net", "user"] },
        "namespaces": {
            "4026531837": { "nsid": 4026531837_u64, "type": "user", "owner": 0, "reference": ["/proc/1/ns/user"],
                            "leaders": [1], "user-id": 0, "user-name": "root" },
            "4026532281": { "nsid": 4026532281_u64, "type": "net", "owner": 4026531837_u64, "leaders": [7],
                            "reference": ["/proc/7/ns/net"] },
        },
        "processes": {
            "1": { "pid": 1, "ppid": 0, "name": "init", "cmdline": ["/sbin/init"], "starttime": 1,
                   "namespaces": { "user": 4026531837_u64 } },
            "7": { "pid": 7, "ppid": 1, "name": "web", "cmdline": ["web", "--secret"], "starttime": 9,
                   "namespaces": { "user": 4026531837_u64, "net": 4026532281_u64 } },
        },
    });
    let theirs = serde_json::to_vec(&theirs).unwrap();
    let ours = run_lxkns_with(&["dump", "--from", "-"], &theirs).ok();
    assert_fits(&ours.json());
    assert_eq!(ours.json()["discovery-options"]["snapshot"]["format"], 1);
    let ls = |dump: &[u8]| run_lxkns_with(&["ls", "--json", "-o", "+ONS,PID,PPID", "--from", "-"], dump).ok().json();
    assert_eq!(ls(&ours.stdout), ls(&theirs));
    assert_eq!(row(&ls(&ours.stdout), 4_026_532_281).unwrap()["pid"], 7);
    let bare = run_lxkns_with(&["dump", "--no-cmdline", "--from", "-"], &theirs).ok();
    assert!(!bare.text().contains("--secret") && ours.text().contains("--secret"));
}
