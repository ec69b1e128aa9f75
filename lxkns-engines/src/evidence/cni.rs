//! The results of CNI plugins: which container, and which pod, a network namespace was set up for.

use bstr::ByteSlice as _;
use lxkns_model::{EngineKind, EvidenceKind, Pod};

use super::Claim;
use crate::collect::Collector;
use crate::parse::cni;

/// Where libcni keeps them, and where K3s has it.
const BASES: [&str; 2] = ["/var/lib/cni/results", "/var/lib/rancher/k3s/agent/cni/results"];

pub(crate) fn collect(collector: &mut Collector<'_>) {
    for base in BASES {
        let Some(dir) = collector.at(base) else { continue };
        for name in collector.names(&dir) {
            let Ok(name) = name.to_str() else { continue };
            let Some((text, whose)) = collector.read(&dir, name) else { continue };
            let Ok(kept) = cni::parse(&text) else {
                collector.malformed(&dir, name);
                continue;
            };
            let is_of_kubernetes = kept.is_of_kubernetes();
            let pod = kept.pod_name.map(|name| Pod {
                namespace: kept.pod_namespace.unwrap_or_default(),
                name,
                uid: kept.pod_uid.unwrap_or_default(),
            });
            let kind = if is_of_kubernetes { EngineKind::Cri } else { EngineKind::Unknown };
            for sandbox in kept.sandboxes {
                let evidence = collector.evidence(EvidenceKind::CniResult, dir.path_of(name));
                let mut claim = Claim::new(kind, kept.container_id.clone(), evidence);
                claim.facts.network_path = Some(sandbox);
                claim.facts.pod = pod.clone().filter(|_| kind == EngineKind::Cri);
                claim.facts.role = (kind == EngineKind::Cri).then_some(lxkns_model::ContainerRole::Sandbox);
                collector.claim(claim, whose);
            }
        }
    }
}
