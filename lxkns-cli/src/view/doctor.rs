//! The answer of `lxkns doctor` in short sections: what can be seen, what cannot and why, and what would help.

use std::io::{self, Write};

use lxkns_answers::doctor::{Caller, Helper, InterfaceLine, Report, Taker};
use lxkns_answers::event_source::EventsLine;
use lxkns_answers::gaps::and;
use lxkns_answers::names::NOT_MAPPED;
use lxkns_answers::reader::ReaderLine;
use lxkns_core::model::{CapabilitySet, Reader, Seccomp};

use super::escape::printable;
use super::screen::Screen;

/// Writes it for people.
pub(crate) fn write(report: &Report, out: &mut impl Write, screen: Screen) -> io::Result<()> {
    screen.heading(out, "kernel")?;
    writeln!(out, " {}", printable(&*report.kernel))?;
    match &report.interfaces {
        Some(interfaces) => write_interfaces(out, interfaces)?,
        None => writeln!(out, "  interfaces: not in a dump")?,
    }
    writeln!(out)?;
    write_reader(out, &report.reader, screen)?;
    write_events(out, report.events.as_ref(), screen)?;
    screen.heading(out, "places")?;
    writeln!(out, " that can hold a namespace, and whether they could be searched")?;
    for (number, place) in report.places.iter().enumerate() {
        writeln!(out, "  {:6} {:2} {}", place.searched.word(), number + 1, place.what)?;
        for why in &place.why {
            writeln!(out, "            {why}")?;
        }
    }
    writeln!(out)?;
    screen.heading(out, if report.taker.is_some() { "taken by" } else { "you" })?;
    match (&report.caller, &report.taker) {
        (Some(caller), _) => write_caller(out, caller)?,
        (None, Some(taker)) => write_taker(out, taker)?,
        (None, None) => writeln!(out, ": not in this dump")?,
    }
    writeln!(out)?;
    screen.heading(out, "helper")?;
    match &report.helper {
        Some(helper) => write_helper(out, helper)?,
        None => writeln!(out, " for mount namespaces: not in a dump")?,
    }
    writeln!(out)?;
    screen.heading(out, "not seen")?;
    match (report.shortfalls.is_empty(), report.live) {
        (true, _) => writeln!(out, ": only what this kernel does not show")?,
        (false, true) => writeln!(out)?,
        (false, false) if report.taker.is_some() => writeln!(out)?,
        (false, false) => writeln!(out, " then; the dump does not say which capabilities its process had")?,
    }
    for shortfall in &report.shortfalls {
        let what: Vec<_> = shortfall.parts.iter().map(|part| part.what.clone()).collect();
        match shortfall.capabilities.is_empty() {
            true => writeln!(out, "  {}: {}", what.join(", "), shortfall.why)?,
            false => writeln!(out, "  {}: {}", and(&shortfall.capabilities.names()), what.join(", "))?,
        }
    }
    if !report.advice.is_empty() {
        writeln!(out)?;
        screen.heading(out, "advice")?;
        writeln!(out)?;
    }
    for advice in &report.advice {
        writeln!(out, "  {}", advice.text)?;
        if let Some(command) = &advice.command {
            writeln!(out, "    {command}")?;
        }
    }
    Ok(())
}

/// Nothing of a dump that does not say it.
fn write_reader(out: &mut impl Write, reader: &ReaderLine, screen: Screen) -> io::Result<()> {
    let Some(used) = reader.used else { return Ok(()) };
    screen.heading(out, "reader")?;
    match used {
        Reader::Kernel => writeln!(out, " kernel: tasks and open files are read from the kernel's iterators (BPF)")?,
        _ => writeln!(out, " {used}: tasks and open files are read from procfs")?,
    }
    if let Some(why) = &reader.why_not_kernel {
        writeln!(out, "  not the kernel's iterators: {why}")?;
    }
    writeln!(out)
}

/// Where `watch --events` takes events from.
fn write_events(out: &mut impl Write, events: Option<&EventsLine>, screen: Screen) -> io::Result<()> {
    let Some(EventsLine { used, why_not }) = events else { return Ok(()) };
    screen.heading(out, "events")?;
    match used {
        Some(used) => writeln!(out, " {used}: watch --events follows what tasks do")?,
        None => writeln!(out, ": none, so watch --events scans at an interval")?,
    }
    for refused in why_not {
        writeln!(out, "  not {}: {}", refused.source, refused.why)?;
    }
    writeln!(out)
}

fn write_interfaces(out: &mut impl Write, interfaces: &[InterfaceLine]) -> io::Result<()> {
    let answering: Vec<_> = interfaces.iter().filter(|line| line.answers).map(|line| line.interface).collect();
    writeln!(out, "  {} of {} newer interfaces work", answering.len(), interfaces.len())?;
    for line in interfaces.iter().filter(|line| !line.answers) {
        let errno = line.errno.as_ref().map(|errno| format!(" ({errno})")).unwrap_or_default();
        writeln!(out, "  no     {}{errno}: {}", line.interface, line.why.as_deref().unwrap_or_default())?;
    }
    Ok(())
}

