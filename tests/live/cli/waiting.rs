//! Dumps that come through pipes: they are waited for, the user is told of it once, and can end it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::fs::{CWD, FileType, Mode};
use rustix::process::{Pid, Signal};

use crate::harness::Need::Program;
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{run, run_lxkns};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::waiting::nobody_writes", &[], nobody_writes),
        test("cli::waiting::somebody_writes_late", &[], somebody_writes_late),
        test("cli::waiting::standard_input", &[], standard_input),
        test("cli::waiting::process_substitution", &[Program("bash")], process_substitution),
    ]
}

fn fifo(directory: &Path) -> PathBuf {
    let path = directory.join("fifo");
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

/// A program that waits; it is killed with this.
struct Waiting(Child, BufReader<ChildStderr>);

impl Waiting {
    fn start(arguments: &[&str], stdin: Stdio) -> Self {
        let mut command = lxkns();
        command.args(arguments).args(["--timeout", "0.1"]).stdin(stdin);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self(child, stderr)
    }

    /// The next line that it says.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line
    }

    /// How it ends, what it has written, and what it has said since.
    fn end(mut self) -> (std::process::ExitStatus, String, String) {
        let (mut text, mut said) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.1.read_to_string(&mut said).unwrap();
        (self.0.wait().unwrap(), text, said)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn nobody_writes() {
    let directory = directory();
    let path = fifo(directory.path());
    let name = path.to_str().unwrap();
    for arguments in [&["ls", "--from", name][..], &["why", "--from", name, "1"], &["diff", name]] {
        let mut waiting = Waiting::start(arguments, Stdio::null());
        let said = format!("lxkns: waiting for {path:?}: no process has it open for writing; Ctrl-C ends this\n");
        assert_eq!(waiting.line(), said, "{arguments:?}");
        rustix::process::kill_process(Pid::from_child(&waiting.0), Signal::INT).unwrap();
        let (status, text, more) = waiting.end();
        assert_eq!((status.signal(), &*text, &*more), (Some(Signal::INT.as_raw()), "", ""), "{arguments:?}");
    }
    let own = std::process::id().to_string();
    run_lxkns(["enter", "--tools", name, &own, "--", "true"]).fails(125, "not a regular file");
}

fn somebody_writes_late() {
    let directory = directory();
    let path = fifo(directory.path());
    let mut waiting = Waiting::start(&["ls", "--from", path.to_str().unwrap()], Stdio::null());
    assert!(waiting.line().contains("no process has it open for writing"));
    let mut writer = File::options().write(true).open(&path).unwrap();
    writer.write_all(&run_lxkns(["dump"]).stdout).unwrap();
    drop(writer);
    let (status, text, more) = waiting.end();
    assert!(status.success() && text.starts_with("        NS TYPE"), "{text}");
    assert!(!more.contains("waiting"), "it is said once: {more}");
}

fn standard_input() {
    for arguments in [&["ls", "--from", "-"][..], &["diff", "-"], &["ls", "--from", "/dev/stdin"]] {
        let mut waiting = Waiting::start(arguments, Stdio::piped());
        let line = waiting.line();
        assert!(line.starts_with("lxkns: waiting for ") && line.contains(": nothing is being written to it"), "{line}");
        drop(waiting.0.stdin.take());
        let (status, text, more) = waiting.end();
        assert_eq!((status.code(), &*text), (Some(3), ""), "{more}");
        assert!(more.contains("not a dump"), "{more}");
    }
}

/// What a shell makes of it is a path to a descriptor of the program's.
fn process_substitution() {
    let directory = directory();
    let dump = directory.path().join("dump");
    std::fs::write(&dump, run_lxkns(["dump"]).stdout).unwrap();
    for script in [
        r#""$0" ls --from <(cat "$1")"#,
        r#""$0" ls --from <(sleep 0.2; cat "$1") --timeout 0.1 2>/dev/null"#,
        r#""$0" ls --from /dev/stdin <"$1""#,
        r#""$0" ls --from /dev/fd/7 7<"$1""#,
        r#""$0" ls --from /proc/self/fd/7 7<"$1""#,
        r#""$0" diff <(cat "$1") <(cat "$1") >&2 && "$0" ls --from "$1""#,
    ] {
        let mut command = Command::new("bash");
        command.args(["-c", script]).arg(lxkns().get_program()).arg(&dump).env("LC_ALL", "C.UTF-8");
        let ran = run(&mut command);
        assert_eq!(ran.code, Some(0), "{script}: {ran:?}");
        assert!(ran.text().contains("NS TYPE"), "{script}: {ran:?}");
    }
}
