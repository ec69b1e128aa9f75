//! The state that runtimes keep: `state.json` of runc, `status` of crun. Both name a process with its start time.

use std::sync::mpsc::{TrySendError, sync_channel};
use std::thread::JoinHandle;

use bstr::{BString, ByteSlice as _};
use lxkns_model::{Confidence, EngineKind, EvidenceKind, Uid};

use super::{Claim, Main, annotations};
use crate::collect::{Collector, Sink};
use crate::files::{Dir, path_in};
use crate::parse::monitor::kind_of_namespace;
use crate::parse::{bundle, crun, runc, unless_empty};

/// Reads what is kept below `/run`, and below `/run/user/UID` of those who run containers without root.
pub(crate) fn collect(collector: &mut Collector<'_>) {
    below(collector, "/run");
    // Docker's own default: usually a link to the same, which is then passed over; not in images that lack it.
    of_docker(collector, "/var/run");
    if let Some(users) = collector.at("/run/user") {
        for name in collector.names(&users) {
            let Ok(name) = name.to_str() else { continue };
            if name.bytes().all(|byte| byte.is_ascii_digit()) {
                below(collector, &format!("/run/user/{name}"));
            }
        }
    }
}

fn below(collector: &mut Collector<'_>, run: &str) {
    if let Some(dir) = collector.at(&format!("{run}/runc")) {
        of_runc(collector, &dir, b"");
    }
    if let Some(dir) = collector.at(&format!("{run}/crun")) {
        of_crun(collector, &dir);
    }
    of_docker(collector, run);
    if let Some(runtime) = collector.at(&format!("{run}/containerd/runc")) {
        by_namespace(collector, &runtime);
    }
}

/// Docker gives each of its runtimes a directory, and each namespace of containerd's one in that.
fn of_docker(collector: &mut Collector<'_>, run: &str) {
    let Some(docker) = collector.at(&format!("{run}/docker")) else { return };
    for name in collector.names(&docker) {
        if name.starts_with(b"runtime-")
            && let Ok(name) = name.to_str()
            && let Some(runtime) = collector.at(&format!("{run}/docker/{name}"))
        {
            by_namespace(collector, &runtime);
        }
    }
}

fn by_namespace(collector: &mut Collector<'_>, runtime: &Dir) {
    for namespace in collector.names(runtime) {
        let Some(dir) = collector.dir(runtime, &namespace) else { continue };
        of_runc(collector, &dir, &namespace);
    }
}

/// The state that runc keeps.
const RUNC_FILE: &str = "state.json";

/// From how many files on another thread parses as well: it costs as much as parsing a few.
const MANY: usize = 48;

/// How many files are given to the other thread at a time.
const BATCH: usize = 8;

/// A file as it was read: the container's ID, the text, and who can write it.
type Read = (BString, Vec<u8>, Option<Uid>);

fn of_runc(collector: &mut Collector<'_>, all: &Dir, namespace: &[u8]) {
    let names = collector.names(all);
    let parser = Parser { sink: collector.sink(), directory: all.path.clone(), namespace: namespace.into() };
    // Parsing takes as long as reading does. What the other thread has no time for is parsed here. It ends when this one does,
    // also where this one is left behind.
    let (send, receive) = sync_channel::<Vec<Read>>(1);
    let helper = (names.len() >= MANY).then(|| {
        let parser = parser.clone();
        let run = move || receive.into_iter().flatten().filter_map(|read| parser.parse(read)).collect::<Vec<_>>();
        std::thread::Builder::new().name("lxkns-parse".into()).spawn(run)
    });
    let helper = helper.and_then(Result::ok);
    let most = if helper.is_some() { BATCH } else { 1 };
    let mut noted = Vec::new();
    let mut batch = Vec::with_capacity(most);
    for id in names {
        let Some((text, whose)) = collector.read_in(all, &id, RUNC_FILE) else {
            // Some give crun the directory that they have for runc.
            if let Some(dir) = collector.dir(all, &id)
                && let Some((text, whose)) = collector.read(&dir, "status")
            {
                crun_status(collector, &dir, &id, namespace, &text, whose);
            }
            continue;
        };
        batch.push((id, text, whose));
        if batch.len() < most {
            continue;
        }
        // Without a helper nobody receives.
        if let Err(TrySendError::Full(left) | TrySendError::Disconnected(left)) =
            send.try_send(std::mem::take(&mut batch))
        {
            noted.extend(left.into_iter().filter_map(|read| parser.parse(read)));
        }
    }
    drop(send);
    noted.extend(batch.into_iter().filter_map(|read| parser.parse(read)));
    match helper.map(JoinHandle::join) {
        Some(Ok(others)) => noted.extend(others),
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        None => {}
    }
    for Noted { id, docker_root, storage, pod } in noted {
        collector.known.insert((namespace.into(), id));
        collector.docker_roots.extend(docker_root);
        collector.storages.extend(storage);
        collector.pods.extend(pod);
    }
}

/// What else is to be read because of a container: directories with the ordinary user who says so.
#[derive(Default)]
struct Noted {
    id: BString,
    docker_root: Option<(Option<Uid>, BString)>,
    storage: Option<(Option<Uid>, BString)>,
    pod: Option<BString>,
}

/// Makes claims of what runc keeps in one directory.
#[derive(Clone)]
struct Parser {
    sink: Sink,
    directory: BString,
    namespace: BString,
}

