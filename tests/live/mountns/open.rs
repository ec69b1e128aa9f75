//! What can be opened, by whom, and what cannot.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lxkns_answers::text::chain;
use lxkns_core::model::NamespaceId;
use lxkns_fixture::{Actor, Open, probe};
use lxkns_mountns::{ErrorKind, HelperProgram, SandboxOptions, Sandboxes, Target};

use super::super::directory;
use super::{LONG, enter, id, id_of, sandboxes};
use crate::harness::Need::{self, FileSystem, Root, Unprivileged, UserNamespaces};
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("mountns::open::the_list_is_complete", &[UserNamespaces], the_list_is_complete),
        test("mountns::open::bind_mounted_namespaces", &[UserNamespaces], bind_mounted_namespaces),
        test("mountns::open::strange_names", &[UserNamespaces], strange_names),
        test("mountns::open::behind_chroot_and_closed_directories", &[UserNamespaces], behind_closed_doors),
        test("mountns::open::a_chain_of_three", &[UserNamespaces], a_chain_of_three),
        test("mountns::open::what_a_descriptor_is_on", &[UserNamespaces], what_a_descriptor_is_on),
        test("mountns::open::not_a_mount_namespace", &[], not_a_mount_namespace),
        test("mountns::open::not_ones_own", &[Unprivileged], not_ones_own),
        test("mountns::open::nothing_but_files_and_directories", &[UserNamespaces], nothing_but_files),
        test("mountns::open::links_are_not_followed", &[UserNamespaces], links_are_not_followed),
        test("mountns::open::another_namespace", &[UserNamespaces], another_namespace),
        test("mountns::open::automounts_are_not_triggered", &[Root, FileSystem("autofs")], automounts),
        test("mountns::open::a_helper_of_another_version", &[Need::File("/usr/bin/printf")], another_version),
        test("mountns::open::no_helper", &[Need::File("/bin/true")], no_helper),
        test("mountns::open::no_errno_of_the_kernel", &[Need::File("/usr/bin/printf")], no_errno_of_the_kernel),
        test(VARIABLE, &[Root], the_variable),
        test("mountns::open::side_by_side", &[UserNamespaces], side_by_side),
        test("mountns::open::no_more_than_allowed", &[UserNamespaces], no_more_than_allowed),
        test("mountns::open::paths_longer_than_a_call_takes", &[UserNamespaces], long_paths),
    ]
}

/// An actor in a mount namespace of its own, with a tmpfs on /tmp; and a network namespace that nothing else holds,
/// bind-mounted on /tmp/net.
fn with_bind_mount() -> (Actor, NamespaceId) {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", "/tmp");
    let net = bind_mounted(&actor, "/tmp/net");
    (actor, net)
}

fn bind_mounted(actor: &Actor, path: impl AsRef<Path>) -> NamespaceId {
    let holder = actor.fork();
    holder.unshare(&["net"]);
    let net = id(&holder, "net");
    actor.touch(&path);
    actor.bind(format!("/proc/{}/ns/net", holder.pid()), &path);
    net
}

fn points(mountinfo: &[u8]) -> Vec<&[u8]> {
    let lines = mountinfo.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| line.split(|byte| *byte == b' ').nth(4).unwrap()).collect()
}

fn the_list_is_complete() {
    let sandboxes = sandboxes();
    let (actor, _) = with_bind_mount();
    let namespace = enter(&sandboxes, &actor);
    assert_eq!(namespace.id(), id(&actor, "mnt"));
    let theirs = actor.read_file("/proc/self/mountinfo");
    assert_eq!(namespace.mountinfo().unwrap(), theirs);
    // Read anew each time; and also what somebody in a root directory of its own does not see.
    actor.mkdir("/tmp/more");
    actor.mount("tmpfs", "/tmp/more");
    actor.chroot("/tmp/more");
    let after = namespace.mountinfo().unwrap();
    assert_eq!(points(&after).len(), points(&theirs).len() + 1);
    assert!(points(&after).contains(&&b"/tmp/more"[..]));
    namespace.close();
}

