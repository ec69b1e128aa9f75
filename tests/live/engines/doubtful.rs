//! What ordinary users can write, where it does not look so.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};

use lxkns_core::model::{Confidence, Pid};
use lxkns_fixture::{Actor, probe};
use serde_json::json;

use super::{FalseHost, USER, below, cgroup, long_id, look, of, recognize, runc_state, start_time};
use crate::harness::Need::{Root, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::program::run_lxkns;
use crate::live::{directory, discover};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("engines::doubtful::delegated_control_group", &[Root], delegated_control_group),
        test("engines::doubtful::two_control_groups_with_one_id", &[Root], two_control_groups_with_one_id),
        test("engines::doubtful::directories_that_others_can_write", &[Root], directories_that_others_can_write),
        test("engines::doubtful::storage_of_a_user", &[Root], storage_of_a_user),
        test("engines::doubtful::entered", &[Root], entered),
        test("engines::doubtful::mounts_of_a_container", &[Root, UserNamespaces], mounts_of_a_container),
    ]
}

/// A process of the user's.
fn of_user() -> Actor {
    let actor = Actor::spawn_in(&["mnt"]);
    actor.setgid(USER);
    actor.setuid(USER);
    actor
}

/// A service with `User=` and `Delegate=yes` has a control group of the user's, wherever it is.
fn delegated_control_group() {
    let host = FalseHost::new();
    let id = long_id("delegated");
    let group = cgroup("delegated");
    let service = below(&group, "app.service");
    chown(&service.0, Some(USER), Some(USER)).unwrap();
    let forged = below(&service, &format!("docker-{id}.scope"));
    chown(&forged.0, Some(USER), Some(USER)).unwrap();
    let victim = host.process();
    let true_group = below(&group, &format!("docker-{id}.scope"));
    let (own, root) = (of_user(), Actor::spawn_in(&["mnt"]));
    forged.write("cgroup.procs", &own.pid().to_string());
    forged.write("cgroup.procs", &root.pid().to_string());
    true_group.write("cgroup.procs", &victim.pid().to_string());
    let pid = victim.pid();
    host.write(&format!("/run/docker/runtime-runc/moby/{id}/state.json"), runc_state(&id, pid, start_time(pid)));
    let config = json!({"ID": id, "Name": "/victim", "State": {"Pid": pid, "Running": true}, "Config": {}});
    host.write(&format!("/var/lib/docker/containers/{id}/config.v2.json"), config.to_string());
    let (_, containers) = look();
    let forger = of(&containers, own.pid());
    assert_eq!((forger.confidence(), &forger.name), (Confidence::Claimed, &None), "{forger:?}");
    assert_eq!(containers.of(Pid(root.pid())), None, "the group is a user's, and the process is not");
    let told = of(&containers, pid);
    assert_eq!((told.display_name(), told.confidence()), (&"victim".into(), Confidence::Sure));
    drop((own, root, victim));
}

fn two_control_groups_with_one_id() {
    let host = FalseHost::new();
    let id = long_id("two");
    let group = cgroup("two");
    // The first that is found has no say.
    let (a, b) = (below(&group, "a"), below(&group, "b"));
    let (other_group, true_group) =
        (below(&a, &format!("docker-{id}.scope")), below(&b, &format!("docker-{id}.scope")));
    let other = host.process();
    let real = host.process();
    other_group.write("cgroup.procs", &other.pid().to_string());
    true_group.write("cgroup.procs", &real.pid().to_string());
    let pid = real.pid();
    host.write(&format!("/run/docker/runtime-runc/moby/{id}/state.json"), runc_state(&id, pid, start_time(pid)));
    let config = json!({"ID": id, "Name": "/real", "State": {"Running": true}, "Config": {}});
    host.write(&format!("/var/lib/docker/containers/{id}/config.v2.json"), config.to_string());
    let (_, containers) = look();
    let (false_one, true_one) = (of(&containers, other.pid()), of(&containers, real.pid()));
    assert_eq!((true_one.display_name(), true_one.confidence()), (&"real".into(), Confidence::Sure), "{true_one:?}");
    assert_eq!((false_one.confidence(), &false_one.name), (Confidence::Claimed, &None), "{false_one:?}");
    drop((other, real));
}

