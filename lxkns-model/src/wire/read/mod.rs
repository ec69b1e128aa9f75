//! From the form to the model. What came from this program comes back as it was; the rest is [`theirs`].

mod container;
mod mount;
mod namespace;
mod number;
mod process;
mod theirs;
mod theirs_containers;

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::form::{self, Dump, Options, OwnOptions, SnapshotInfo, SuspectKind};
use super::{Error, ErrorKind, FORMAT, text, time};
use crate::CompactSort as _;
use crate::{
    Cause, DeviceNumber, DiscoveryOptions, Errno, Gap, Host, NamespaceId, NamespaceType, NotKernel, Object, Observer,
    Operation, Place, Scope, Snapshot, Suspect, Uid,
};

/// The snapshot that this JSON holds.
pub(super) fn snapshot(json: &[u8]) -> Result<Snapshot, Error> {
    let mut dump: Dump = serde_json::from_slice(json).map_err(|error| not_a_dump(json, &error))?;
    let namespaces = dump.namespaces.take().filter(|_| is_object(json));
    let namespaces = namespaces.ok_or_else(|| Error::new(ErrorKind::NotADump, NO_NAMESPACES))?;
    let processes = dump.processes.take().unwrap_or_default();
    let mut options = dump.discovery_options.take().or(dump.options.take()).unwrap_or_default();
    let other_mounts = options.snapshot.as_mut().and_then(|info| info.mounts.take()).unwrap_or_default();
    let container_info = options.snapshot.as_mut().and_then(|info| info.containers.take());
    let info = options.snapshot.as_ref();
    if let Some(format) = info.and_then(|info| info.format).filter(|&format| format > FORMAT) {
        let message = format!("dump of format {format}: this version reads formats up to {FORMAT}");
        return Err(Error::new(ErrorKind::NewerFormat, &message));
    }

    let reader = Reader { ours: info.is_some(), dev: info.and_then(|info| info.nsfs_dev).unwrap_or(0) };
    let mut snapshot = reader.empty(&options, dump.cpus_online.as_deref().unwrap_or_default())?;
    for (ino, form) in namespaces {
        if let (Some(uid), Some(name)) = (form.user_id, form.user_name.as_ref().filter(|name| !name.is_empty())) {
            snapshot.annotations.user_names.insert(Uid(uid), name.clone());
        }
        let namespace = reader.namespace(ino, &form)?;
        if let Some(netnsid) = form.netnsid {
            snapshot.annotations.netnsids.insert(namespace.id, number::netnsid(netnsid)?);
        }
        snapshot.references.extend(namespace::references(&form).map(|references| (namespace.id, references)));
        snapshot.namespaces.insert(namespace.id, namespace);
        if !reader.ours {
            theirs::note_reference(&reader, &mut snapshot, ino, &form);
        }
    }
    for (pid, form) in processes {
        let process = reader.process(pid, form)?;
        snapshot.processes.insert(process.pid, process);
    }
    snapshot.mounts = reader.mounts(dump.mounts.take().unwrap_or_default(), other_mounts)?;
    if !reader.ours {
        theirs::complete(&reader, &mut snapshot);
    }
    let forms = container::Forms {
        containers: dump.containers.take().unwrap_or_default(),
        engines: dump.container_engines.take().unwrap_or_default(),
        groups: dump.container_groups.take().unwrap_or_default(),
        info: container_info,
    };
    snapshot.annotations.containers = reader.containers(forms, &snapshot)?;
    if let Some(containers) = &mut snapshot.annotations.containers {
        containers.find_twins();
    }
    Ok(snapshot)
}

const NO_NAMESPACES: &str = "not a dump: it has no namespaces";

/// Tells what is not JSON from JSON that has nothing to do with dumps, and both from a dump with something wrong in it.
fn not_a_dump(json: &[u8], error: &serde_json::Error) -> Error {
    #[derive(Deserialize)]
    struct AnyDump {
        #[serde(rename = "namespaces")]
        _namespaces: serde::de::IgnoredAny,
    }
    // A mistake of meaning can hide one of form that comes after it.
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(json) {
        return Error::new(ErrorKind::NotJson, &format!("not a dump: not JSON: {error}"));
    }
    if !is_object(json) || serde_json::from_slice::<AnyDump>(json).is_err() {
        return Error::new(ErrorKind::NotADump, NO_NAMESPACES);
    }
    invalid(&error.to_string())
}

/// Whether this is an object, if it is JSON at all. Serde takes arrays for structs too.
pub(super) fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, &format!("invalid dump: {message}"))
}

