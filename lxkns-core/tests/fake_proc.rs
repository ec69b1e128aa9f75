//! Discovery over a tree of files that looks like a procfs: what a living host cannot be made to show.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use lxkns_core::model::{
    DeviceNumber, Errno, FileSystemQuery, Gap, Holder, Mount, NamespaceType, Object, Operation, Pid, Place, Places,
    Relation, Scope, Snapshot, TaskState, Tid, Uid,
};
use lxkns_core::{Discovery, DiscoveryOptions, ProcRoot};
use tempfile::TempDir;

struct FakeProc(TempDir);

impl FakeProc {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The directory of a process or, as `PID/task/TID`, of a thread, with what each has.
    fn task(&self, path: &str, comm: &str, state: char, ppid: u32, threads: u32, start: u64) -> Task {
        let dir = self.0.path().join(path);
        fs::create_dir_all(dir.join("ns")).unwrap();
        fs::create_dir_all(dir.join("fd")).unwrap();
        let id = path.rsplit('/').next().unwrap();
        // Fields by their numbers in proc_pid_stat(5): those between are of no concern here.
        let stat = format!(
            "{id} ({comm}) {state} {ppid} {id} {id} 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 {threads} 0 {start} 0 0 0 0 0 0 \
             0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        );
        fs::write(dir.join("stat"), stat).unwrap();
        Task(dir)
    }

    fn discover(&self, options: &mut DiscoveryOptions) -> Snapshot {
        // What the kernel lists is this host's, whatever is read.
        options.places = options.places.without(Place::Kernel);
        Discovery::new(ProcRoot::at(self.0.path()).unwrap()).run(options).unwrap()
    }

    fn namespaces(&self) -> Snapshot {
        self.discover(&mut DiscoveryOptions::namespaces())
    }
}

struct Task(PathBuf);

impl Task {
    /// All ten links, the inode numbers `ino` and up.
    fn links(self, ino: u64) -> Self {
        for (ino, ns_type) in (ino..).zip(NamespaceType::ALL) {
            self.link(ns_type.name(), ns_type.name(), ino);
        }
        self.link("pid_for_children", "pid", ino + NamespaceType::Pid as u64);
        self.link("time_for_children", "time", ino + NamespaceType::Time as u64);
        self
    }

    fn link(&self, name: &str, ns_type: &str, ino: u64) {
        let path = self.0.join("ns").join(name);
        let _ = fs::remove_file(&path);
        symlink(format!("{ns_type}:[{ino}]"), path).unwrap();
    }

