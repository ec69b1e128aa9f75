//! Names and paths that others chose never reach a terminal as they are.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lxkns_fixture::{Actor, Open, probe};
use serde_json::Value;

use super::with_bind_mount;
use crate::harness::Need::{Kernel, Program, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::program::{Ran, run_lxkns};
use crate::live::{directory, inode, look_until, own_inode};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::hostile::comm", &[UserNamespaces, Kernel(4, 17)], comm),
        test("cli::hostile::comm_of_a_holder", &[UserNamespaces], comm_of_a_holder),
        test("cli::hostile::command_line", &[UserNamespaces, Program("unshare")], command_line),
        test("cli::hostile::mount_path", &[UserNamespaces], mount_path),
    ]
}

/// A colour, an end of line, a change of direction, a byte that is no UTF-8, the same colour as one character.
pub(super) const NASTY: [&[u8]; 6] = [
    b"\x1b[31mred",
    b"a\nlxkns: b",
    b"\xe2\x80\xaetxt",
    b"\xff\xc3x",
    b"\x9b31m \r\t\\",
    b"\xc2\x9b31m\x7f\xe2\x81\xa6x",
];

/// Checks that nothing but what is safe to print was written, in as many lines as there should be.
#[track_caller]
pub(super) fn assert_safe(ran: &Ran, lines: Option<usize>) {
    for text in [ran.text(), &ran.stderr] {
        let unsafe_one = text
            .chars()
            .find(|&c| (c.is_control() && c != '\n') || "\u{202a}\u{202b}\u{202d}\u{202e}\u{2066}".contains(c));
        assert_eq!(unsafe_one, None, "{text:?}");
    }
    if let Some(lines) = lines {
        assert_eq!(count_lines(ran), lines, "{ran:?}");
    }
}

/// How many lines were written without those about suspects, which can be of other tests.
fn count_lines(ran: &Ran) -> usize {
    ran.text().lines().filter(|line| !line.starts_with("  suspect")).count()
}

/// The JSON that a command has written, which reaches a terminal unescaped by nobody else.
#[track_caller]
fn safe_json(ran: Ran) -> Value {
    let ran = ran.ok();
    assert_safe(&ran, None);
    ran.json()
}

/// Everything that is written as JSON about a process and its namespace, in all commands.
#[track_caller]
fn all_json_is_safe(pid: u32, ino: &str) {
    let pid = pid.to_string();
    for arguments in [
        &["show", "--json", &pid, ino][..],
        &["tree", "proc", "--json", &pid],
        &["tree", "--owned", "--json"],
        &["caps", "--json", "-p", &pid, ino],
        &["mounts", "--json", &pid],
        &["orphans", "--json"],
        &["enter", "--dry-run", "--json", &pid],
        &["doctor", "--json"],
        &["busy", "--json", "/"],
        &["dump"],
    ] {
        let ran = run_lxkns(arguments);
        assert_safe(&ran, None);
        if ran.code == Some(0) {
            ran.json();
        }
    }
}

/// A process without a command line is called by its name.
fn comm() {
    let directory = directory();
    let file = directory.path().join("file");
    std::fs::write(&file, [0; 64]).unwrap();
    let actor = Actor::spawn_in(&["user", "uts"]);
    // The kernel does not read mapped files for this, so that it is empty.
    actor.mmap_cmdline_from(&file, 64);
    let uts = actor.ns_inode("uts").to_string();
    for name in NASTY {
        actor.set_comm(name);
        let eyes = run_lxkns(["ls", "-no", "COMMAND", &uts]).ok();
        assert_safe(&eyes, Some(1));
        assert!(eyes.text().contains("\\x"), "{eyes:?}");
        let fields = run_lxkns(["ls", "-rno", "NS,COMMAND,PID", &uts]).ok();
        assert_safe(&fields, Some(1));
        assert_eq!(fields.text().trim_end().split(' ').count(), 3, "{fields:?}");
        assert_safe(&why(&uts), Some(3));
        all_json_is_safe(actor.pid(), &uts);
        let table = safe_json(run_lxkns(["ls", "--json", &uts]));
        assert_eq!(table["namespaces"][0]["command"], String::from_utf8_lossy(name).as_ref());
        let answer = safe_json(run_lxkns(["why", "--json", &uts]));
        assert_eq!(answer["results"][0]["holders"][0]["command"], String::from_utf8_lossy(name).as_ref());
    }
}

/// What holds a namespace that has one holder. The kernel reader has a line about references more, where it is usable.
fn why(ino: &str) -> Ran {
    look_until(|ran: &Ran| count_lines(ran) == 3, || run_lxkns(["why", "--reader", "proc", ino]).ok())
}

