//! What is written comes back.

use std::time::SystemTime;

use proptest::prelude::*;

use super::fixture::{self, DEV, add, full, id};
use super::*;
use crate::*;

#[test]
fn everything_comes_back() {
    let snapshot = full();
    let back = there_and_back(&snapshot);
    assert_eq!(back, snapshot);
    assert_eq!((back.references.len(), &back.references), (2, &snapshot.references));
    assert_eq!(back.gaps, snapshot.gaps);
    assert_eq!(back.taken_at, snapshot.taken_at);
    assert_eq!(back.took, snapshot.took);
    assert_eq!(back.annotations.user_names, snapshot.annotations.user_names);
    assert_eq!(back.annotations.netnsids, snapshot.annotations.netnsids);
    assert_eq!(back.annotations.containers, snapshot.annotations.containers);
    assert_eq!(back.observer_mount_ns, snapshot.observer_mount_ns);
    assert_eq!(back.observer, snapshot.observer);
    assert_eq!((back.reader, back.options.reader), (snapshot.reader, snapshot.options.reader));
    assert_eq!(back.not_kernel, snapshot.not_kernel);
    assert_eq!(back.mounts, snapshot.mounts);
    assert_eq!(back.processes, snapshot.processes, "run states too");
}

#[test]
fn a_dump_that_is_read_is_written_again_byte_for_byte() {
    for options in [
        WriteOptions::default(),
        WriteOptions { pretty: true, ..WriteOptions::default() },
        WriteOptions { stable: true, ..WriteOptions::default() },
        WriteOptions { command_lines: false, ..WriteOptions::default() },
    ] {
        let first = json_with(&full(), &options);
        assert!(first.ends_with('\n'));
        let snapshot = read(first.as_bytes()).unwrap();
        assert_eq!(json_with(&snapshot, &options), first);
        // What a dump left out does not come back when it is written without these options.
        let pretty = WriteOptions { pretty: options.pretty, ..WriteOptions::default() };
        assert_eq!(json_with(&snapshot, &pretty), first);
    }
}

/// A text of JSON without whitespace between its tokens.
fn without_whitespace(json: &str) -> String {
    let (mut in_string, mut is_escaped) = (false, false);
    let is_kept = |character: &char| {
        let was_in_string = in_string;
        if !is_escaped && *character == '"' {
            in_string = !in_string;
        }
        is_escaped = was_in_string && !is_escaped && *character == '\\';
        was_in_string || !character.is_ascii_whitespace()
    };
    json.chars().filter(is_kept).collect()
}

#[test]
fn many_processes_are_written_as_few_are() {
    let mut snapshot = full();
    for count in [0, 1, 31, 32, 33, 64, 65, 1000] {
        snapshot.processes.extend((0..count).map(|n| (Pid(5000 + n), fixture::process(5000 + n))));
        // This one is written in one piece.
        let pretty = json_with(&snapshot, &WriteOptions { pretty: true, ..WriteOptions::default() });
        let compact = json(&snapshot);
        assert_eq!(compact.trim_end(), without_whitespace(&pretty), "{count}");
        assert!(!compact.trim_end().contains('\n') && compact.ends_with('\n'));
        assert_eq!(there_and_back(&snapshot).processes, snapshot.processes);
    }
}

#[test]
fn a_stable_dump_does_not_tell_two_looks_apart() {
    let options = WriteOptions { stable: true, ..WriteOptions::default() };
    let (mut before, mut after) = (full(), full());
    let late = Gap::because(Place::CommandLines, Object::Process(Pid(10)), Operation::read("cmdline"), Cause::TimedOut);
    before.gaps.push(late);
    after.taken_at = SystemTime::now();
    after.took *= 3;
    after.processes.get_mut(&Pid(900)).unwrap().tasks[0].state = TaskState(b'R');
    assert_eq!(json_with(&before, &options), json_with(&after, &options));
    let back = read(json_with(&before, &options).as_bytes()).unwrap();
    assert_eq!(back, before);
    assert_eq!(back.gaps, after.gaps, "what is not readable is told all the same");
}

#[test]
fn no_command_line_is_left_where_they_are_not_wanted() {
    let options = WriteOptions { command_lines: false, ..WriteOptions::default() };
    let json = json_with(&full(), &options);
    assert!(!json.contains("/sbin/init") && !json.contains("plain \\"));
    let back = read(json.as_bytes()).unwrap();
    assert!(back.processes.values().all(|process| process.command_line.is_none()));
    assert_eq!(back.options.command_lines, Scope::None);
}

