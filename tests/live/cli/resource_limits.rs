//! Under limits on stack, memory, processes, descriptors and files: the program works, or says in one line why not.

use std::path::Path;
use std::process::Command;

use lxkns_fixture::probe;
use serde_json::Value;

use super::unprivileged;
use crate::harness::Need::{self, Program};
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{Ran, run, run_lxkns};

const BASH: &[Need] = &[Program("bash")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::resource_limits::stack", BASH, stack),
        test("cli::resource_limits::memory", BASH, memory),
        test("cli::resource_limits::processes", &[Program("bash"), Program("setpriv")], processes),
        test("cli::resource_limits::file_size", BASH, file_size),
    ]
}

/// Each command, with a dump where it takes one.
fn commands(dump: &Path) -> Vec<Vec<String>> {
    let (dump, pid) = (dump.to_str().unwrap(), std::process::id());
    let commands = [
        "ls".to_owned(),
        "tree".to_owned(),
        format!("show {pid}"),
        format!("why {pid}"),
        "orphans".to_owned(),
        format!("mounts {pid}"),
        "busy /proc".to_owned(),
        format!("caps -p {pid} {pid}"),
        "doctor".to_owned(),
        "dump".to_owned(),
        format!("diff {dump} {dump}"),
        format!("ls --from {dump}"),
        "watch --help".to_owned(),
        "completions bash".to_owned(),
        format!("enter --dry-run {pid}"),
    ];
    commands.iter().map(|command| command.split(' ').map(str::to_owned).collect()).collect()
}

fn dump(directory: &Path) -> std::path::PathBuf {
    let dump = directory.join("dump");
    std::fs::write(&dump, run_lxkns(["dump"]).stdout).unwrap();
    dump
}

/// The dump with many more processes: reading it takes some MiB, on whatever host.
fn large(dump: &Path) -> std::path::PathBuf {
    const MORE: u64 = 10_000;
    let mut json: Value = serde_json::from_slice(&std::fs::read(dump).unwrap()).unwrap();
    let processes = json["processes"].as_object_mut().unwrap();
    let one = processes[&std::process::id().to_string()].clone();
    for pid in 5_000_000..5_000_000 + MORE {
        let mut other = one.clone();
        (other["pid"], other["tasks"]) = (pid.into(), Value::Array(vec![one["tasks"][0].clone()]));
        other["tasks"][0]["tid"] = pid.into();
        processes.insert(pid.to_string(), other);
    }
    let large = dump.with_file_name("large");
    std::fs::write(&large, json.to_string()).unwrap();
    large
}

/// Runs lxkns under a limit, without a core file.
fn run_under(limit: &str, program: &Command, arguments: &[String]) -> Ran {
    run(&mut under(limit, program, arguments))
}

fn under(limit: &str, program: &Command, arguments: &[String]) -> Command {
    let mut command = Command::new("bash");
    let script = format!("ulimit -c 0; ulimit {limit} && exec \"$@\"");
    command.args(["-c", &script, "bash"]).arg(program.get_program()).args(program.get_args()).args(arguments);
    command.env("LC_ALL", "C.UTF-8");
    command
}

fn stack() {
    let directory = directory();
    let dump = dump(directory.path());
    for arguments in commands(&dump) {
        let expected = run(lxkns().args(&arguments)).code;
        for limit in ["-s 64", "-s 256", "-s 1024"] {
            let ran = run_under(limit, &lxkns(), &arguments);
            assert_eq!(ran.code, expected, "{arguments:?} {limit}: {ran:?}");
            assert!(
                !ran.stdout.is_empty() || ["orphans", "diff"].contains(&&*arguments[0]),
                "{arguments:?} {limit}: {ran:?}"
            );
        }
    }
}

/// From hardly enough to be started to enough: with less, it is the kernel or the loader that gives up.
fn memory() {
    let directory = directory();
    let dump = large(&dump(directory.path()));
    let starts = |limit: &str, mib: &u64| {
        let arguments = ["--version".to_owned()];
        // With less, it does not come as far as code of ours: the standard library ends it as it likes.
        let ran = under(&format!("{limit} {}", mib * 1024), &lxkns(), &arguments).output().unwrap();
        ran.status.code() == Some(0)
    };
    let of_dump = ["ls", "--from", dump.to_str().unwrap()].map(str::to_owned);
    let mut failed = 0;
    for limit in ["-v", "-d"] {
        let least = (1..512).find(|mib| starts(limit, mib)).expect("it can be started");
        for arguments in [&["ls".to_owned()][..], &of_dump] {
            for more in [0, 1, 2, 4, 8, 64] {
                let ran = run_under(&format!("{limit} {}", (least + more) * 1024), &lxkns(), arguments);
                assert!(matches!(ran.code, Some(0 | 3)), "{arguments:?} {limit} {least} + {more}: {ran:?}");
                if ran.code == Some(3) {
                    failed += 1;
                    assert!(!ran.problems().is_empty(), "{arguments:?} {limit} {least} + {more}: {ran:?}");
                }
            }
        }
    }
    assert!(failed > 0, "the limits are too high to try anything");
}

/// No thread and no child can be started.
fn processes() {
    let directory = directory();
    let dump = dump(directory.path());
    if probe::is_root() {
        std::os::unix::fs::chown(&dump, Some(65534), None).unwrap();
    }
    let program = unprivileged(directory.path());
    for arguments in commands(&dump) {
        let mut command = Command::new(program.get_program());
        let (of_setpriv, own) = match probe::is_root() {
            true => (program.get_args().collect::<Vec<_>>(), None),
            false => (Vec::new(), Some(program.get_program())),
        };
        let shell = "ulimit -c 0; ulimit -u 1 && exec \"$@\"";
        let (options, path) = of_setpriv.split_at(of_setpriv.len().saturating_sub(1));
        command = if probe::is_root() {
            command.args(options).args(["bash", "-c", shell, "bash"]).args(path);
            command
        } else {
            let mut bash = Command::new("bash");
            bash.args(["-c", shell, "bash"]).args(own);
            bash
        };
        let ran = run(command.args(&arguments).env("LC_ALL", "C.UTF-8"));
        let failed = if arguments[0] == "enter" { 125 } else { 3 };
        assert!(matches!(ran.code, Some(code) if code < 3 || code == failed), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.lines().all(|line| line.starts_with("lxkns: ")), "{arguments:?}: {ran:?}");
    }
}

fn file_size() {
    let directory = directory();
    let to = directory.path().join("to");
    for (arguments, limit) in [("dump", 0), ("dump", 1), ("ls", 0), ("--help", 0)] {
        let mut command = Command::new("bash");
        let script = format!("ulimit -f {limit} && exec \"$0\" {arguments} >\"$1\"");
        let ran = run(command.args(["-c", &script]).arg(lxkns().get_program()).arg(&to));
        assert_eq!(ran.code, Some(3), "{arguments} {limit}: {ran:?}");
        let [said] = ran.problems()[..] else { panic!("{arguments} {limit}: {ran:?}") };
        assert!(said.contains("File too large"), "{arguments} {limit}: {ran:?}");
    }
}