fn ns_type(name: &str) -> Result<NamespaceType, Error> {
    name.parse().map_err(|error| invalid(&format!("{name:?}: {error}")))
}

/// What all parts of a dump have in common.
struct Reader {
    /// Whether this program wrote it.
    ours: bool,
    /// The device number of nsfs; 0 where the dump does not say.
    dev: u64,
}

impl Reader {
    fn id(&self, ino: u64) -> NamespaceId {
        NamespaceId { ino, dev: self.dev }
    }

    fn empty(&self, options: &Options, cpus_online: &[(u32, u32)]) -> Result<Snapshot, Error> {
        let unknown = SnapshotInfo::default();
        let info = options.snapshot.as_ref().unwrap_or(&unknown);
        let host = Host {
            kernel_release: info.kernel.clone().unwrap_or_default(),
            boot_id: info.boot_id.clone(),
            hostname: info.hostname.clone().unwrap_or_default(),
            cpus_online: (!cpus_online.is_empty()).then(|| number::cpus(cpus_online)).transpose()?,
        };
        let taken_at = match &info.taken_at {
            Some(text) => time::parse(text).ok_or_else(|| invalid(&format!("taken-at: not a time: {text:?}")))?,
            None => SystemTime::UNIX_EPOCH,
        };
        let asked = match options.snapshot {
            Some(_) => own_options(info)?,
            None => theirs::options(options),
        };
        let mut snapshot = Snapshot::empty(asked, host, taken_at);
        snapshot.took = Duration::from_nanos(info.took_nsec.unwrap_or(0));
        snapshot.observer_mount_ns = info.mntns.map(|ino| self.checked_id("mntns", ino)).transpose()?;
        snapshot.observer = info.observer.as_ref().map(|observer| self.observer(observer)).transpose()?;
        snapshot.reader = info.reader.as_deref().and_then(crate::Reader::from_name);
        let not_kernel = info.not_kernel.as_ref();
        snapshot.not_kernel = match not_kernel.map(|form| (form.why.as_str(), form.gap.as_ref())) {
            Some(("not-asked", _)) => Some(NotKernel::NotAsked),
            Some(("few-processes", _)) => Some(NotKernel::FewProcesses),
            Some(("refused", Some(form))) => self.gap(form)?.map(NotKernel::Refused),
            // Why a newer version did not use it, or none.
            _ => None,
        };
        let names = info.user_names.iter().flatten();
        snapshot.annotations.user_names = names.map(|(&uid, name)| (Uid(uid), name.clone())).collect();
        for form in info.gaps.iter().flatten() {
            snapshot.gaps.extend(self.gap(form)?);
        }
        snapshot.gaps.compact_sort();
        for form in info.suspects.iter().flatten() {
            snapshot.suspects.extend(self.suspect(form)?);
        }
        snapshot.suspects.compact_sort();
        Ok(snapshot)
    }

    fn observer(&self, form: &form::Observer) -> Result<Observer, Error> {
        let mut observer = Observer::new(Uid(form.uid), process::capability_set(&form.capabilities)?);
        observer.user_ns = form.userns.map(|ino| self.checked_id("userns", ino)).transpose()?;
        observer.pid_ns = form.pidns.map(|ino| self.checked_id("pidns", ino)).transpose()?;
        observer.procfs_pid_ns = form.procfs_pidns.map(|ino| self.checked_id("procfs-pidns", ino)).transpose()?;
        Ok(observer)
    }

    /// The namespace with this inode number, which no namespace has as 0.
    fn checked_id(&self, key: &str, ino: u64) -> Result<NamespaceId, Error> {
        number::ino(key, ino).map(|ino| self.id(ino))
    }

    /// `None` for a place that a newer version knows, and for what has vanished.
    fn gap(&self, form: &form::Gap) -> Result<Option<Gap>, Error> {
        let Some(place) = Place::from_name(&form.place) else { return Ok(None) };
        let (pid, tid) = (form.pid.map(number::pid).transpose()?, form.tid.map(number::tid).transpose()?);
        let object = match (pid, tid, form.fd.map(number::fd).transpose()?) {
            (Some(pid), Some(tid), Some(fd)) => Object::Fd(pid, tid, fd),
            (Some(pid), Some(tid), None) => Object::Task(pid, tid),
            (Some(pid), None, _) => Object::Process(pid),
            (None, ..) => match (form.nsid, form.mntns, form.mountid, &form.path) {
                (Some(nsid), ..) => Object::Namespace(self.checked_id("nsid", nsid)?),
                (None, Some(mount_ns), Some(mount_id), _) => {
                    Object::Mount(self.checked_id("mntns", mount_ns)?, mount_id)
                }
                (None, _, _, Some(path)) => Object::Path(text::unescape(path)),
                _ => Object::Host,
            },
        };
        let errno = form.errno.map(number::errno).transpose()?;
        let operation = Operation::from_name(&form.operation, form.operand.as_deref());
        let cause = match (&form.cause, errno) {
            // A cause that a newer version knows.
            (Some(name), _) => Some(Cause::from_name(name).unwrap_or(Cause::Other)),
            (None, Some(errno)) => cause_of_older(errno),
            (None, None) => return Err(invalid("gap without cause and errno")),
        };
        Ok(cause.map(|cause| Gap { place, object, operation, cause, errno }))
    }

