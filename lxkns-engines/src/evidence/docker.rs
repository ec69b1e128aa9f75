//! What Docker keeps of each container: `config.v2.json`.

use bstr::ByteSlice as _;
use lxkns_model::{EngineKind, EvidenceKind};

use super::{Claim, Main};
use crate::collect::Collector;
use crate::parse::docker;

/// Reads it of those containers that something else names, and of all where a network namespace was left behind.
pub(crate) fn collect(collector: &mut Collector<'_>) {
    const FILE: &str = "config.v2.json";
    let mut roots = std::mem::take(&mut collector.docker_roots);
    roots.sort();
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
            let Some(dir) = collector.dir(&all, &id) else { continue };
            let Some((text, whose)) = collector.read(&dir, FILE) else { continue };
            let config = match docker::parse(&text) {
                Ok(config) if config.id == id => config,
                _ => {
                    collector.malformed(&dir, FILE);
                    continue;
                }
            };
            let evidence = collector.evidence(EvidenceKind::EngineFile, dir.path_of(FILE));
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
