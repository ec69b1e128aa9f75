//! `lxkns busy`: where a file system is still mounted, who uses it, and what would release it.

use std::io::Write as _;

use bstr::ByteSlice as _;
use lxkns_core::model::{DiscoveryOptions, FileSystemUse, FileSystemUser, Place, Scope, Snapshot};
use serde::Serialize;

use crate::args::BusyArgs;
use crate::exit::{Exit, Result, say};
use crate::file_system::{self, Asked};
use crate::live;
use crate::view::busy::Busy;
use crate::view::escape::printable;
use crate::view::names;
use crate::view::screen::{self, Color};
use crate::view::why::SOME;

/// Runs it.
pub(crate) fn run(args: &BusyArgs, color: Color) -> Result {
    let is_live = args.look.from.is_none();
    let access = live::access(&args.look.patience);
    let mut snapshot = live::load_with(&args.look, &access, &options())?;
    if !is_live && !snapshot.options.mounts {
        say("the dump has no mounts");
        return Ok(Exit::Failed);
    }
    let home = super::home(&snapshot, is_live);
    let Some(meant) = file_system::resolve(&snapshot, home, &args.file_system, is_live) else {
        say(format_args!("{}: no mount is known that this is in", name(&args.file_system)));
        super::tell_gaps(&snapshot, places());
        return Ok(Exit::Missing);
    };
    if let (Asked::Path(path), Some(mount), true) = (&args.file_system, meant.mount, is_live) {
        let is_mount_point = || {
            let base = std::env::current_dir().ok();
            let path = file_system::normal(base.as_deref(), path);
            path.is_some_and(|path| mount.path().is_some_and(|point| **point == *path.as_os_str().as_encoded_bytes()))
        };
        let why = match live::is_there(path) {
            _ if live::has_symbolic_link(path) => Some("has a symbolic link in it, which is not followed"),
            Some(true) => None,
            _ if is_mount_point() => None,
            Some(false) => Some("there is no such path"),
            None => Some("whether there is such a path is not asked of the file system"),
        };
        if let Some(why) = why {
            let point = mount.path().map(printable).unwrap_or_default();
            say(format_args!("{}: {why}: taken for {point}", name(&args.file_system)));
        }
    }
    let file_system = meant.file_system;
    let users = if is_live { Some(live::users_of(&access, &snapshot, file_system)?) } else { None };
    snapshot.gaps.retain(|gap| matches!(gap.place, Place::BindMounts | Place::ProcesslessMounts));
    let users = users.map(|(users, gaps)| {
        snapshot.gaps.extend(gaps);
        users
    });
    let busy = Busy::new(&snapshot, file_system, users.as_deref(), home);
    let exit = if busy.is_there() {
        let limit = if args.all { usize::MAX } else { SOME };
        if args.json {
            screen::print(|out| {
                serde_json::to_writer_pretty(&mut *out, &answer(&busy))?;
                Ok(out.write_all(b"\n")?)
            })?;
        } else {
            screen::show(color, |out, screen| Ok(busy.write(out, screen, limit)?))?;
        }
        Exit::Done
    } else {
        say(format_args!("{}: no such file system is mounted or in use", name(&args.file_system)));
        Exit::Missing
    };
    if !is_live {
        say("who uses it is not in a dump, and is told on the living host only");
    }
    super::tell_gaps(&snapshot, places());
    Ok(exit)
}

/// Mount namespaces in all places that can hold one, with their mounts, and the command lines of those in them.
fn options() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    for place in [Place::Sockets, Place::Tun, Place::ForChildren] {
        options.places = options.places.without(place);
    }
    options.mounts = true;
    options.command_lines = Scope::Named;
    options.without_self = true;
    options
}

fn places() -> lxkns_core::model::Places {
    let places = [Place::Processes, Place::Fds, Place::TaskFds, Place::BindMounts, Place::ProcesslessMounts];
    places.into_iter().collect()
}

fn name(asked: &Asked) -> String {
    match asked {
        Asked::Number(number) => number.to_string(),
        Asked::Path(path) => printable(path.as_os_str().as_encoded_bytes()),
    }
}

/// The JSON form.
#[derive(Serialize)]
struct Answer {
    #[serde(rename = "maj:min")]
    number: String,
    mounts: Vec<MountAnswer>,
    /// `None`: not known, since a dump does not say.
    users: Option<Vec<UserAnswer>>,
    /// What would release it: all of it must happen.
    release: Vec<String>,
}

#[derive(Serialize)]
struct MountAnswer {
    ns: u64,
    /// How many processes are in that mount namespace, and which the topmost are.
    nprocs: u64,
    leaders: Vec<u32>,
    id: u64,
    target: Option<String>,
    hidden: bool,
    fstype: String,
    source: Option<String>,
    root: String,
}

#[derive(Serialize)]
struct UserAnswer {
    pid: u32,
    command: String,
    ns: Option<u64>,
    uses: Vec<UseAnswer>,
}

#[derive(Default, Serialize)]
struct UseAnswer {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fd: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

fn answer(busy: &Busy<'_>) -> Answer {
    let text = |bytes: &[u8]| bytes.to_str_lossy().into_owned();
    let mounts = busy.mounts().iter().flat_map(|(&id, mounts)| mounts.iter().map(move |mount| (id, mount)));
    let mounts = mounts.map(|(id, mount)| {
        let namespace = busy.snapshot.namespaces.get(&id);
        MountAnswer {
            ns: id.ino,
            nprocs: busy.processes(id),
            leaders: namespace.iter().flat_map(|namespace| &namespace.leaders).map(|pid| pid.0).collect(),
            id: mount.id,
            target: mount.path().map(|path| text(path)),
            hidden: mount.hidden,
            fstype: text(&mount.fs_type),
            source: mount.source.as_ref().map(|source| text(source)),
            root: text(&mount.root),
        }
    });
    Answer {
        number: busy.file_system.to_string(),
        mounts: mounts.collect(),
        users: busy.users.map(|users| users.iter().map(|user| user_answer(busy.snapshot, user)).collect()),
        release: busy.release(),
    }
}

fn user_answer(snapshot: &Snapshot, user: &FileSystemUser) -> UserAnswer {
    let known = snapshot.processes.get(&user.pid).filter(|process| *process.comm() == user.comm);
    let command = known.map_or_else(|| user.comm.clone(), names::command);
    UserAnswer {
        pid: user.pid.0,
        command: command.to_str_lossy().into_owned(),
        ns: user.mount_ns.map(|id| id.ino),
        uses: user.uses.iter().map(use_answer).collect(),
    }
}

fn use_answer(one: &FileSystemUse) -> UseAnswer {
    let kind = |kind| UseAnswer { kind, ..UseAnswer::default() };
    match one {
        FileSystemUse::Root { tid } => UseAnswer { tid: Some(tid.0), ..kind("root") },
        FileSystemUse::WorkingDirectory { tid } => UseAnswer { tid: Some(tid.0), ..kind("cwd") },
        FileSystemUse::Executable => kind("exe"),
        FileSystemUse::Fd { tid, fd } => UseAnswer { tid: Some(tid.0), fd: Some(*fd), ..kind("fd") },
        FileSystemUse::Mapped { path } => UseAnswer { path: Some(path.to_str_lossy().into_owned()), ..kind("mapped") },
        _ => kind("other"),
    }
}