    /// `None` for a kind that a newer version knows.
    fn suspect(&self, form: &form::Suspect) -> Result<Option<Suspect>, Error> {
        let missing = |key: &str| invalid(&format!("suspect of kind {:?} without {key}", form.kind));
        let pid = || form.pid.ok_or_else(|| missing("pid")).and_then(number::pid);
        let tid = || form.tid.map_or_else(|| pid().map(Into::into), number::tid);
        let fd = || form.fd.ok_or_else(|| missing("fd")).and_then(number::fd);
        let count = || form.count.ok_or_else(|| missing("count"));
        let path = || form.path.as_deref().map(text::unescape);
        Ok(Some(match form.kind {
            SuspectKind::ProcFile => Suspect::ProcFile {
                pid: pid()?,
                tid: tid()?,
                fd: fd()?,
                ns_type: ns_type(form.r#type.as_deref().ok_or_else(|| missing("type"))?)?,
                path: path().ok_or_else(|| missing("path"))?,
            },
            SuspectKind::InFlight => Suspect::InFlight { pid: pid()?, tid: tid()?, fd: fd()?, count: count()? },
            SuspectKind::IoUring => Suspect::IoUring { pid: pid()?, tid: tid()?, fd: fd()?, count: count()? },
            SuspectKind::Mount => Suspect::Mount {
                mount_ns: self.checked_id("mntns", form.mntns.ok_or_else(|| missing("mntns"))?)?,
                mount_id: form.mountid.ok_or_else(|| missing("mountid"))?,
                fs_type: form.fstype.as_deref().map(text::unescape).ok_or_else(|| missing("fstype"))?,
                file_system: DeviceNumber {
                    major: form.major.ok_or_else(|| missing("major"))?,
                    minor: form.minor.ok_or_else(|| missing("minor"))?,
                },
                path: path(),
            },
            SuspectKind::SharedMemory => Suspect::SharedMemory {
                pid: pid()?,
                id: form.shmid.ok_or_else(|| missing("shmid"))?,
                key: form.key.ok_or_else(|| missing("key"))?,
            },
            SuspectKind::Unknown => return Ok(None),
        }))
    }
}

/// The cause in a dump that has error numbers alone, some of which stood for what is no error of the kernel's.
fn cause_of_older(errno: Errno) -> Option<Cause> {
    match errno.name() {
        Some("ENXIO") => Some(Cause::NoPath),
        Some("E2BIG") => Some(Cause::Cut),
        Some("ENOEXEC") => Some(Cause::NoHelper),
        Some("ENODATA") => Some(Cause::Partial),
        Some("EREMOTE") => Some(Cause::OtherPidNamespace),
        Some("EBADMSG") => Some(Cause::Malformed),
        _ => Cause::of(errno),
    }
}

fn own_options(info: &SnapshotInfo) -> Result<DiscoveryOptions, Error> {
    let unknown = OwnOptions::default();
    let options = info.options.as_ref().unwrap_or(&unknown);
    Ok(DiscoveryOptions {
        places: info.places.iter().flatten().filter_map(|name| Place::from_name(name)).collect(),
        status: scope(&options.status)?,
        security_labels: options.security_labels,
        cgroups: options.cgroups,
        freezer: options.freezer,
        scheduling: options.scheduling,
        task_details: options.task_details,
        command_lines: scope(&options.command_lines)?,
        namespace_details: options.namespace_details,
        mounts: options.mounts,
        suspects: options.suspects,
        references: options.references,
        without_self: options.without_self,
        reader: options.reader.as_deref().and_then(crate::Reader::from_name),
    })
}

fn scope(name: &str) -> Result<Scope, Error> {
    match name {
        "" | "none" => Ok(Scope::None),
        "named" => Ok(Scope::Named),
        "all" => Ok(Scope::All),
        _ => Err(invalid(&format!("{name:?}: expected one of none, named, all"))),
    }
}
