//! `lxkns busy`: where a file system is still mounted, who uses it, and what would release it.

use bstr::ByteSlice as _;
use lxkns_core::model::{
    DiscoveryOptions, FileSystemHolder, FileSystemHolderKind as HolderKind, FileSystemUse,
    FileSystemUseKind as UseKind, FileSystemUser, HiddenFiles, KernelFacility, Place, Places, Scope, Snapshot,
};
use lxkns_core::relations;
use serde::Serialize;

use crate::args::BusyArgs;
use crate::exit::{Exit, Result, say};
use crate::file_system::{self, Asked, Unknown};
use crate::live;
use crate::view::busy::{Busy, Keeper};
use crate::view::busy_words as words;
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
    let paths = super::home(&snapshot, is_live);
    let home = paths.or(snapshot.observer_mount_ns);
    let view = if is_live && paths.is_none() { live::own_mount_points() } else { None };
    let meant = match file_system::resolve(&snapshot, home, view.as_deref(), &args.file_system, is_live) {
        Ok(meant) => meant,
        Err(unknown) => {
            say(format_args!("{}: {unknown}", name(&args.file_system)));
            super::tell_gaps(&snapshot, places());
            // The list of mounts in which there is no such mount point has all of them.
            return Ok(if matches!(unknown, Unknown::NoMounts | Unknown::NoDirectory) {
                Exit::Failed
            } else {
                Exit::Missing
            });
        }
    };
    let (query, mount, is_device) = (meant.query, meant.mount.map(|mount| mount.id), meant.is_device);
    let users = if is_live { Some(live::users_of(&access, &snapshot, query)?) } else { None };
    snapshot.gaps.extend(users.iter().flat_map(|users| users.gaps.iter().cloned()));
    // They are looked through in their order.
    snapshot.gaps.sort();
    snapshot.gaps.dedup();
    let here = home.and_then(|home| snapshot.mounts.get(&home)).map(Vec::as_slice).unwrap_or_default();
    let mount = mount.and_then(|id| here.iter().find(|mount| mount.id == id));
    let mut busy = Busy::new(&snapshot, query, mount, users.as_ref(), home);
    busy.paths = paths;
    let is_there = busy.is_there();
    if args.json {
        screen::print(|out| Ok(screen::write_json(out, &answer(&busy))?))?;
    } else if is_there {
        let limit = if args.all { usize::MAX } else { SOME };
        screen::show(color, |out, screen| Ok(busy.write(out, screen, limit)?))?;
    }
    if !is_there {
        let what = if is_device { "no mount or user of this device" } else { "no mount or user of this file system" };
        let suspects = if is_live { "; --json lists suspects" } else { "" };
        say(format_args!(
            "{}: {what} was found, which does not prove that there is none{suspects}",
            name(&args.file_system)
        ));
    }
    if !is_live {
        say("a dump does not say who uses a file system; only the live host does");
    }
    super::tell_other_root(&snapshot, is_live);
    super::tell_gaps(&snapshot, places());
    // Nothing proves that there is none.
    Ok(if is_there { Exit::Done } else { Exit::Failed })
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

fn places() -> Places {
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
    /// The mount that was asked for, and what makes `umount` of it fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    mount: Option<AskedMount>,
    mounts: Vec<MountAnswer>,
    /// Whether it can be mounted nowhere else: the mounts of all mount namespaces were seen.
    mounts_seen: bool,
    /// `None`: not known, since a dump does not say.
    users: Option<Vec<UserAnswer>>,
    /// How many processes could not be looked into.
    unread: Option<usize>,
    /// Whether procfs lists all processes of the host.
    processes_listed: bool,
    /// What keeps it busy without a process that has it open.
    holders: Option<Vec<HolderAnswer>>,
    /// What may keep it busy: the kernel does not say what these hold.
    suspects: Option<Vec<HolderAnswer>>,
    /// Where more of these may be that could not be looked at: what is not mounted here, or not told of this type.
    unread_holders: Option<Vec<String>>,
    /// What would release it: all of it must happen.
    release: Vec<String>,
    /// Whether the kernel may refuse an `umount` in it, as mounts that a mount namespace was made with can be locked.
    may_be_locked: bool,
}

#[derive(Serialize)]
struct AskedMount {
    id: u64,
    target: Option<String>,
    /// What makes `umount` fail, and what would end each; `None` where that is not known.
    because: Option<Vec<Because>>,
    /// What may make it fail: the kernel does not say which mount it keeps.
    perhaps: Option<Vec<Because>>,
}

#[derive(Serialize)]
struct Because {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount: Option<u64>,
    what: String,
    until: String,
}

#[derive(Serialize)]
struct HolderAnswer {
    kind: &'static str,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount: Option<u64>,
    until: String,
}

#[derive(Serialize)]
struct MountAnswer {
    ns: u64,
    /// How many processes were seen in that mount namespace; `None` where none was and there may be others.
    nprocs: Option<u64>,
    /// Whether all could be seen that may be in it.
    members_seen: bool,
    /// Which of those are topmost.
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
    /// The mount that it is used through; `None` where the kernel does not tell.
    mount: Option<u64>,
}

