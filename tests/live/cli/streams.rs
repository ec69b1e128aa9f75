//! Standard output and error, as pipes, devices or nothing at all; and hosts that show little.

use std::fs::File;
use std::io::{PipeReader, Read as _};
use std::process::{Command, Stdio};

use lxkns_fixture::Actor;
use rustix::pipe::PipeFlags;

use super::unprivileged;
use crate::harness::Need::{self, Program, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{Ran, run, run_lxkns};

const UNSHARE: &[Need] = &[UserNamespaces, Program("unshare"), Program("sh"), Program("mount")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::streams::nobody_reads", &[], nobody_reads),
        test("cli::streams::nobody_reads_any_more", &[], nobody_reads_any_more),
        test("cli::streams::full_device", &[Need::File("/dev/full")], full_device),
        test("cli::streams::messages_are_one_write", &[], messages_are_one_write),
        test("cli::streams::closed", &[Program("sh")], closed),
        test("cli::streams::no_procfs", UNSHARE, no_procfs),
        test("cli::streams::an_ordinary_user", &[UserNamespaces, Program("setpriv")], an_ordinary_user),
        test("cli::streams::root_is_told_of_no_gap_in_the_kernel", &[Root], no_gap_in_the_kernel),
    ]
}

const COMMANDS: [&[&str]; 18] = [
    &["ls"],
    &["ls", "-r"],
    &["ls", "--json"],
    &["why", "--all", "2"],
    &["why", "--json", "2"],
    &["mounts"],
    &["mounts", "--json"],
    &["busy", "/"],
    &["caps", "2"],
    &["orphans", "--json"],
    &["ports", "--json"],
    &["links"],
    &["links", "--json"],
    &["tree", "--owned"],
    &["tree", "proc", "--json"],
    &["dump"],
    &["--help"],
    &["--version"],
];

/// Runs lxkns with a standard output of ours.
fn run_into(arguments: &[&str], stdout: impl Into<Stdio>) -> Ran {
    let mut command = lxkns();
    let child = command.args(arguments).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    // It has a copy of standard output as long as it lives.
    drop(command);
    let output = child.wait_with_output().unwrap();
    Ran { code: output.status.code(), stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap() }
}

/// `lxkns ls | true`
fn nobody_reads() {
    for arguments in COMMANDS {
        if arguments.contains(&"2") && !can_read_process_2() {
            continue;
        }
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        run_into(arguments, writer).ok();
    }
}

fn can_read_process_2() -> bool {
    // Linux 5.10 says by an empty text that one may not know.
    std::fs::read_link("/proc/2/ns/net").is_ok_and(|text| !text.as_os_str().is_empty())
}

