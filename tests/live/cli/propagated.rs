//! Advice for mounts that came into a sandbox from above: with it, which the kernel locks there, or later by propagation,
//! which it does not. Both go with the mount that they came from.

use std::path::PathBuf;
use std::process::Command;

use lxkns_fixture::Actor;
use rustix::io::Errno;

use super::busy::{busy, file_system, inside, is_there};
use super::texts;
use crate::harness::Need::{self, FileSystem, Program, Root, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::program::{release, run, run_lxkns};
use crate::live::{directory, look_until};

pub(super) fn tests() -> Vec<Test> {
    const NEEDS: &[Need] =
        &[Root, UserNamespaces, Program("umount"), Program("nsenter"), Program("sh"), FileSystem("tmpfs")];
    vec![
        test("cli::propagated::seen_from_above", NEEDS, seen_from_above),
        test("cli::propagated::seen_from_inside", NEEDS, seen_from_inside),
        test("cli::propagated::namespaces_seen_from_inside", NEEDS, namespaces_seen_from_inside),
    ]
}

/// `MS_SHARED`
const SHARED: u64 = 1 << 20;

/// A sandbox with a user namespace of its own, and a directory from which mounts propagate to it.
struct Place {
    base: tempfile::TempDir,
    home: Actor,
    sandbox: Actor,
}

impl Place {
    /// `before` is mounted before the sandbox is made.
    fn new(before: impl FnOnce(&Actor, PathBuf)) -> Self {
        let (base, home) = (directory(), Actor::spawn_in(&["mnt", "uts"]));
        home.make_mounts_private();
        home.mount("tmpfs", base.path());
        home.mount_with("none", "none", base.path(), SHARED, "");
        for name in ["early", "late"] {
            home.mkdir(base.path().join(name));
        }
        before(&home, base.path().join("early"));
        let sandbox = home.fork();
        sandbox.unshare(&["user", "mnt"]);
        sandbox.map_root();
        Self { base, home, sandbox }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }
}

#[track_caller]
fn is_locked(actor: &Actor, path: &std::path::Path) {
    let refused = actor.try_umount(path).map_err(|error| error.raw_os_error());
    assert_eq!(refused, Err(Some(Errno::INVAL.raw_os_error())), "otherwise this would prove nothing");
}

/// Who sees where they came from is told to unmount that, and no more: it takes them away, locked or not.
fn seen_from_above() {
    let place = Place::new(|home, early| home.mount("tmpfs", early));
    let late = place.path("late");
    place.home.mount("tmpfs", &late);
    is_locked(&place.sandbox, &place.path("early"));
    // That one the kernel would unmount there, too.
    place.sandbox.umount(&late);
    place.home.umount(&late);
    place.home.mount("tmpfs", &late);
    for name in ["early", "late"] {
        let path = place.path(name);
        let number = file_system(&place.home, &path);
        let answer = busy(number);
        assert_eq!(answer["mounts"].as_array().unwrap().len(), 2, "{answer:#}");
        let umount = format!("umount -N {} {}", place.home.pid(), path.display());
        assert_eq!(texts(&answer["release"]), serde_json::json!([format!("`{umount}`")]), "{answer:#}");
        assert_eq!(run(Command::new("sh").args(["-c", &umount])).code, Some(0));
        assert!(is_there(|| run_lxkns(["busy", &number.to_string()]).code == Some(3)), "{name}");
    }
}

/// Inside nobody can tell which are locked: the advice says that, and the kernel accepts it for what came later.
fn seen_from_inside() {
    let place = Place::new(|home, early| home.mount("tmpfs", early));
    let (early, late) = (place.path("early"), place.path("late"));
    place.home.mount("tmpfs", &late);
    let target = format!("mnt:{}", place.sandbox.ns_inode("mnt"));
    let advice = |path: &PathBuf| {
        let answer = inside(&place.sandbox, &["busy", "--json", path.to_str().unwrap()]).ok().answer();
        let [ref only] = answer["release"].as_array().unwrap()[..] else { panic!("{answer:#}") };
        let text = only["text"].as_str().unwrap().to_owned();
        let expected =
            format!("`umount {}`, or, where it is locked, {target} ends (lxkns why {target})", path.display());
        assert_eq!(text, expected, "{answer:#}");
        only["command"].as_str().unwrap().to_owned()
    };
    is_locked(&place.sandbox, &early);
    advice(&early);
    let command = advice(&late);
    let mut typed = Command::new("nsenter");
    typed.args(["-t", &place.sandbox.pid().to_string(), "-U", "-m", "-w/", "--preserve-credentials", "sh", "-c"]);
    assert_eq!(run(typed.arg(&command)).code, Some(0), "{command}");
    inside(&place.sandbox, &["busy", late.to_str().unwrap()]).fails(1, "not a mount point");
}

/// The same of mounts that hold namespaces.
fn namespaces_seen_from_inside() {
    let place = Place::new(|home, early| {
        // A namespace is bound to a file.
        home.touch(early.join("ns"));
        home.bind("/proc/self/ns/uts", early.join("ns"));
        home.unshare(&["uts"]);
    });
    let (early, late) = (place.path("early/ns"), place.path("late/ns"));
    place.home.touch(&late);
    // The sandbox is in the one before.
    place.home.unshare(&["uts"]);
    let uts = place.home.ns_inode("uts");
    place.home.bind("/proc/self/ns/uts", &late);
    place.home.unshare(&["uts"]);
    is_locked(&place.sandbox, &early);
    let look = || inside(&place.sandbox, &["why", "--json", "--all", &uts.to_string()]);
    let ran = look_until(|ran| ran.answer()["holders"].as_array().is_some_and(|all| all.len() == 1), look);
    let holders = ran.answer()["holders"].as_array().unwrap().clone();
    let [ref mount] = holders[..] else { panic!("{holders:#?}") };
    let told = release(mount);
    assert!(told.starts_with(&format!("`umount {}`, or, where it is locked, ", late.display())), "{told}");
    place.sandbox.umount(&late);
}
