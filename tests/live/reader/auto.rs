//! Which reader is used where the choice is left to discovery, and what becomes of a session that it fails.

use std::process::Command;
use std::sync::RwLock;

use lxkns_core::model::{
    Call, Cause, Gap, Holder, NamespaceType, NotKernel, Operation, Pid, Place, Reader, Suspect, Tid,
};
use lxkns_core::relations::{Change, changes};
use lxkns_core::{Discovery, DiscoveryOptions, Snapshot};
use lxkns_fixture::deny;
use lxkns_fixture::{Actor, Open, allocated_bytes, bpf_programs, is_loaded};
use rustix::io::Errno;

use super::super::program::run;
use super::super::{directory, look_until, namespace, reachable_copy};
use super::{BTF, leave};
use crate::harness::Need::{File, Kernel, Program, RealProcessor, Root, UserNamespaces};
use crate::harness::{Need, Test, alone, alone_through, is_alone, lxkns, test};

pub(super) fn tests() -> Vec<Test> {
    const ROOT: &[Need] = &[Root, File(BTF)];
    const LISTS: &[Need] = &[Root, File(BTF), Kernel(6, 18)];
    vec![
        test("reader::auto::kernel_where_there_are_many", ROOT, kernel_where_there_are_many),
        test("reader::auto::one_reader_for_a_session", ROOT, one_reader_for_a_session),
        test("reader::auto::without_privilege", &[Root, File(BTF), Program("setpriv")], without_privilege),
        test("reader::auto::each_call_denied", &[UserNamespaces, File(BTF), RealProcessor], each_call_denied),
        test("reader::auto::failing_in_the_middle", LISTS, failing_in_the_middle),
        test("reader::auto::a_field_is_missing", ROOT, a_field_is_missing),
        test("reader::auto::a_field_that_some_need", LISTS, a_field_that_some_need),
        test("reader::auto::memory_denied", ROOT, memory_denied),
        test("reader::auto::namespaces_that_are_not_told", &[Root, File(BTF), Program("setpriv")], not_told),
        test("reader::auto::kernel_where_references_are_told", LISTS, kernel_where_references_are_told),
        test("reader::auto::many_scans_leave_nothing", ROOT, many_scans_leave_nothing),
    ]
}

/// Calls this while the host has some hundred tasks more.
fn among_many<T>(body: impl FnOnce() -> T) -> T {
    let gate = RwLock::new(());
    std::thread::scope(|scope| {
        let closed = gate.write().unwrap();
        for _ in 0..600 {
            let waiting = std::thread::Builder::new().stack_size(64 << 10);
            waiting.spawn_scoped(scope, || drop(gate.read())).unwrap();
        }
        let result = body();
        drop(closed);
        result
    })
}

pub(super) fn refusal(snapshot: &Snapshot) -> &Gap {
    match &snapshot.not_kernel {
        Some(NotKernel::Refused(gap)) => gap,
        other => panic!("{other:?}, by {:?}", snapshot.reader),
    }
}

pub(super) fn is_told(snapshot: &Snapshot) -> bool {
    snapshot.gaps.iter().any(|gap| gap.place == Place::Reader)
}

/// What the program finds, and what it says on standard error.
fn dump(command: &mut Command, reader: Option<&str>) -> (Snapshot, String) {
    command.args(["dump", "--no-cmdline", "--no-mounts"]);
    command.args(reader.map(|reader| format!("--reader={reader}")));
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    (lxkns_core::wire::read(ran.stdout.as_slice()).unwrap(), ran.stderr)
}

fn kernel_where_there_are_many() {
    let options = DiscoveryOptions::namespaces();
    let session = Discovery::of_host().unwrap();
    let first = among_many(|| session.run(&options).unwrap());
    assert_eq!((first.reader, &first.not_kernel), (Some(Reader::Kernel), &None), "{:?}", first.gaps);
    // The choice stands when the others have gone.
    assert_eq!(session.run(&options).unwrap().reader, Some(Reader::Kernel));
    let (snapshot, stderr) = among_many(|| dump(&mut lxkns(), None));
    assert_eq!((snapshot.reader, snapshot.options.reader), (Some(Reader::Kernel), None), "{stderr}");
    let (snapshot, _) = among_many(|| dump(&mut lxkns(), Some("proc")));
    assert_eq!((snapshot.reader, snapshot.not_kernel), (Some(Reader::Proc), Some(NotKernel::NotAsked)));
}

