//! What systemd-machined keeps of the machines that are registered with it.

use bstr::ByteSlice as _;
use lxkns_model::{EngineKind, EvidenceKind};

use super::{Claim, Main};
use crate::collect::Collector;
use crate::parse::machine;

pub(crate) fn collect(collector: &mut Collector<'_>) {
    let Some(dir) = collector.at("/run/systemd/machines") else { return };
    for name in collector.names(&dir) {
        // Links by unit have a colon in their names, which no machine has.
        let Some(name) = name.to_str().ok().filter(|name| !name.contains(':')) else { continue };
        let Some((text, whose)) = collector.read(&dir, name) else { continue };
        let Some(machine) = machine::parse(&text).filter(|machine| machine.name == name) else {
            collector.malformed(&dir, name);
            continue;
        };
        // The processes of a virtual machine are the emulator's.
        if machine.class.is_some_and(|class| class != "container") {
            continue;
        }
        // Podman and LXC register theirs in some versions: those keep their own names.
        let evidence = collector.evidence(EvidenceKind::EngineFile, dir.path_of(name));
        let mut claim = Claim::new(EngineKind::Machined, machine.name, evidence);
        if machine.leader != 0 {
            claim.main = Main::Pid(machine.leader, None);
        }
        claim.cgroups.extend(machine.unit);
        claim.facts.created = machine.created;
        claim.facts.name = Some(name.into());
        collector.claim(claim, whose);
    }
}