impl Parser {
    fn parse(&self, (id, text, whose): Read) -> Option<Noted> {
        let mut path = self.directory.clone();
        path.push(b'/');
        path.extend_from_slice(&path_in(&id, RUNC_FILE));
        // What says it is another has been put there.
        let state = match runc::parse(&text) {
            Ok(state) if state.id == id => state,
            _ => {
                self.sink.malformed(&path);
                return None;
            }
        };
        let kind = if self.namespace.is_empty() { EngineKind::Runc } else { kind_of_namespace(&self.namespace) };
        let mut claim = Claim::new(kind, id, self.sink.evidence(EvidenceKind::RuntimeState, path));
        claim.evidence.confidence = Confidence::Sure;
        claim.engine_namespace = self.namespace.clone();
        if state.pid != 0 {
            claim.main = Main::Pid(state.pid, Some(state.start_time_ticks));
        }
        claim.cgroups = state.cgroup_paths;
        claim.facts.runtime = Some("runc".into());
        claim.facts.created = state.created;
        claim.facts.annotations = state.annotations;
        claim.facts.network_path = state.network_path;
        claim.facts.hostname = state.hostname;
        let mut noted = note(&mut claim, state.bundle, whose);
        if kind == EngineKind::Docker {
            noted.docker_root = state.rootfs.as_deref().and_then(|rootfs| data_root(rootfs)).map(|root| (whose, root));
        }
        self.sink.claim(claim, whose);
        Some(noted)
    }
}

fn of_crun(collector: &mut Collector<'_>, all: &Dir) {
    for id in collector.names(all) {
        let Some(dir) = collector.dir(all, &id) else { continue };
        if let Some((text, whose)) = collector.read(&dir, "status") {
            crun_status(collector, &dir, &id, b"", &text, whose);
        }
    }
}

fn crun_status(
    collector: &mut Collector<'_>,
    dir: &Dir,
    id: &BString,
    namespace: &[u8],
    text: &[u8],
    whose: Option<Uid>,
) {
    const FILE: &str = "status";
    let Ok(status) = crun::parse(text) else { return collector.malformed(dir, FILE) };
    let kind = if namespace.is_empty() { EngineKind::Crun } else { kind_of_namespace(namespace) };
    let mut claim = Claim::new(kind, id.clone(), collector.evidence(EvidenceKind::RuntimeState, dir.path_of(FILE)));
    claim.engine_namespace = namespace.into();
    let start_time = (status.start_time_ticks != 0).then_some(status.start_time_ticks);
    if status.pid != 0 {
        claim.main = Main::Pid(status.pid, start_time);
    }
    // Older versions keep no start time: another process can have the PID by now.
    claim.evidence.confidence = if start_time.is_some() { Confidence::Sure } else { Confidence::Likely };
    claim.cgroups.extend(status.cgroup_path);
    claim.facts.runtime = Some("crun".into());
    claim.facts.created = status.created;
    // It keeps a copy of the bundle's beside it.
    if let Some((text, _)) = collector.read(dir, "config.json") {
        match bundle::parse(&text) {
            Ok(config) => {
                claim.facts.annotations = config.annotations;
                claim.facts.network_path = config.network_path;
                claim.facts.hostname = config.hostname;
            }
            Err(_) => collector.malformed(dir, "config.json"),
        }
    }
    collector.known.insert((namespace.into(), id.clone()));
    let noted = note(&mut claim, status.bundle, whose);
    collector.storages.extend(noted.storage);
    collector.pods.extend(noted.pod);
    collector.claim(claim, whose);
}

/// Takes what the annotations say into a claim, and returns what is to be read because of it.
fn note(claim: &mut Claim, bundle: Option<BString>, whose: Option<Uid>) -> Noted {
    annotations::apply(claim);
    let storage = bundle.as_deref().and_then(|bundle| super::podman::storage_of(bundle)).map(|it| (whose, it));
    let pod = (claim.kind == EngineKind::Podman).then(|| {
        let sandbox = claim.facts.pod.as_ref().and_then(|pod| unless_empty(pod.uid.clone()));
        sandbox.unwrap_or_else(|| claim.id.clone())
    });
    Noted { id: claim.id.clone(), docker_root: None, storage, pod }
}

/// Where Docker keeps its files, by the root directory that it gave to a container.
fn data_root(rootfs: &[u8]) -> Option<BString> {
    const DRIVERS: [&str; 6] =
        ["/overlay2/", "/vfs/dir/", "/fuse-overlayfs/", "/btrfs/subvolumes/", "/zfs/graph/", "/rootfs/overlayfs/"];
    let at = DRIVERS.iter().find_map(|driver| rootfs.rfind(driver))?;
    unless_empty(&rootfs[..at])
}

#[cfg(test)]
mod tests {
    use super::data_root;

    #[test]
    fn docker_is_where_the_root_directories_are() {
        let root = |rootfs: &[u8]| data_root(rootfs).map(|root| root.to_string());
        assert_eq!(root(b"/var/lib/docker/overlay2/b1dd/merged").as_deref(), Some("/var/lib/docker"));
        assert_eq!(root(b"/home/a/.local/share/docker/vfs/dir/1").as_deref(), Some("/home/a/.local/share/docker"));
        assert_eq!((root(b"/overlay2/x"), root(b"/x"), root(b"")), (None, None, None));
    }
}