fn answer<'a>(busy: &Busy<'a>) -> Answer {
    let text = |bytes: &[u8]| bytes.to_str_lossy().into_owned();
    let mounts = busy.mounts().iter().flat_map(|(&id, mounts)| mounts.iter().map(move |mount| (id, mount)));
    let mounts = mounts.map(|(id, mount)| {
        let namespace = busy.snapshot.namespaces.get(&id);
        MountAnswer {
            ns: id.ino,
            nprocs: Some(busy.processes(id)).filter(|&count| count > 0 || busy.members_seen(id)),
            members_seen: busy.members_seen(id),
            leaders: namespace.iter().flat_map(|namespace| &namespace.leaders).map(|pid| pid.0).collect(),
            id: mount.id,
            target: mount.path().map(|path| text(path)),
            hidden: mount.hidden,
            fstype: text(&mount.fs_type),
            source: mount.source.as_ref().map(|source| text(source)),
            root: text(&mount.root),
        }
    });
    let because = |keepers: Vec<Keeper<'a>>| {
        let one = |keeper: &Keeper<'a>| {
            let (what, until) = busy.describe_keeper(keeper, usize::MAX);
            let (pid, mount) = match keeper {
                Keeper::Process(user, _) => (Some(user.pid.0), None),
                Keeper::Mount(mount) => (None, Some(mount.id)),
                _ => (None, None),
            };
            Because { pid, mount, what, until }
        };
        keepers.iter().map(one).collect()
    };
    let mount = busy.mount.map(|mount| AskedMount {
        id: mount.id,
        target: mount.path().map(|path| text(path)),
        because: busy.users.map(|_| because(busy.keepers())),
        perhaps: busy.users.map(|_| because(busy.suspects_of_mount())),
    });
    let holders = |is_certain| {
        let users = busy.users?;
        let holders = users.holders.iter().filter(|holder| holder.is_certain == is_certain);
        Some(holders.map(|holder| holder_answer(busy, holder)).collect())
    };
    Answer {
        number: busy.query.file_system.to_string(),
        mount,
        mounts: mounts.collect(),
        users: busy.users.map(|users| users.processes.iter().map(|user| user_answer(busy.snapshot, user)).collect()),
        mounts_seen: relations::mounts_seen(busy.snapshot),
        processes_listed: busy.are_listed(),
        unread: busy.users.map(|_| busy.unread()),
        holders: holders(true),
        suspects: holders(false),
        unread_holders: busy.users.map(|users| users.unread.iter().map(words::unread_name).collect()),
        release: busy.release(),
        may_be_locked: busy.may_be_locked(),
    }
}

fn holder_answer<'a>(busy: &Busy<'a>, holder: &'a FileSystemHolder) -> HolderAnswer {
    let (what, until) = busy.describe_keeper(&Keeper::Holder(holder), usize::MAX);
    let (kind, pid, path) = match &holder.kind {
        HolderKind::KernelThreads { .. } => ("kernel-threads", None, None),
        HolderKind::Loop { path, .. } => ("loop", None, Some(path)),
        HolderKind::Swap { path } => ("swap", None, Some(path)),
        HolderKind::BinfmtMisc { path, .. } => ("binfmt-misc", None, Some(path)),
        HolderKind::Layer { path, .. } => ("layer", None, Some(path)),
        HolderKind::BlockDevice { .. } => ("block-device", None, None),
        HolderKind::Journal { .. } => ("journal", None, None),
        HolderKind::Active { .. } => ("active", None, None),
        HolderKind::DeviceFileSystem { .. } => ("device-file-system", None, None),
        HolderKind::Facility { path, facility, .. } => {
            let kind = match facility {
                KernelFacility::NfsExport => "nfs-export",
                KernelFacility::Zram => "zram",
                KernelFacility::NvmeTarget => "nvme-target",
                KernelFacility::ScsiTarget => "scsi-target",
                KernelFacility::UsbGadget => "usb-gadget",
                KernelFacility::Uprobe => "uprobe",
                _ => "facility",
            };
            (kind, None, Some(path))
        }
        HolderKind::Descriptor { pid, holds, .. } => {
            let kind = match holds {
                HiddenFiles::InFlight(_) => "in-flight",
                HiddenFiles::IoUring(_) => "io-uring",
                HiddenFiles::Fanotify => "fanotify",
                HiddenFiles::Probe => "probe",
                HiddenFiles::SettingUp => "setting-up",
                HiddenFiles::Disk => "disk",
                HiddenFiles::BoundSocket => "bound-socket",
                _ => "descriptor",
            };
            (kind, Some(pid.0), None)
        }
        HolderKind::Detached { pid, .. } => ("detached", Some(pid.0), None),
        _ => ("other", None, None),
    };
    let path = path.map(|path| path.to_str_lossy().into_owned());
    HolderAnswer { kind, what, pid, path, mount: holder.mount_id, until }
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
    let of = |kind| UseAnswer { kind, mount: one.mount_id, ..UseAnswer::default() };
    match &one.kind {
        UseKind::Root { tid } => UseAnswer { tid: Some(tid.0), ..of("root") },
        UseKind::WorkingDirectory { tid } => UseAnswer { tid: Some(tid.0), ..of("cwd") },
        UseKind::Executable => of("exe"),
        UseKind::Fd { tid, fd, .. } => UseAnswer { tid: Some(tid.0), fd: Some(*fd), ..of("fd") },
        UseKind::Socket { tid, fd, .. } => UseAnswer { tid: Some(tid.0), fd: Some(*fd), ..of("socket") },
        UseKind::Device { tid, fd, .. } => UseAnswer { tid: Some(tid.0), fd: Some(*fd), ..of("device") },
        UseKind::Mapped { path } => UseAnswer { path: Some(path.to_str_lossy().into_owned()), ..of("mapped") },
        UseKind::MappedDevice { path } => {
            UseAnswer { path: Some(path.to_str_lossy().into_owned()), ..of("mapped-device") }
        }
        _ => of("other"),
    }
}