/// Whoever can write to a directory on the way puts another file in its place.
fn directories_that_others_can_write() {
    let host = FalseHost::new();
    let process = host.process();
    let pid = process.pid();
    let state = |id: &str| {
        let path = format!("/run/runc/{id}/state.json");
        host.write(&path, runc_state(id, pid, start_time(pid)));
        path
    };
    state("trusted-of-root");
    let (_, containers) = look();
    assert_eq!(of(&containers, pid).confidence(), Confidence::Sure);
    let at = |path: &str| host.path(path);
    for (mode, group) in [(0o777, 0), (0o775, USER)] {
        fs::set_permissions(at("/run/runc"), Permissions::from_mode(mode)).unwrap();
        chown(at("/run/runc"), None, Some(group)).unwrap();
        let (_, containers) = look();
        assert_eq!(containers.of(Pid(pid)), None, "{mode:o}: it is said of a process of root's");
    }
    fs::set_permissions(at("/run/runc"), Permissions::from_mode(0o755)).unwrap();
    chown(at("/run/runc/trusted-of-root"), Some(USER), None).unwrap();
    let (_, containers) = look();
    assert_eq!(containers.of(Pid(pid)), None);
    chown(at("/run/runc/trusted-of-root"), Some(0), None).unwrap();
    let (_, containers) = look();
    assert_eq!(of(&containers, pid).confidence(), Confidence::Sure);
}

/// A user's conmon names a storage that root owns, such as a copy: that is not where root's containers are.
fn storage_of_a_user() {
    let host = FalseHost::new();
    let id = long_id("storage");
    let container = host.process();
    let group = cgroup("storage");
    let own = below(&group, &format!("libpod-{id}.scope"));
    own.write("cgroup.procs", &container.pid().to_string());
    let stored = json!([{"id": id, "names": ["forged"], "image": "x", "metadata": "{}"}]);
    host.write("/run/copy/overlay-containers/containers.json", stored.to_string());
    let monitor = host.0.fork();
    monitor.set_comm(b"conmon");
    let bundle = format!("/run/copy/overlay-containers/{id}/userdata");
    let line = ["conmon", "-c", "0123", "-n", "x", "-b", &bundle].map(Into::into).to_vec();
    let name = || {
        let mut snapshot = discover();
        snapshot.processes.get_mut(&Pid(monitor.pid())).unwrap().command_line = Some(line.clone());
        let (containers, _) = recognize(&snapshot);
        containers.of(Pid(container.pid())).and_then(|it| it.name.clone()).map(|name| name.value)
    };
    assert_eq!(name(), Some("forged".into()), "root says so");
    monitor.setgid(USER);
    monitor.setuid(USER);
    assert_eq!(name(), None, "a user says so");
    drop((monitor, container));
}

/// Who enters what a user claims is told.
fn entered() {
    let id = long_id("entered");
    let group = cgroup("entered");
    chown(&group.0, Some(USER), Some(USER)).unwrap();
    let forged = below(&group, &format!("docker-{id}.scope"));
    let own = of_user();
    forged.write("cgroup.procs", &own.pid().to_string());
    let target = format!("docker:{id}");
    for arguments in [&["enter", "--dry-run", &target][..], &["enter", &target, "--", "true"]] {
        let ran = run_lxkns(arguments);
        let told = format!("only UID {USER} claims that process {} is in docker:{}", own.pid(), &id[..12]);
        assert!(ran.stderr.contains(&told), "{told}: {ran:?}");
    }
    drop(own);
}

/// The root of a user namespace that an engine has made mounts a file in a mount namespace of its own as the engine does for
/// another container, and leaves the namespace to a descriptor and a bind mount: no advice is about the other container.
fn mounts_of_a_container() {
    let (id, directory) = (long_id("mounted"), directory());
    let path = directory.path().join("mnt");
    fs::write(&path, "").unwrap();
    // A mount namespace holds those with higher IDs only, and each CPU gives its own.
    probe::pin_to_one_cpu().unwrap();
    let holder = Actor::spawn_in(&["mnt"]);
    holder.make_mounts_private();
    let container = Actor::spawn_in(&["user", "mnt"]);
    let inside = container.fork();
    inside.unshare(&["mnt"]);
    inside.mount("tmpfs", "/mnt");
    let source = format!("/mnt/containers/{id}");
    fs::create_dir_all(format!("/proc/{}/root{source}", inside.pid())).unwrap();
    fs::write(format!("/proc/{}/root{source}/hosts", inside.pid()), "").unwrap();
    inside.bind(format!("{source}/hosts"), "/etc/hosts");
    let inode = inside.ns_inode("mnt");
    holder.bind(format!("/proc/{}/ns/mnt", inside.pid()), &path);
    drop(inside);
    let told = run_lxkns(["why", &format!("mnt:{inode}")]);
    let text = told.text();
    assert!(text.contains(&format!("docker:{} (claimed)", &id[..12])), "{text}");
    assert!(!text.contains("docker rm"), "{text}");
    drop((container, holder));
}
