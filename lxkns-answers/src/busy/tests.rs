//! What would release a file system of a small host; how it is written is tested where that is done.

use lxkns_model::{FileSystemUseKind as Use, Relation, Tid};

use super::*;
use crate::testing::{HOME, LOOSE, snapshot};

const DISK: DeviceNumber = DeviceNumber { major: 8, minor: 1 };

fn mount(id: u64, parent: u64, path: Option<&str>) -> Mount {
    Mount::new(id, parent, DISK, "ext4", path)
}

fn fd(tid: u32, fd: u32, is_tasks_own: bool) -> Use {
    Use::Fd { tid: Tid(tid), fd, is_tasks_own }
}

fn busy<'a>(snapshot: &'a Snapshot, mount: Option<&'a Mount>, users: &'a FileSystemUsers) -> Busy<'a> {
    Busy::new(Context::of_dump(snapshot), FileSystemQuery::new(DISK), mount, Some(users))
}

fn texts(busy: &Busy<'_>) -> Vec<String> {
    busy.release().into_iter().map(|step| step.text).collect()
}

#[test]
fn what_is_locked_is_not_unmounted() {
    let mut snapshot = snapshot();
    let root = Mount::new(1, 1, DeviceNumber { major: 8, minor: 2 }, "ext4", Some("/"));
    snapshot.mounts.insert(LOOSE, vec![root, mount(40, 1, Some("/x"))]);
    let none = FileSystemUsers::default();
    assert_eq!(texts(&busy(&snapshot, None, &none)), ["`umount -N /proc/200/task/201/ns/mnt /x`"]);
    // Its owner is another user namespace than that of the caller's mount namespace, or is not known.
    for owner in [Relation::Known(crate::testing::id(7)), Relation::NotVisible] {
        snapshot.namespaces.get_mut(&LOOSE).unwrap().owner = owner;
        assert_eq!(texts(&busy(&snapshot, None, &none)), ["mnt:4026532400 ends (lxkns why mnt:4026532400)"]);
    }
}

#[test]
fn many_descriptors_are_counted() {
    let all: Vec<_> = (0..50).map(|number| FileSystemUse::new(fd(200, number, false), 1)).collect();
    assert_eq!(words::uses(Pid(200), &all, 2), ["fd 0", "fd 1", "48 more fds"]);
    assert_eq!(words::release_uses(Pid(200), &all).text, "process 200 closes 50 fds, or exits");
}

#[test]
fn a_tasks_own_descriptor_is_the_tasks() {
    let own = [FileSystemUse::new(fd(201, 4, true), 1)];
    assert_eq!(words::uses(Pid(200), &own, 2), ["fd 4 of task 201"]);
    assert_eq!(words::release_uses(Pid(200), &own).text, "task 201 of process 200 closes fd 4, or exits");
    // Where the thread group leader has exited, the table is the process's all the same.
    let shared = [FileSystemUse::new(fd(201, 4, false), 1)];
    assert_eq!(words::release_uses(Pid(200), &shared).text, "process 200 closes fd 4, or exits");
}

#[test]
fn programs_get_each_step_with_its_command() {
    let mut snapshot = snapshot();
    let root = Mount::new(1, 1, DeviceNumber { major: 8, minor: 2 }, "ext4", Some("/"));
    snapshot.mounts.insert(HOME, vec![root, mount(30, 1, Some("/mnt")), mount(31, 30, Some("/mnt/x"))]);
    let user = FileSystemUser::new(Pid(200), "sleep", Some(HOME), vec![FileSystemUse::new(fd(200, 3, false), 30)]);
    let users = FileSystemUsers { processes: vec![user], ..FileSystemUsers::default() };
    let answer = busy(&snapshot, Some(&snapshot.mounts[&HOME][1]), &users).answer();
    let answer = serde_json::to_value(&answer).unwrap();
    assert_eq!((&answer["major"], &answer["minor"]), (&8.into(), &1.into()));
    let unmount = serde_json::json!({"step": "unmount", "text": "`umount /mnt/x`", "command": "umount /mnt/x"});
    let close = serde_json::json!({"step": "close", "text": "process 200 closes fd 3, or exits", "pid": 200});
    assert_eq!(
        answer["mount"]["holders"],
        serde_json::json!([
            {"kind": "mount", "text": "/mnt/x, mount ID 31, is mounted on it", "mountid": 31, "release": [unmount]},
            {"kind": "process", "text": "process 200 (sleep 1000): fd 3", "pid": 200, "release": [close]},
        ])
    );
    assert_eq!(
        answer["users"],
        serde_json::json!([{
            "pid": 200, "command": "sleep 1000", "mntns": HOME.ino,
            "uses": [{"kind": "fd", "tid": 200, "fd": 3, "mountid": 30}]
        }])
    );
    let steps: Vec<_> =
        answer["release"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["close", "unmount", "unmount"]);
    let of_dump = Busy::new(Context::of_dump(&snapshot), FileSystemQuery::new(DISK), None, None).answer();
    let of_dump = serde_json::to_value(&of_dump).unwrap();
    for key in ["mount", "users", "holders", "suspects", "unread-holders", "unreadable-processes"] {
        assert!(of_dump.as_object().unwrap()[key].is_null(), "{key} is not known");
    }
}

/// Layers are looked up, not searched for.
#[test]
fn many_layers_are_released_each_in_the_same_time() {
    const MANY: u64 = 10_000;
    let mut snapshot = snapshot();
    let number = |nth: u64| DeviceNumber { major: 0, minor: nth as u32 };
    let overlay = |nth| Mount::new(nth, 1, number(nth), "overlay", Some(&format!("/merged/{nth}")));
    let root = Mount::new(1, 1, DISK, "ext4", Some("/"));
    snapshot.mounts.insert(HOME, std::iter::once(root).chain((2..MANY).map(overlay)).collect());
    let layer = |nth: u64| {
        let kind = lxkns_model::FileSystemHolderKind::Layer {
            fs_type: "overlay".into(),
            file_system: number(nth),
            mount_ns: HOME,
            mount_id: nth,
            point: None,
            path: "/lower".into(),
        };
        FileSystemHolder::new(kind, Some(1), true)
    };
    let users = FileSystemUsers { holders: (2..MANY).map(layer).collect(), ..FileSystemUsers::default() };
    let busy = busy(&snapshot, None, &users);
    assert_eq!(busy.release().iter().filter(|step| step.text.starts_with("`umount /merged/")).count() as u64, MANY - 2);
}
