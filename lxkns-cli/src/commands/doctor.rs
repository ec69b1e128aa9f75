//! `lxkns doctor`: what can be seen here, what cannot and why, and what would help.

use lxkns_answers::doctor::{Asked, Helper, Living, report};
use lxkns_answers::event_source::{self, EventsLine};
use lxkns_answers::gaps;
use lxkns_answers::json::Envelope;
use lxkns_answers::text::chain;
use lxkns_core::model::{CapabilitySet, DiscoveryOptions, NotKernel, Place};
use lxkns_core::{EventOptions, Events, Interface, ProcRoot};
use lxkns_mountns::{Access, HelperProgram};

use crate::args::DoctorArgs;
use crate::exit::{Exit, Result};
use crate::view::screen::{self, Color, Screen};
use crate::{caller, live, view};

/// Runs it.
pub(crate) fn run(args: &DoctorArgs, color: Color) -> Result {
    let mut options = DiscoveryOptions::everything();
    options.without_self = true;
    // The reader is chosen as for most commands.
    options.references = false;
    let access = live::access(&args.look.patience);
    let is_live = args.look.from.is_none();
    let interfaces = if is_live { Some(ask_all(&ProcRoot::host()?)) } else { None };
    let mut snapshot = live::load_with(&args.look, &access, &options)?;
    if is_live && snapshot.not_kernel == Some(NotKernel::FewProcesses) {
        // Whether it could be used is not known then.
        let refusal = live::session(&access)?.kernel_reader_refusal();
        snapshot.not_kernel = refusal.map(NotKernel::Refused).or(snapshot.not_kernel);
    }
    let living = match interfaces {
        Some(interfaces) => {
            let proc = ProcRoot::host()?;
            let caller = snapshot.observer.as_ref().map(|observer| caller::read(&proc, observer));
            Some(Living { caller, interfaces, helper: helper(&access), events: events(&proc, gaps::held(&snapshot)) })
        }
        None => None,
    };
    let report = report(&snapshot, living);
    if args.json {
        let unseen = gaps::lines(&snapshot, Place::ALL.into_iter().collect(), gaps::held(&snapshot));
        let answer = Envelope::new("doctor", vec![report], unseen);
        screen::print(|out| Ok(screen::write_json(out, &answer)?))?;
    } else {
        let (screen, mut text) = (Screen::detect(color), Vec::new());
        view::doctor::write(&report, &mut text, screen)?;
        screen::print(|out| Ok(screen.write_filled(out, &text)?))?;
    }
    Ok(Exit::Done)
}

fn ask_all(proc: &ProcRoot) -> Vec<Asked> {
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

fn helper(access: &Access) -> Helper {
    let used = access.is_used();
    let why = access.try_helper().err().map(|error| chain(&error));
    // It is started by paths of the caller's own procfs.
    let why = match ProcRoot::host().ok().and_then(|proc| live::other_procfs(&proc)) {
        Some(other) => why.map(|_| other.to_owned()),
        None => why,
    };
    let path = match HelperProgram::Find.found() {
        HelperProgram::File(path) => Some(path.to_string_lossy().into_owned()),
        _ => None,
    };
    Helper { path, starts: why.is_none(), why, used }
}