    fn file(&self, name: &str, text: &[u8]) {
        fs::write(self.0.join(name), text).unwrap();
    }
}

fn gap_about(snapshot: &Snapshot, object: &Object) -> Option<Gap> {
    snapshot.gaps.iter().find(|gap| gap.object == *object).cloned()
}

#[test]
fn processes_lead_where_their_parents_are_not() {
    let proc = FakeProc::new();
    proc.task("1", "init", 'S', 0, 1, 5).links(5_000_000_000);
    proc.task("7", "old) (one", 'S', 1, 1, 90).links(5_000_000_100);
    proc.task("6", "young\none", 'S', 1, 1, 100).links(5_000_000_100);
    proc.task("8", "child", 'S', 7, 1, 95).links(5_000_000_100);
    let snapshot = proc.namespaces();
    assert_eq!(snapshot.processes.len(), 4);
    assert_eq!(snapshot.processes[&Pid(7)].comm(), "old) (one");
    assert_eq!(snapshot.processes[&Pid(6)].comm(), "young\none");
    let uts = snapshot.by_ino(5_000_000_100 + NamespaceType::Uts as u64).unwrap();
    assert_eq!(uts.ns_type, NamespaceType::Uts);
    assert_eq!(uts.leaders, [Pid(7), Pid(6)], "the older first, whatever its PID");
    assert_eq!(uts.holders, [6, 7, 8].map(|pid| Holder::Process { pid: Pid(pid) }));
    // It cannot be opened here, so nobody could ask it.
    assert_eq!((uts.owner, uts.unique_id), (Relation::NotAsked, None));
}

#[test]
fn a_thread_speaks_for_a_process_whose_first_has_exited() {
    let proc = FakeProc::new();
    proc.task("1", "init", 'S', 0, 1, 5).links(5_000_000_000);
    let main = proc.task("20", "gone", 'Z', 1, 2, 10);
    main.link("user", "user", 5_000_000_004);
    proc.task("20/task/20", "gone", 'Z', 1, 2, 10);
    let status = |uid: u32, nspid: &str| {
        let sets = ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|set| format!("Cap{set}:\t0000000000000000\n")).concat();
        format!("Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nNSpid:\t{nspid}\n{sets}Cpus_allowed_list:\t0\n")
    };
    main.file("status", status(0, "20\t2").as_bytes());
    main.file("cgroup", b"4:cpu:/\n0::/before\n");
    main.file("cmdline", b"");
    let alive = proc.task("20/task/21", "alive", 'S', 1, 2, 11).links(5_000_000_100);
    alive.file("status", status(7, "21\t3").as_bytes());
    alive.file("cgroup", b"4:cpu:/here\n0::/after\n");
    alive.file("cmdline", b"alive\0");
    let mut everything = DiscoveryOptions::everything();
    everything.freezer = false;
    let mut without_threads = DiscoveryOptions::everything();
    without_threads.freezer = false;
    without_threads.places = Places::holding().without(Place::Tasks).without(Place::TaskFds);
    for options in [&mut everything, &mut without_threads] {
        let process = &proc.discover(options).processes[&Pid(20)];
        assert_eq!((process.living_task().tid, process.directory()), (Tid(21), "20/task/21".to_owned()));
        let cgroups = process.living_task().cgroups.as_ref().unwrap();
        assert_eq!(
            (cgroups.of_controller("cpu").unwrap(), cgroups.unified().unwrap()),
            (&"/here".into(), &"/after".into())
        );
        let of_first = process.main_task().cgroups.as_ref().unwrap();
        assert_eq!((of_first.0.len(), of_first.unified().unwrap()), (1, &"/before".into()), "of v1 it is not known");
        let status = process.status.as_ref().unwrap();
        assert_eq!((status.uids.real, &status.ns_pids[..]), (Uid(7), &[Pid(20), Pid(2)][..]));
        assert_eq!(process.command_line.as_ref().unwrap()[..], ["alive"]);
    }
    let snapshot = proc.namespaces();
    let process = &snapshot.processes[&Pid(20)];
    assert_eq!((process.main_task().state, process.living_task().tid), (TaskState(b'Z'), Tid(21)));
    let net = snapshot.by_ino(5_000_000_100 + NamespaceType::Net as u64).unwrap();
    assert_eq!(process.namespaces.get(NamespaceType::Net), Some(net.id));
    assert_eq!(net.holders, [Holder::Task { pid: Pid(20), tid: Tid(21) }]);
    assert_eq!(net.leaders, [Pid(20)]);
}

#[test]
fn a_process_that_is_reaped_meanwhile_has_no_pid_0() {
    let proc = FakeProc::new();
    proc.task("1", "init", 'S', 0, 1, 5).links(5_000_000_000);
    let reaped = proc.task("20", "reaped", 'R', 1, 1, 10).links(5_000_000_100);
    let sets = ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|set| format!("Cap{set}:\t0000000000000000\n")).concat();
    reaped.file("status", format!("Name:\tx\nUid:\t0\t0\t0\t0\nPid:\t0\nNSpid:\t0\n{sets}").as_bytes());
    let mut options = DiscoveryOptions::everything();
    options.freezer = false;
    let snapshot = proc.discover(&mut options);
    let is_of_status =
        |gap: &&Gap| gap.object == Object::Process(Pid(20)) && gap.operation == Operation::read("status");
    assert_eq!((&snapshot.processes[&Pid(20)].status, snapshot.gaps.iter().find(is_of_status)), (&None, None));
}

#[test]
fn links_for_children_hold_what_they_name() {
    let proc = FakeProc::new();
    let init = proc.task("1", "init", 'S', 0, 1, 5).links(5_000_000_000);
    init.link("time_for_children", "time", 5_000_000_999);
    let holder = Holder::ForChildren { pid: Pid(1), tid: Tid(1) };
    let snapshot = proc.namespaces();
    assert_eq!(snapshot.by_ino(5_000_000_999).unwrap().holders, [holder]);
    let mut options = DiscoveryOptions::namespaces();
    options.places = Places::holding().without(Place::ForChildren);
    assert!(proc.discover(&mut options).by_ino(5_000_000_999).is_none());
}

