//! From the model to the form.

mod container;
mod in_order;
mod mount;
mod namespace;
mod process;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use bstr::ByteSlice;
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use super::form::{self, Gap, NamespacedPid, Observer, Options, OwnOptions, SnapshotInfo, Suspect, SuspectKind};
use super::json::{write_json, write_members};
use super::{FORMAT, WriteOptions, text, time};
use crate::relations::pid_map;
use crate::{self as model, CpuRange, DiscoveryOptions, Errno, NamespaceType, Object, Place, Scope, Snapshot};

/// Writes a dump. Of the form there are only ever the parts that are being written: on one line processes, most of a dump,
/// by several threads.
pub(super) fn write(snapshot: &Snapshot, options: &WriteOptions, mut writer: impl Write) -> io::Result<()> {
    /// How many processes a thread writes at a time, some 100 KiB.
    const STEP: usize = 32;
    let dump = |part| Dump { snapshot, options, part };
    if options.pretty || snapshot.processes.len() <= STEP {
        return write_json(&dump(Part::Whole), options.pretty, writer);
    }
    writer.write_all(b"{")?;
    write_members(&dump(Part::BeforeProcesses), &mut writer)?;
    writer.write_all(b",\"processes\":{")?;
    let all: Vec<_> = snapshot.processes.values().collect();
    let steps: Vec<_> = all.chunks(STEP).collect();
    let mut is_first = true;
    in_order::in_order(
        &steps,
        |step, text| write_members(&processes(snapshot, step.iter().copied(), options), text),
        |text| {
            if !std::mem::take(&mut is_first) {
                writer.write_all(b",")?;
            }
            writer.write_all(text)
        },
    )?;
    writer.write_all(b"},")?;
    write_members(&dump(Part::AfterProcesses), &mut writer)?;
    writer.write_all(b"}")
}

/// Writes the processes alone, by PID.
pub(super) fn write_processes(snapshot: &Snapshot, options: &WriteOptions, writer: &mut dyn Write) -> io::Result<()> {
    write_json(&processes(snapshot, snapshot.processes.values(), options), options.pretty, writer)
}

/// Writes the PIDs of processes alone.
pub(super) fn write_pid_map(snapshot: &Snapshot, writer: &mut dyn Write) -> io::Result<()> {
    write_json(&pid_map_form(snapshot), false, writer)
}

fn pid_map_form(snapshot: &Snapshot) -> Vec<Vec<NamespacedPid>> {
    pid_map(snapshot).iter().map(|pids| pids.iter().map(namespaced_pid).collect()).collect()
}

/// A dump, or a part of one, made while it is written.
struct Dump<'a> {
    snapshot: &'a Snapshot,
    options: &'a WriteOptions,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    BeforeProcesses,
    AfterProcesses,
}

impl Serialize for Dump<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { snapshot, options, part } = *self;
        let containers = container::Places::of(snapshot, options);
        // The keys of `form::Dump`, in its order.
        let mut dump = serializer.serialize_struct("Dump", 8)?;
        if part != Part::AfterProcesses {
            dump.serialize_field("discovery-options", &discovery_options(snapshot, options, &containers))?;
            dump.serialize_field("namespaces", &namespaces(snapshot))?;
        }
        if part == Part::Whole {
            dump.serialize_field("processes", &processes(snapshot, snapshot.processes.values(), options))?;
        }
        if part != Part::BeforeProcesses {
            dump.serialize_field("mounts", &mount::by_path(snapshot))?;
            dump.serialize_field("containers", &containers.by_pid())?;
            dump.serialize_field("container-engines", &containers.engines())?;
            dump.serialize_field("container-groups", &containers.groups())?;
            dump.serialize_field("cpus-online", &cpus(snapshot.host.cpus_online.as_deref().unwrap_or_default()))?;
        }
        dump.end()
    }
}

/// Entries of an object, each made when it is written.
struct Entries<I>(I);

impl<K: Serialize, V: Serialize, I: Iterator<Item = (K, V)> + Clone> Serialize for Entries<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.clone())
    }
}

fn namespaces(snapshot: &Snapshot) -> impl Serialize {
    let references = Rc::new(reference::references(snapshot));
    let tids = Rc::new(known_tids(snapshot));
    Entries(
        snapshot
            .namespaces
            .values()
            .map(move |namespace| (namespace.id.ino, namespace::namespace(snapshot, namespace, &references, &tids))),
    )
}

