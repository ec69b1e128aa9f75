//! Dumps of the Go program: made up, with its keys.

use super::*;
use crate::*;

const CURRENT: &str = r#"{
  "processes": {
    "1": {"namespaces": {"mnt": 4026531832, "user": 4026531837, "pid": 4026531836, "net": 4026531840},
          "pid": 1, "ppid": 0, "name": "init", "cmdline": ["/sbin/init"], "starttime": 3, "cpucgroup": "/init.scope",
          "fridgecgroup": "/init.scope", "fridgefrozen": false, "affinity": [[0, 7]], "tasks": [
            {"namespaces": {"mnt": 4026531832, "user": 4026531837, "pid": 4026531836, "net": 4026531840}, "tid": 1,
             "name": "init", "starttime": 3, "cpucgroup": "/init.scope", "fridgecgroup": "/init.scope",
             "fridgefrozen": false}]},
    "2": {"namespaces": {}, "pid": 2, "ppid": 0, "name": "kthreadd", "cmdline": [""], "starttime": 3, "cpucgroup": "",
          "fridgecgroup": "", "fridgefrozen": false, "tasks": []},
    "40": {"namespaces": {"net": 4026531840}, "pid": 40, "ppid": 1, "name": "srv", "cmdline": null, "starttime": 90,
          "cpucgroup": "/cpu", "fridgecgroup": "/fridge", "fridgefrozen": true, "policy": 1, "priority": 5, "tasks": [
            {"namespaces": {"net": 4026532500}, "tid": 41, "name": "srv-w", "starttime": 91, "cpucgroup": "",
             "fridgecgroup": "", "fridgefrozen": false},
            {"namespaces": {"net": 4026531840}, "tid": 40, "name": "srv", "starttime": 90, "cpucgroup": "/cpu",
             "fridgecgroup": "/fridge", "fridgefrozen": true}]}
  },
  "namespaces": {
    "4026531837": {"nsid": 4026531837, "type": "user", "reference": ["/proc/1/ns/user"], "leaders": [1],
                   "ealdorman": 1, "children": [4026532600], "possessions": [4026531840], "user-id": 0,
                   "user-name": "root"},
    "4026532600": {"nsid": 4026532600, "type": "user", "parent": 4026531837, "reference": ["/proc/40/fd/9"],
                   "user-id": 1000, "user-name": ""},
    "4026531836": {"nsid": 4026531836, "type": "pid", "owner": 4026531837, "leaders": [1]},
    "4026531832": {"nsid": 4026531832, "type": "mnt", "leaders": [1]},
    "4026531840": {"nsid": 4026531840, "type": "net", "owner": 4026531837, "leaders": [1]},
    "4026532500": {"nsid": 4026532500, "type": "net", "owner": 4026531837, "loose-threads": [41],
                   "reference": ["/proc/1/ns/mnt", "/run/netns/a b"]}
  },
  "mounts": {"4026531832": {"/run/netns/a\\040b": {"pathid": 2, "parentid": 1, "mounts": [
    {"mountid": 77, "parentid": 30, "major": 0, "minor": 4, "root": "net:[4026532500]",
     "mountpoint": "/run/netns/a\\040b", "mountoptions": ["rw"], "tags": {}, "fstype": "nsfs", "source": "nsfs",
     "superoptions": "rw", "hidden": false}]}}},
  "discovery-options": {"from-procs": true, "from-tasks": true, "from-fds": true, "from-bindmounts": true,
    "with-hierarchy": true, "with-ownership": true, "with-freezer": true, "with-mounts": true,
    "with-socket-processes": false, "with-affinity-scheduling": true, "with-task-affinity-scheduling": false,
    "scanned-namespace-types": null, "labels": {"a": "b"}},
  "containers": {"40": {"id": "x", "groups": [], "engine": 1}}, "container-engines": {}, "container-groups": {},
  "cpus-online": [[0, 7]]
}"#;

const OLD: &str = r#"{
  "options": {"skipped-procs": false, "skipped-tasks": true, "skipped-fds": true, "skipped-bindmounts": true,
    "skipped-hierarchy": false, "skipped-ownership": false, "skipped-freezer": true, "scanned-namespace-types": ["net"]},
  "namespaces": {
    "4026531905": {"nsid": 4026531905, "type": "net", "reference": "/proc/7/fd/3"},
    "4026532900": {"nsid": 4026532900, "type": "pid", "reference": "/proc/7/ns/pid"}},
  "processes": {"7": {"namespaces": {"pid": 4026532900}, "pid": 7, "ppid": 1, "name": "old", "cmdline": ["old", "-x"],
    "starttime": 12, "cgroup": "/old.slice"}}
}"#;

fn ns(ino: u64) -> NamespaceId {
    NamespaceId { ino, dev: 0 }
}

