//! The bundles that containerd makes for its shims. What runc has kept of the same container says more, so that a bundle is
//! read only where that is missing: with other runtimes.

use bstr::ByteSlice as _;
use lxkns_model::EvidenceKind;

use super::{Claim, Main, annotations};
use crate::collect::Collector;
use crate::parse::bundle;
use crate::parse::monitor::kind_of_namespace;

/// Where containerd keeps what is lost at a reboot: its own default, that of Docker's, of K3s and of MicroK8s.
const BASES: [&str; 5] = [
    "/run/containerd",
    "/run/docker/containerd/daemon",
    "/var/run/docker/containerd/daemon",
    "/run/k3s/containerd",
    "/var/snap/microk8s/common/run/containerd",
];

pub(crate) fn collect(collector: &mut Collector<'_>) {
    const FILE: &str = "config.json";
    for base in BASES {
        let Some(tasks) = collector.at(&format!("{base}/io.containerd.runtime.v2.task")) else { continue };
        for namespace in collector.names(&tasks) {
            let Some(all) = collector.dir(&tasks, &namespace) else { continue };
            for id in collector.names(&all) {
                if collector.known.contains(&(namespace.clone(), id.clone())) {
                    continue;
                }
                let Some(dir) = collector.dir(&all, &id) else { continue };
                let Some((text, whose)) = collector.read(&dir, FILE) else { continue };
                let Ok(config) = bundle::parse(&text) else {
                    collector.malformed(&dir, FILE);
                    continue;
                };
                let evidence = collector.evidence(EvidenceKind::Bundle, dir.path_of(FILE));
                let mut claim = Claim::new(kind_of_namespace(&namespace), id, evidence);
                claim.engine_namespace = namespace.clone();
                if let Some((text, _)) = collector.read(&dir, "init.pid") {
                    let pid = text.trim_ascii().to_str().ok().and_then(|pid| pid.parse().ok()).filter(|&pid| pid != 0);
                    claim.main = pid.map_or(Main::Unknown, |pid| Main::Pid(pid, None));
                }
                claim.cgroups.extend(config.cgroups_path.filter(|path| path.starts_with(b"/")));
                claim.facts.annotations = config.annotations;
                claim.facts.network_path = config.network_path;
                claim.facts.hostname = config.hostname;
                annotations::apply(&mut claim);
                collector.claim(claim, whose);
            }
        }
    }
}