fn processes<'a>(
    snapshot: &'a Snapshot,
    processes: impl Iterator<Item = &'a model::Process> + Clone,
    options: &'a WriteOptions,
) -> impl Serialize {
    Entries(processes.map(move |process| (process.pid.0, process::process(snapshot, process, options))))
}

/// The TIDs of all tasks, if a namespace has `loose-threads`: its readers expect each of these TIDs among the tasks.
fn known_tids(snapshot: &Snapshot) -> BTreeSet<model::Tid> {
    if snapshot.namespaces.values().all(|namespace| namespace.loose_threads.is_empty()) {
        return BTreeSet::new();
    }
    snapshot.processes.values().flat_map(|process| &process.tasks).map(|task| task.tid).collect()
}

fn cpus(ranges: &[CpuRange]) -> Vec<(u32, u32)> {
    ranges.iter().map(|range| (range.first, range.last)).collect()
}

fn discovery_options(snapshot: &Snapshot, options: &WriteOptions, containers: &container::Places) -> Options {
    let asked = &snapshot.options;
    let asked_at = |place| Some(asked.places.contains(place));
    Options {
        from_procs: asked_at(Place::Processes),
        from_tasks: asked_at(Place::Tasks),
        from_fds: asked_at(Place::Fds),
        from_bindmounts: asked_at(Place::BindMounts),
        with_hierarchy: asked_at(Place::Parents),
        with_ownership: asked_at(Place::Owners),
        with_freezer: Some(asked.freezer),
        with_mounts: Some(asked.mounts),
        with_socket_processes: asked_at(Place::Sockets),
        with_affinity_scheduling: Some(asked.scheduling),
        with_task_affinity_scheduling: Some(asked.scheduling && asked.task_details),
        scanned_namespace_types: Some(NamespaceType::ALL.iter().map(|ns_type| ns_type.name().to_owned()).collect()),
        snapshot: Some(snapshot_info(snapshot, options, containers)),
        ..Options::default()
    }
}

fn snapshot_info(snapshot: &Snapshot, options: &WriteOptions, containers: &container::Places) -> SnapshotInfo {
    let unstable = !options.stable;
    let nanoseconds = |took: Duration| u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    SnapshotInfo {
        format: Some(FORMAT),
        kernel: Some(snapshot.host.kernel_release.clone()),
        boot_id: snapshot.host.boot_id.clone(),
        hostname: Some(snapshot.host.hostname.clone()),
        // What a stable dump left out must not come back as a number that means nothing.
        taken_at: Some(snapshot.taken_at).filter(|&at| unstable && at != SystemTime::UNIX_EPOCH).and_then(time::format),
        took_nsec: Some(snapshot.took).filter(|took| unstable && !took.is_zero()).map(nanoseconds),
        nsfs_dev: snapshot.namespaces.keys().next().map(|id| id.dev).filter(|&dev| dev != 0),
        mntns: snapshot.observer_mount_ns.map(|id| id.ino),
        observer: snapshot.observer.map(observer),
        reader: snapshot.reader.map(|reader| reader.name().to_owned()),
        // It is about the scan that was made, of which there may be another one later.
        not_kernel: snapshot.not_kernel.as_ref().filter(|_| unstable).map(|why| form::NotKernel {
            why: why.name().to_owned(),
            gap: if let model::NotKernel::Refused(refused) = why { Some(gap(refused)) } else { None },
        }),
        user_names: user_names(snapshot),
        places: Some(snapshot.options.places.iter().map(|place| place.name().to_owned()).collect()),
        options: Some(own_options(&snapshot.options, options)),
        gaps: gaps(snapshot, options.stable),
        suspects: Some(snapshot.suspects.iter().map(suspect).collect()),
        mounts: mount::others(snapshot),
        containers: containers.info(),
        pidmap: Some(pid_map_form(snapshot)),
    }
}

fn observer(observer: model::Observer) -> Observer {
    let model::Observer { uid, capabilities, user_ns, pid_ns, procfs_pid_ns, .. } = observer;
    let [userns, pidns, procfs_pidns] = [user_ns, pid_ns, procfs_pid_ns].map(|id| id.map(|id| id.ino));
    Observer { uid: uid.0, capabilities: format!("{capabilities:016x}"), userns, pidns, procfs_pidns }
}

/// The names that do not stand beside the user namespaces that their users have created.
fn user_names(snapshot: &Snapshot) -> Option<BTreeMap<u32, String>> {
    let creators = snapshot.namespaces.values().filter(|namespace| namespace.ns_type == NamespaceType::User);
    let creators: BTreeSet<_> = creators.filter_map(|namespace| namespace.owner_uid).collect();
    let others = snapshot.annotations.user_names.iter().filter(|(uid, _)| !creators.contains(uid));
    let names: BTreeMap<_, _> = others.map(|(uid, name)| (uid.0, name.clone())).collect();
    (!names.is_empty()).then_some(names)
}