fn write_caller(out: &mut impl Write, caller: &Caller) -> io::Result<()> {
    write_powers(out, caller.uid, caller.user.as_deref(), caller.capabilities)?;
    writeln!(out, "  user namespace: {}", which(caller.initial_user_namespace))?;
    writeln!(out, "  PID namespace: {}", which(caller.initial_pid_namespace))?;
    if !caller.own_procfs {
        writeln!(out, "  procfs: of another PID namespace, so system calls by PID are not used")?;
    }
    if let Some(option) = &caller.hidepid {
        writeln!(out, "  procfs: mounted with {}, which hides processes", printable(&**option))?;
    }
    match caller.seccomp {
        Some(Seccomp::None) => {}
        Some(seccomp) => writeln!(out, "  seccomp: {seccomp}, which can deny system calls")?,
        None => writeln!(out, "  seccomp: not known, as procfs does not have this process")?,
    }
    if let Some(scope @ 1..) = caller.ptrace_scope {
        let what = match scope {
            1 => "sockets and TUN files of processes that are not your children need CAP_SYS_PTRACE",
            2 => "sockets and TUN files of all processes need CAP_SYS_PTRACE",
            _ => "sockets and TUN files of processes cannot be read",
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
    write_powers(out, taker.uid, taker.user.as_deref(), taker.capabilities)?;
    writeln!(out, "  user namespace: {}", which(taker.initial_user_namespace))?;
    writeln!(out, "  PID namespace: {}", which(taker.initial_pid_namespace))?;
    if taker.initial_procfs != Some(true) {
        writeln!(out, "  procfs: its PID namespace is {}", which(taker.initial_procfs))?;
    }
    Ok(())
}

fn write_powers(out: &mut impl Write, uid: Option<u32>, user: Option<&str>, held: CapabilitySet) -> io::Result<()> {
    let relevant = [
        CapabilitySet::SYS_PTRACE,
        CapabilitySet::DAC_READ_SEARCH,
        CapabilitySet::NET_ADMIN,
        CapabilitySet::SYS_ADMIN,
        CapabilitySet::SYS_CHROOT,
    ];
    let relevant = relevant.into_iter().reduce(CapabilitySet::union).unwrap_or_default() & held;
    let user = user.map(|name| format!(" ({})", printable(name))).unwrap_or_default();
    match uid {
        Some(uid) => writeln!(out, " UID {uid}{user}")?,
        None => writeln!(out, " UID {NOT_MAPPED}")?,
    }
    let held = if relevant.is_empty() { "none that would show more".to_owned() } else { and(&relevant.names()) };
    writeln!(out, "  capabilities: {held}")
}

fn write_helper(out: &mut impl Write, helper: &Helper) -> io::Result<()> {
    let path = helper.path.as_ref().map_or_else(|| "carried inside the program".to_owned(), |path| printable(&**path));
    let starts = match &helper.why {
        None => "can be started".to_owned(),
        Some(why) => format!("cannot be started: {}", printable(&**why)),
    };
    let used = if helper.used { "was needed for this scan" } else { "was not needed for this scan" };
    writeln!(out, " for mount namespaces: {path}; {starts}; {used}")
}

#[cfg(test)]
mod tests {
    use lxkns_answers::doctor::report;
    use lxkns_answers::testing::snapshot;

    use super::*;

    #[test]
    fn a_part_that_is_counted_by_its_processes_is_counted_itself() {
        use lxkns_core::model::{Call, Cause, Gap, Object, Pid, Place, Snapshot, Tid};
        let mut snapshot = snapshot();
        let gap =
            |fd| Gap::because(Place::Sockets, Object::Fd(Pid(1), Tid(1), fd), Call::Siocgskns.into(), Cause::Denied);
        let told = |snapshot: &Snapshot| {
            let report = report(snapshot, None);
            let mut out = Vec::new();
            write(&report, &mut out, Screen::default()).unwrap();
            String::from_utf8(out).unwrap()
        };
        snapshot.gaps = vec![gap(3)];
        assert!(told(&snapshot).contains("  CAP_NET_ADMIN: 1 socket of 1 process\n"), "{}", told(&snapshot));
        snapshot.gaps = (0..12).map(gap).collect();
        let text = told(&snapshot);
        assert!(text.contains("  CAP_NET_ADMIN: 12 sockets of 1 process\n"), "{text}");
        assert!(
            text.contains("  partly  5 sockets\n            not seen: 12 sockets of 1 process: needs CAP_NET_ADMIN\n")
        );
        assert!(text.contains("  yes     1 processes\n"), "{text}");
    }
}