#[test]
fn malformed_text_is_a_gap_that_names_it() {
    let proc = FakeProc::new();
    proc.task("1", "init", 'S', 0, 1, 5).links(5_000_000_000);
    let cut_off = proc.task("30", "x", 'S', 1, 1, 5).links(5_000_000_000);
    cut_off.file("stat", b"30 (x) S 1 30");
    let odd_link = proc.task("31", "x", 'S', 1, 1, 5).links(5_000_000_000);
    odd_link.link("net", "uts", 12);
    let snapshot = proc.namespaces();
    let gap = gap_about(&snapshot, &Object::Process(Pid(30))).expect("it is not left out without a word");
    assert!(gap.operation.to_string().contains("stat"), "{gap:?}");
    assert!(!snapshot.processes.contains_key(&Pid(30)));
    let gap = gap_about(&snapshot, &Object::Process(Pid(31))).unwrap();
    assert!(gap.operation.to_string().contains("ns/net"), "{gap:?}");
    assert_eq!(snapshot.processes[&Pid(31)].namespaces.get(NamespaceType::Net), None);
    assert!(snapshot.by_ino(12).is_none());
}

#[test]
fn facts_come_from_their_files() {
    let proc = FakeProc::new();
    let init = proc.task("1", "init", 'S', 0, 1, 5).links(5_000_000_000);
    init.file("cgroup", b"4:freezer:/frozen\n0::/unified:odd\n");
    init.file("cmdline", b"init\0--flag=\xff\0");
    init.file(
        "status",
        b"Name:\tinit\nUid:\t1\t2\t3\t4\nNSpid:\t70\t1\nCapInh:\t0000000000000000\nCapPrm:\t00000000000000ff\n\
          CapEff:\t0000000000000001\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nCpus_allowed_list:\t0-2,5\n",
    );
    let mut options = DiscoveryOptions::everything();
    options.freezer = false;
    let snapshot = proc.discover(&mut options);
    let process = &snapshot.processes[&Pid(1)];
    assert_eq!(process.command_line.as_ref().unwrap()[..], ["init".into(), bstr::BString::from(b"--flag=\xff")]);
    let status = process.status.as_ref().unwrap();
    assert_eq!((status.uids.effective, &status.ns_pids[..]), (Uid(2), &[Pid(70), Pid(1)][..]));
    assert_eq!(status.capabilities.permitted.bits(), 0xff);
    let cgroups = process.main_task().cgroups.as_ref().unwrap();
    assert_eq!(cgroups.of_controller("freezer").unwrap(), "/frozen");
    assert_eq!(cgroups.unified().unwrap(), "/unified:odd");
    assert_eq!(process.main_task().affinity.as_ref().unwrap().len(), 2);
}

#[test]
fn what_is_missing_is_unknown() {
    let proc = FakeProc::new();
    proc.task("1", "init", 'S', 0, 1, 5).links(5_000_000_000);
    let mut options = DiscoveryOptions::everything();
    options.freezer = false;
    let snapshot = proc.discover(&mut options);
    let process = &snapshot.processes[&Pid(1)];
    assert!(process.status.is_none() && process.command_line.is_none());
    assert!(process.main_task().cgroups.is_none() && process.main_task().affinity.is_none());
    assert_eq!(snapshot.options.command_lines, Scope::All);
}

/// Without `listmount`, which nobody can ask about a namespace that is not there.
#[test]
fn mounts_are_what_all_members_list_together() {
    const WHOLE: &[u8] = b"40 30 254:0 / / rw shared:1 - ext4 /dev/vda rw\n\
        41 40 0:5 / /over rw - tmpfs first rw\n42 41 0:6 / /over rw - tmpfs second rw\nnonsense\n";
    const JAILED: &[u8] = b"50 40 0:7 / / rw - tmpfs jail rw\n51 50 0:8 / /proc rw - proc proc rw\n";
    let proc = FakeProc::new();
    let jail = proc.0.path().join("jail");
    fs::create_dir(&jail).unwrap();
    let inner = proc.task("2", "jailed", 'S', 1, 1, 6).links(5_000_000_000);
    symlink(&jail, inner.0.join("root")).unwrap();
    inner.file("mountinfo", JAILED);
    let mut options = DiscoveryOptions::namespaces();
    options.mounts = true;

    let snapshot = proc.discover(&mut options);
    let id = snapshot.by_ino(5_000_000_000).unwrap().id;
    let paths = |snapshot: &Snapshot| {
        let path = |mount: &Mount| (mount.id, mount.path().unwrap().to_string(), mount.hidden);
        snapshot.mounts[&id].iter().map(path).collect::<Vec<_>>()
    };
    let jail = jail.to_str().unwrap().to_owned();
    let jailed = [(50, jail.clone(), false), (51, jail + "/proc", false)];
    assert_eq!(paths(&snapshot), jailed);
    let gap = gap_about(&snapshot, &Object::Namespace(id)).expect("there is more, and nobody has listed it");
    assert!(gap.operation.to_string().contains("changed their root directory"), "{gap:?}");

    let outer = proc.task("1", "init", 'S', 0, 1, 5).links(5_000_000_000);
    symlink("/", outer.0.join("root")).unwrap();
    outer.file("mountinfo", WHOLE);
    let snapshot = proc.discover(&mut options);
    let whole = [(40, "/".to_owned(), false), (41, "/over".to_owned(), true), (42, "/over".to_owned(), false)];
    assert_eq!(paths(&snapshot), [&whole[..], &jailed].concat());
    let gap = gap_about(&snapshot, &Object::Namespace(id)).unwrap();
    assert!(gap.operation.to_string().contains("parse mountinfo, line 4"), "{gap:?}");
    assert!(proc.namespaces().mounts.is_empty(), "only where they are asked for");
}

