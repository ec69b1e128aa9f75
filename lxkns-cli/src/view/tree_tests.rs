//! The trees of a small host.

use std::sync::Arc;

use lxkns_answers::Context;
use lxkns_answers::tree::{CgroupDetail, Shown};
use lxkns_core::model::{
    CgroupMembership, Cgroups, Holder, Namespace, NamespaceId, NamespaceType, Pid, Relation, Snapshot, Tid, Uid,
};
use lxkns_core::relations::{self, Forest};

use super::*;
use lxkns_answers::testing::{BUSY, LEFT, LOOSE, NET, ODD, USER, id, process, snapshot};

/// A user namespace below the first.
const INNER: NamespaceId = id(4_026_532_600);
/// The first PID namespace, and one below it.
const PID: NamespaceId = id(4_026_531_836);
const INNER_PID: NamespaceId = id(4_026_532_700);

const PLAIN: Shown = Shown { cgroup: CgroupDetail::Off, all_leaders: false, owners: true, pids: true };

/// The host with an inner user namespace that owns an inner PID namespace, in which process 200 is 7.
fn host() -> Snapshot {
    let mut snapshot = snapshot();
    let mut inner = Namespace::new(INNER, NamespaceType::User);
    inner.parent = Relation::Known(USER);
    inner.owner_uid = Some(Uid(1000));
    inner.holders = vec![Holder::Owned { ns: INNER_PID }];
    let mut pid = Namespace::new(PID, NamespaceType::Pid);
    pid.owner = Relation::Known(USER);
    pid.leaders = vec![Pid(1)];
    let mut inner_pid = Namespace::new(INNER_PID, NamespaceType::Pid);
    (inner_pid.owner, inner_pid.parent) = (Relation::Known(INNER), Relation::Known(PID));
    inner_pid.leaders = vec![Pid(200)];
    snapshot.namespaces.extend([inner, pid, inner_pid].map(|namespace| (namespace.id, namespace)));
    snapshot.namespaces.get_mut(&ODD).unwrap().parent = Relation::Known(INNER_PID);
    snapshot.annotations.user_names = [(Uid(0), "root".to_owned()), (Uid(1000), "jo\x1b".to_owned())].into();
    snapshot.processes.get_mut(&Pid(1)).unwrap().namespaces.set(NamespaceType::Pid, PID);
    let sleep = snapshot.processes.get_mut(&Pid(200)).unwrap();
    sleep.namespaces.set(NamespaceType::Pid, INNER_PID);
    sleep.status.as_mut().unwrap().ns_pids = vec![Pid(200), Pid(7)];
    snapshot
}

fn tree(snapshot: &Snapshot, forest: Forest<TreeNode>, shown: Shown) -> Tree<'_> {
    Tree::new(Context::of_dump(snapshot), forest, shown)
}

fn text_on(snapshot: &Snapshot, forest: Forest<TreeNode>, shown: Shown, screen: Screen) -> String {
    let mut out = Vec::new();
    write(&tree(snapshot, forest, shown), &mut out, screen).unwrap();
    String::from_utf8(out).unwrap()
}

fn text(snapshot: &Snapshot, forest: Forest<TreeNode>, shown: Shown) -> String {
    text_on(snapshot, forest, shown, Screen::default())
}

#[test]
fn user_namespaces_with_their_creators() {
    let snapshot = host();
    assert_eq!(
        text(&snapshot, relations::hierarchy(&snapshot, NamespaceType::User), PLAIN),
        "user:[4026531837] created by UID 0 (root), process init (1)\n\
         └─user:[4026532600] created by UID 1000 (jo\\x1b), [owned pid:[4026532700]]\n"
    );
}

#[test]
fn owned_namespaces_and_who_is_in_them_or_what_holds_them() {
    let mut snapshot = host();
    snapshot.namespaces.get_mut(&LEFT).unwrap().owner = Relation::NotVisible;
    let lines = text(&snapshot, relations::ownership(&snapshot), PLAIN);
    assert_eq!(
        lines,
        "user:[4026531837] created by UID 0 (root), process init (1)\n\
         ├─mnt:[4026531832] process init (1)\n\
         ├─mnt:[4026532400] task worker (201) of process sleep (200/7)\n\
         ├─pid:[4026531836] process init (1)\n\
         ├─pid:[4026532500] [an unseen holder (the kernel lists it)]\n\
         ├─net:[4026531833] process init (1)\n\
         ├─net:[4026532200] process sleep (200/7)\n\
         └─user:[4026532600] created by UID 1000 (jo\\x1b), [owned pid:[4026532700]]\n  \
           └─pid:[4026532700] process sleep (200/7)\n\
         owner not visible from here\n\
         └─net:[4026532300] (left) [fd 7 of process 1 (init), +1]\n"
    );
    assert!(lines.contains(&NET.ino.to_string()) && lines.contains(&BUSY.ino.to_string()));
}

#[test]
fn pid_namespaces_with_their_owners_beside_or_between_them() {
    let snapshot = host();
    assert_eq!(
        text(&snapshot, relations::hierarchy(&snapshot, NamespaceType::Pid), PLAIN),
        "pid:[4026531836] owned by user:[4026531837], process init (1)\n\
         └─pid:[4026532700] owned by user:[4026532600], process sleep (200/7)\n  \
           └─pid:[4026532500] owned by user:[4026531837], [an unseen holder (the kernel lists it)]\n"
    );
    let shown = Shown { owners: false, ..PLAIN };
    let woven = text(&snapshot, relations::owned_pid_namespaces(&snapshot), shown);
    let expected = "user:[4026531837] created by UID 0 (root), process init (1)\n\
         └─pid:[4026531836] process init (1)\n  \
           └─user:[4026532600] created by UID 1000 (jo\\x1b), [owned pid:[4026532700]]\n    \
             └─pid:[4026532700] process sleep (200/7)\n";
    assert!(woven.starts_with(expected), "{woven}");
}