#[test]
fn every_relation_comes_back() {
    let answers =
        [Relation::NotAsked, Relation::None, Relation::NotVisible, Relation::Known(id(9)), Relation::Known(id(8))];
    for ns_type in NamespaceType::ALL {
        for owner in answers {
            for parent in answers {
                let mut snapshot = fixture::empty();
                // 8 is not in the dump.
                add(&mut snapshot, NamespaceType::User, 9);
                let namespace = add(&mut snapshot, ns_type, 10);
                (namespace.owner, namespace.parent) = (owner, parent);
                assert_eq!(there_and_back(&snapshot), snapshot);
            }
        }
    }
}

#[test]
fn unknown_stays_unknown() {
    let mut snapshot = fixture::empty();
    add(&mut snapshot, NamespaceType::User, 9);
    snapshot.processes.insert(Pid(5), fixture::process(5));
    assert_eq!(there_and_back(&snapshot), snapshot);
    let value = value(&snapshot);
    assert!(value["namespaces"]["9"].get("user-id").is_none());
    assert_eq!(value["processes"]["5"]["cmdline"], serde_json::json!([]));
}

#[test]
fn mounts_have_the_places_that_all_readers_know() {
    let value = value(&full());
    let mounts = value["mounts"].as_object().unwrap();
    assert_eq!(mounts.keys().collect::<Vec<_>>(), [&fixture::MNT.to_string()], "a tree has a root and a namespace");
    let paths = mounts[&fixture::MNT.to_string()].as_object().unwrap();
    let numbers: Vec<_> = paths
        .iter()
        .map(|(path, node)| (path.as_str(), node["pathid"].as_u64().unwrap(), node["parentid"].as_u64().unwrap()))
        .collect();
    assert_eq!(numbers, [("/", 1, 0), ("/a\\040b\\377", 2, 1), ("/a\\134134", 3, 1)]);
    let stack = &paths["/a\\040b\\377"]["mounts"];
    assert_eq!((&stack[0]["mountid"], &stack[1]["mountid"]), (&33.into(), &34.into()), "the topmost last");
    assert_eq!(stack[0]["tags"], serde_json::json!({"shared": "4294967295", "master": "1", "propagate_from": "7"}));
    assert_eq!(stack[0]["path"], "/a b\u{fffd}");
    assert_eq!(stack[1]["mountoptions"], serde_json::json!(["rw"]));
    assert_eq!(paths["/"]["mounts"][0]["superoptions"], "rw,lowerdir=/x\\040y", "as it is");
    let others = &value["discovery-options"]["snapshot"]["mounts"];
    assert_eq!(others[fixture::MNT.to_string()][0]["mountid"], 36);
    assert_eq!(others[fixture::INNER_MNT.to_string()][0]["mountpoint"], "/jail/proc");
    assert_eq!(others.as_object().unwrap().len(), 4);
}

#[test]
fn a_writer_that_fails_is_an_error() {
    let mut room = [0_u8; 100];
    let error = write(&full(), &WriteOptions::default(), room.as_mut_slice()).unwrap_err();
    assert_eq!(error.kind(), crate::wire::ErrorKind::Io);
    assert!(std::error::Error::source(&error).is_some());
}

fn bytes() -> impl Strategy<Value = bstr::BString> {
    prop::collection::vec(any::<u8>(), 0..12).prop_map(Into::into)
}

fn relation() -> impl Strategy<Value = Relation> {
    prop_oneof![
        Just(Relation::NotAsked),
        Just(Relation::None),
        Just(Relation::NotVisible),
        (1..9_u64).prop_map(|ino| Relation::Known(id(ino))),
    ]
}

fn waiting() -> impl Strategy<Value = InFlight> {
    prop_oneof![Just(InFlight::Descriptor), Just(InFlight::Socket), Just(InFlight::Connection)]
}