fn bind_mounted_namespaces() {
    let sandboxes = sandboxes();
    let (actor, net) = with_bind_mount();
    let namespace = enter(&sandboxes, &actor);
    for want in [Some(net), None] {
        let fd = namespace.open_namespace(b"/tmp/net", want, LONG).unwrap();
        assert_eq!(id_of(&fd), net);
        // It is open, and not only named.
        let given = actor.give_fd(&fd);
        actor.setns(given, "net");
        actor.close(given);
        assert_eq!(namespace.open_namespace(b"//tmp/./net", want, LONG).map(|fd| id_of(&fd)).unwrap(), net);
    }
    // One helper for all of it.
    assert_eq!(sandboxes.helpers(), [namespace.helper().unwrap()]);
    assert_eq!(namespace.open_namespace(b"/tmp/none", None, LONG).unwrap_err().kind(), ErrorKind::NotFound);
    let directory = namespace.open_path(b"/tmp", LONG).unwrap();
    assert!(rustix::fs::fstat(&directory).unwrap().st_mode & 0o40_000 != 0);
    let root = namespace.open_path(b"/", LONG).unwrap();
    assert_ne!(id_of(&root), id_of(&directory));
}

fn strange_names() {
    let sandboxes = sandboxes();
    let (actor, _) = with_bind_mount();
    let names: [&[u8]; 6] = [b"a b", b"a\nb", b"a\\b", b"a\\040b", b"\xff\xfe", b"a\tb#"];
    let paths: Vec<PathBuf> =
        names.iter().map(|name| Path::new("/tmp").join(std::ffi::OsStr::from_bytes(name))).collect();
    let ids: Vec<_> = paths.iter().map(|path| bind_mounted(&actor, path)).collect();
    let namespace = enter(&sandboxes, &actor);
    for (path, id) in paths.iter().zip(&ids) {
        let fd = namespace.open_namespace(path.as_os_str().as_bytes(), Some(*id), LONG).unwrap();
        assert_eq!(id_of(&fd), *id);
    }
}

fn behind_closed_doors() {
    let sandboxes = sandboxes();
    let (actor, _) = with_bind_mount();
    actor.mkdir("/tmp/closed");
    let mode = format!("mode={}", 0);
    actor.mount_with("none", "tmpfs", "/tmp/closed", 0, &mode);
    let net = bind_mounted(&actor, "/tmp/closed/net");
    actor.mkdir("/tmp/root");
    actor.chroot("/tmp/root");
    let namespace = enter(&sandboxes, &actor);
    assert_eq!(id_of(&namespace.open_namespace(b"/tmp/closed/net", Some(net), LONG).unwrap()), net);
}

fn a_chain_of_three() {
    probe::pin_to_one_cpu().unwrap();
    let sandboxes = sandboxes();
    let (outer, _) = with_bind_mount();
    let nested = |outer: &Actor| {
        let inner = outer.fork();
        inner.unshare(&["mnt"]);
        inner.make_mounts_private();
        inner.mount("tmpfs", "/tmp");
        inner
    };
    let middle = nested(&outer);
    let inner = nested(&middle);
    let net = bind_mounted(&inner, "/tmp/net");
    let ids = [&outer, &middle, &inner].map(|actor| id(actor, "mnt"));
    for (above, below) in [(&middle, &inner), (&outer, &middle)] {
        above.touch("/tmp/mnt");
        above.bind(format!("/proc/{}/ns/mnt", below.pid()), "/tmp/mnt");
    }
    // Now only the bind mounts hold the two inner ones.
    drop((inner, middle));
    let first = format!("/proc/{}/ns/mnt", outer.pid());
    let [first, next] = [Path::new(&first), Path::new("/tmp/mnt")];
    let chain = [first, next, next];
    for depth in 1..=3 {
        let namespace = sandboxes.open(Target::Chain(&chain[..depth]), LONG).unwrap();
        assert_eq!(namespace.id(), ids[depth - 1]);
    }
    let innermost = sandboxes.open(Target::Chain(&chain), LONG).unwrap();
    assert_eq!(id_of(&innermost.open_namespace(b"/tmp/net", Some(net), LONG).unwrap()), net);
    assert!(points(&innermost.mountinfo().unwrap()).contains(&&b"/tmp/net"[..]));
    let error = sandboxes.open(Target::Chain(&[first, Path::new("/tmp/net")]), LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotWanted, "{error}");
    assert_eq!(sandboxes.open(Target::Chain(&[]), LONG).unwrap_err().kind(), ErrorKind::NotFound);
}

