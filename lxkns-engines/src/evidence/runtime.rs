//! The state that runtimes keep: `state.json` of runc, `status` of crun. Both name a process with its start time.

use bstr::{BString, ByteSlice as _};
use lxkns_model::{Confidence, EngineKind, EvidenceKind};

use super::{Claim, Main, annotations};
use crate::collect::Collector;
use crate::files::Dir;
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

fn of_runc(collector: &mut Collector<'_>, all: &Dir, namespace: &[u8]) {
    const FILE: &str = "state.json";
    for id in collector.names(all) {
        let Some(dir) = collector.dir(all, &id) else { continue };
        let Some((text, whose)) = collector.read(&dir, FILE) else {
            // Some give crun the directory that they have for runc.
            if let Some((text, whose)) = collector.read(&dir, "status") {
                crun_status(collector, &dir, &id, namespace, &text, whose);
            }
            continue;
        };
        // What says it is another has been put there.
        let state = match runc::parse(&text) {
            Ok(state) if state.id == id => state,
            _ => {
                collector.malformed(&dir, FILE);
                continue;
            }
        };
        let kind = if namespace.is_empty() { EngineKind::Runc } else { kind_of_namespace(namespace) };
        let mut claim = Claim::new(kind, id.clone(), collector.evidence(EvidenceKind::RuntimeState, dir.path_of(FILE)));
        claim.evidence.confidence = Confidence::Sure;
        claim.engine_namespace = namespace.into();
        if state.pid != 0 {
            claim.main = Main::Pid(state.pid, Some(state.start_time_ticks));
        }
        claim.cgroups = state.cgroup_paths;
        claim.facts.runtime = Some("runc".into());
        claim.facts.created = state.created;
        claim.facts.annotations = state.annotations;
        claim.facts.network_path = state.network_path;
        claim.facts.hostname = state.hostname;
        collector.known.insert((namespace.into(), id));
        if kind == EngineKind::Docker {
            let root = state.rootfs.as_deref().and_then(|rootfs| data_root(rootfs));
            collector.docker_roots.extend(root);
        }
        finish(collector, claim, state.bundle, whose);
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
    whose: Option<lxkns_model::Uid>,
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
    finish(collector, claim, status.bundle, whose);
}

fn finish(collector: &mut Collector<'_>, mut claim: Claim, bundle: Option<BString>, whose: Option<lxkns_model::Uid>) {
    annotations::apply(&mut claim);
    collector.storages.extend(bundle.as_deref().and_then(|bundle| super::podman::storage_of(bundle)));
    if claim.kind == EngineKind::Podman {
        let sandbox = claim.facts.pod.as_ref().and_then(|pod| unless_empty(pod.uid.clone()));
        collector.pods.insert(sandbox.unwrap_or_else(|| claim.id.clone()));
    }
    collector.claim(claim, whose);
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
