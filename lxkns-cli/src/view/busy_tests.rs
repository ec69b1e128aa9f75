//! What is said of a file system on a small host.

use super::*;
use crate::testing::{HOME, LOOSE, snapshot};
use lxkns_core::model::Pid;

const DISK: FileSystem = FileSystem { major: 8, minor: 1 };

fn mount(id: u64, parent: u64, path: Option<&str>) -> Mount {
    Mount::new(id, parent, DISK, "ext4", path)
}

fn user(pid: u32, comm: &str, uses: Vec<FileSystemUse>) -> FileSystemUser {
    FileSystemUser::new(Pid(pid), comm, Some(HOME), uses)
}

fn text(snapshot: &Snapshot, users: &[FileSystemUser], limit: usize) -> String {
    let busy = Busy::new(snapshot, DISK, Some(users), Some(HOME));
    let mut out = Vec::new();
    busy.write(&mut out, Screen::default(), limit).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn mounts_and_users_with_what_would_release_them() {
    let mut snapshot = snapshot();
    let mut mounts = vec![mount(30, 1, Some("/mnt")), mount(31, 30, Some("/mnt/\x1b")), mount(32, 30, None)];
    mounts[1].hidden = true;
    mounts[0].source = Mount::new(1, 1, DISK, "x", Some("/dev/sda1")).point;
    mounts.push(Mount::new(33, 1, FileSystem { major: 8, minor: 2 }, "ext4", Some("/other")));
    snapshot.mounts.insert(HOME, mounts);
    snapshot.mounts.insert(LOOSE, vec![mount(40, 1, Some("/x"))]);
    let (tid, other) = (Tid(200), Tid(201));
    let users = [
        user(200, "sleep", vec![FileSystemUse::Fd { tid, fd: 3 }, FileSystemUse::WorkingDirectory { tid: other }]),
        user(300, "new\n", vec![FileSystemUse::Executable, FileSystemUse::Mapped { path: "/a\x1b".into() }]),
    ];
    assert_eq!(
        text(&snapshot, &users, 10),
        "ext4 /dev/sda1 (8:1) is mounted in 2 mount namespaces and used by 2 processes\n  \
           mnt:[4026531832], 2 processes, first 1 (init)\n    \
             /mnt, mount ID 30, with 2 on it\n    \
             (hidden) /mnt/\\x1b, mount ID 31\n    \
             (no path), mount ID 32\n  \
           mnt:[4026532400], no process (lxkns why mnt:4026532400)\n    \
             /x, mount ID 40\n  \
           process 200 (sleep 1000): working directory of thread 201, fd 3\n  \
           process 300 (new\\x0a): executable, mapped file /a\\x1b\n\
         released when\n  \
           process 200 closes fd 3 and leaves its working directory, or exits\n  \
           process 300 exits\n  \
           what is mounted on it is unmounted, then `umount /mnt`\n  \
           what covers mount 31 is unmounted, then `umount $'/mnt/\\033'`\n  \
           mnt:4026531832 ends (lxkns why mnt:4026531832)\n  \
           `umount -N /proc/200/task/201/ns/mnt /x`\n"
    );
    let short = text(&snapshot, &users, 1);
    assert!(short.contains("    and 2 more (--all shows all)\n") && short.contains("  and 5 more"), "{short}");
    assert!(!Busy::new(&snapshot, FileSystem { major: 9, minor: 9 }, None, None).is_there());
}

#[test]
fn many_descriptors_are_counted() {
    let tid = Tid(200);
    let fds = (0..50).map(|fd| FileSystemUse::Fd { tid, fd }).collect();
    let user = user(200, "sleep", fds);
    assert_eq!(uses(&user, 2), ["fd 0", "fd 1", "48 more fds"]);
    assert_eq!(release_user(&user), "process 200 closes 50 fds, or exits");
}
