//! What a host of one's own is: what happens there is not seen on this one, and ends.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::host::{Cgroups, is_outside, on_own_host, pidfd, succeeds, until_the_end, wait};
use super::{children, directory, inode};

/// Files, links and control groups.
pub(super) fn leaves_nothing(name: &str) {
    const FILES: [&str; 4] = ["/etc/lxkns-test", "/var/lib/lxkns-test", "/run/lxkns-test", "/opt/lxkns-test"];
    on_own_host(name, Cgroups::AsHere, || {
        FILES.iter().for_each(|file| fs::write(file, "").unwrap());
        succeeds("ip", &["link", "add", "lxkns-test", "type", "bridge"]);
        assert!(fs::exists("/sys/class/net/lxkns-test").unwrap());
        assert_eq!(std::os::unix::process::parent_id(), 1, "the init is not the first process");
        freeze_a_process();
    });
    if is_outside() {
        let left: Vec<_> = FILES.iter().filter(|file| Path::new(file).exists()).collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(!fs::exists("/sys/class/net/lxkns-test").unwrap());
    }
}

/// Freezes a process in a control group of its own.
fn freeze_a_process() {
    let (hierarchy, file, how) = match fs::exists("/sys/fs/cgroup/freezer").unwrap() {
        true => ("/sys/fs/cgroup/freezer", "freezer.state", "FROZEN"),
        false => ("/sys/fs/cgroup", "cgroup.freeze", "1"),
    };
    let directory = format!("{hierarchy}/frozen");
    fs::create_dir(&directory).unwrap();
    let sleeper = until_the_end(Command::new("sleep").arg("inf").stdin(Stdio::null()).stdout(Stdio::null()));
    fs::write(format!("{directory}/cgroup.procs"), sleeper.to_string()).unwrap();
    fs::write(format!("{directory}/{file}"), how).unwrap();
}

/// Everything is gone when the test is killed, what is frozen too.
pub(super) fn ends_with_its_test(name: &str) {
    const VICTIM: &str = "LXKNS_TEST_VICTIM";
    if let Some(socket) = std::env::var_os(VICTIM) {
        return on_own_host(name, Cgroups::AsHere, || {
            freeze_a_process();
            let mut socket = UnixStream::connect(socket).unwrap();
            socket.write_all(&inode("/proc/self/ns/pid").to_ne_bytes()).unwrap();
            // Nothing comes: the test is killed meanwhile.
            let _ = socket.read(&mut [0]);
        });
    }
    let directory = directory();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let [program, rest @ ..] = super::host::arguments(name);
    let mut victim = Command::new(program).args(rest).env(VICTIM, &path).stdout(Stdio::null()).spawn().unwrap();
    assert!(wait(&[&listener, &pidfd(victim.id())], Duration::from_secs(60)), "the body does not begin");
    let (mut body, _) = listener.accept().unwrap();
    let mut namespace = [0; 8];
    body.read_exact(&mut namespace).unwrap();
    let namespace = u64::from_ne_bytes(namespace);
    let janitors = children(victim.id());
    let [janitor] = janitors[..] else { panic!("{janitors:?}") };
    let ended = pidfd(janitor);
    let cgroups = format!("lxkns-test-{janitor}");
    let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
    let hierarchies: Vec<_> = hierarchies.chain(["/sys/fs/cgroup".into()]).map(|at| at.join(&cgroups)).collect();
    assert!(hierarchies.iter().any(|directory| directory.exists()));

    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(wait(&[&ended], Duration::from_secs(60)), "the janitor does not end");
    let left: Vec<_> = hierarchies.iter().filter(|directory| directory.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("ns/pid"));
    let in_there = |link: &std::path::PathBuf| {
        fs::metadata(link).is_ok_and(|ns| std::os::unix::fs::MetadataExt::ino(&ns) == namespace)
    };
    assert_eq!(processes.filter(in_there).count(), 0);
}
