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

fn forever(_: usize) -> bool {
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

#[test]
fn only_what_is_a_regular_file_is_read() {
    let procfs = shared(File::open("/proc").unwrap());
    let root = shared(File::open("/").unwrap());
    let read = |path: &std::ffi::CStr, most| {
        let to = shared(rustix::fs::memfd_create("lxkns-test", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        let (directory, procfs, path) = (Arc::clone(&root), Arc::clone(&procfs), path.to_owned());
        let op = Op::ReadBelow { directory, path, procfs, to: Arc::clone(&to), most };
        let child = spawn(&[Op::Guard, op, Op::End], None, &mut forever)?;
        assert_eq!(code(&child), 0);
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
    for (path, most, errno) in
        [(c"etc/passwd", length - 1, Errno::FBIG), (c"dev/null", 1, Errno::NXIO), (c"nowhere", 1, Errno::NOENT)]
    {
        assert_eq!(read(path, most), Err(SpawnError::Step { index: 1, detail: 0, errno }), "{path:?}");
    }
    assert!(matches!(read(c"proc/self/root/etc/passwd", length), Err(SpawnError::Step { errno: Errno::LOOP, .. })));
}

#[test]
fn who_is_stuck_in_a_step_is_given_up() {
    let directory = std::env::temp_dir().join(format!("lxkns-test-spawn-{}", std::process::id()));
    rustix::fs::mkfifoat(rustix::fs::CWD, &directory, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let root = shared(File::open("/").unwrap());
    let path = CString::new(directory.as_os_str().as_encoded_bytes()).unwrap();
    let error = spawn(&[Op::Guard, Op::WriteBelow(root, path, vec![1]), Op::End], None, &mut |_| false).unwrap_err();
    std::fs::remove_file(&directory).unwrap();
    assert_eq!(error, SpawnError::GivenUp { index: 1 });
}
