//! The tests, by what they are about.

mod answers;
mod audit;
mod churn;
mod cli;
mod confined_service;
mod dead_leaders;
mod denied;
mod endings;
mod engine_hosts;
mod engines;
mod enter;
mod events;
mod gaps;
mod guides;
mod hostile;
mod kernel_lists;
mod lsns;
mod mountns;
mod mounts;
mod one_file;
mod owner;
mod places;
mod ports;
mod processes;
mod processless;
mod program;
mod reader;
mod references;
mod safety;
mod snapshots;

use std::cell::Cell;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use lxkns_core::model::{Holder, Namespace, NamespaceId, Pid, Reader};
use lxkns_core::{DiscoveryOptions, Snapshot};
use tempfile::TempDir;

use crate::harness::{Test, lxkns};

pub(crate) fn tests() -> Vec<Test> {
    [
        answers::tests(),
        audit::tests(),
        places::tests(),
        ports::tests(),
        kernel_lists::tests(),
        processes::tests(),
        reader::tests(),
        references::tests(),
        processless::tests(),
        snapshots::tests(),
        gaps::tests(),
        guides::tests(),
        dead_leaders::tests(),
        denied::tests(),
        safety::tests(),
        confined_service::tests(),
        hostile::tests(),
        engines::tests(),
        churn::tests(),
        mountns::tests(),
        lsns::tests(),
        mounts::tests(),
        cli::tests(),
        endings::tests(),
        engine_hosts::tests(),
        enter::tests(),
        events::tests(),
        one_file::tests(),
        owner::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

thread_local! {
    /// The reader of the snapshots that this thread takes; `None` leaves the choice to discovery.
    static READER: Cell<Option<Reader>> = const { Cell::new(None) };
}

/// A snapshot of the namespaces and their holders.
fn discover() -> Snapshot {
    discover_with(DiscoveryOptions::namespaces())
}

/// A snapshot of all there is to know.
fn discover_everything() -> Snapshot {
    discover_with(DiscoveryOptions::everything())
}

fn discover_with(mut options: DiscoveryOptions) -> Snapshot {
    options.reader = READER.get();
    let snapshot = lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap();
    assert!(options.reader.is_none() || snapshot.reader == options.reader, "{:?}", snapshot.gaps);
    snapshot
}

/// Looks until nothing disturbs, or a hundred times: other programs that look at namespaces, such as other tests, have
/// each open for a moment, and are then seen with it.
fn look_until<T>(is_undisturbed: impl Fn(&T) -> bool, look: impl Fn() -> T) -> T {
    const TRIES: usize = 100;
    let mut seen = look();
    for _ in 0..TRIES {
        if is_undisturbed(&seen) {
            break;
        }
        seen = look();
    }
    seen
}

/// A snapshot of all there is to know in which nobody else happens to have this namespace open.
fn discover_undisturbed(ino: u64) -> Snapshot {
    undisturbed(ino, discover_everything)
}

fn undisturbed(ino: u64, discover: impl Fn() -> Snapshot) -> Snapshot {
    let is_undisturbed = |snapshot: &Snapshot| {
        let namespace = namespace(snapshot, ino);
        let fds = namespace.holders.iter().filter(|holder| matches!(holder, Holder::Fd { .. })).count();
        let of_actors = direct_holders(snapshot, namespace).iter().filter(|h| matches!(h, Holder::Fd { .. })).count();
        fds == of_actors
    };
    look_until(is_undisturbed, discover)
}

/// As [`discover_undisturbed`], by procfs: the kernel reader knows what is in flight, and has it as a holder.
fn discover_undisturbed_by_procfs(ino: u64) -> Snapshot {
    undisturbed(ino, discover_by_procfs)
}

/// A snapshot of all there is to know, from procfs.
fn discover_by_procfs() -> Snapshot {
    let mut options = DiscoveryOptions::everything();
    options.reader = Some(Reader::Proc);
    lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap()
}

/// The namespace with this inode number, which must be there.
#[track_caller]
fn namespace(snapshot: &Snapshot, ino: u64) -> &Namespace {
    snapshot.by_ino(ino).unwrap_or_else(|| panic!("namespace {ino} was not found; gaps: {:?}", snapshot.gaps))
}

/// The holders of a namespace but for those that it has because others relate to it; and but for the descriptors of
/// others than actors: programs that look at namespaces, this test's process among them, have each open for a moment,
/// and copies of sockets too; and their helpers go there.
fn direct_holders<'a>(snapshot: &Snapshot, namespace: &'a Namespace) -> Vec<&'a Holder> {
    let is_actor = |pid: &Pid| snapshot.processes.get(pid).is_some_and(|process| process.comm() == "exe");
    let is_helper = |pid: &Pid| snapshot.processes.get(pid).is_some_and(|process| process.comm().starts_with(b"mntns"));
    let is_direct = |holder: &&Holder| match holder {
        Holder::Process { pid } => !is_helper(pid),
        Holder::Child { .. } | Holder::Owned { .. } => false,
        Holder::Fd { pid, .. } | Holder::Socket { pid, .. } | Holder::Tun { pid, .. } => is_actor(pid),
        _ => true,
    };
    namespace.holders.iter().filter(is_direct).collect()
}

/// The inode number of a relation's other end.
fn ino(relation: lxkns_core::model::Relation) -> Option<u64> {
    relation.known().map(|NamespaceId { ino, .. }| ino)
}

/// The inode number of one of the test's own namespaces.
fn own_inode(name: &str) -> u64 {
    inode(format!("/proc/self/ns/{name}"))
}

fn inode(path: impl AsRef<Path>) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap())
}

/// A directory that goes with the test.
fn directory() -> TempDir {
    tempfile::Builder::new().prefix("lxkns-test-").tempdir().unwrap()
}

/// A copy of the program in `directory`, which every user can reach.
fn reachable_copy(directory: &Path) -> std::path::PathBuf {
    let copy = directory.join("lxkns");
    std::fs::copy(lxkns().get_program(), &copy).unwrap();
    for path in [directory, &copy] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    // While another test forks, the copy can still be open for writing in the child.
    let is_busy = |error: std::io::Error| error.kind() == std::io::ErrorKind::ExecutableFileBusy;
    while Command::new(&copy).arg("--help").output().is_err_and(is_busy) {
        std::thread::yield_now();
    }
    copy
}
