//! Files on a file system whose server has died, where a command reads one that the user names: it comes back, and does
//! not leave one process more behind each time.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lxkns_fixture::Actor;
use lxkns_fixture::fuse::{DeadFuse, Death};

use crate::harness::Need::{self, File, FileSystem, Program, Root};
use crate::harness::{Test, lxkns, test};
use crate::live::look_until;
use crate::live::program::{Ran, run, run_lxkns};

const FUSE: &[Need] = &[Root, File("/dev/fuse"), FileSystem("fuse"), Program("nsenter")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::dead_files::unread", FUSE, || comes_back(Death::Unread)),
        test("cli::dead_files::unanswered", FUSE, || comes_back(Death::Unanswered)),
        test("cli::dead_files::of_the_host", FUSE, of_the_host),
        test("cli::dead_files::passwd_is_a_fifo", &[Root, Program("nsenter")], passwd_is_a_fifo),
        test("cli::dead_files::one_is_left_behind", FUSE, one_is_left_behind),
        test("cli::dead_files::one_helper_is_left_behind", FUSE, one_helper_is_left_behind),
    ]
}

/// A directory that something can be mounted over: the program under test is not below it.
fn base() -> &'static str {
    if Path::new(lxkns().get_program()).starts_with("/tmp") { "/var/tmp" } else { "/tmp" }
}

/// A path below it.
fn below(name: &str) -> String {
    format!("{}/{name}", base())
}

/// A mount namespace with a dead FUSE at `fuse` in that directory.
struct Dead {
    actor: Actor,
    fuse: DeadFuse,
    device: (u32, u32),
    net: u64,
}

fn dead(death: Death) -> Dead {
    dead_with(death, |_| 0)
}

/// The same, with what is to be done before it dies.
fn dead_with(death: Death, prepare: impl FnOnce(&Actor) -> u64) -> Dead {
    let actor = Actor::spawn_in(&["mnt"]);
    actor.make_mounts_private();
    actor.mount("tmpfs", base());
    actor.mkdir(below("fuse"));
    let fuse = DeadFuse::mount(&actor, below("fuse"), death);
    let net = prepare(&actor);
    let mountinfo = std::fs::read_to_string(format!("/proc/{}/mountinfo", actor.pid())).unwrap();
    let mount = mountinfo.lines().find(|line| line.split(' ').nth(4) == Some(&*below("fuse"))).unwrap();
    let (major, minor) = mount.split(' ').nth(2).unwrap().split_once(':').unwrap();
    let device = (major.parse().unwrap(), minor.parse().unwrap());
    fuse.die();
    Dead { actor, fuse, device, net }
}

impl Dead {
    /// Runs lxkns in there, for no longer than anybody would wait.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Ran {
        const LONGEST: Duration = Duration::from_secs(20);
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.actor.pid().to_string(), "-m", "--"]).arg(in_there(lxkns().get_program()));
        let began = Instant::now();
        let ran = run(command.args(arguments));
        assert!(began.elapsed() < LONGEST, "{arguments:?}: {ran:?}");
        ran
    }

    /// The processes that wait for its server and were killed.
    fn stuck(&self) -> Vec<u32> {
        let (major, minor) = self.device;
        let pids =
            std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let names = ["lxkns", "mntns"].map(|start| format!("{start} {major:x}:{minor:x}\n"));
        let has_name = |pid: &u32| {
            let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            comm.is_ok_and(|comm| names.contains(&comm))
        };
        // What has ended waits for its parent alone.
        pids.filter(has_name).filter(|pid| state(*pid).is_some_and(|state| state != 'Z')).collect()
    }
}

/// What a process is doing, as its `status` has it.
fn state(pid: u32) -> Option<char> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("State:\t")?.chars().next())
}

/// The program's path: nothing is mounted over where it is.
fn in_there(program: &OsStr) -> &Path {
    let path = Path::new(program);
    assert!(!path.starts_with(base()), "{} is another one there: {path:?}", base());
    path
}

