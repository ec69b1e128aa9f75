use lxkns_model::{
    Capabilities, EngineSocket, IdMapping, Mount, Namespace, NamespaceType, Observer, Propagation, Relation, Seccomp,
    TaskCredentials, Uids,
};

use super::*;
use crate::testing::{HOME, LOOSE, USER, contained, id, mount};
use lxkns_model::{CapabilitySet, Snapshot, Uid};

/// A task of process 200 that nothing but its user namespace keeps from anything.
fn credentials() -> TaskCredentials {
    let uid = Uid(1000);
    TaskCredentials {
        tid: Tid(200),
        uids: Uids { real: uid, effective: uid, saved: uid, file_system: uid },
        gids: Some([1000; 4]),
        capabilities: Capabilities::default(),
        seccomp: Some(Seccomp::Filter),
        no_new_privs: Some(true),
        label: Some(None),
    }
}

/// The host with the container `web`, which has a mount namespace with these mounts.
fn host(mounts: Vec<Mount>) -> (Snapshot, ConfinementFacts) {
    let mut snapshot = contained();
    let mut observer = Observer::new(Uid(0), CapabilitySet::ALL);
    observer.user_ns = Some(USER);
    snapshot.observer = Some(observer);
    let process = snapshot.processes.get_mut(&Pid(200)).unwrap();
    process.namespaces.set(NamespaceType::Mnt, LOOSE);
    process.tasks[0].namespaces = process.namespaces;
    snapshot.mounts.insert(HOME, vec![mount(1, "/", "/", "rw"), mount(2, "/run", "/run", "rw")]);
    snapshot.mounts.insert(LOOSE, mounts);
    let mut facts = ConfinementFacts::default();
    facts.tasks.insert(Pid(200), vec![credentials()]);
    (snapshot, facts)
}

fn judge(snapshot: &Snapshot, facts: Option<&ConfinementFacts>) -> Judgement {
    let plan = Plan::of_containers(snapshot).unwrap();
    Audit::new(Context::of_dump(snapshot), &plan, facts).judge(&plan.subjects[0])
}

fn kinds(judgement: &Judgement, kind: &str) -> Vec<(Severity, String)> {
    let found = judgement.findings.iter().filter(|finding| finding.kind == kind);
    found.map(|finding| (finding.severity, finding.text.clone())).collect()
}

#[test]
fn each_namespace_of_the_host_is_told_with_the_option_that_shares_it() {
    for (ns_type, severity, option) in [
        (NamespaceType::Mnt, Severity::High, "mnt"),
        (NamespaceType::Pid, Severity::Medium, "--pid=host"),
        (NamespaceType::Net, Severity::Medium, "--network=host"),
        (NamespaceType::Ipc, Severity::Medium, "--ipc=host"),
        (NamespaceType::Uts, Severity::Low, "--uts=host"),
        (NamespaceType::Cgroup, Severity::Info, "none needed"),
    ] {
        let (mut snapshot, facts) = host(vec![]);
        let mut with = |container: NamespaceId, is_initial: bool| {
            let mut namespace = Namespace::new(container, ns_type);
            namespace.initial = is_initial;
            snapshot.namespaces.insert(container, namespace);
            let process = snapshot.processes.get_mut(&Pid(200)).unwrap();
            process.namespaces.set(ns_type, container);
            process.tasks[0].namespaces = process.namespaces;
            let judgement = judge(&snapshot, Some(&facts));
            let found = judgement.findings.into_iter().filter(|finding| finding.kind == "namespace-shared");
            let name = ns_type.name();
            let is_of_type = |text: &str| {
                text.starts_with(name) || text.rsplit(": ").next().unwrap().split(", ").any(|listed| listed == name)
            };
            found.filter(|it| is_of_type(&it.text)).map(|it| (it.severity, it.remedy)).collect::<Vec<_>>()
        };
        assert_eq!(with(id(4_026_532_950), false), [], "{ns_type}");
        let found = with(id(4_026_532_951), true);
        assert!(
            matches!(&found[..], [(is, remedy)] if *is == severity && remedy.contains(option)),
            "{ns_type}: {found:?}"
        );
    }
}

#[test]
fn severities_have_names_and_an_order() {
    for severity in Severity::ALL {
        assert_eq!(severity.name().parse(), Ok(severity));
    }
    assert_eq!("worst".parse::<Severity>(), Err(UnknownSeverity));
    assert!(Severity::High > Severity::Medium && Severity::Low > Severity::Info);
}

