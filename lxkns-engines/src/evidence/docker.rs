//! What Docker keeps of each container: `config.v2.json`.

use bstr::ByteSlice as _;
use lxkns_model::CompactSort as _;
use lxkns_model::{EngineKind, EvidenceKind};

use super::{Claim, Main};
use crate::collect::Collector;
use crate::files::path_in;
use crate::parse::docker;

/// Reads it of those containers that something else names, and of all where a network namespace was left behind.
pub(crate) fn collect(collector: &mut Collector<'_>) {
    const FILE: &str = "config.v2.json";
    let mut roots = std::mem::take(&mut collector.docker_roots);
    roots.compact_sort();
    roots.dedup();
    for root in roots {
        let Some(all) = root.to_str().ok().and_then(|root| collector.at(&format!("{root}/containers"))) else {
            continue;
        };
        for id in collector.names(&all) {
            let is_named =
                collector.hints.ids.wait().contains(&id) || collector.known.contains(&("moby".into(), id.clone()));
            if !is_named && !collector.hints.has_leftovers {
                continue;
            }
            let Some((text, whose)) = collector.read_in(&all, &id, FILE) else { continue };
            let config = match docker::parse(&text) {
                Ok(config) if config.id == id => config,
                _ => {
                    collector.malformed(&all, path_in(&id, FILE));
                    continue;
                }
            };
            let evidence = collector.evidence(EvidenceKind::EngineFile, all.path_of(path_in(&id, FILE)));
            let mut claim = Claim::new(EngineKind::Docker, id, evidence);
            claim.engine_namespace = "moby".into();
            if config.is_running && config.pid != 0 {
                claim.main = Main::Pid(config.pid, None);
                claim.facts.is_paused = Some(config.is_paused);
            }
            claim.facts.name = config.name;
            claim.facts.image = config.image;
            claim.facts.created = config.created;
            claim.facts.labels = config.labels;
            claim.facts.network_path = config.sandbox_key;
            collector.claim(claim, whose);
        }
    }
}