/// `/proc/PID/fd/N` is what the descriptor is on, and not where the process is.
fn what_a_descriptor_is_on() {
    let sandboxes = sandboxes();
    let (outer, _) = with_bind_mount();
    let inner = outer.fork();
    inner.unshare(&["mnt"]);
    let fd = outer.open(format!("/proc/{}/ns/mnt", inner.pid()), Open::ReadOnly);
    let expected = id(&inner, "mnt");
    drop(inner);
    let path = format!("/proc/{}/fd/{fd}", outer.pid());
    let namespace = sandboxes.open(Target::Path(Path::new(&path)), LONG).unwrap();
    assert_eq!(namespace.id(), expected);
    assert_ne!(namespace.id(), id(&outer, "mnt"));
}

fn not_a_mount_namespace() {
    let sandboxes = sandboxes();
    for path in ["/proc/self/ns/uts", "/dev/null", "/proc/self/status", "/"] {
        let error = sandboxes.open(Target::Path(Path::new(path)), LONG).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotWanted, "{path}: {error}");
        let error = sandboxes.open(Target::Fd(File::open(path).unwrap().as_fd()), LONG).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotWanted, "{path}: {error}");
    }
    let error = sandboxes.open(Target::Path(Path::new("/no/such")), LONG).unwrap_err();
    assert_eq!(
        (error.kind(), chain(&error).as_str()),
        (ErrorKind::NotFound, "open /no/such: No such file or directory (ENOENT)")
    );
    assert_eq!(sandboxes.helpers(), [0; 0], "no helper was started for any of it");
}

fn not_ones_own() {
    let error = sandboxes().open(Target::Path(Path::new("/proc/self/ns/mnt")), LONG).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Denied, "setns(CLONE_NEWNS)"));
    assert_eq!(chain(&error), "setns(CLONE_NEWNS): Operation not permitted (EPERM)");
}

fn nothing_but_files() {
    let sandboxes = sandboxes();
    let directory = directory();
    let path = |name: &str| directory.path().join(name).into_os_string().into_encoded_bytes();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, directory.path().join("fifo"), mode).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    std::os::unix::fs::symlink("/", directory.path().join("link")).unwrap();
    std::fs::write(directory.path().join("file"), b"").unwrap();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let namespace = enter(&sandboxes, &actor);
    for path in [path("fifo"), path("socket"), path("link"), b"/dev/null".to_vec()] {
        for opened in [namespace.open_path(&path, LONG), namespace.open_namespace(&path, None, LONG)] {
            let error = opened.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotWanted, "{}: {error}", path.escape_ascii());
        }
    }
    let file = namespace.open_path(&path("file"), LONG).unwrap();
    assert!(rustix::fs::fcntl_getfl(&file).unwrap().contains(rustix::fs::OFlags::PATH));
    assert_eq!(namespace.open_namespace(&path("file"), None, LONG).unwrap_err().kind(), ErrorKind::NotWanted);
    assert_eq!(namespace.open_path(&path("no-such-file"), LONG).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!directory.path().join("no-such-file").exists());
}

fn links_are_not_followed() {
    let sandboxes = sandboxes();
    let directory = directory();
    std::fs::create_dir(directory.path().join("real")).unwrap();
    std::fs::write(directory.path().join("real/file"), b"").unwrap();
    std::os::unix::fs::symlink(directory.path().join("real"), directory.path().join("link")).unwrap();
    let (actor, _) = with_bind_mount();
    actor.mkdir("/tmp/x");
    let outside = Actor::spawn_in(&["user", "mnt"]);
    let namespace = enter(&sandboxes, &outside);
    let through = directory.path().join("link/file").into_os_string().into_encoded_bytes();
    for path in [through, b"/proc/self/root/tmp".to_vec(), b"/proc/self/cwd".to_vec(), b"/proc/self/ns/net".to_vec()] {
        let error = namespace.open_path(&path, LONG).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotWanted, "{}: {error}", path.escape_ascii());
        assert!(error.to_string().ends_with("it is a symbolic link"), "{error}");
    }
}