fn one_reader_for_a_session() {
    let options = DiscoveryOptions::namespaces();
    let session = Discovery::of_host().unwrap();
    let first = session.run(&options).unwrap();
    let later = among_many(|| session.run(&options).unwrap());
    assert_eq!((first.reader, &first.not_kernel), (later.reader, &later.not_kernel));
    if first.reader == Some(Reader::Proc) {
        assert_eq!(first.not_kernel, Some(NotKernel::FewProcesses));
    }
    let session = Discovery::of_host().unwrap().repeated();
    assert_eq!(session.run(&options).unwrap().reader, Some(Reader::Kernel), "there will be many scans");
    let only_proc = DiscoveryOptions { reader: Some(Reader::Proc), ..options };
    let asked = session.run(&only_proc).unwrap();
    assert_eq!((asked.reader, asked.not_kernel), (Some(Reader::Proc), Some(NotKernel::NotAsked)));
}

/// Nobody has asked for the kernel reader: that it is not permitted is no gap, but is said.
fn without_privilege() {
    let directory = directory();
    let copy = reachable_copy(directory.path());
    let by_nobody = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]).arg(&copy);
        command
    };
    let (snapshot, stderr) = among_many(|| dump(&mut by_nobody(), None));
    assert_eq!(snapshot.reader, Some(Reader::Proc));
    let gap = refusal(&snapshot);
    assert_eq!((&gap.operation, gap.cause), (&Operation::from(Call::Bpf), Cause::Denied));
    assert!(!is_told(&snapshot) && !stderr.contains("iterators"), "{stderr}");
    // Also where it was not tried because there are few processes.
    let doctor = run(by_nobody().args(["doctor", "--json"])).answer();
    assert_eq!(doctor["reader"]["source"], "proc");
    let why = doctor["reader"]["why-not-kernel"].as_str().unwrap();
    assert!(why.contains("needs CAP_PERFMON and CAP_BPF"), "{why}");
}

/// Each call of the kernel reader fails: procfs has all.
fn each_call_denied() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let net = actor.ns_inode("net");
    const USUAL: &[Errno] = &[Errno::PERM, Errno::NOSYS];
    const ALL: &[Errno] = &[Errno::PERM, Errno::NOSYS, Errno::INVAL, Errno::NOMEM, Errno::NOENT];
    let calls = [(&deny::BPF_LOADING, ALL), (&deny::BPF_LINKING, USUAL), (&deny::BPF_ITERATION, USUAL)];
    for (interface, errnos) in calls {
        for &errno in errnos {
            for reader in [None, Some("kernel")] {
                let dump = || {
                    let mut command = lxkns();
                    deny::deny(&mut command, &[interface], errno.raw_os_error()).unwrap();
                    dump(&mut command, reader)
                };
                let (snapshot, stderr) = if reader.is_none() { among_many(dump) } else { dump() };
                assert_eq!(snapshot.reader, Some(Reader::Proc), "{} {errno:?}", interface.name);
                assert!(namespace(&snapshot, net).holders.contains(&Holder::Process { pid: Pid(actor.pid()) }));
                let gap = refusal(&snapshot);
                assert_eq!(gap.operation, Operation::from(Call::Bpf));
                if lxkns_fixture::probe::is_root() {
                    assert_eq!(gap.errno.map(|errno| errno.number()), Some(errno.raw_os_error()));
                }
                // An error that says more than that it is not there for the caller is said in any case.
                let is_said = reader.is_some() || !matches!(gap.cause, Cause::Denied | Cause::Unsupported);
                assert_eq!(is_told(&snapshot), is_said, "{} {errno:?} {reader:?}", interface.name);
                assert_eq!(stderr.contains("not from the kernel's iterators"), is_said, "{stderr}");
            }
        }
    }
}

