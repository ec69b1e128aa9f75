//! What a live test cannot provoke without changing the host.

use lxkns_model::inside::Limit;
use lxkns_model::{Capabilities, CapabilitySet, Observer, Pid, Relation, SharedFs};

use super::*;
use crate::testing::{USER, snapshot as host};

const PID_NS: NamespaceId = crate::testing::id(4_026_531_836);

/// Process 200, which has nothing and is in the way of nothing.
fn snapshot() -> Snapshot {
    let mut snapshot = host();
    let mut pid = lxkns_model::Namespace::new(PID_NS, NamespaceType::Pid);
    (pid.parent, pid.owner, pid.initial) = (Relation::None, Relation::Known(USER), true);
    snapshot.namespaces.insert(PID_NS, pid);
    snapshot.namespaces.get_mut(&USER).unwrap().parent = Relation::None;
    for process in snapshot.processes.values_mut() {
        process.namespaces.set(NamespaceType::Pid, PID_NS);
        process.namespaces.set_for_children(NamespaceType::Pid, PID_NS);
        let namespaces = process.namespaces;
        process.tasks[0].namespaces = namespaces;
    }
    snapshot.processes.get_mut(&Pid(200)).unwrap().threads = 1;
    let mut observer = Observer::new(Uid(0), CapabilitySet::KNOWN);
    observer.user_ns = Some(USER);
    snapshot.observer = Some(observer);
    snapshot
}

fn facts() -> ActionFacts {
    let limits = NamespaceType::ALL.map(|ns_type| Limit { ns_type: ns_type.name().to_owned(), max: 1000 });
    ActionFacts {
        effective_gid: Some(0),
        shared_fs: Some(SharedFs::Nobody),
        is_chrooted: Some(false),
        shares_memory: Some(false),
        children_had_init: Some(true),
        process_limit: Some(u64::MAX),
        pids: Some(Vec::new()),
        unprivileged_user_namespaces: Some(true),
        apparmor_restricts: Some(false),
        selinux_decides: Some(false),
        confinement: Some(None),
        limits: [(USER, limits.to_vec())].into_iter().collect(),
    }
}

fn told(
    snapshot: &Snapshot,
    facts: &ActionFacts,
    action: &str,
) -> (Verdict, Vec<(ObstacleKind, Option<&'static str>)>) {
    let action = Action::parse(&[action]).unwrap();
    let explanation = Explanation::of(snapshot, &snapshot.processes[&Pid(200)], &action, &[], Some(facts));
    let obstacles = explanation.obstacles.iter().map(|obstacle| (obstacle.kind, obstacle.errno)).collect();
    (explanation.verdict(), obstacles)
}

fn raise(snapshot: &mut Snapshot, capabilities: CapabilitySet) {
    let status = snapshot.processes.get_mut(&Pid(200)).unwrap().status.as_mut().unwrap();
    status.capabilities = Capabilities { effective: capabilities, permitted: capabilities, ..status.capabilities };
}

#[test]
fn nothing_is_in_the_way() {
    assert_eq!(told(&snapshot(), &facts(), "unshare -Urnmpf"), (Verdict::Succeeds, vec![]));
    assert_eq!(told(&snapshot(), &facts(), "fork"), (Verdict::Succeeds, vec![]));
}

#[test]
fn settings_of_distributions() {
    let mut host = snapshot();
    let debian = ActionFacts { unprivileged_user_namespaces: Some(false), ..facts() };
    let expected = (Verdict::Fails, vec![(ObstacleKind::Sysctl, Some("EPERM"))]);
    assert_eq!(told(&host, &debian, "unshare --user"), expected);
    assert_eq!(told(&host, &debian, "clone --user"), expected);
    raise(&mut host, CapabilitySet::SYS_ADMIN);
    assert_eq!(told(&host, &debian, "unshare --user").0, Verdict::Succeeds);
    assert_eq!(told(&host, &debian, "unshare --net").0, Verdict::Succeeds);
}

#[test]
fn what_a_policy_says_is_not_known() {
    let host = snapshot();
    for facts in [
        ActionFacts { apparmor_restricts: Some(true), ..facts() },
        ActionFacts { apparmor_restricts: None, ..facts() },
        ActionFacts { selinux_decides: Some(true), ..facts() },
        ActionFacts { selinux_decides: None, ..facts() },
    ] {
        let expected = (Verdict::NotKnown, vec![(ObstacleKind::Lsm, Some("EACCES"))]);
        assert_eq!(told(&host, &facts, "unshare --user"), expected);
        assert_eq!(told(&host, &facts, "fork").0, Verdict::Succeeds);
    }
    for confinement in [None, Some(Some("docker-default (enforce)".into()))] {
        let expected = (Verdict::NotKnown, vec![(ObstacleKind::Lsm, Some("EACCES"))]);
        assert_eq!(told(&host, &ActionFacts { confinement, ..facts() }, "unshare --user --net"), expected);
    }
}

#[test]
fn what_could_not_be_read_is_not_allowed() {
    let host = snapshot();
    for (facts, action, kind) in [
        (ActionFacts { is_chrooted: None, ..facts() }, "unshare -U", ObstacleKind::Chroot),
        (ActionFacts { limits: Default::default(), ..facts() }, "unshare -U", ObstacleKind::Limit),
        (ActionFacts { process_limit: None, ..facts() }, "fork", ObstacleKind::ProcessLimit),
        (ActionFacts { pids: None, ..facts() }, "fork", ObstacleKind::CgroupLimit),
    ] {
        let (verdict, obstacles) = told(&host, &facts, action);
        assert_eq!((verdict, obstacles[0].0), (Verdict::NotKnown, kind));
    }
    let mut unread = snapshot();
    unread.processes.get_mut(&Pid(200)).unwrap().status = None;
    assert_eq!(told(&unread, &facts(), "unshare --net").0, Verdict::NotKnown);
    let mut hidden = snapshot();
    hidden.namespaces.get_mut(&USER).unwrap().initial = false;
    hidden.namespaces.get_mut(&USER).unwrap().parent = Relation::NotVisible;
    assert_eq!(told(&hidden, &facts(), "unshare -U").0, Verdict::NotKnown, "limits of ancestors");
}

#[test]
fn what_has_exited_does_nothing() {
    let mut host = snapshot();
    host.processes.get_mut(&Pid(200)).unwrap().tasks[0].state = lxkns_model::TaskState(b'Z');
    let process = host.processes.get_mut(&Pid(200)).unwrap();
    process.tasks = lxkns_model::Tasks::new(process.tasks[0].clone(), []);
    assert_eq!(told(&host, &facts(), "fork"), (Verdict::Fails, vec![(ObstacleKind::Exited, None)]));
}

#[test]
fn the_first_certain_one_is_the_error() {
    let host = snapshot();
    let chrooted = ActionFacts { is_chrooted: Some(true), apparmor_restricts: Some(true), ..facts() };
    let action = Action::parse(&["unshare -U"]).unwrap();
    let explanation = Explanation::of(&host, &host.processes[&Pid(200)], &action, &[], Some(&chrooted));
    assert_eq!(explanation.answer().errno, Some("EPERM"));
    assert_eq!(explanation.obstacles.len(), 2);
    assert!(explanation.sentence().starts_with("fails with EPERM: the root directory of the process"));
    assert_eq!(explanation.subject(), "process 200 (sleep) with effective UID 200: unshare(CLONE_NEWUSER)");
}
