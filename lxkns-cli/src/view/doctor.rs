//! What can be seen here, what cannot and why, and what would help: in short sections.

use std::io::{self, Write};

use serde::Serialize;

use super::escape::printable;
use super::screen::Screen;
use crate::caller::Caller;
use crate::gaps::and;

/// All that is said. What only the living host knows is `None` of a dump.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) kernel: String,
    pub(crate) live: bool,
    pub(crate) interfaces: Option<Vec<InterfaceLine>>,
    pub(crate) places: Vec<PlaceLine>,
    pub(crate) caller: Option<Caller>,
    /// Of a dump, who took it, where it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) taker: Option<Taker>,
    pub(crate) shortfalls: Vec<ShortfallLine>,
    pub(crate) helper: Option<Helper>,
    pub(crate) advice: Vec<Advice>,
}

/// Who took a dump.
#[derive(Debug, Serialize)]
pub(crate) struct Taker {
    pub(crate) uid: u32,
    pub(crate) user: Option<String>,
    /// Effective ones, in its own user namespace.
    pub(crate) capabilities: Vec<String>,
    pub(crate) initial_user_namespace: Option<bool>,
    pub(crate) initial_pid_namespace: Option<bool>,
    /// Whether procfs was that of the initial PID namespace.
    pub(crate) initial_procfs: Option<bool>,
}

/// One interface of the kernel.
#[derive(Debug, Serialize)]
pub(crate) struct InterfaceLine {
    pub(crate) interface: &'static str,
    /// The release of Linux that has it first.
    pub(crate) since: String,
    pub(crate) answers: bool,
    /// The kernel's answer where it does not: `ENOSYS`.
    pub(crate) errno: Option<String>,
    /// Why it does not.
    pub(crate) why: Option<String>,
}

/// Whether a place can be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mark {
    Yes,
    Partly,
    No,
    /// Nobody has looked there.
    NotAsked,
}

impl Mark {
    fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Partly => "partly",
            Self::No => "no",
            Self::NotAsked => "-",
        }
    }
}

/// One place that can hold a namespace.
#[derive(Debug, Serialize)]
pub(crate) struct PlaceLine {
    pub(crate) place: &'static str,
    pub(crate) what: &'static str,
    pub(crate) searched: Mark,
    pub(crate) why: Vec<String>,
}

/// What could not be seen for one reason.
#[derive(Debug, Serialize)]
pub(crate) struct ShortfallLine {
    /// The capabilities that are missing; none where no capability would help.
    pub(crate) capabilities: Vec<String>,
    pub(crate) why: String,
    pub(crate) parts: Vec<ShortfallPart>,
}

/// Things of one kind.
#[derive(Debug, Serialize)]
pub(crate) struct ShortfallPart {
    pub(crate) what: String,
    pub(crate) count: Option<usize>,
}

/// The program that looks into mount namespaces.
#[derive(Debug, Serialize)]
pub(crate) struct Helper {
    /// `None`: the copy that is carried inside.
    pub(crate) path: Option<String>,
    pub(crate) starts: bool,
    /// Why it does not start.
    pub(crate) why: Option<String>,
    /// Whether this look needed it.
    pub(crate) used: bool,
}

/// A change that would help.
#[derive(Debug, Serialize)]
pub(crate) struct Advice {
    pub(crate) text: String,
    /// What to type, where there is such a thing.
    pub(crate) command: Option<String>,
    /// The capabilities that it gives.
    pub(crate) capabilities: Vec<String>,
}

impl Report {
    /// Writes it for people.
    pub(crate) fn write(&self, out: &mut impl Write, screen: Screen) -> io::Result<()> {
        screen.heading(out, "kernel")?;
        writeln!(out, " {}", printable(&*self.kernel))?;
        match &self.interfaces {
            Some(interfaces) => write_interfaces(out, interfaces)?,
            None => writeln!(out, "  its interfaces: only the living host knows")?,
        }
        writeln!(out)?;
        screen.heading(out, "places")?;
        writeln!(out, " where a namespace can be held, and whether they could be searched")?;
        for (number, place) in self.places.iter().enumerate() {
            writeln!(out, "  {:6} {:2} {}", place.searched.word(), number + 1, place.what)?;
            for why in &place.why {
                writeln!(out, "            {why}")?;
            }
        }
        writeln!(out)?;
        screen.heading(out, if self.taker.is_some() { "taken by" } else { "you" })?;
        match (&self.caller, &self.taker) {
            (Some(caller), _) => write_caller(out, caller)?,
            (None, Some(taker)) => write_taker(out, taker)?,
            (None, None) => writeln!(out, ": only the living host knows; this dump does not say who took it")?,
        }
        writeln!(out)?;
        screen.heading(out, "helper")?;
        match &self.helper {
            Some(helper) => write_helper(out, helper)?,
            None => writeln!(out, " for mount namespaces: only the living host knows")?,
        }
        writeln!(out)?;
        screen.heading(out, "not seen")?;
        match (self.shortfalls.is_empty(), self.live) {
            (true, _) => writeln!(out, ": nothing but what this kernel does not tell")?,
            (false, true) => writeln!(out)?,
            (false, false) if self.taker.is_some() => writeln!(out)?,
            (false, false) => writeln!(out, " then; whether who took the dump held what is named here, is not in it")?,
        }
        for shortfall in &self.shortfalls {
            let what: Vec<_> = shortfall.parts.iter().map(|part| part.what.clone()).collect();
            match shortfall.capabilities.is_empty() {
                true => writeln!(out, "  {}: {}", what.join(", "), shortfall.why)?,
                false => writeln!(out, "  {}: {}", and(&shortfall.capabilities), what.join(", "))?,
            }
        }
        if !self.advice.is_empty() {
            writeln!(out)?;
            screen.heading(out, "advice")?;
            writeln!(out)?;
        }
        for advice in &self.advice {
            writeln!(out, "  {}", advice.text)?;
            if let Some(command) = &advice.command {
                writeln!(out, "    {command}")?;
            }
        }
        Ok(())
    }
}