/// The kernel reader fails after it was used: procfs finishes the job, with a gap, and what only the kernel reader saw is not
/// taken to have ended.
fn failing_in_the_middle() {
    alone("reader::auto::failing_in_the_middle", || {
        let actor = Actor::spawn_in(&["user", "ipc"]);
        actor.attach_segment();
        let hidden = leave(&actor, "ipc");
        let options = DiscoveryOptions::namespaces();
        let session = Discovery::of_host().unwrap().repeated();
        let is_undisturbed = |snapshot: &Snapshot| namespace(snapshot, hidden).holders == [Holder::Kernel];
        let before = look_until(is_undisturbed, || session.run(&options).unwrap());
        assert_eq!(before.reader, Some(Reader::Kernel));
        assert!(is_undisturbed(&before), "{:?}", namespace(&before, hidden).holders);
        deny::deny_to_this_thread(&[&deny::BPF, deny::interface("listns")], Errno::PERM.raw_os_error()).unwrap();
        for _ in 0..2 {
            let after = session.run(&options).unwrap();
            assert_eq!(after.reader, Some(Reader::Proc));
            let gap = refusal(&after);
            assert!(gap.cause == Cause::Denied && after.gaps.contains(gap), "{:?}", after.gaps);
            assert!(!after.namespaces[&namespace(&after, actor.ns_inode("ipc")).id].holders.is_empty());
            for (old, new, expected) in [(&before, &after, Change::Unseen), (&after, &before, Change::Seen)] {
                let found = changes(old, new).unwrap();
                let told = found.namespaces.iter().find(|told| told.namespace().id.ino == hidden).expect("it is told");
                assert_eq!(told.changes, [expected]);
            }
        }
    });
}

/// A kernel whose description lacks a field: the reader is refused, and the field is named.
fn a_field_is_missing() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let directory = directory();
    let mut options = DiscoveryOptions::namespaces();
    options.reader = Some(Reader::Kernel);
    let scan = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Discovery::of_host().unwrap().btf_at(path).run(&options).unwrap()
    };
    assert_eq!(scan("whole", &btf_without(&[])).reader, Some(Reader::Kernel));
    for (field, path) in [("start_boottime", "task_struct.start_boottime"), ("pid_ns_for_children", "nsproxy")] {
        let snapshot = scan(field, &btf_without(&[field]));
        assert_eq!(snapshot.reader, Some(Reader::Proc), "{field}");
        let gap = refusal(&snapshot);
        assert!(snapshot.gaps.contains(gap) && gap.cause == Cause::Unsupported, "{:?}", snapshot.gaps);
        let Operation::Parse(text) = &gap.operation else { panic!("{gap:?}") };
        assert!(text.contains(path), "{text}");
        let holders = &namespace(&snapshot, actor.ns_inode("net")).holders;
        assert!(holders.contains(&Holder::Process { pid: Pid(actor.pid()) }), "{holders:?}");
    }
    let none = Discovery::of_host().unwrap().btf_at(directory.path().join("none")).run(&options).unwrap();
    assert_eq!(refusal(&none).cause, Cause::Unsupported);
}

/// The kernel's description, with another name for these fields.
fn btf_without(fields: &[&str]) -> Vec<u8> {
    let mut btf = std::fs::read(BTF).unwrap();
    let number = |at: usize| u32::from_ne_bytes(btf[at..at + 4].try_into().unwrap()) as usize;
    // The length of the header, and where behind it the names begin. What comes before can have the same bytes by chance.
    let names = number(4) + number(16);
    for field in fields {
        // The names of fields end with a zero, and each stands there once.
        let name = [b"\0", field.as_bytes(), b"\0"].concat();
        let at = btf[names..].windows(name.len()).position(|window| window == name).expect("the kernel has it");
        btf[names + at + 1] = b'X';
    }
    btf
}

/// An actor with a descriptor in flight; and the socket that it would come to.
fn with_some_in_flight() -> (Actor, u32) {
    let actor = Actor::spawn_in(&["user", "uts", "mnt"]);
    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    let (_, receiver) = actor.send_fd_in_flight(fd);
    actor.close(fd);
    (actor, receiver as u32)
}

fn is_suspect(snapshot: &Snapshot, actor: &Actor, receiver: u32) -> bool {
    let (pid, tid) = (Pid(actor.pid()), Tid(actor.tid()));
    snapshot.suspects.contains(&Suspect::InFlight { pid, tid, fd: receiver, count: 1 })
}