fn comm_of_a_holder() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    actor.open("/proc/self/ns/uts", Open::ReadOnly);
    let uts = actor.ns_inode("uts").to_string();
    actor.unshare(&["uts"]);
    for name in NASTY {
        actor.set_comm(name);
        let eyes = run_lxkns(["ls", "-no", "COMMAND", &uts]).ok();
        assert_safe(&eyes, Some(1));
        assert!(eyes.text().contains("of process") && eyes.text().contains("\\x"), "{eyes:?}");
        assert_safe(&why(&uts), Some(3));
        safe_json(run_lxkns(["dump"]));
    }
}

/// A program in a UTS namespace of its own whose file has this name. It waits for its standard input.
fn with_name(path: &Path) -> Child {
    std::os::unix::fs::symlink(lxkns().get_program(), path).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--uts"]).arg(path).args(["ls", "--from", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let command_line = format!("/proc/{}/cmdline", child.id());
    // Until unshare has become that program.
    while !std::fs::read(&command_line).unwrap().starts_with(path.as_os_str().as_bytes()) {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    child
}

fn command_line() {
    let directory = directory();
    for name in NASTY {
        let path = directory.path().join(OsStr::from_bytes(name));
        let mut child = with_name(&path);
        let uts = inode(format!("/proc/{}/ns/uts", child.id())).to_string();
        assert_ne!(uts, own_inode("uts").to_string());
        for arguments in [&["ls", "-no", "NS,COMMAND"][..], &["ls", "-rno", "NS,COMMAND"]] {
            let ran = run_lxkns([arguments, &[&uts]].concat()).ok();
            assert_safe(&ran, Some(1));
            assert!(ran.text().contains("\\x"), "{ran:?}");
        }
        assert_safe(&why(&uts), Some(3));
        let expected = format!("{} ls --from -", path.to_string_lossy());
        let table = safe_json(run_lxkns(["ls", "--json", &uts]));
        assert_eq!(table["namespaces"][0]["command"], expected);
        let answer = safe_json(run_lxkns(["why", "--json", &uts]));
        assert_eq!(answer["results"][0]["holders"][0]["command"], expected);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn mount_path() {
    let directory = directory();
    for name in NASTY {
        let path = directory.path().join(OsStr::from_bytes(name));
        let (actor, net) = with_bind_mount(&path);
        let ino = net.to_string();
        let eyes = run_lxkns(["ls", "-no", "NSFS,PATH,COMMAND", &ino]).ok();
        assert_safe(&eyes, Some(1));
        assert_eq!(eyes.text().matches("\\x").count() % 3, 0, "in each of the three: {eyes:?}");
        assert!(eyes.text().contains("\\x"));
        let fields = run_lxkns(["ls", "-rno", "NS,NSFS,PATH", &ino]).ok();
        assert_safe(&fields, Some(1));
        assert_eq!(fields.text().trim_end().split(' ').count(), 3, "{fields:?}");
        let why = why(&ino);
        assert_safe(&why, Some(3));
        // The command that releases it can be pasted: a shell reads just that path from it.
        let command = format!("`umount -N {} ", actor.pid());
        let quoted = why.text().split(&command).nth(1).and_then(|rest| rest.lines().next()).unwrap();
        // Whoever may not carry it out is told so behind it.
        let quoted = quoted.split(" (not as this user").next().unwrap().trim_end().trim_end_matches('`').to_owned();
        if probe::program_exists("bash") {
            let script = format!("printf %s {quoted}");
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(output.stdout, path.as_os_str().as_bytes());
        }
        let json = safe_json(run_lxkns(["ls", "--json", "-o", "NSFS", &ino]));
        assert_eq!(json["namespaces"][0]["nsfs"], path.to_string_lossy().as_ref());
        safe_json(run_lxkns(["why", "--json", &ino]));
        // As what was asked for, too.
        let through = format!("/proc/{}/root", actor.pid());
        let target = Path::new(&through).join(path.strip_prefix("/").unwrap());
        let found = run_lxkns([OsStr::new("ls"), OsStr::new("-rno"), OsStr::new("NS"), target.as_os_str()]).ok();
        assert_eq!(found.text(), format!("{ino}\n"));
        // Not the plain one: another that looks at the same moment can keep it busy.
        actor.umount_lazily(&path);
        assert_safe(&run_lxkns([OsStr::new("why"), target.as_os_str()]).fails(1, "not a namespace"), Some(0));
    }
}
