//! What is said of a file system on a small host.

use super::*;
use lxkns_answers::Context;
use lxkns_answers::testing::{HOME, LOOSE, snapshot};
use lxkns_core::model::{
    Cause, DeviceNumber, FileSystemQuery, FileSystemUse, FileSystemUseKind as Use, FileSystemUser, FileSystemUsers,
    Gap, Object, Operation, Pid, Place, Snapshot, Tid,
};

const DISK: DeviceNumber = DeviceNumber { major: 8, minor: 1 };

fn mount(id: u64, parent: u64, path: Option<&str>) -> Mount {
    Mount::new(id, parent, DISK, "ext4", path)
}

fn user(pid: u32, comm: &str, uses: Vec<FileSystemUse>) -> FileSystemUser {
    FileSystemUser::new(Pid(pid), comm, Some(HOME), uses)
}

fn uses_of(tid: u32, kinds: Vec<Use>) -> Vec<FileSystemUse> {
    kinds.into_iter().map(|kind| FileSystemUse::new(kind, u64::from(tid))).collect()
}

fn fd(tid: u32, fd: u32, is_tasks_own: bool) -> Use {
    Use::Fd { tid: Tid(tid), fd, is_tasks_own }
}

fn users(processes: Vec<FileSystemUser>) -> FileSystemUsers {
    FileSystemUsers { processes, ..FileSystemUsers::default() }
}

fn busy<'a>(snapshot: &'a Snapshot, mount: Option<&'a Mount>, users: &'a FileSystemUsers) -> Busy<'a> {
    Busy::new(Context::of_dump(snapshot), FileSystemQuery::new(DISK), mount, Some(users))
}

fn text(snapshot: &Snapshot, users: &FileSystemUsers, limit: usize) -> String {
    let mut out = Vec::new();
    write(&busy(snapshot, None, users), &mut out, Screen::default(), limit).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn mounts_and_users_with_what_would_release_them() {
    let mut snapshot = snapshot();
    let root = Mount::new(1, 1, DeviceNumber { major: 8, minor: 2 }, "ext4", Some("/"));
    let mut mounts =
        vec![root.clone(), mount(30, 1, Some("/mnt")), mount(31, 30, Some("/mnt/\x1b")), mount(32, 30, None)];
    mounts[2].hidden = true;
    mounts[1].source = Mount::new(1, 1, DISK, "x", Some("/dev/sda1")).point;
    snapshot.mounts.insert(HOME, mounts);
    snapshot.mounts.insert(LOOSE, vec![root, mount(40, 1, Some("/x"))]);
    let used = users(vec![
        user(200, "sleep", uses_of(30, vec![fd(200, 3, false), Use::WorkingDirectory { tid: Tid(201) }])),
        user(300, "new\n", uses_of(40, vec![Use::Executable, Use::Mapped { path: "/a\x1b".into() }])),
    ]);
    assert_eq!(
        text(&snapshot, &used, 10),
        "ext4 /dev/sda1 (8:1) is mounted in 2 mount namespaces and used by 2 processes\n  \
           mnt:[4026531832], 2 processes, first 1 (init)\n    \
             /mnt, mount ID 30, with 2 on it\n    \
             (hidden) /mnt/\\x1b, mount ID 31\n    \
             (no path), mount ID 32\n  \
           mnt:[4026532400], no process (lxkns why mnt:4026532400)\n    \
             /x, mount ID 40\n  \
           process 200 (sleep 1000): working directory of task 201, fd 3\n  \
           process 300 (new\\x0a): executable, mapped file /a\\x1b\n\
         released, as far as visible, when all of this is done:\n  \
           process 200 closes fd 3 and leaves its working directory, or exits\n  \
           process 300 exits\n  \
           what is mounted on /mnt is unmounted, then `umount /mnt`\n  \
           what covers mount 31 is unmounted, then `umount $'/mnt/\\033'`\n  \
           mnt:4026531832 ends (lxkns why mnt:4026531832)\n  \
           `umount -N /proc/200/task/201/ns/mnt /x`\n"
    );
    let short = text(&snapshot, &used, 1);
    assert!(short.contains("    and 2 more (--all shows all)\n") && short.contains("  and 5 more"), "{short}");
    let other = FileSystemQuery::new(DeviceNumber { major: 9, minor: 9 });
    assert!(!Busy::new(Context::of_dump(&snapshot), other, None, None).is_there());

    // Asked for the mount, its own users come first, and what is mounted on it.
    let asked = &snapshot.mounts[&HOME][1];
    let mut out = Vec::new();
    write(&busy(&snapshot, Some(asked), &used), &mut out, Screen::default(), 10).unwrap();
    let text = String::from_utf8(out).unwrap();
    let expected = "umount /mnt fails here because:\n  \
        /mnt/\\x1b, mount ID 31, is mounted on it\n    \
          until what covers mount 31 is unmounted, then `umount $'/mnt/\\033'`\n  \
        a mount without a path, mount ID 32, is mounted on it\n    \
          until mnt:4026531832 ends (lxkns why mnt:4026531832)\n  \
        process 200 (sleep 1000): working directory of task 201, fd 3\n    \
          until process 200 closes fd 3 and leaves its working directory, or exits\n\n";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn unread_processes_are_not_absent() {
    let mut snapshot = snapshot();
    snapshot.mounts.insert(HOME, vec![mount(30, 1, Some("/mnt"))]);
    let mut unread = users(Vec::new());
    assert!(text(&snapshot, &unread, 9).contains("and no process was found that uses it\n"));
    let gap = |object| Gap::because(Place::Processes, object, Operation::OPEN, Cause::Denied);
    unread.gaps = vec![gap(Object::Process(Pid(5))), gap(Object::Fd(Pid(5), Tid(5), 1)), gap(Object::Process(Pid(6)))];
    let said = text(&snapshot, &unread, 9);
    assert!(
        said.contains("; whether 2 unreadable processes use it is not known\n") && !said.contains("0 process"),
        "{said}"
    );
}