/// The gaps at a place about the host.
fn gaps_of_host(snapshot: &Snapshot, place: Place) -> Vec<&Gap> {
    let is_it = |gap: &&Gap| gap.place == place && gap.object == lxkns_core::model::Object::Host;
    snapshot.gaps.iter().filter(is_it).collect()
}

/// A kernel whose description lacks a field that only a part of the reader needs: the rest is there, and the field is named.
fn a_field_that_some_need() {
    let (actor, receiver) = with_some_in_flight();
    let directory = directory();
    let mut options = DiscoveryOptions::everything();
    options.reader = Some(Reader::Kernel);
    let scan = |field: &str| {
        let path = directory.path().join(field);
        std::fs::write(&path, btf_without(&[field])).unwrap();
        let snapshot = Discovery::of_host().unwrap().btf_at(path).run(&options).unwrap();
        assert_eq!((snapshot.reader, is_told(&snapshot)), (Some(Reader::Kernel), false), "{field}");
        snapshot
    };
    // `fp` is that of `unix_skb_parms`.
    let fields = [
        ("s_user_ns", Place::BindMounts),
        ("fp", Place::Fds),
        ("fp", Place::NamespaceFacts),
        ("__ns_ref", Place::NamespaceFacts),
        ("cgroup_file_ctx", Place::NamespaceFacts),
    ];
    for (field, place) in fields {
        let snapshot = scan(field);
        let told = gaps_of_host(&snapshot, place);
        let named = if field == "cgroup_file_ctx" { "cgroup_file_ctx.ns" } else { field };
        let is_named = |gap: &&Gap| matches!(&gap.operation, Operation::Parse(text) if text.contains(named));
        assert!(told.iter().any(|gap| gap.cause == Cause::Unsupported && is_named(gap)), "{field}: {told:?}");
        assert_eq!(snapshot.references.is_empty(), place == Place::NamespaceFacts || field == "fp", "{field}");
        if field == "fp" {
            assert!(is_suspect(&snapshot, &actor, receiver), "{:?}", snapshot.suspects);
        }
    }
    // The lists do not tell IDs then: the namespaces are opened.
    let snapshot = scan("ns_id");
    assert!(namespace(&snapshot, actor.ns_inode("uts")).unique_id.is_some());
}

/// The kernel's memory cannot be read, but its iterators can: what that would tell is said to be missing.
fn memory_denied() {
    let (actor, receiver) = with_some_in_flight();
    for errno in [Errno::PERM, Errno::INVAL] {
        let mut command = lxkns();
        deny::deny(&mut command, &[&deny::BPF_MEMORY], errno.raw_os_error()).unwrap();
        let ran = run(command.args(["dump", "--no-cmdline", "--reader", "kernel"]));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let snapshot = lxkns_core::wire::read(ran.stdout.as_slice()).unwrap();
        assert_eq!((snapshot.reader, is_told(&snapshot)), (Some(Reader::Kernel), false));
        for place in [Place::BindMounts, Place::Fds, Place::NamespaceFacts] {
            let is_it = |gap: &&Gap| {
                gap.operation == Operation::from(Call::Bpf)
                    && gap.errno.map(|errno| errno.number()) == Some(errno.raw_os_error())
            };
            let told = gaps_of_host(&snapshot, place);
            // Of kernels that count references elsewhere, it would not be asked.
            let is_elsewhere = |gap: &&Gap| {
                let is_count = |text: &str| text.contains("ns_common.");
                place == Place::NamespaceFacts && matches!(&gap.operation, Operation::Parse(text) if is_count(text))
            };
            assert!(told.iter().any(|gap| is_it(gap) || is_elsewhere(gap)), "{place:?}: {told:?}");
        }
        assert!(snapshot.references.is_empty());
        assert!(is_suspect(&snapshot, &actor, receiver), "{:?}", snapshot.suspects);
        assert!(errno != Errno::PERM || ran.stderr.contains("mounts"), "{}", ran.stderr);
    }
}

