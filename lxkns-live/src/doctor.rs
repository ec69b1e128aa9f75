//! What `doctor` reads from the live host.

use lxkns_answers::doctor::{Asked, Helper, Living};
use lxkns_answers::event_source::{self, EventsLine};
use lxkns_answers::gaps;
use lxkns_answers::text::chain;
use lxkns_core::model::{CapabilitySet, NotKernel, Snapshot};
use lxkns_core::{Discovery, EventOptions, Events, Interface, ProcRoot};
use lxkns_mountns::{Access, HelperProgram};

use crate::{caller, other_procfs};

/// What only the living host knows of a snapshot that was just taken of it. The interfaces are asked before the scan.
pub fn living(proc: &ProcRoot, access: &Access, snapshot: &Snapshot, interfaces: Vec<Asked>) -> Living {
    let caller = snapshot.observer.as_ref().map(|observer| caller(proc, observer));
    Living { caller, interfaces, helper: helper(proc, access), events: events(proc, gaps::held(snapshot)) }
}

/// Adds why the kernel's iterators were not used, where a scan has not tried them because there were few processes.
pub fn with_reason(snapshot: &mut Snapshot, session: &Discovery<'_>) {
    if snapshot.not_kernel == Some(NotKernel::FewProcesses) {
        // Whether they could be used is not known then.
        let refusal = session.kernel_reader_refusal();
        snapshot.not_kernel = refusal.map(NotKernel::Refused).or(snapshot.not_kernel.take());
    }
}

/// Which of the newer interfaces the kernel has.
pub fn interfaces(proc: &ProcRoot) -> Vec<Asked> {
    let ask = |interface: Interface| {
        let answer = interface.ask(proc);
        Asked {
            name: interface.name(),
            since: interface.since(),
            is_privileged: matches!(interface, Interface::OpenByHandleAt | Interface::NsMntGet | Interface::Listns),
            as_new_as: (interface == Interface::OpenByHandleAt).then(|| Interface::Listns.name()),
            answers: answer == Ok(true),
            errno: answer.err(),
        }
    };
    Interface::ALL.into_iter().map(ask).collect()
}

/// Tries to follow what tasks do, as `lxkns watch --events`.
fn events(proc: &ProcRoot, held: CapabilitySet) -> Option<EventsLine> {
    let events = Events::start(proc, &EventOptions::default()).ok()?;
    Some(event_source::line(events.source(), events.refusals(), held))
}

fn helper(proc: &ProcRoot, access: &Access) -> Helper {
    let used = access.is_used();
    let why = access.try_helper().err().map(|error| chain(&error));
    // It is started by paths of the caller's own procfs.
    let why = match other_procfs(proc) {
        Some(other) => why.map(|_| other.to_owned()),
        None => why,
    };
    let path = match HelperProgram::Find.found() {
        HelperProgram::File(path) => Some(path.to_string_lossy().into_owned()),
        _ => None,
    };
    Helper { path, starts: why.is_none(), why, used }
}
