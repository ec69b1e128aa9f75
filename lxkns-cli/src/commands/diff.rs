//! `lxkns diff`: the differences between two dumps, or between a dump and this host.

use std::path::Path;

use lxkns_answers::changes::{Between, caveats, invisible};
use lxkns_core::model::Place;
use lxkns_live::questions::diff as ask;

use crate::args::DiffArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::view::changes::write;
use crate::view::screen::{self, Color};
use crate::view::why::SOME;

/// Runs it.
pub(crate) fn run(args: &DiffArgs, color: Color) -> Result {
    let is_stdin = |path: &Path| path == Path::new("-");
    if is_stdin(&args.old) && args.new.as_deref().is_some_and(is_stdin) {
        return Err(Error::Usage("OLD and NEW cannot both be standard input".to_owned()));
    }
    let old = live::read(&args.old, &args.patience)?;
    let options = ask::options();
    let new = match &args.new {
        Some(path) => live::read(path, &args.patience)?,
        None => live::discover(&live::session(&live::access(&args.patience))?, &options, &args.patience)?,
    };
    let is_live = args.new.is_none();
    let found = ask::changes(&old, &new, &args.types, is_live);
    let found = found.map_err(|error| Error::Usage(format!("OLD and NEW are {error}")))?;
    let between = Between { old: &old, new: super::context(&new, is_live) };
    let differs = !found.namespaces.is_empty();
    if args.json {
        screen::print(|out| Ok(ask::write(&between, &found.namespaces, out)?))?;
    } else {
        let limit = if args.all { usize::MAX } else { SOME };
        screen::show(color, |out, screen| {
            screen.folded(out, "", || between.title(differs))?;
            Ok(write(out, &between, &found.namespaces, screen, limit)?)
        })?;
    }
    caveats(&found).into_iter().chain(invisible(&found.namespaces, &new)).for_each(say);
    if is_live {
        super::tell_gaps(&new, options.places.with(Place::CommandLines));
    }
    Ok(if args.exit_code && differs { Exit::Found } else { Exit::Done })
}
