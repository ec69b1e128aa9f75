use lxkns_answers::release::Advice;
use lxkns_core::model::{
    CapabilitySet, DeviceNumber, Holder, NamespaceId, NamespaceType, Observer, Pid, Snapshot, Tid, Uid,
};

use super::*;
use lxkns_answers::testing::{BUSY, HOME, LEFT, NET, ODD, USER, process, snapshot};

fn text(snapshot: &Snapshot, id: NamespaceId, limit: usize) -> String {
    let mut out = Vec::new();
    let advice = Advice::of(Context { snapshot, mount_ns: Some(HOME), is_live: true });
    write(&mut out, &Explanation::new(&advice, &snapshot.namespaces[&id]), Screen::default(), limit).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn each_holder_with_what_releases_it() {
    let snapshot = snapshot();
    assert_eq!(
        text(&snapshot, LEFT, SOME),
        "net:[4026532300] (left) is held by 1 fd, 1 bind mount\n  \
         fd 7 of process 1 (init): /proc/1/fd/7\n    until process 1 closes fd 7, or exits\n  \
         bind mount /run/netns/left in mnt:[4026531832] of process 1 (init), mount ID 30\n    \
         until `ip netns delete left`, or `umount -l /run/netns/left`\n"
    );
    assert_eq!(
        text(&snapshot, BUSY, SOME),
        "net:[4026532200] is held by 1 process\n  process 200 (sleep 1000)\n    until process 200 exits\n"
    );
}

#[test]
fn an_initial_namespace_lives_as_long_as_the_kernel() {
    let snapshot = snapshot();
    assert_eq!(
        text(&snapshot, USER, SOME),
        "user:[4026531837] is the initial user namespace: it lives as long as the kernel\n  \
         also held by 2 processes, 1 owned namespace\n"
    );
    let mut unseen = snapshot.clone();
    let user = unseen.namespaces.get_mut(&USER).unwrap();
    user.holders = vec![Holder::Kernel];
    let known = "user:[4026531837] is the initial user namespace: it lives as long as the kernel\n";
    assert_eq!(text(&unseen, USER, SOME), known);
    // The caller is in a PID namespace.
    let mut observer = Observer::new(Uid(0), CapabilitySet::ALL);
    observer.pid_ns = Some(LEFT);
    unseen.observer = Some(observer);
    unseen.namespaces.get_mut(&ODD).unwrap().holders = vec![Holder::Kernel];
    let odd = text(&unseen, ODD, SOME);
    assert!(
        odd.contains("nothing visible holds it\n  processes may be in it: not all processes are listed\n"),
        "{odd}"
    );
    assert_eq!(text(&unseen, USER, SOME), format!("{known}  other holders not visible\n"));
    let all = text(&snapshot, USER, usize::MAX);
    assert!(all.contains("  process 200 (sleep 1000)\n    until all these processes exit\n"), "{all}");
    assert!(all.contains("until net:4026532300 ends (lxkns why net:4026532300)"), "{all}");
}

#[test]
fn long_lists_begin_with_the_leaders_and_are_cut() {
    let mut snapshot = snapshot();
    let busy = snapshot.namespaces.get_mut(&BUSY).unwrap();
    busy.holders = (1000..11_000).map(|pid| Holder::Process { pid: Pid(pid) }).collect();
    busy.leaders = vec![Pid(5000)];
    snapshot.processes.insert(Pid(5000), process(5000, 1, "top", &[(NamespaceType::Net, BUSY)]));
    assert_eq!(
        text(&snapshot, BUSY, 2),
        "net:[4026532200] is held by 10000 processes\n  process 5000 (top)\n  process 1000\n  \
         and 9998 more (--all shows all)\n    until all these processes exit\n"
    );
    assert_eq!(text(&snapshot, BUSY, usize::MAX).lines().count(), 10_002);
}

#[test]
fn suspects_are_told_where_nothing_explains() {
    let mut snapshot = snapshot();
    let nothing = "pid:[4026532500] exists, but nothing visible holds it\n";
    let never = "  not visible on any kernel: a detached mount and a BPF iterator\n";
    assert_eq!(text(&snapshot, ODD, SOME), format!("{nothing}  no suspects either\n{never}"));
    let (pid, tid) = (Pid(200), Tid(200));
    snapshot.suspects = vec![
        Suspect::ProcFile { pid, tid, fd: 3, ns_type: NamespaceType::Net, path: "/proc/1/net/dev".into() },
        Suspect::InFlight { pid, tid, fd: 4, count: 1 },
        Suspect::Mount {
            mount_ns: HOME,
            mount_id: 9,
            fs_type: "proc".into(),
            file_system: DeviceNumber { major: 0, minor: 22 },
            path: Some("/x\x1b/proc".into()),
        },
    ];
    assert_eq!(
        text(&snapshot, ODD, SOME),
        format!(
            "{nothing}  suspects: each may hold it, or another one, or none; the kernel does not say\n  \
             suspect: 1 descriptor in flight to a UNIX socket, fd 4 of process 200 (sleep 1000): /proc/200/fd/4\n  \
             suspect: proc (0:22) mounted at /x\\x1b/proc in mnt:[4026531832], mount ID 9\n{never}"
        )
    );
    assert_eq!(text(&snapshot, ODD, 1), text(&snapshot, ODD, 2), "the second takes the place of the line on it");
    assert!(text(&snapshot, ODD, 0).contains("  and 2 more suspects (--all shows all)\n"));
    // Those of a namespace that something else holds too are named as well.
    let with_holders = text(&snapshot, LEFT, SOME);
    assert!(
        with_holders.contains("  suspects: each may hold it too, or another one; the kernel does not say\n  suspect: ")
    );
    snapshot.namespaces.get_mut(&LEFT).unwrap().holders.clear();
    snapshot.suspects.push(Suspect::IoUring { pid, tid: Tid(201), fd: 5, count: 1 });
    for text in [with_holders, text(&snapshot, LEFT, SOME)] {
        assert!(text.contains("open file /proc/1/net/dev, fd 3 of process 200 (sleep 1000)"), "{text}");
    }
    let of_thread =
        "registered with an io_uring, fd 5 of task 201 of process 200 (sleep 1000): /proc/200/task/201/fd/5";
    assert!(text(&snapshot, LEFT, SOME).contains(of_thread));
    assert!(!text(&snapshot, NET, SOME).contains("suspect"), "an initial namespace lives anyway");
}