/// What was bind-mounted there has been replaced.
fn another_namespace() {
    let sandboxes = sandboxes();
    let (actor, net) = with_bind_mount();
    let namespace = enter(&sandboxes, &actor);
    // So that the other one does not get its number.
    actor.touch("/tmp/kept");
    actor.bind("/tmp/net", "/tmp/kept");
    actor.umount("/tmp/net");
    let error = namespace.open_namespace(b"/tmp/net", Some(net), LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotWanted, "{error}");
    let other = bind_mounted(&actor, "/tmp/net");
    let error = namespace.open_namespace(b"/tmp/net", Some(net), LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotWanted, "{error}");
    let wrong = NamespaceId { ino: other.ino, dev: other.dev + 1 };
    assert_eq!(namespace.open_namespace(b"/tmp/net", Some(wrong), LONG).unwrap_err().kind(), ErrorKind::NotWanted);
    assert!(namespace.open_namespace(b"/tmp/net", Some(other), LONG).is_ok());
}

fn automounts() {
    let sandboxes = sandboxes();
    let actor = Actor::spawn_in(&["mnt"]);
    actor.mount("tmpfs", "/tmp");
    actor.mkdir("/tmp/auto");
    let (requests, to_daemon) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let fd = actor.give_fd(&to_daemon);
    let group = rustix::process::getpgrp().as_raw_nonzero();
    let options = format!("fd={fd},pgrp={group},minproto=5,maxproto=5,indirect");
    actor.mount_with("auto", "autofs", "/tmp/auto", 0, &options);
    let namespace = enter(&sandboxes, &actor);
    assert!(namespace.open_path(b"/tmp/auto", LONG).is_ok());
    assert_eq!(namespace.open_path(b"/tmp/auto/x", LONG).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(namespace.open_path(b"/tmp/auto/x/y", LONG).unwrap_err().kind(), ErrorKind::NotFound);
    rustix::io::ioctl_fionbio(&requests, true).unwrap();
    assert_eq!(rustix::io::read(&requests, &mut [0_u8; 300]), Err(rustix::io::Errno::AGAIN), "nobody was asked");
}

fn with_program(program: PathBuf) -> Sandboxes {
    let mut options = SandboxOptions::default();
    options.program = HelperProgram::File(program);
    Sandboxes::new(&options).unwrap()
}

/// One that says, whatever it is asked, a frame of version 2. In memory: a file could still be open for writing in the
/// fork of some other test.
fn another_version() {
    let script = rustix::fs::memfd_create("script", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::io::write(&script, br"#!/usr/bin/printf \002\000\000\000\002\003").unwrap();
    let sandboxes = with_program(format!("/proc/self/fd/{}", script.as_raw_fd()).into());
    let error = sandboxes.open(Target::Path(Path::new("/proc/self/ns/mnt")), LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Version);
    assert_eq!(
        error.to_string(),
        "read from the helper: it speaks version 2 of the protocol, and this side 1: \
         the helper and this program are of different versions"
    );
}

fn no_helper() {
    let own = Target::Path(Path::new("/proc/self/ns/mnt"));
    let error = with_program("/no/such/helper".into()).open(own, LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoHelper);
    assert_eq!(chain(&error), "start the helper /no/such/helper: No such file or directory (ENOENT)");
    let error = with_program("/bin/true".into()).open(own, LONG).unwrap_err();
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Helper, None));
    assert_eq!(chain(&error), "read from the helper: it has ended without a reply");
}

/// Helpers that fail without a failed call: their error numbers are not the kernel's.
fn no_errno_of_the_kernel() {
    for (frame, says) in [
        (r"\004\000\000\000\001\001\002\107", "helper: understand request: malformed"),
        (r"\004\000\000\000\001\001\012\003", "helper: look for its parent: it has ended"),
        (r"\004\000\000\000\001\001\003\026", "helper: receive descriptors: malformed"),
    ] {
        let script = rustix::fs::memfd_create("script", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&script, format!("#!/usr/bin/printf {frame}").as_bytes()).unwrap();
        let sandboxes = with_program(format!("/proc/self/fd/{}", script.as_raw_fd()).into());
        let error = sandboxes.open(Target::Path(Path::new("/proc/self/ns/mnt")), LONG).unwrap_err();
        assert_eq!((error.kind(), error.errno()), (ErrorKind::Helper, None), "{error}");
        assert!(chain(&error).starts_with(says), "{error}");
    }
}

const VARIABLE: &str = "mountns::open::the_variable_and_borrowed_powers";

