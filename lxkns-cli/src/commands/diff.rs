//! `lxkns diff`: the differences between two dumps, or between a dump and this host.

use std::path::Path;

use lxkns_answers::changes::{Between, caveats, invisible, only};
use lxkns_answers::json;
use lxkns_core::model::{DiscoveryOptions, Place, Scope};
use lxkns_core::relations::changes;
use lxkns_inside::Lives;

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
    let options = options();
    let new = match &args.new {
        Some(path) => live::read(path, &args.patience)?,
        None => live::discover(&live::session(&live::access(&args.patience))?, &options, &args.patience)?,
    };
    let is_live = args.new.is_none();
    let mut found = changes(&old, &new).map_err(|error| Error::Usage(format!("OLD and NEW are {error}")))?;
    only(&mut found.namespaces, &args.types);
    if is_live && found.same_boot_known {
        let mut lives = Lives::default();
        found.settle(|namespace| lives.of(namespace));
    }
    let between = Between { old: &old, new: super::context(&new, is_live) };
    let differs = !found.namespaces.is_empty();
    if args.json {
        screen::print(|out| {
            let mut events = between.events(&found.namespaces, None);
            Ok(events.try_for_each(|event| json::write_line(&event, &mut *out))?)
        })?;
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

/// The options of the scan of this host.
pub(super) fn options() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    options.command_lines = Scope::Named;
    options.without_self = true;
    options
}
