//! `lxkns caps`: the capabilities of a process in a namespace, and why.

use std::io::Write;

use lxkns_answers::caps::{Caps, Whose};
use lxkns_core::model::Pid;
use lxkns_live::questions::caps as ask;

use super::Outcome;
use crate::args::CapsArgs;
use crate::exit::{Exit, Result, say};
use crate::live;
use crate::resolve::{self, Unresolved};
use crate::view;
use crate::view::screen::{self, Color};

/// Runs it.
pub(crate) fn run(args: &CapsArgs, color: Color) -> Result {
    let is_live = args.answer.look.from.is_none();
    let named = args.pid.map(Pid);
    let whose = Whose::of(&args.target.target, named);
    let options = ask::options(&args.target.target, whose);
    let mut snapshot = live::load(&args.answer.look, &options)?;
    // A thread that is asked about by itself has credentials of its own.
    if let Whose::Named(id) = whose {
        live::settle_thread(&mut snapshot, id, is_live);
    }
    let resolver = resolve::resolver(&snapshot, is_live);
    let asker = || match is_live {
        true => live::own_pid().map_err(|error| Unresolved::Unseen(error.to_string())),
        false => Err(Unresolved::Usage("a dump does not name the caller: name a process with -p".to_owned())),
    };
    let (process, namespaces) = match ask::find(&snapshot, &resolver, &args.target, named, &asker) {
        Ok(found) => found,
        Err(unresolved) => return Ok(Outcome::end(unresolved, &snapshot, options.places)),
    };
    let all = Caps::of(&snapshot, process, &namespaces);
    let unseen = ask::gaps(&snapshot, &args.target.target, &all);
    let is_unknown = all.iter().any(|caps| caps.capabilities().is_none());
    if args.answer.json {
        let answer = ask::answer(&all, unseen.clone());
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
    unseen.iter().for_each(say);
    Ok(if is_unknown { Exit::Failed } else { Exit::Done })
}