#[test]
fn what_is_not_known_is_not_judged_and_what_has_ended_is_nothing() {
    let (snapshot, facts) = host(vec![]);
    let judgement = judge(&snapshot, Some(&facts));
    let unknown = |what: &str| judgement.not_judged.iter().any(|line| line.starts_with(what));
    assert!(unknown("whose pid namespace it is in: not readable (PID 200)"), "{judgement:#?}");
    assert!(!unknown("whose net namespace"), "{judgement:#?}");
    let dump = judge(&snapshot, None);
    assert!(dump.not_judged.iter().any(|line| line.ends_with("not in a dump")), "{dump:#?}");
    let plan = Plan::of_containers(&snapshot).unwrap();
    let ended = Audit::new(Context::of_dump(&snapshot), &plan, Some(&facts)).judge(&plan.subjects[1]);
    assert!(ended.subject.has_ended && ended.findings.is_empty() && ended.not_judged.is_empty(), "{ended:#?}");
}

#[test]
fn kernel_threads_are_not_judged() {
    let (mut snapshot, mut facts) = host(vec![]);
    let mut kthreadd = lxkns_model::Process::new(Pid(2), lxkns_model::Task::new(Tid(2), "kthreadd"));
    kthreadd.namespaces = snapshot.processes[&Pid(200)].namespaces;
    snapshot.processes.insert(Pid(2), kthreadd);
    let mut plan = Plan::default();
    plan.add_tree(&snapshot, "2".to_owned(), &[Pid(2)]);
    plan.add_tree(&snapshot, "both".to_owned(), &[Pid(2), Pid(200)]);
    let judge = |facts: Option<&ConfinementFacts>| {
        let audit = Audit::new(Context::of_dump(&snapshot), &plan, facts);
        plan.subjects.iter().map(|subject| audit.judge(subject)).collect::<Vec<_>>()
    };
    let in_dump = judge(None);
    let not_said_to_be_one = judge(Some(&facts));
    facts.kernel_threads.insert(Pid(2));
    for judged in [in_dump, judge(Some(&facts))] {
        assert!(judged[0].subject.is_of_kernel && judged[0].findings.is_empty() && judged[0].not_judged.is_empty());
        assert_eq!((judged[1].subject.main, &judged[1].subject.pids[..]), (Some(Pid(200)), &[Pid(200)][..]));
    }
    // Of the living host, the kernel's word counts: a program that the kernel starts has the same parent.
    assert!(!not_said_to_be_one[0].subject.is_of_kernel && !not_said_to_be_one[0].not_judged.is_empty());
}

#[test]
fn a_process_that_was_not_read_is_not_clean() {
    let (snapshot, mut facts) = host(vec![]);
    facts.tasks.clear();
    let gap = Gap::because(
        lxkns_model::Place::ProcessFacts,
        Object::Process(Pid(200)),
        lxkns_model::Operation::read("status"),
        lxkns_model::Cause::Denied,
    );
    facts.gaps.push(gap);
    let judgement = judge(&snapshot, Some(&facts));
    let is_said = |start: &str| judgement.not_judged.iter().any(|line| line.starts_with(start));
    assert!(is_said("credentials and labels: ") && is_said("label of the security module: "), "{judgement:#?}");
}

#[test]
fn a_socket_is_found_by_where_it_is_and_not_by_its_name() {
    let named = mount(10, "/srv/false/docker.sock", "/run/docker.sock", "rw");
    let socket = mount(11, "/run/docker.sock", "/tmp/x", "ro");
    let directory = mount(12, "/run", "/host/run", "ro");
    for (mounts, expected) in
        [(vec![named], vec![]), (vec![socket], vec!["/tmp/x"]), (vec![directory], vec!["/host/run/docker.sock"])]
    {
        let (snapshot, mut facts) = host(mounts);
        facts.engine_sockets = vec![EngineSocket {
            pid: Pid(1),
            uid: Some(Uid(0)),
            listener: Some(Pid(1)),
            bound_to: "/var/run/docker.sock".into(),
            path: "/run/docker.sock".into(),
            mount_id: Some(2),
            inode: 7,
        }];
        let judgement = judge(&snapshot, Some(&facts));
        let paths = judgement.findings.iter().filter(|finding| finding.kind == "engine-socket");
        let paths: Vec<_> = paths.flat_map(|it| &it.evidence).filter_map(|evidence| evidence.path.as_deref()).collect();
        assert_eq!(paths, expected, "{judgement:#?}");
    }
}

#[test]
fn files_of_the_host_and_what_propagates_to_it() {
    let mut shared = mount(11, "/srv/data", "/data", "rw");
    shared.propagation = Propagation { shared: Some(5), ..Propagation::default() };
    let (mut snapshot, facts) = host(vec![mount(10, "/etc", "/host", "rw"), shared]);
    let judgement = judge(&snapshot, Some(&facts));
    let files = kinds(&judgement, "host-files");
    assert_eq!(files[0], (Severity::High, "/etc of the host is mounted, writable".to_owned()));
    assert_eq!(files[1].0, Severity::Info, "{files:?}");
    assert!(kinds(&judgement, "propagation").is_empty(), "its group has none of the host's");
    snapshot.mounts.get_mut(&HOME).unwrap()[0].propagation.shared = Some(5);
    assert_eq!(kinds(&judge(&snapshot, Some(&facts)), "propagation")[0].0, Severity::Medium);
}