#[test]
fn a_current_dump() {
    let snapshot = read(CURRENT.as_bytes()).unwrap();
    assert_eq!(snapshot.host.cpus_online, Some(vec![CpuRange { first: 0, last: 7 }]));
    assert_eq!(snapshot.annotations.user_names[&Uid(0)], "root");
    assert!(snapshot.options.places.contains(Place::Fds) && !snapshot.options.places.contains(Place::Sockets));
    assert!(snapshot.options.scheduling && !snapshot.options.task_details && snapshot.options.freezer);

    let user = &snapshot.namespaces[&ns(4026531837)];
    assert!(user.initial);
    assert_eq!((user.parent, user.owner), (Relation::None, Relation::None));
    assert_eq!(user.owner_uid, Some(Uid(0)));
    assert_eq!(user.owned, [ns(4026531840)]);
    let inner = &snapshot.namespaces[&ns(4026532600)];
    assert_eq!((inner.parent, inner.owner), (Relation::Known(user.id), Relation::Known(user.id)));
    assert_eq!(inner.holders, [Holder::Fd { pid: Pid(40), tid: Tid(40), fd: 9 }]);
    let net = &snapshot.namespaces[&ns(4026532500)];
    assert_eq!(
        net.holders,
        [
            Holder::Task { pid: Pid(40), tid: Tid(41) },
            Holder::BindMount { mount_ns: ns(4026531832), mount_id: 77, path: Some("/run/netns/a b".into()) },
        ]
    );
    assert!(!net.initial);
    assert!(snapshot.options.mounts);
    let [mount] = &snapshot.mounts[&ns(4026531832)][..] else { panic!("{:?}", snapshot.mounts) };
    assert_eq!((mount.id, mount.parent_id, &**mount.path().unwrap()), (77, 30, &b"/run/netns/a b"[..]));
    assert_eq!((&**mount.options, mount.source.as_deref().map(|source| &**source)), (&b"rw"[..], Some(&b"nsfs"[..])));
    assert_eq!(snapshot.namespaces[&ns(4026531832)].owner, Relation::NotAsked);
}

#[test]
fn processes_of_a_current_dump() {
    let snapshot = read(CURRENT.as_bytes()).unwrap();
    let init = &snapshot.processes[&Pid(1)];
    assert_eq!(init.ppid, None);
    assert_eq!(init.main_task().cgroups.as_ref().unwrap().unified().unwrap(), "/init.scope");
    assert_eq!(init.main_task().affinity, Some(vec![CpuRange { first: 0, last: 7 }]));
    assert_eq!(init.main_task().scheduling, Some(Scheduling { policy: 0, priority: 0, nice: 0 }));
    assert_eq!(init.main_task().freezer, Some(Freezer { own: false, effective: false }));
    assert_eq!(init.status, None);

    let kthreadd = &snapshot.processes[&Pid(2)];
    assert_eq!(kthreadd.command_line, Some(Vec::new()));
    assert_eq!(kthreadd.tasks.len(), 1);
    assert_eq!((&kthreadd.main_task().cgroups, kthreadd.main_task().freezer), (&None, None));
    assert_eq!(kthreadd.main_task().scheduling, None);
    assert!(kthreadd.namespaces.is_empty());

    let srv = &snapshot.processes[&Pid(40)];
    assert_eq!(srv.command_line, None);
    assert_eq!(srv.tasks[0].tid, Tid(40));
    assert_eq!(srv.tasks[0].scheduling, Some(Scheduling { policy: 1, priority: 5, nice: 0 }));
    let cgroups = srv.tasks[0].cgroups.as_ref().unwrap();
    assert_eq!(cgroups.of_controller("cpu").unwrap(), "/cpu");
    assert_eq!(cgroups.of_controller("freezer").unwrap(), "/fridge");
    assert_eq!(srv.tasks[0].freezer, Some(Freezer { own: true, effective: true }));
    assert_eq!((srv.tasks[1].freezer, &srv.tasks[1].affinity), (None, &None));
}

#[test]
fn an_old_dump() {
    let snapshot = read(OLD.as_bytes()).unwrap();
    let places = [Place::Processes, Place::Parents, Place::Owners];
    assert_eq!(snapshot.options.places, places.into_iter().collect());
    assert_eq!(snapshot.host.cpus_online, None);
    let net = &snapshot.namespaces[&ns(4026531905)];
    assert_eq!(net.owner, Relation::NotAsked);
    assert_eq!(net.holders, [Holder::Fd { pid: Pid(7), tid: Tid(7), fd: 3 }]);
    let pid = &snapshot.namespaces[&ns(4026532900)];
    assert_eq!((pid.parent, pid.owner_uid), (Relation::NotAsked, None));
    let process = &snapshot.processes[&Pid(7)];
    assert_eq!(process.tasks.len(), 1);
    assert_eq!(process.main_task().cgroups.as_ref().unwrap().unified().unwrap(), "/old.slice");
    assert_eq!(process.main_task().freezer, None);
}

#[test]
fn what_was_theirs_becomes_ours() {
    for json in [CURRENT, OLD] {
        let snapshot = read(json.as_bytes()).unwrap();
        assert_eq!(there_and_back(&snapshot), snapshot);
    }
}
