//! Looking into mount namespaces: the helper by itself, and the library that runs it.

mod contract;
mod dead;
mod footprint;
mod lifetime;
mod open;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use lxkns_core::model::NamespaceId;
use lxkns_fixture::Actor;
use lxkns_mountns::{HelperProgram, MountNamespace, SandboxOptions, Sandboxes, Target};

use crate::harness::Test;

pub(super) fn tests() -> Vec<Test> {
    [contract::tests(), open::tests(), dead::tests(), lifetime::tests(), footprint::tests()]
        .into_iter()
        .flatten()
        .collect()
}

/// Long enough for what is to succeed, on the busiest host.
const LONG: Duration = Duration::from_secs(20);

/// Sandboxes with the helper that belongs to this build, whatever else is installed.
fn sandboxes() -> Sandboxes {
    let mut options = SandboxOptions::default();
    options.program = HelperProgram::Carried;
    Sandboxes::new(&options).unwrap()
}

/// Goes into an actor's mount namespace.
#[track_caller]
fn enter(sandboxes: &Sandboxes, actor: &Actor) -> MountNamespace {
    sandboxes.open(Target::Fd(actor.open_ns("mnt").as_fd()), LONG).unwrap()
}

fn id_of(fd: &OwnedFd) -> NamespaceId {
    let stat = rustix::fs::fstat(fd).unwrap();
    NamespaceId { ino: stat.st_ino, dev: stat.st_dev }
}

/// One of an actor's namespaces.
fn id(actor: &Actor, name: &str) -> NamespaceId {
    let dev = std::fs::metadata("/proc/self/ns/mnt").unwrap().dev();
    NamespaceId { ino: actor.ns_inode(name), dev }
}

/// Waits for something that is a matter of moments.
#[track_caller]
fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what} does not come");
        std::thread::yield_now();
    }
}

/// Whether there is no such process any more, not even as a zombie.
fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}
