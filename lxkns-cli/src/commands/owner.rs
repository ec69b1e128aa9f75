//! `lxkns owner`: whose a file is, on the host, through its mount, and in each user namespace that sees it.

use lxkns_answers::json;
use lxkns_core::ProcRoot;
use lxkns_live::FilesOfHost;
use lxkns_live::questions::owner::{self as ask, Facts};

use super::Outcome;
use crate::args::OwnerArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::resolve::{self, Ends as _};
use crate::view::screen::{self, Color};
use crate::view::sheet;

/// Runs it.
pub(crate) fn run(args: &OwnerArgs, color: Color) -> Result {
    if args.answer.look.from.is_some() {
        return Err(Error::Usage("a dump has no files; leave out --from to read this host".to_owned()));
    }
    let snapshot = live::load(&args.answer.look, &ask::options())?;
    let asked = &args.file;
    let name = asked.text();
    let resolver = resolve::resolver(&snapshot, true);
    let process = asked.of.as_ref().map(|of| ask::process(&resolver, of, &name)).transpose();
    let process = match process {
        Ok(process) => process,
        Err(unresolved) => return Ok(Outcome::end(unresolved, &snapshot, ask::places())),
    };
    let proc = ProcRoot::host()?;
    let (files, home) = (FilesOfHost::new(&proc, args.answer.look.patience.timeout), super::home(&snapshot, true));
    let facts = match Facts::read(&snapshot, files, process, home, &asked.path, &name, args.dereference) {
        Ok(facts) => facts,
        Err(unresolved) => {
            say(&unresolved);
            return Ok(unresolved.exit().0);
        }
    };
    let owner = facts.owner();
    let gaps = ask::gaps(&snapshot, &owner);
    if args.answer.json {
        screen::print(|out| Ok(json::write(&ask::answer(&owner, &name, gaps.clone()), out)?))?;
    } else {
        let sheet = owner.sheet(&name.to_string());
        screen::show(color, |out, screen| Ok(sheet::write(&sheet, out, screen)?))?;
    }
    gaps.iter().for_each(say);
    Ok(Exit::Done)
}
