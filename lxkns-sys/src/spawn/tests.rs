use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{WaitId, WaitIdOptions, WaitOptions};

use super::*;

fn shared(fd: impl Into<OwnedFd>) -> SharedFd {
    Arc::new(rustix::io::fcntl_dupfd_cloexec(fd.into(), 3).unwrap())
}

fn launch(path: &str, arguments: &[&str]) -> Launch {
    let string = |text: &&str| CString::new(*text).unwrap();
    let exec = Exec {
        program: ExecProgram::Paths(vec![string(&path)]),
        arguments: arguments.iter().map(string).collect(),
        environment: vec![string(&"A=b")],
    };
    Launch { session: LaunchSession::Same, blocked: 0, exec }
}

/// As `/proc/PID/stat` has it: that it was forked and has not run another program (`PF_FORKNOEXEC`).
fn has_run(pid: Pid) -> Option<bool> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let flags: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(6)?.parse().ok()?;
    Some(flags & 0x40 == 0)
}

fn spawned(ops: &[Op], launch: &Launch) -> Result<Child, SpawnError> {
    spawn(ops, launch, None, &mut Watch { wake: None, goes_on: &mut |_| true, may_launch: &|| true, has_run: &has_run })
}

fn done(ops: &[Op], goes_on: bool) -> Result<(), SpawnError> {
    run_steps(ops, &mut Watch { wake: None, goes_on: &mut |_| goes_on, may_launch: &|| true, has_run: &has_run })
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
        Op::Descriptors(vec![(Arc::clone(&null), 0), (Arc::clone(&out), 1), (null, 2)]),
        Op::CloseOthers { keep: vec![], end: 1024 },
    ];
    let child = spawned(&ops, &launch("/bin/sh", &["sh", "-c", "echo $A; ls /dev/fd/; exit 7"])).unwrap();
    assert!(child.pidfd.is_some());
    drop((ops, out));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    // The last is the directory itself.
    assert_eq!(text, "b\n0\n1\n2\n3\n");
    assert_eq!(code(&child), 7);
}

#[test]
fn a_program_in_an_open_file_runs() {
    let mut launch = launch("", &["true"]);
    launch.exec.program = ExecProgram::Fd(shared(File::open("/bin/true").unwrap()));
    for ops in [&[Op::Guard][..], &[Op::CloseOthers { keep: vec![], end: 1024 }]] {
        assert_eq!(code(&spawned(ops, &launch).unwrap()), 0);
    }
}

#[test]
fn many_long_arguments_arrive() {
    let long = "x".repeat(100_000);
    let arguments: Vec<&str> = ["sh", "-c", "test ${#20} = 100000", "sh"].into_iter().chain([&long[..]; 20]).collect();
    assert_eq!(code(&spawned(&[], &launch("/bin/sh", &arguments)).unwrap()), 0);
}

#[test]
fn what_fails_says_which_and_why() {
    let file = Directory { fd: shared(File::open("/dev/null").unwrap()), path: None };
    let error = spawned(&[Op::Guard, Op::WorkingDirectory(file)], &launch("/bin/true", &["x"])).unwrap_err();
    assert_eq!(error, SpawnError::Step { index: 1, detail: 0, errno: Errno::NOTDIR });
    for (path, errno) in [("/nowhere", Errno::NOENT), ("/", Errno::ACCESS)] {
        let error = spawned(&[Op::Guard], &launch(path, &["x"])).unwrap_err();
        assert_eq!(error, SpawnError::Launch { step: LaunchStep::Exec, errno });
    }
    let mut launch = launch("/bin/true", &["true"]);
    launch.session = LaunchSession::New { terminal: Some(1000) };
    let error = spawned(&[Op::Guard], &launch).unwrap_err();
    assert_eq!(error, SpawnError::Launch { step: LaunchStep::Session, errno: Errno::BADF });
}

/// Whatever the process says, and in whichever moment of the caller's it ends.
#[test]
fn what_is_said_at_the_end_is_heard() {
    // Nobody is waited for, so that nothing has been heard when it is asked what has become of the process.
    let (wake, writer) = std::io::pipe().unwrap();
    drop(writer);
    let has_ended = |pid: Pid| {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        rustix::process::waitid(WaitId::Pid(pid), options).unwrap();
        has_run(pid)
    };
    let asked = AtomicBool::new(false);
    let has_run = |pid: Pid| if asked.swap(true, Ordering::Relaxed) { has_ended(pid) } else { has_run(pid) };
    let mut watch = Watch { wake: Some(wake.as_fd()), goes_on: &mut |_| true, may_launch: &|| true, has_run: &has_run };
    let error = spawn(&[Op::Guard], &launch("/nowhere", &["x"]), None, &mut watch).unwrap_err();
    assert_eq!(error, SpawnError::Launch { step: LaunchStep::Exec, errno: Errno::NOENT });
}

#[test]
fn a_number_that_is_no_error_is_said_to_be_none() {
    assert_eq!(LaunchStep::read(2_u32.to_ne_bytes()), Some((LaunchStep::Exec, Errno::NOENT)));
    assert_eq!(
        LaunchStep::read(LaunchStep::Session.code(Errno::PERM).to_ne_bytes()),
        Some((LaunchStep::Session, Errno::PERM))
    );
    for code in [0_u32, 4096, 1 << 17, u32::MAX] {
        assert_eq!(LaunchStep::read(code.to_ne_bytes()), None);
    }
}

#[test]
fn only_what_is_a_regular_file_is_read() {
    let procfs = shared(File::open("/proc").unwrap());
    let root = shared(File::open("/").unwrap());
    let read = |path: &std::ffi::CStr, most| {
        let to = shared(rustix::fs::memfd_create("lxkns-test", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        let (directory, procfs, path) = (Arc::clone(&root), Arc::clone(&procfs), path.to_owned());
        let op = Op::ReadBelow { directory, path, procfs, to: Arc::clone(&to), most };
        done(&[Op::Guard, op], true)?;
        let mut text = vec![0; 1 << 20];
        let length = rustix::io::pread(&to, &mut text, 0).unwrap();
        text.truncate(length);
        Ok(text)
    };
    let passwd = std::fs::read("/etc/passwd").unwrap();
    let length = passwd.len() as u64;
    assert_eq!(read(c"etc/passwd", length), Ok(passwd.clone()));
    // The root is the one given, and nothing is above it.
    assert_eq!(read(c"/../etc/passwd", length), Ok(passwd));
    for (path, most, refusal) in [(c"etc/passwd", length - 1, Refusal::TooLarge), (c"dev/null", 1, Refusal::NotRegular)]
    {
        assert_eq!(read(path, most), Err(SpawnError::Unfit { index: 1, refusal }), "{path:?}");
    }
    assert_eq!(read(c"nowhere", 1), Err(SpawnError::Step { index: 1, detail: 0, errno: Errno::NOENT }));
    assert!(matches!(read(c"proc/self/root/etc/passwd", length), Err(SpawnError::Step { errno: Errno::LOOP, .. })));
}

#[test]
fn who_is_stuck_in_a_step_is_given_up() {
    let directory = std::env::temp_dir().join(format!("lxkns-test-spawn-{}", std::process::id()));
    rustix::fs::mkfifoat(rustix::fs::CWD, &directory, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let root = shared(File::open("/").unwrap());
    let path = CString::new(directory.as_os_str().as_encoded_bytes()).unwrap();
    let error = done(&[Op::Guard, Op::WriteBelow(root, path, vec![1])], false).unwrap_err();
    std::fs::remove_file(&directory).unwrap();
    assert_eq!(error, SpawnError::GivenUp { index: 1 });
}