/// What is there and cannot be read: here, because a directory is in its place.
#[test]
fn users_that_cannot_be_read_are_not_absent() {
    use std::os::unix::fs::MetadataExt as _;
    let proc = FakeProc::new();
    let user = proc.task("1", "init", 'S', 0, 1, 5).links(5_000_000_000);
    for link in ["root", "cwd", "exe"] {
        symlink(proc.0.path(), user.0.join(link)).unwrap();
    }
    for name in ["1/comm", "swaps", "filesystems", "thread-self/net/unix"] {
        fs::create_dir_all(proc.0.path().join(name)).unwrap();
    }
    let snapshot = proc.namespaces();
    let dev = fs::metadata(proc.0.path()).unwrap().dev();
    let file_system = DeviceNumber { major: rustix::fs::major(dev), minor: rustix::fs::minor(dev) };
    let discovery = Discovery::new(ProcRoot::at(proc.0.path()).unwrap());
    let users = discovery.file_system_users(&snapshot, FileSystemQuery::new(file_system));
    let [user] = &users.processes[..] else { panic!("{users:#?}") };
    assert_eq!((user.pid, user.comm.as_slice()), (Pid(1), b"init".as_slice()), "known by name from the snapshot");
    let told = |object: &Object| users.gaps.iter().any(|gap| gap.object == *object && gap.errno == Errno::new(21));
    assert!(told(&Object::Process(Pid(1))) && told(&Object::Host), "{:#?}", users.gaps);
    for file in ["swaps", "filesystems"] {
        let path = proc.0.path().join(file);
        assert!(told(&Object::Path(path.to_str().unwrap().into())), "{file}: {:#?}", users.gaps);
    }
}

#[test]
fn processes_that_cannot_be_read_may_be_stuck() {
    let proc = FakeProc::new();
    proc.task("1", "init", 'S', 0, 1, 5).links(5_000_000_000);
    let root = ProcRoot::at(proc.0.path()).unwrap();
    assert_eq!(lxkns_core::stuck(&root), Ok(Vec::new()), "what has no name has just gone");
    fs::create_dir(proc.0.path().join("1/comm")).unwrap();
    assert_eq!(lxkns_core::stuck(&root), Err(lxkns_core::model::Errno::new(21).unwrap()));
}

/// Threads that cannot be listed are not taken for dead.
#[test]
fn whose_sockets_are_open_is_not_known_without_the_threads() {
    let proc = FakeProc::new();
    proc.task("1", "init", 'Z', 0, 2, 5).links(5_000_000_000);
    let users = || Discovery::new(ProcRoot::at(proc.0.path()).unwrap()).socket_users(&[Pid(1)], &[7]);
    fs::write(proc.0.path().join("1/task"), "").unwrap();
    let (_, gaps) = users();
    assert!(gaps.iter().any(|gap| gap.object == Object::Process(Pid(1)) && gap.errno == Errno::new(20)), "{gaps:#?}");
    fs::remove_file(proc.0.path().join("1/task")).unwrap();
    fs::create_dir_all(proc.0.path().join("1/task/2/stat")).unwrap();
    let (_, gaps) = users();
    assert!(gaps.iter().any(|gap| gap.object == Object::Process(Pid(1)) && gap.errno == Errno::new(21)), "{gaps:#?}");
}

#[test]
fn a_tree_without_processes_is_no_error_but_a_gap() {
    let proc = FakeProc::new();
    let snapshot = proc.namespaces();
    assert!(snapshot.processes.is_empty() && snapshot.namespaces.is_empty());
    let gap = gap_about(&snapshot, &Object::Host).unwrap();
    assert_eq!(gap.place, Place::Processes, "PID 1 is never missing, it can only be hidden");
    assert!(Path::new(proc.0.path()).exists());
}