/// What could not be read; of a stable dump, only what is not readable each time: without that, what was not seen would
/// look like what is not there.
fn gaps(snapshot: &Snapshot, stable: bool) -> Option<Vec<Gap>> {
    let is_lasting = |gap: &&model::Gap| !stable || gap.cause.is_lasting();
    let gaps: Vec<_> = snapshot.gaps.iter().filter(is_lasting).map(gap).collect();
    (!gaps.is_empty()).then_some(gaps)
}

fn own_options(asked: &DiscoveryOptions, options: &WriteOptions) -> OwnOptions {
    OwnOptions {
        status: scope(asked.status),
        security_labels: asked.security_labels,
        cgroups: asked.cgroups,
        freezer: asked.freezer,
        scheduling: asked.scheduling,
        task_details: asked.task_details,
        // A command line that is left out here is not one that could not be read.
        command_lines: scope(if options.command_lines { asked.command_lines } else { Scope::None }),
        namespace_details: asked.namespace_details,
        mounts: asked.mounts,
        suspects: asked.suspects,
        references: asked.references,
        without_self: asked.without_self,
        reader: asked.reader.map(|reader| reader.name().to_owned()),
    }
}

fn scope(scope: Scope) -> String {
    match scope {
        Scope::None => "none",
        Scope::Named => "named",
        Scope::All => "all",
    }
    .to_owned()
}

fn namespaced_pid(pid: &crate::relations::NamespacedPid) -> NamespacedPid {
    NamespacedPid { pid: pid.pid.0, nsid: pid.namespace.ino }
}

fn gap(gap: &model::Gap) -> Gap {
    let form = Gap {
        place: gap.place.name().to_owned(),
        operation: gap.operation.name().to_owned(),
        operand: gap.operation.operand().map(str::to_owned),
        cause: Some(gap.cause.name().to_owned()),
        errno: gap.errno.map(Errno::number),
        ..Gap::default()
    };
    match &gap.object {
        Object::Host => form,
        Object::Process(pid) => Gap { pid: Some(pid.0), ..form },
        Object::Task(pid, tid) => Gap { pid: Some(pid.0), tid: Some(tid.0), ..form },
        Object::Fd(pid, tid, fd) => Gap { pid: Some(pid.0), tid: Some(tid.0), fd: Some(*fd), ..form },
        Object::Namespace(id) => Gap { nsid: Some(id.ino), ..form },
        Object::Mount(mount_ns, id) => Gap { mntns: Some(mount_ns.ino), mountid: Some(*id), ..form },
        Object::Path(path) => Gap { path: Some(text::escape(path.as_bstr())), ..form },
    }
}

fn suspect(suspect: &model::Suspect) -> Suspect {
    use model::Suspect as S;
    let open = |kind, pid: model::Pid, tid: model::Tid, fd| Suspect {
        kind,
        pid: Some(pid.0),
        tid: Some(tid.0),
        fd: Some(fd),
        ..Suspect::default()
    };
    match suspect {
        S::ProcFile { pid, tid, fd, ns_type, path } => Suspect {
            r#type: Some(ns_type.name().to_owned()),
            path: Some(text::escape(path.as_bstr())),
            ..open(SuspectKind::ProcFile, *pid, *tid, *fd)
        },
        S::InFlight { pid, tid, fd, count } => {
            Suspect { count: Some(*count), ..open(SuspectKind::InFlight, *pid, *tid, *fd) }
        }
        S::IoUring { pid, tid, fd, count } => {
            Suspect { count: Some(*count), ..open(SuspectKind::IoUring, *pid, *tid, *fd) }
        }
        S::Mount { mount_ns, mount_id, fs_type, file_system, path } => Suspect {
            kind: SuspectKind::Mount,
            mntns: Some(mount_ns.ino),
            mountid: Some(*mount_id),
            fstype: Some(text::escape(fs_type.as_bstr())),
            major: Some(file_system.major),
            minor: Some(file_system.minor),
            path: path.as_ref().map(|path| text::escape(path.as_bstr())),
            ..Suspect::default()
        },
        S::SharedMemory { pid, id, key } => Suspect {
            kind: SuspectKind::SharedMemory,
            pid: Some(pid.0),
            shmid: Some(*id),
            key: Some(*key),
            ..Suspect::default()
        },
    }
}