fn write_interfaces(out: &mut impl Write, interfaces: &[InterfaceLine]) -> io::Result<()> {
    let answering: Vec<_> = interfaces.iter().filter(|line| line.answers).map(|line| line.interface).collect();
    writeln!(out, "  {} of {} newer interfaces answer", answering.len(), interfaces.len())?;
    for line in interfaces.iter().filter(|line| !line.answers) {
        let (errno, why) = (line.errno.as_deref().unwrap_or_default(), line.why.as_deref().unwrap_or_default());
        writeln!(out, "  no     {} ({errno}): {why}", line.interface)?;
    }
    Ok(())
}

fn write_caller(out: &mut impl Write, caller: &Caller) -> io::Result<()> {
    write_powers(out, caller.uid, caller.user.as_deref(), &caller.capabilities)?;
    writeln!(out, "  user namespace: {}", which(caller.initial_user_namespace))?;
    writeln!(out, "  PID namespace: {}", which(caller.initial_pid_namespace))?;
    if !caller.own_procfs {
        writeln!(out, "  procfs: that of another PID namespace, so that nothing can be asked by PID")?;
    }
    if let Some(option) = &caller.hidepid {
        writeln!(out, "  procfs: mounted with {}, which hides processes", printable(&**option))?;
    }
    match caller.seccomp {
        Some("none") => {}
        Some(seccomp) => writeln!(out, "  seccomp: {seccomp}, which can deny system calls")?,
        None => writeln!(out, "  seccomp: not known, as procfs does not have this process")?,
    }
    if let Some(scope @ 1..) = caller.ptrace_scope {
        let what = match scope {
            1 => "sockets and TUN files of processes that are not your children need CAP_SYS_PTRACE",
            2 => "sockets and TUN files of all processes need CAP_SYS_PTRACE",
            _ => "nobody can ask for the sockets and TUN files of processes",
        };
        writeln!(out, "  yama ptrace_scope: {scope}: {what}")?;
    }
    Ok(())
}

fn which(initial: Option<bool>) -> &'static str {
    match initial {
        Some(true) => "the initial one",
        Some(false) => "not the initial one",
        None => "not known",
    }
}

fn write_taker(out: &mut impl Write, taker: &Taker) -> io::Result<()> {
    write_powers(out, taker.uid, taker.user.as_deref(), &taker.capabilities)?;
    writeln!(out, "  user namespace: {}", which(taker.initial_user_namespace))?;
    writeln!(out, "  PID namespace: {}", which(taker.initial_pid_namespace))?;
    if taker.initial_procfs != Some(true) {
        writeln!(out, "  procfs: its PID namespace is {}", which(taker.initial_procfs))?;
    }
    Ok(())
}

fn write_powers(out: &mut impl Write, uid: u32, user: Option<&str>, capabilities: &[String]) -> io::Result<()> {
    const RELEVANT: [&str; 5] =
        ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_CHROOT"];
    let user = user.map(|name| format!(" ({})", printable(name))).unwrap_or_default();
    writeln!(out, " UID {uid}{user}")?;
    let relevant: Vec<_> = capabilities.iter().filter(|name| RELEVANT.contains(&name.as_str())).cloned().collect();
    let held = if relevant.is_empty() { "none of those that show more".to_owned() } else { and(&relevant) };
    writeln!(out, "  capabilities: {held}")
}

fn write_helper(out: &mut impl Write, helper: &Helper) -> io::Result<()> {
    let path = helper.path.as_ref().map_or_else(|| "carried inside the program".to_owned(), |path| printable(&**path));
    let starts = match &helper.why {
        None => "can be started".to_owned(),
        Some(why) => format!("cannot be started: {}", printable(&**why)),
    };
    let used = if helper.used { "was needed for this look" } else { "was not needed for this look" };
    writeln!(out, " for mount namespaces: {path}; {starts}; {used}")
}