/// The files of the host that are read beside procfs: names of users, and which CPUs there are (lxcfs mounts the latter).
fn of_the_host() {
    for file in ["/etc/passwd", "/sys/devices/system/cpu/online"] {
        let dead = dead_with(Death::Unanswered, |actor| {
            actor.bind(below("fuse/file"), file);
            0
        });
        let pid = dead.actor.pid().to_string();
        assert_eq!(dead.run(&["ls", "-t", "mnt", "-n", "-o", "NPROCS,USER", &pid]).code, Some(0), "{file}");
        let dump = dead.run(&["dump", "--no-mounts", "--no-cmdline"]);
        assert_eq!(dump.code, Some(0), "{file}: {dump:?}");
        let has_names = dump.text().contains(r#""user-name":"root""#);
        assert_eq!(has_names, file != "/etc/passwd", "{file}");
    }
}

fn passwd_is_a_fifo() {
    let directory = crate::live::directory();
    let fifo = directory.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
    let actor = Actor::spawn_in(&["mnt"]);
    actor.make_mounts_private();
    actor.bind(&fifo, "/etc/passwd");
    let mut command = Command::new("nsenter");
    command.args(["-t", &actor.pid().to_string(), "-m", "--"]).arg(lxkns().get_program());
    let ran = run(command.args(["ls", "-t", "mnt", "-n", "-o", "UID,USER", &actor.pid().to_string()]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.text().contains("root"), "nobody has told a name: {ran:?}");
}

fn comes_back(death: Death) {
    let dead = dead(death);
    let (file, nothing, pid) = (below("fuse/file"), below("fuse/nothing"), dead.actor.pid().to_string());
    let (file, nothing) = (file.as_str(), nothing.as_str());
    for arguments in [
        &["ls", "--from", file][..],
        &["tree", "--from", file],
        &["diff", file],
        &["diff", "/dev/null", file],
        &["ls", nothing],
        &["why", nothing],
        &["enter", "--dry-run", "--tools", file, &pid],
    ] {
        let ran = dead.run(&[arguments, &["--timeout", "0.3"]].concat());
        if arguments == ["diff", "/dev/null", file] {
            ran.fails(3, "not a dump");
            continue;
        }
        let is_enter = arguments[0] == "enter";
        assert_eq!(ran.code, Some(if is_enter { 125 } else { 3 }), "{arguments:?}: {ran:?}");
        assert_eq!(ran.problems().len(), 1, "{arguments:?}: {ran:?}");
        let said = ["no answer in time", "has not answered", "timed out"];
        assert!(said.iter().any(|text| ran.stderr.contains(text)), "{arguments:?}: {ran:?}");
    }
    assert!(!dead.fuse.requests().is_empty() || death == Death::Unread);
}

fn one_is_left_behind() {
    let dead = dead(Death::Unanswered);
    let file = below("fuse/file");
    let file = file.as_str();
    let look = || dead.run(&["ls", "--from", file, "--timeout", "0.3"]).fails(3, "answer");
    // On a loaded host, a process can be killed before its request has reached the server: then it ends.
    look_until(|_| !dead.stuck().is_empty(), look);
    for call in 0..2 {
        let ran = look();
        assert_eq!(dead.stuck().len(), 1, "call {call}: {ran:?}");
    }
    let [pid] = dead.stuck()[..] else { panic!("one is left") };
    assert_eq!(state(pid), Some('D'), "the kernel lets it go when the server does");
    let again = dead.run(&["ls", "--from", file, "--timeout", "0.3"]);
    assert!(again.stderr.contains(&format!("has not answered process {pid}")), "{again:?}");
    // All else is read.
    dead.actor.touch(below("file"));
    dead.run(&["ls", "--from", &below("file")]).fails(3, "not a dump");
    let Dead { fuse, .. } = dead;
    fuse.abort();
    while state(pid).is_some_and(|state| state != 'Z') {
        std::thread::yield_now();
    }
}

/// Each run looks anew at what it cannot open, and all of them together leave one helper at it.
fn one_helper_is_left_behind() {
    // So that whoever looks for namespaces asks it.
    let dead = dead_with(Death::Unanswered, |actor| {
        let holder = actor.fork();
        holder.unshare(&["net"]);
        actor.bind(format!("/proc/{}/ns/net", holder.pid()), below("fuse/other"));
        holder.ns_inode("net")
    });
    // The kernel's lists, which are read on a host with many tasks, say enough of it.
    let look = || run_lxkns(["ls", "--reader=proc", "--timeout", "0.3", &dead.net.to_string()]);
    look_until(|_| !dead.stuck().is_empty(), look);
    // Other tests' runs can have begun before that: they end, and no further one adds to them.
    let runs = look_until(
        |(before, after): &(Vec<u32>, Vec<u32>)| before == after,
        || {
            let before = dead.stuck();
            let ran = look();
            let said = ["no answer in time", "may not answer"];
            assert!(ran.gaps().iter().any(|line| said.iter().any(|said| line.contains(said))), "{ran:?}");
            (before, dead.stuck())
        },
    );
    assert_eq!(runs.0, runs.1);
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", runs.0[0])).unwrap();
    assert!(comm.starts_with("mntns "), "{comm}");
}
