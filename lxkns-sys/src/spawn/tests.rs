use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use super::*;

fn shared(fd: impl Into<OwnedFd>) -> SharedFd {
    Arc::new(rustix::io::fcntl_dupfd_cloexec(fd.into(), 3).unwrap())
}

fn exec(path: &str, arguments: &[&str]) -> Op {
    let string = |text: &&str| CString::new(*text).unwrap();
    Op::Exec(Exec {
        program: ExecProgram::Paths(vec![string(&path)]),
        arguments: arguments.iter().map(string).collect(),
        environment: vec![string(&"A=b")],
    })
}

fn forever() -> bool {
    true
}

fn code(child: &Child) -> i32 {
    let pid = Pid::from_raw(child.pid.cast_signed());
    let (_, status) = rustix::process::waitpid(pid, WaitOptions::empty()).unwrap().unwrap();
    status.exit_status().unwrap()
}

#[test]
fn a_program_runs_with_what_it_was_given_and_nothing_else() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let null = shared(File::open("/dev/null").unwrap());
    let out = shared(writer);
    let ops = [
        Op::Guard,
        Op::Stdio([Arc::clone(&null), Arc::clone(&out), null]),
        Op::CloseOthers { keep: vec![], end: 1024 },
        Op::Signals { blocked: 0 },
        exec("/bin/sh", &["sh", "-c", "echo $A; ls /dev/fd/; exit 7"]),
    ];
    let child = spawn(&ops, None, &mut forever).unwrap();
    drop((ops, out));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    // The last is the directory itself.
    assert_eq!(text, "b\n0\n1\n2\n3\n");
    assert_eq!(code(&child), 7);
}

#[test]
fn it_goes_on_as_another_child_of_the_same_parent() {
    let child = spawn(&[Op::Guard, Op::Fork, Op::Guard, exec("/bin/true", &["true"])], None, &mut forever).unwrap();
    assert!(child.pidfd.is_some());
    assert_eq!(code(&child), 0);
}

#[test]
fn a_step_that_fails_says_which_and_why() {
    let exe = shared(File::open("/dev/null").unwrap());
    for (ops, index, errno) in [
        (vec![Op::Guard, exec("/nowhere", &["x"])], 1, Errno::NOENT),
        (vec![Op::Fork, exec("/", &["x"])], 1, Errno::ACCESS),
        (vec![Op::Fork, Op::WorkingDirectory(Arc::clone(&exe))], 1, Errno::NOTDIR),
        (vec![Op::Guard], 1, Errno::NOEXEC),
    ] {
        let error = spawn(&ops, None, &mut forever).unwrap_err();
        assert_eq!(error, SpawnError::Step { index, detail: 0, errno }, "{ops:?}");
    }
}
