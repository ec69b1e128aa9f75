//! `lxkns caps`: the capabilities of a process in a namespace, and why.

use std::io::Write;

use lxkns_answers::caps::{self, Caps, Whose};
use lxkns_answers::gaps;
use lxkns_answers::json::Envelope;
use lxkns_core::model::{NamespaceId, Pid, Place};

use super::Findings;
use crate::args::CapsArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::resolve::{self, Outcome as _};
use crate::view;
use crate::view::screen::{self, Color};

/// Runs it.
pub(crate) fn run(args: &CapsArgs, color: Color) -> Result {
    let is_live = args.look.from.is_none();
    let options = caps::options(&args.target.target, Whose::of(&args.target.target, args.pid.map(Pid)));
    let places = options.places.with(Place::ProcessFacts);
    let mut snapshot = live::load(&args.look, &options)?;
    // A thread that is asked about by itself has credentials of its own.
    if let Whose::Named(id) = Whose::of(&args.target.target, args.pid.map(Pid)) {
        live::settle_thread(&mut snapshot, id, is_live);
    }
    let resolver = resolve::resolver(&snapshot, is_live);
    if let Err(unresolved) = resolver.verify(&args.target) {
        say(&unresolved);
        return Ok(unresolved.exit().0);
    }
    let target = match super::settle(&resolver, &args.target) {
        Ok(target) => target,
        Err((exit, gaps_matter)) => {
            if gaps_matter {
                super::tell_gaps(&snapshot, options.places);
            }
            return Ok(exit);
        }
    };
    let whose = Whose::of(&target.target, args.pid.map(Pid));
    let pid = match whose {
        Whose::Named(pid) => pid,
        Whose::Asker if is_live => live::own_pid()?,
        Whose::Asker => {
            return Err(Error::Usage("a dump does not name the caller: name a process with -p".to_owned()));
        }
    };
    let Some(process) = resolver.process(pid) else {
        let absence = resolver.absence(pid);
        say(format_args!("{pid}: {}", absence.words()));
        let (exit, gaps_matter) = absence.exit();
        if gaps_matter {
            super::tell_gaps(&snapshot, options.places);
        }
        return Ok(exit);
    };
    let asked = std::slice::from_ref(&target);
    let Findings { found, mut exit, gaps_matter, .. } = super::find(&resolver, asked);
    let namespaces: Vec<NamespaceId> = found.into_iter().flat_map(|(_, ids)| ids).collect();
    let namespaces = caps::with_host(&snapshot, &target.target, whose, namespaces);
    let all = Caps::of(&snapshot, process, &namespaces);
    let is_unknown = all.iter().any(|caps| caps.capabilities().is_none());
    if is_unknown {
        exit = exit.max(Exit::Failed);
    }
    // A known answer depends on one process and a few namespaces, so other gaps do not matter.
    let gaps_matter = gaps_matter && (is_unknown || namespaces.is_empty());
    if args.json {
        let answers: Vec<_> = all.iter().flat_map(Caps::answers).collect();
        let unseen = if gaps_matter { gaps::lines(&snapshot, places, gaps::held(&snapshot)) } else { Vec::new() };
        let answer = Envelope::new("caps", answers, unseen);
        screen::print(|out| Ok(screen::write_json(out, &answer)?))?;
    } else {
        screen::show(color, |out, screen| {
            for (index, caps) in all.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                view::caps::write(caps, out, screen)?;
            }
            Ok(())
        })?;
    }
    if gaps_matter {
        super::tell_gaps(&snapshot, places);
    }
    Ok(exit)
}