#[test]
fn processes_with_their_pids() {
    let mut snapshot = host();
    let mut unknown = process(300, 200, "x\n", &[]);
    unknown.status.as_mut().unwrap().ns_pids.push(Pid(8));
    snapshot.processes.insert(Pid(300), unknown);
    assert_eq!(
        text(&snapshot, relations::process_tree(&snapshot), PLAIN),
        "pid:[4026531836] owned by user:[4026531837]\n\
         └─init (1)\n  \
           └─pid:[4026532700] owned by user:[4026532600]\n    \
             ├─sleep (200/7)\n    \
             │ └─x\\x0a (300/8), in what PID namespace is not known\n    \
             └─pid:[4026532500] owned by user:[4026531837], [an unseen holder (the kernel lists it)]\n"
    );
}

#[test]
fn control_groups_are_told_once_for_those_below() {
    const ID: &str = "0123456789abcdef0123456789abcdef";
    let mut snapshot = host();
    let in_cgroup = |path: String| {
        let membership = CgroupMembership { hierarchy: 0, controllers: "".into(), path: path.into() };
        Some(Arc::new(Cgroups(vec![membership])))
    };
    for (pid, path) in [(1, "/init\x1b".to_owned()), (200, format!("/x/docker-{ID}.scope"))] {
        snapshot.processes.get_mut(&Pid(pid)).unwrap().tasks[0].cgroups = in_cgroup(path);
    }
    let mut child = process(300, 200, "child", &[(NamespaceType::Pid, INNER_PID)]);
    child.tasks[0].cgroups = in_cgroup(format!("/x/docker-{ID}.scope"));
    snapshot.processes.insert(Pid(300), child);
    let of = |cgroup| text(&snapshot, relations::process_tree(&snapshot), Shown { cgroup, owners: false, ..PLAIN });
    let short = of(CgroupDetail::Short);
    assert!(short.contains("init (1) in /init\\x1b\n"), "{short}");
    assert!(short.contains("sleep (200/7) in /x/docker-0123456789ab....scope\n"), "{short}");
    assert!(short.contains("child (300)\n"), "{short}");
    assert!(of(CgroupDetail::Full).contains(&format!("sleep (200/7) in /x/docker-{ID}.scope\n")));
    assert!(!of(CgroupDetail::Off).contains(" in "));
    let pid = text(
        &snapshot,
        relations::hierarchy(&snapshot, NamespaceType::Pid),
        Shown { cgroup: CgroupDetail::Short, ..PLAIN },
    );
    assert!(pid.contains("process sleep (200/7) in /x/docker-0123456789ab....scope\n"), "{pid}");
}

#[test]
fn all_leaders_and_all_loose_tasks() {
    let mut snapshot = host();
    snapshot.namespaces.get_mut(&NET).unwrap().leaders = vec![Pid(1), Pid(200), Pid(99)];
    let loose = snapshot.namespaces.get_mut(&LOOSE).unwrap();
    loose.loose_threads = vec![Tid(201), Tid(202)];
    loose.holders.push(Holder::Task { pid: Pid(200), tid: Tid(203) });
    let of = |all_leaders| text(&snapshot, relations::ownership(&snapshot), Shown { all_leaders, ..PLAIN });
    let some = of(false);
    assert!(some.contains("net:[4026531833] process init (1)\n"), "{some}");
    assert!(some.contains("] task worker (201) of process sleep (200/7), +1\n"), "{some}");
    let all = of(true);
    assert!(all.contains("net:[4026531833] process init (1), process sleep (200/7), process (99)\n"), "{all}");
    assert!(all.contains("] task worker (201) of process sleep (200/7), task (202)\n"), "{all}");
}

#[test]
fn a_narrow_terminal_cuts_what_is_said_and_no_name() {
    let mut snapshot = host();
    snapshot.processes.get_mut(&Pid(1)).unwrap().tasks[0].comm = "漢".repeat(200).into();
    for width in 0..100 {
        let screen = Screen { width: Some(width), color: false };
        let forests = [relations::ownership(&snapshot), relations::process_tree(&snapshot)];
        for (forest, widest_name) in forests.into_iter().zip([29, 80]) {
            let text = text_on(&snapshot, forest, PLAIN, screen);
            assert!(text.contains("pid:[4026532700]"), "{text}");
            let widest = text.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap();
            assert!(widest <= width.max(widest_name.max("owner not visible from here".len())), "{width}: {text}");
        }
    }
    let coloured = text_on(&host(), relations::ownership(&snapshot), PLAIN, Screen { width: Some(30), color: true });
    assert!(coloured.starts_with("\x1b[1m\x1b[38;5;160muser:[4026531837]\x1b[0m created by …\n"), "{coloured:?}");
}

#[test]
fn the_deepest_nesting_takes_no_stack() {
    let mut snapshot = host();
    for pid in 1000..31_000 {
        snapshot.processes.insert(Pid(pid), process(pid, pid - 1, "deep", &[(NamespaceType::Pid, PID)]));
    }
    let text = text(&snapshot, relations::process_tree(&snapshot), PLAIN);
    assert!(text.lines().count() > 30_000 && text.ends_with("└─deep (30999)\n"));
    assert!(text.len() < 30_000 * (DEEPEST * 4 + 40));
}
