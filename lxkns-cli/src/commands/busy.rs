//! `lxkns busy`: the mounts and users of a file system, and what would release it.

use lxkns_answers::busy::Busy;
use lxkns_answers::file_system::{self, Asked, Unknown};
use lxkns_answers::json;
use lxkns_live::questions::busy as ask;

use crate::args::BusyArgs;
use crate::exit::{Exit, Result, say};
use crate::live::{self, HostPaths, Living};
use crate::progress::Progress;
use crate::view::busy as view;
use crate::view::escape::printable;
use crate::view::screen::{self, Color};
use crate::view::why::SOME;

/// Runs it.
pub(crate) fn run(args: &BusyArgs, color: Color) -> Result {
    let is_live = args.answer.look.from.is_none();
    let access = live::access(&args.answer.look.patience);
    let mut snapshot = live::load_with(&args.answer.look, &access, &ask::options())?;
    if !is_live && !snapshot.options.mounts {
        say("the dump has no mounts");
        return Ok(Exit::Failed);
    }
    let context = super::context(&snapshot, is_live);
    let host = HostPaths(&snapshot);
    let paths: Option<&dyn file_system::Paths> = if is_live { Some(&host) } else { None };
    let meant = match file_system::resolve(context, paths, &args.file_system) {
        Ok(meant) => meant,
        Err(unknown) => {
            say(format_args!("{}: {unknown}", name(&args.file_system)));
            super::tell_gaps(&snapshot, ask::places());
            // A list of mounts without this mount point is complete all the same.
            return Ok(if matches!(unknown, Unknown::NoMounts | Unknown::NoDirectory) {
                Exit::Failed
            } else {
                Exit::Missing
            });
        }
    };
    let (query, mount, is_device) = (meant.query, meant.mount.map(|mount| mount.id), meant.is_device);
    let mut users = None;
    if is_live {
        let _progress = Progress::of("searching for users of the file system");
        let living = Living::new(&access, args.answer.look.patience.timeout)?;
        let (found, more) = ask::read(&living.host(), &snapshot, query);
        more.add_to(&mut snapshot);
        users = Some(found);
    }
    let context = super::context(&snapshot, is_live);
    let home = context.mount_ns.or(snapshot.observer_mount_ns);
    let here = home.and_then(|home| snapshot.mounts.get(&home)).map(Vec::as_slice).unwrap_or_default();
    let mount = mount.and_then(|id| here.iter().find(|mount| mount.id == id));
    let busy = Busy::new(context, query, mount, users.as_ref());
    let is_there = busy.is_there();
    if args.answer.json {
        let envelope = ask::answer(&busy, super::gap_lines(&snapshot, ask::places()));
        screen::print(|out| Ok(json::write(&envelope, out)?))?;
    } else if is_there {
        let limit = if args.all { usize::MAX } else { SOME };
        screen::show(color, |out, screen| Ok(view::write(&busy, out, screen, limit)?))?;
    }
    if !is_there {
        let what = if is_device { "no mount or user of this device" } else { "no mount or user of this file system" };
        let suspects = if is_live { "; --json lists suspects" } else { "" };
        say(format_args!("{}: {what} was found, but there may be one{suspects}", name(&args.file_system)));
    }
    if !is_live {
        say("a dump does not have the users of a file system; leave out --from to read this host");
    }
    super::tell_other_root(&snapshot, is_live);
    super::tell_gaps(&snapshot, ask::places());
    // Nothing proves that there is none.
    Ok(if is_there { Exit::Done } else { Exit::Failed })
}

fn name(asked: &Asked) -> String {
    match asked {
        Asked::Number(number) => number.to_string(),
        Asked::Path(path) => printable(path.as_os_str().as_encoded_bytes()),
    }
}