#[test]
fn credentials_of_each_task() {
    let (snapshot, mut facts) = host(vec![]);
    assert_eq!(kinds(&judge(&snapshot, Some(&facts)), "host-root"), []);
    let mut thread = credentials();
    thread.tid = Tid(201);
    thread.uids.saved = Uid(0);
    thread.seccomp = Some(Seccomp::None);
    thread.no_new_privs = Some(false);
    thread.capabilities.bounding = CapabilitySet::SYS_ADMIN;
    facts.tasks.get_mut(&Pid(200)).unwrap().push(thread);
    let judgement = judge(&snapshot, Some(&facts));
    let of = |kind| kinds(&judgement, kind).first().map(|found| found.0);
    assert_eq!(
        ["host-root", "saved-root", "seccomp", "no-new-privs", "capabilities", "privileged"].map(of),
        [
            Some(Severity::Low),
            Some(Severity::Medium),
            Some(Severity::Medium),
            Some(Severity::Low),
            Some(Severity::High),
            None
        ]
    );
    assert!(judgement.findings.iter().flat_map(|it| &it.evidence).any(|evidence| evidence.tid == Some(201)));
    assert_eq!(judgement.worst(), Some(Severity::High));
}

#[test]
fn labels_count_where_others_have_some() {
    let (snapshot, mut facts) = host(vec![]);
    assert!(kinds(&judge(&snapshot, Some(&facts)), "lsm").is_empty(), "no module gives any");
    let mut with = |label: Option<&str>| {
        facts.tasks.get_mut(&Pid(200)).unwrap()[0].label = Some(label.map(Into::into));
        facts.tasks.entry(Pid(1)).or_default().push(TaskCredentials { label: Some(Some("x".into())), ..credentials() });
        kinds(&judge(&snapshot, Some(&facts)), "lsm").first().map(|found| found.0)
    };
    assert_eq!(with(None), Some(Severity::Medium));
    assert_eq!(with(Some("unconfined")), Some(Severity::Medium));
    assert_eq!(with(Some("docker-default (complain)")), Some(Severity::Medium));
    assert_eq!(with(Some("docker-default (enforce)")), None);
    assert_eq!(with(Some("system_u:system_r:spc_t:s0")), Some(Severity::Medium));
    assert_eq!(with(Some("system_u:system_r:container_t:s0:c1,c2")), None);
}

#[test]
fn labels_of_a_dump() {
    let (mut snapshot, _) = host(vec![]);
    let found = |snapshot: &Snapshot| {
        let judgement = judge(snapshot, None);
        let is_unknown = judgement.not_judged.iter().any(|line| line.contains("label"));
        (kinds(&judgement, "lsm").len(), is_unknown)
    };
    assert_eq!(found(&snapshot), (0, true), "not asked for");
    snapshot.options.security_labels = true;
    assert_eq!(found(&snapshot), (0, true), "not readable");
    let mut with = |label: Option<&str>| {
        for (pid, label) in [(1, label.map(|_| "unconfined")), (200, label)] {
            let status = snapshot.processes.get_mut(&Pid(pid)).unwrap().status.as_mut().unwrap();
            status.label = Some(label.map(Into::into));
        }
        found(&snapshot)
    };
    assert_eq!(with(None), (0, false));
    assert_eq!(with(Some("docker-default (enforce)")), (0, false));
    assert_eq!(with(Some("unconfined")), (1, false));
}

#[test]
fn ids_that_the_user_namespace_does_not_have() {
    let (mut snapshot, mut facts) = host(vec![]);
    let inner = id(4_026_532_900);
    let mut namespace = Namespace::new(inner, NamespaceType::User);
    namespace.parent = Relation::Known(USER);
    let line = IdMapping { inside: 0, outside: 100_000, count: 1000 };
    (namespace.uid_map, namespace.gid_map) = (Some(vec![line]), Some(vec![line]));
    snapshot.namespaces.insert(inner, namespace);
    let process = snapshot.processes.get_mut(&Pid(200)).unwrap();
    process.namespaces.set(NamespaceType::User, inner);
    process.tasks[0].namespaces = process.namespaces;
    let mut with = |uid: u32, gid: u32| {
        let task = &mut facts.tasks.get_mut(&Pid(200)).unwrap()[0];
        let id = Uid(uid);
        task.uids = Uids { real: id, effective: id, saved: id, file_system: id };
        task.gids = Some([gid; 4]);
        kinds(&judge(&snapshot, Some(&facts)), "foreign-credentials").first().map(|found| found.0)
    };
    assert_eq!(with(100_000, 100_999), None);
    assert_eq!(with(1000, 100_000), Some(Severity::Medium));
    assert_eq!(with(100_000, 0), Some(Severity::Medium));
    assert_eq!(with(0, 0), Some(Severity::High));
}