/// `lxkns dump | head -c 1`: what the pipe cannot take is still to be written when the reader goes.
fn nobody_reads_any_more() {
    for arguments in [&["dump"][..], &["ls", "--json", "-o", "+PATH,HOLDERS,CGROUP,UNIQUEID,ONS,PNS"]] {
        let _actors: Vec<_> = (0..8).map(|_| Actor::spawn_in(&["user", "uts", "ipc"])).collect();
        let (reader, writer): (PipeReader, _) = std::io::pipe().unwrap();
        let size = rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
        assert_eq!(size, 4096);
        let mut command = lxkns();
        let child = command.args(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        let mut first = [0];
        (&reader).read_exact(&mut first).unwrap();
        assert_eq!(&first, b"{");
        drop(reader);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        Ran { code: output.status.code(), stdout: Vec::new(), stderr }.ok();
    }
}

fn full_device() {
    for arguments in COMMANDS {
        if arguments.contains(&"2") && !can_read_process_2() {
            continue;
        }
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ran = run_into(arguments, full).fails(3, "No space left on device");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    }
    // What was to be said of the problem itself cannot be said either.
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut command = lxkns();
    let status = command.arg("ls").stdout(full()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(3));
}

fn closed() {
    let run = |arguments: &str, how: &str| {
        let script = format!("exec \"$0\" {arguments} {how}");
        run(Command::new("sh").args(["-c", &script]).arg(lxkns().get_program()))
    };
    for how in ["<&-", "2>&-", "<&- 2>&-"] {
        for (arguments, code) in [("ls", 0), ("dump", 0), ("ls 4194304", 1), ("ls non:sense", 2), ("--help", 0)] {
            let ran = run(arguments, how);
            assert_eq!(ran.code, Some(code), "{arguments} {how}: {ran:?}");
            assert_eq!(code == 0, !ran.stdout.is_empty(), "{arguments} {how}: {ran:?}");
        }
    }
    // What has nowhere to go is not written, and nobody thinks that it is. To where only reading is possible, too.
    for how in [">&-", "1</dev/null", "<&- >&- 2>&-", ">&- 2>&-"] {
        for arguments in COMMANDS.iter().filter(|it| !it.contains(&"2")).chain(&[&["watch", "2"][..]]) {
            // That waits for something to tell.
            if arguments[0] == "watch" && !how.contains(">&-") {
                continue;
            }
            let ran = run(&arguments.join(" "), how);
            assert_eq!(ran.code, Some(3), "{arguments:?} {how}: {ran:?}");
            if !how.contains("2>&-") {
                let said = ran.stderr.lines().collect::<Vec<_>>();
                let [said] = said[..] else { panic!("one line: {ran:?}") };
                let is_it = said.starts_with("lxkns: write standard output: ") && said.ends_with("(EBADF)");
                assert!(is_it, "{arguments:?} {how}: {said}");
            }
        }
        assert_eq!(run("ls non:sense", how).code, Some(2), "{how}");
    }
    // Somebody who wants nothing of it says so.
    for how in [">/dev/null", "<>/dev/null 1<>/dev/null 2>&1", "</dev/null >/dev/null 2>&1"] {
        assert_eq!(run("dump", how).code, Some(0), "{how}");
    }
    run("ls --from -", "<&-").fails(3, "read standard input: Bad file descriptor");
    run("diff - /dev/null", "<&-").fails(3, "read standard input: Bad file descriptor");
}

/// In a mount namespace where something else is at `/proc`.
fn no_procfs() {
    for (setup, arguments, text) in [
        ("mount -t tmpfs none /proc", "ls", "proc"),
        ("mount -t tmpfs none /proc", "dump", "proc"),
        ("mount -t tmpfs none /proc", "why 1", "proc"),
        ("mount --rbind / /proc", "ls", "proc"),
    ] {
        let script = format!("{setup} && exec \"$0\" {arguments}");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).arg(lxkns().get_program());
        let ran = run(&mut command).fails(3, text);
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    }
}

/// Results on standard output, what could not be seen on standard error, and no failure.
fn an_ordinary_user() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "uts"]);
    for arguments in [&["ls"][..], &["ls", "--json"], &["dump"]] {
        let ran = run(unprivileged(directory.path()).args(arguments)).ok();
        assert!(!ran.stdout.is_empty());
        let gaps = ran.gaps();
        assert!(gaps.iter().any(|line| line.contains(" processes not readable: needs CAP_SYS_PTRACE")), "{gaps:?}");
        assert!(gaps.len() < 10, "a line for each reason, not for each process: {gaps:?}");
        assert!(!ran.text().contains("not readable"));
    }
    // Of process 1 it is known that it is there.
    let ran = run(unprivileged(directory.path()).args(["ls", "1"]));
    ran.fails(3, "1: its namespaces are not readable");
    drop(actor);
}

/// What a kernel cannot do is no news in every run, and nothing that a user can mend.
fn no_gap_in_the_kernel() {
    for arguments in [&["ls"][..], &["dump"], &["ls", "-p", "2"]] {
        let ran = run_lxkns(arguments);
        assert!(!ran.stderr.contains("lists of namespaces"), "{ran:?}");
    }
}

/// What others write to the same file or terminal at the same time does not get into a line.
fn messages_are_one_write() {
    // Each write to such a pipe is read by itself.
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::DIRECT | PipeFlags::CLOEXEC).unwrap();
    let mut command = lxkns();
    command.args(["ls", "4194304", "4194303", "/no/such"]).stdout(Stdio::null()).stderr(write);
    let mut child = command.spawn().unwrap();
    // Nobody but the child has the other end.
    drop(command);
    let mut read = File::from(read);
    let mut lines = Vec::new();
    let mut packet = [0; 4096];
    while let Ok(count @ 1..) = read.read(&mut packet) {
        lines.push(String::from_utf8_lossy(&packet[..count]).into_owned());
    }
    child.wait().unwrap();
    assert!(lines.len() >= 3, "{lines:?}");
    for line in lines {
        assert!(line.starts_with("lxkns: ") && line.ends_with('\n') && line.matches('\n').count() == 1, "{line:?}");
    }
}
