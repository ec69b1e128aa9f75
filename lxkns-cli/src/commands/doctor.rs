//! `lxkns doctor`: what can be seen here, what cannot and why, and what would help.

use lxkns_answers::doctor::report;
use lxkns_answers::gaps;
use lxkns_answers::json::Envelope;
use lxkns_core::ProcRoot;
use lxkns_core::model::{DiscoveryOptions, Place};

use crate::args::DoctorArgs;
use crate::exit::{Exit, Result};
use crate::view::screen::{self, Color, Screen};
use crate::{live, view};

/// Runs it.
pub(crate) fn run(args: &DoctorArgs, color: Color) -> Result {
    let mut options = DiscoveryOptions::everything();
    options.without_self = true;
    // The reader is chosen as for most commands.
    options.references = false;
    let access = live::access(&args.look.patience);
    let is_live = args.look.from.is_none();
    let interfaces = if is_live { Some(lxkns_live::interfaces(&ProcRoot::host()?)) } else { None };
    let mut snapshot = live::load_with(&args.look, &access, &options)?;
    let living = match interfaces {
        Some(interfaces) => {
            let session = live::session(&access)?;
            lxkns_live::with_reason(&mut snapshot, &session);
            Some(lxkns_live::living(session.proc(), &access, &snapshot, interfaces))
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