/// What the kernel would tell of namespaces that the caller may not open cannot be read: that is said.
fn not_told() {
    const NAME: &str = "reader::auto::namespaces_that_are_not_told";
    const COMM: &[u8] = b"lxkns-not-told";
    // Whoever has less than it may not open its namespaces.
    let _actor = (!is_alone()).then(|| {
        let actor = Actor::spawn_in(&["uts"]);
        actor.set_comm(COMM);
        actor
    });
    let left = "-all,+bpf,+perfmon";
    alone_through(&["setpriv", "--bounding-set", left, "--inh-caps", left], NAME, || {
        // Only what namespaces say of themselves needs it: `owner` of `user_namespace`.
        let directory = directory();
        let path = directory.path().join("btf");
        std::fs::write(&path, btf_without(&["owner"])).unwrap();
        let mut options = DiscoveryOptions::namespaces();
        options.reader = Some(Reader::Kernel);
        let by = |session: Discovery<'_>| {
            let snapshot = session.run(&options).unwrap();
            assert_eq!(snapshot.reader, Some(Reader::Kernel), "{:?}", snapshot.gaps);
            let process = snapshot.processes.values().find(|process| process.comm() == COMM).expect("it lives");
            let uts = process.namespaces.get(NamespaceType::Uts).unwrap();
            let gaps = gaps_of_host(&snapshot, Place::NamespaceFacts);
            let is_said = gaps.iter().any(|gap| gap.operation.to_string().contains("user_namespace.owner"));
            (snapshot.namespaces[&uts].owner.known().is_some(), is_said)
        };
        let session = || Discovery::of_host().unwrap();
        assert_eq!(by(session()), (true, false));
        assert_eq!(by(session().btf_at(path)), (false, true));
    });
}

/// Where references are asked for, the kernel reader is used however few processes there are; without permission, procfs is.
fn kernel_where_references_are_told() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let ino = actor.ns_inode("uts").to_string();
    for command in ["why", "show"] {
        let is_said = |text: &String| text.contains(" explained");
        let text = look_until(is_said, || run(lxkns().args([command, &ino])).ok().text().to_owned());
        assert!(is_said(&text), "{text}");
        let mut denied = lxkns();
        deny::deny(&mut denied, &[&deny::BPF], Errno::PERM.raw_os_error()).unwrap();
        let ran = run(denied.args([command, &ino])).ok();
        assert!(!is_said(&ran.text().to_owned()) && !ran.stderr.contains("iterators"), "{ran:?}");
    }
}

/// Scans of one session leave no descriptor, memory or program. `LXKNS_TEST_SCANS` says how many.
fn many_scans_leave_nothing() {
    alone("reader::auto::many_scans_leave_nothing", || {
        let scans: usize = std::env::var("LXKNS_TEST_SCANS").map_or(50, |count| count.parse().unwrap());
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = descriptors();
        let options = DiscoveryOptions::namespaces();
        let session = Discovery::of_host().unwrap().repeated();
        for _ in 0..10 {
            assert_eq!(session.run(&options).unwrap().reader, Some(Reader::Kernel));
        }
        // Resident memory would say how much the host did meanwhile.
        let (open, memory, programs) = (descriptors(), allocated_bytes(), bpf_programs());
        assert!(!programs.is_empty());
        for _ in 0..scans {
            assert_eq!(session.run(&options).unwrap().reader, Some(Reader::Kernel));
        }
        let grown = allocated_bytes().saturating_sub(memory);
        println!("{scans} scans: {grown} bytes more, {} programs", programs.len());
        // A program is loaded when it is first needed: for sockets in which something waits, perhaps not before.
        let (first, programs) = (programs, bpf_programs());
        let more = programs.len() - first.len();
        assert!(more <= 4, "{first:?}, then {programs:?}");
        assert!(descriptors() <= open + 2 * more, "the programs stay, iterators do not");
        assert!(grown < 128 << 10, "{grown} bytes more after {scans} scans");
        assert!(programs.iter().all(|&id| is_loaded(id)), "{programs:?}");
        drop(session);
        assert_eq!(descriptors(), before, "the programs end with the session");
        // The kernel frees them a little later.
        while programs.iter().any(|&id| is_loaded(id)) {
            std::thread::yield_now();
        }
    });
}
