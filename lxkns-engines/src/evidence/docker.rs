//! What Docker keeps of each container: `config.v2.json`.

use lxkns_model::{EngineKind, EvidenceKind};

use super::{Claim, Main};
use crate::collect::{Collector, counts};
use crate::files::path_in;
use crate::parse::docker;

/// Reads it of those containers that something else names, and of all where a network namespace was left behind.
pub(crate) fn collect(collector: &mut Collector<'_>) {
    const FILE: &str = "config.v2.json";
    let roots = std::mem::take(&mut collector.docker_roots);
    for (said_by, root) in collector.places(roots) {
        let Some(all) = collector.at_by(&format!("{root}/containers"), said_by) else { continue };
        for id in collector.names(&all) {
            let is_named =
                collector.hints.ids.wait().contains(&id) || collector.known.contains(&("moby".into(), id.clone()));
            if !is_named && !collector.hints.has_leftovers {
                continue;
            }
            let Some((text, whose)) = collector.read_in(&all, &id, FILE) else { continue };
            if !counts(said_by, whose) {
                continue;
            }
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
