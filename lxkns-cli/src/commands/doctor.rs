//! `lxkns doctor`: what can be seen here, what cannot and why, and what would help.

use lxkns_core::ProcRoot;
use lxkns_live::questions::doctor as ask;

use crate::args::DoctorArgs;
use crate::exit::{Exit, Result};
use crate::view::screen::{self, Color, Screen};
use crate::{live, view};

/// Runs it.
pub(crate) fn run(args: &DoctorArgs, color: Color) -> Result {
    let access = live::access(&args.answer.look.patience);
    let is_live = args.answer.look.from.is_none();
    let interfaces = if is_live { Some(lxkns_live::interfaces(&ProcRoot::host()?)) } else { None };
    let mut snapshot = live::load_with(&args.answer.look, &access, &ask::options())?;
    let session = live::session(&access)?;
    let report = ask::found(&mut snapshot, interfaces.map(|interfaces| (&session, &access, interfaces)));
    if args.answer.json {
        let answer = ask::answer(&snapshot, report);
        screen::print(|out| Ok(screen::write_json(out, &answer)?))?;
    } else {
        let (screen, mut text) = (Screen::detect(color), Vec::new());
        view::doctor::write(&report, &mut text, screen)?;
        screen::print(|out| Ok(screen.write_filled(out, &text)?))?;
    }
    Ok(Exit::Done)
}
