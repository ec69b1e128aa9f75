//! TARGETs on the living host: `lxkns-answers` looks paths up through [`Host`], and commands get their exit codes here.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use lxkns_answers::context::Context;
use lxkns_answers::resolve::Lookup;
pub(crate) use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_answers::target::Asked;
use lxkns_answers::text::escape::printable;
use lxkns_core::ProcRoot;
use lxkns_core::model::links::HostLinks;
use lxkns_core::model::{NamespaceId, Pid, Snapshot};

use crate::exit::Exit;
use crate::live;

/// The host that the program runs on.
pub(crate) struct Host;

impl Lookup for Host {
    fn namespace_at(&self, _: &Snapshot, path: &Path) -> io::Result<Option<NamespaceId>> {
        live::namespace_at(path)
    }

    fn has_task(&self, pid: Pid) -> bool {
        ProcRoot::host().is_ok_and(|proc| lxkns_live::has_task(&proc, pid))
    }

    fn links(&self, snapshot: &Snapshot) -> io::Result<HostLinks> {
        const PATIENCE: Duration = Duration::from_secs(1);
        live::links(snapshot, PATIENCE).map_err(|error| io::Error::other(error.to_string()))
    }

    fn pidfd_inode(&self, pid: Pid) -> io::Result<Option<u64>> {
        lxkns_live::pidfd_inode(pid)
    }
}

/// Resolves TARGETs. Paths are looked up on the living host, wherever the list of mounts says that they lead.
pub(crate) fn resolver(snapshot: &Snapshot, is_live: bool) -> Resolver<'_> {
    let context = if is_live { Context::live(snapshot, false) } else { Context::of_dump(snapshot) };
    Resolver::new(context, &Host)
}

/// Checks that a process is the one that the TARGET means. It was opened before, so it cannot have changed since.
pub(crate) fn verify_open(proc: &ProcRoot, asked: &Asked, pid: Pid) -> Result<(), String> {
    let Some(number) = asked.identity() else { return Ok(()) };
    let of = |what: &str, error: &dyn fmt::Display| format!("{}: {what} of PID {pid}: {error}", text(asked));
    let stat = proc.read(&format!("{pid}/stat")).map_err(|error| of("start time", &error))?;
    let stat = lxkns_core::parse::stat(&stat).map_err(|error| of("start time", &error))?;
    if stat.start_time_ticks == number {
        return Ok(());
    }
    match Host.pidfd_inode(pid).map_err(|error| of("pidfd", &error))? {
        Some(inode) if inode == number => Ok(()),
        Some(inode) => Err(format!("{}: PID {pid} is another process, with the pidfd inode {inode}", text(asked))),
        None => Err(format!(
            "{}: PID {pid} is another process; this kernel gives pidfds no inode numbers of their own",
            text(asked)
        )),
    }
}

fn text(asked: &Asked) -> impl fmt::Display {
    printable(asked.text.as_encoded_bytes())
}

/// The exit code of a command that finds nothing.
pub(crate) trait Ends {
    /// The exit code, and whether gaps matter.
    fn exit(&self) -> (Exit, bool);
}

/// The rule of all commands with a TARGET: an object is missing only if it is proven not to exist.
impl Ends for Unresolved {
    fn exit(&self) -> (Exit, bool) {
        match self {
            Self::Missing(_) => (Exit::Missing, false),
            Self::Usage(_) => (Exit::Usage, false),
            Self::NotVisible(_) | Self::Unseen(_) => (Exit::Failed, true),
        }
    }
}