fn holder() -> impl Strategy<Value = Holder> {
    let task = || (1..9_u32, 1..9_u32, 0..=i32::MAX.unsigned_abs()).prop_map(|(pid, tid, fd)| (Pid(pid), Tid(tid), fd));
    let path = || prop::option::of(bytes());
    prop_oneof![
        task().prop_map(|(pid, ..)| Holder::Process { pid }),
        task().prop_map(|(pid, tid, _)| Holder::Task { pid, tid }),
        task().prop_map(|(pid, tid, _)| Holder::ForChildren { pid, tid }),
        task().prop_map(|(pid, tid, fd)| Holder::Fd { pid, tid, fd }),
        (task(), any::<u64>()).prop_map(|((pid, tid, fd), inode)| Holder::Socket { pid, tid, fd, inode }),
        any::<u64>().prop_map(|count| Holder::Sockets { count }),
        (task(), prop::option::of(1..9_u64)).prop_map(|((pid, tid, fd), device)| Holder::Tun {
            pid,
            tid,
            fd,
            device: device.map(id)
        }),
        (task(), any::<u64>(), waiting()).prop_map(|((pid, tid, fd), inode, what)| Holder::InFlight {
            pid,
            tid,
            fd,
            inode,
            what
        }),
        (1..9_u64, any::<u64>(), path()).prop_map(|(mount_ns, mount_id, path)| Holder::BindMount {
            mount_ns: id(mount_ns),
            mount_id,
            path
        }),
        (1..9_u64, any::<u64>(), bytes(), path()).prop_map(|(mount_ns, mount_id, fs_type, path)| Holder::Mount {
            mount_ns: id(mount_ns),
            mount_id,
            fs_type,
            path
        }),
        (1..9_u64).prop_map(|ino| Holder::Child { ns: id(ino) }),
        (1..9_u64).prop_map(|ino| Holder::Owned { ns: id(ino) }),
        Just(Holder::Kernel),
    ]
}

fn mounts() -> impl Strategy<Value = Vec<Mount>> {
    let texts = (prop::option::of(bytes()), prop::option::of(bytes()), bytes(), prop::option::of(bytes()));
    let groups = any::<(Option<u32>, Option<u32>, Option<u32>, bool, bool)>();
    let mount = (0..9_u64, prop::option::of("(/[ab \\\\]{1,2}){1,3}|/|"), texts, groups).prop_map(
        |(
            parent,
            path,
            (source, super_options, root, odd_path),
            (shared, master, propagate_from, unbindable, hidden),
        )| {
            let mut mount = fixture::mount(0, parent, path.as_deref().map(str::as_bytes));
            if let Some(path) = odd_path {
                mount.point = Some(fixture::shared(&path));
            }
            mount.root = fixture::shared(&root);
            mount.source = source.map(|text| fixture::shared(&text));
            mount.super_options = super_options.map(|text| fixture::shared(&text));
            mount.propagation = Propagation { shared, master, propagate_from, unbindable };
            mount.hidden = hidden;
            mount
        },
    );
    prop::collection::vec(mount, 0..8).prop_map(|mut mounts| {
        mounts.iter_mut().zip(1..).for_each(|(mount, id)| mount.id = id);
        mounts
    })
}

fn namespace(ino: u64) -> impl Strategy<Value = Namespace> {
    let lists = (prop::collection::vec(1..9_u32, 0..3), prop::collection::vec(holder(), 0..5));
    let maps = prop::option::of(prop::collection::vec((0..1_u32 << 31, 0..1_u32 << 31, 0..1_u32 << 31), 0..3));
    let offsets = {
        let offset = || (any::<i64>(), 0..1_000_000_000_u32);
        prop::option::of((offset(), offset()))
    };
    (0..8_usize, relation(), relation(), prop::option::of(any::<u32>()), any::<Option<u64>>(), lists, maps, offsets)
        .prop_map(move |(ns_type, owner, parent, uid, unique_id, (leaders, mut holders), map, offsets)| {
            let mut namespace = Namespace::new(id(ino), NamespaceType::ALL[ns_type]);
            holders.sort();
            namespace.owner = owner;
            namespace.parent = parent;
            namespace.owner_uid = uid.map(Uid);
            namespace.unique_id = unique_id;
            namespace.leaders = leaders.into_iter().map(Pid).collect();
            namespace.holders = holders;
            namespace.uid_map = map.map(|map| {
                map.into_iter().map(|(inside, outside, count)| IdMapping { inside, outside, count }).collect()
            });
            namespace.time_offsets = offsets.map(|(monotonic, boottime)| TimeOffsets { monotonic, boottime });
            namespace
        })
}

