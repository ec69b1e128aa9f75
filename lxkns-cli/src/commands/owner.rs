//! `lxkns owner`: whose a file is, on the host, through its mount, and in each user namespace that sees it.

use std::io;

use lxkns_answers::json::{self, Envelope};
use lxkns_answers::owner::{self, Owner, Reading, Sights};
use lxkns_answers::target::Target;
use lxkns_answers::text::errors;
use lxkns_core::ProcRoot;
use lxkns_core::model::NamespaceType;
use lxkns_live::FilesOfHost;

use crate::args::OwnerArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::resolve::{self, Outcome as _};
use crate::view::escape::printable;
use crate::view::screen::{self, Color};
use crate::view::sheet;

/// Runs it.
pub(crate) fn run(args: &OwnerArgs, color: Color) -> Result {
    if args.look.from.is_some() {
        return Err(Error::Usage("a dump has no files; leave out --from to read this host".to_owned()));
    }
    let snapshot = live::load(&args.look, &owner::options())?;
    let asked = &args.file;
    let name = asked.text();
    let process = match &asked.of {
        None => None,
        Some(of) => {
            let resolver = resolve::resolver(&snapshot, true);
            let settled = match resolver.verify(of) {
                Ok(()) => super::settle(&resolver, of),
                Err(unresolved) => {
                    say(&unresolved);
                    Err(unresolved.exit())
                }
            };
            let settled = match settled {
                Ok(settled) => settled,
                Err((exit, gaps_matter)) => {
                    if gaps_matter {
                        super::tell_gaps(&snapshot, owner::places());
                    }
                    return Ok(exit);
                }
            };
            let Target::Process(pid) = settled.target else {
                say(format_args!("{}: no process of it was found, so its files cannot be read", printable(&name)));
                super::tell_gaps(&snapshot, owner::places());
                return Ok(Exit::Failed);
            };
            let Some(process) = resolver.process(pid) else {
                let absence = resolver.absence(pid);
                say(format_args!("{pid}: {}", absence.words()));
                return Ok(absence.exit().0);
            };
            Some(process)
        }
    };
    let proc = ProcRoot::host()?;
    let mut files = FilesOfHost::new(&proc, args.look.patience.timeout);
    let mount_ns = match process {
        None => snapshot.observer_mount_ns,
        Some(process) => process.living_task().namespaces.get(NamespaceType::Mnt),
    };
    let home = super::home(&snapshot, true);
    let (file, maps, unread) = match files.find(&snapshot, process, mount_ns, &asked.path, args.dereference) {
        Ok(found) => found,
        Err(error) => {
            say(format_args!("{}: {}", printable(&name), errors::named(&error)));
            let is_missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
            return Ok(if is_missing { Exit::Missing } else { Exit::Failed });
        }
    };
    let sights = Sights::of(&snapshot, mount_ns, &file);
    let mut reading = Reading::of(&snapshot, &sights, home, &mut files);
    reading.maps = maps;
    if let Some(error) = unread {
        reading.gaps.push(format!("its capabilities are not readable: {}", errors::named(&error)));
    }
    let owner = Owner::new(&snapshot, &file, &sights, &reading);
    let mut gaps = owner.gaps();
    gaps.extend(super::gap_lines(&snapshot, owner::places()));
    if args.json {
        let envelope = Envelope::new("owner", vec![owner.answer(&name)], gaps.clone());
        screen::print(|out| Ok(json::write(&envelope, out)?))?;
    } else {
        let sheet = owner.sheet(&name.to_string());
        screen::show(color, |out, screen| Ok(sheet::write(&sheet, out, screen)?))?;
    }
    gaps.iter().for_each(say);
    Ok(Exit::Done)
}