/// The environment says which helper to run, but not to a program that has powers which its caller has not. The program
/// is this one, once more.
fn the_variable() {
    const IS_INNER: &str = "LXKNS_TEST_VARIABLE";
    if std::env::var_os(IS_INNER).is_some() {
        let opened = Sandboxes::new(&SandboxOptions::default())
            .and_then(|sandboxes| sandboxes.open(Target::Path(Path::new("/proc/self/ns/mnt")), LONG));
        println!("{}", opened.map_or_else(|error| chain(&error), |_| "entered".to_owned()));
        return;
    }
    let directory = directory();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(directory.path(), 0o755);
    let copy = directory.path().join("live");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let run = |uid| {
        let mut command = std::process::Command::new(&copy);
        command.args(["--exact", VARIABLE, "--test-threads", "1"]).uid(uid).gid(uid).current_dir("/");
        command.env("LXKNS_SANDBOX", "/no/such/helper").env(IS_INNER, "1");
        // While another test forks, the copy can still be open for writing in the child.
        let mut output = command.output();
        super::soon("the copy", || {
            let is_busy = output.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ExecutableFileBusy);
            if is_busy {
                output = command.output();
            }
            !is_busy
        });
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    mode(&copy, 0o755);
    assert!(run(0).contains("start the helper /no/such/helper: No such file"), "{}", run(0));
    mode(&copy, 0o4755);
    assert!(run(65534).contains("entered"), "{}", run(65534));
}

fn side_by_side() {
    let sandboxes = sandboxes();
    let actors: Vec<_> = (0..4).map(|_| with_bind_mount()).collect();
    let all: Vec<_> = actors.iter().map(|(actor, _)| enter(&sandboxes, actor)).collect();
    assert_eq!(sandboxes.helpers().len(), 4);
    std::thread::scope(|scope| {
        for (namespace, (actor, net)) in all.iter().zip(&actors) {
            for _ in 0..2 {
                let other = sandboxes.clone();
                scope.spawn(move || {
                    for _ in 0..20 {
                        let fd = namespace.open_namespace(b"/tmp/net", Some(*net), LONG).unwrap();
                        assert_eq!(id_of(&fd), *net);
                        assert_eq!(enter(&other, actor).id(), namespace.id());
                    }
                });
            }
        }
    });
}

fn no_more_than_allowed() {
    let mut options = SandboxOptions::default();
    options.program = HelperProgram::Carried;
    options.at_once = 1;
    let sandboxes = Sandboxes::new(&options).unwrap();
    let (actor, _) = with_bind_mount();
    let mnt = actor.open_ns("mnt");
    let first = enter(&sandboxes, &actor);
    let error = sandboxes.open(Target::Fd(mnt.as_fd()), Duration::from_millis(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    std::thread::scope(|scope| {
        let second = scope.spawn(|| enter(&sandboxes, &actor).id());
        let id = first.id();
        first.close();
        assert_eq!(second.join().unwrap(), id);
    });
}

fn long_paths() {
    let sandboxes = sandboxes();
    let (actor, _) = with_bind_mount();
    // Every mount shortens the way to the next: the whole is longer than any call takes.
    let name = "n".repeat(250);
    let mut path = PathBuf::from("/tmp");
    let worker = actor.fork();
    worker.chdir("/tmp");
    for _ in 0..20 {
        worker.mkdir(&name);
        worker.chdir(&name);
        path.push(&name);
    }
    let holder = actor.fork();
    holder.unshare(&["net"]);
    let net = id(&holder, "net");
    worker.touch("net");
    worker.bind(format!("/proc/{}/ns/net", holder.pid()), "net");
    path.push("net");
    let namespace = enter(&sandboxes, &actor);
    let path = path.into_os_string().into_encoded_bytes();
    assert!(path.len() > 4096);
    assert_eq!(id_of(&namespace.open_namespace(&path, Some(net), LONG).unwrap()), net);
    let longest = [b"/".as_slice(), &b"x/".repeat(8191)].concat();
    assert_eq!(namespace.open_path(&longest, LONG).unwrap_err().kind(), ErrorKind::NotFound);
    // The kernel is not asked for a longer one, so it gives no error number.
    let error = namespace.open_path(&b"/x".repeat(8193), LONG).unwrap_err();
    assert_eq!((error.kind(), error.errno()), (ErrorKind::Other, None));
    assert_eq!(chain(&error), "open in mount namespace: the path is longer than 16384 bytes");
    assert_eq!(
        namespace
            .open_path(&[&b"/"[..], &[b'x'; 300]].concat(), LONG)
            .unwrap_err()
            .errno()
            .and_then(|errno| errno.name()),
        Some("ENAMETOOLONG")
    );
}