fn task(tid: u32) -> impl Strategy<Value = Task> {
    let cgroups = prop::option::of(prop::collection::vec((any::<u32>(), "[a-z,=]{0,8}", bytes()), 0..3));
    let scheduling = prop::option::of((0..3_u32, 0..3_u32, -2..3_i32));
    let affinity = prop::option::of(prop::collection::vec((0..1_u32 << 31, 0..1_u32 << 31), 0..3));
    (bytes(), any::<u64>(), any::<u8>(), cgroups, any::<Option<(bool, bool)>>(), scheduling, affinity).prop_map(
        move |(comm, start_time_ticks, state, cgroups, freezer, scheduling, affinity)| Task {
            comm,
            start_time_ticks,
            state: TaskState(state),
            cgroups: cgroups.map(|list| {
                std::sync::Arc::new(Cgroups(
                    list.into_iter()
                        .map(|(hierarchy, controllers, path)| CgroupMembership {
                            hierarchy,
                            controllers: controllers.into(),
                            path,
                        })
                        .collect(),
                ))
            }),
            freezer: freezer.map(|(own, effective)| Freezer { own, effective }),
            scheduling: scheduling.map(|(policy, priority, nice)| Scheduling { policy, priority, nice }),
            affinity: affinity
                .map(|ranges| ranges.into_iter().map(|(a, b)| CpuRange { first: a.min(b), last: a.max(b) }).collect()),
            ..fixture::task(tid)
        },
    )
}

fn process(pid: u32) -> impl Strategy<Value = Process> {
    let command_line = prop::option::of(prop::collection::vec(bytes(), 0..3));
    let status = prop::option::of(prop::collection::vec(1..=i32::MAX.unsigned_abs(), 0..3));
    (prop::option::of(1..9_u32), task(pid), task(pid + 100), command_line, status).prop_map(
        move |(ppid, main, other, command_line, ns_pids)| Process {
            ppid: ppid.map(Pid),
            tasks: Tasks::new(main, [other]),
            command_line,
            status: ns_pids.map(|pids| fixture::status(&pids)),
            ..fixture::process(pid)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_snapshot_comes_back(
        namespaces in (namespace(3), namespace(4), namespace(10)),
        processes in (process(1), process(11)),
        mounts in (mounts(), mounts()),
        links in prop::collection::vec((0..8_usize, prop::sample::select(vec![3_u64, 4, 10])), 0..5),
    ) {
        let mut snapshot = full();
        for namespace in <[_; 3]>::from(namespaces) {
            snapshot.namespaces.insert(namespace.id, namespace);
        }
        for mut process in <[_; 2]>::from(processes) {
            for &(ns_type, ino) in &links {
                process.namespaces.set(NamespaceType::ALL[ns_type], NamespaceId { ino, dev: DEV });
            }
            snapshot.processes.insert(process.pid, process);
        }
        snapshot.mounts.insert(id(4), mounts.0);
        snapshot.mounts.insert(id(5), mounts.1);
        let json = json(&snapshot);
        let back = read(json.as_bytes()).unwrap();
        prop_assert_eq!(&back, &snapshot);
        prop_assert_eq!(&back.processes, &snapshot.processes);
        prop_assert_eq!(super::json(&back), json);
    }
}

#[test]
fn a_gap_of_an_older_dump_has_a_cause() {
    let read = |gap: &str| {
        let json = format!(
            "{{\"namespaces\": {{}}, \"discovery-options\": {{\"snapshot\": {{\"format\": 1, \"places\": [], \"gaps\": [{gap}]}}}}}}"
        );
        super::read(json.as_bytes()).map(|snapshot| snapshot.gaps)
    };
    let old = |operation: &str, errno: i32| {
        read(&format!("{{\"place\": \"kernel\", \"operation\": \"{operation}\", \"errno\": {errno}}}")).unwrap()
    };
    let gap = |operation, cause, errno| {
        vec![Gap { place: Place::Kernel, object: Object::Host, operation, cause, errno: Errno::new(errno) }]
    };
    assert_eq!(old("listns", 1), gap(Call::Listns.into(), Cause::Denied, 1));
    assert_eq!(old("read it twice", 61), gap(Operation::Other("read it twice".into()), Cause::Partial, 61));
    assert_eq!(old("kcmp", 66), gap(Call::Kcmp.into(), Cause::OtherPidNamespace, 66));
    assert_eq!(old("open", 3), [], "what has vanished is no gap");
    assert!(read("{\"place\": \"kernel\", \"operation\": \"listns\"}").is_err(), "nothing says why");
    let newer = read("{\"place\": \"kernel\", \"operation\": \"list-all\", \"cause\": \"eclipse\"}").unwrap();
    assert_eq!(newer, gap(Operation::Other("list-all".into()), Cause::Other, 0));
}
