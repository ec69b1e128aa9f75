//! `lxkns diff`: what differs between two dumps, or between a dump and the living host.

use std::io::Write;
use std::path::Path;

use lxkns_core::model::{DiscoveryOptions, NamespaceId, Pid, Place, Scope, Snapshot};
use lxkns_core::relations::{Change, NamespaceChanges, changes};
use serde::Serialize;

use super::why::{Facts, HolderAnswer, facts, holder_answer};
use crate::args::DiffArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::life::Lives;
use crate::live;
use crate::view::changes::{Between, caveats, invisible, only};
use crate::view::release::Advice;
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
        None => live::discover(&live::session(&live::access(&args.patience))?, &options)?,
    };
    let mut found = changes(&old, &new).map_err(|error| Error::Usage(format!("OLD and NEW are {error}")))?;
    only(&mut found.namespaces, &args.types);
    if args.new.is_none() && found.same_boot_known {
        let mut lives = Lives::default();
        found.settle(|namespace| lives.of(namespace));
    }
    let between = Between { old: &old, new: &new, home: super::home(&new, args.new.is_none()) };
    if args.json {
        screen::print(|out| write_json(out, &between, &found.namespaces, None))?;
    } else {
        let limit = if args.all { usize::MAX } else { SOME };
        screen::show(color, |out, screen| Ok(between.write(out, &found.namespaces, screen, limit)?))?;
    }
    caveats(&found).into_iter().chain(invisible(&found.namespaces, &new)).for_each(say);
    if args.new.is_none() {
        super::tell_gaps(&new, options.places.with(Place::CommandLines));
    }
    Ok(Exit::Done)
}

/// What is looked at on the living host.
pub(super) fn options() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    options.command_lines = Scope::Named;
    options.without_self = true;
    options
}

/// Writes the changes as JSON Lines.
pub(super) fn write_json(
    out: &mut impl Write,
    between: &Between<'_>,
    namespaces: &[NamespaceChanges<'_>],
    time: Option<&str>,
) -> Result<()> {
    let advice = Advice::of(between.new, between.home);
    for told in namespaces {
        for change in &told.changes {
            screen::write_json_line(out, &line(between, &advice, told, change, time))?;
        }
    }
    Ok(())
}

/// One change: what does not belong to its kind is left out.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a str>,
    change: &'static str,
    namespace: Facts,
    /// Of a namespace that came, went, or lost its last process: all that holds it, or held it.
    #[serde(skip_serializing_if = "Option::is_none")]
    holders: Option<Vec<HolderAnswer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<HolderAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessAnswer>,
    /// The process that was what `process` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<ProcessAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u64>,
}

#[derive(Serialize)]
struct ProcessAnswer {
    pid: u32,
    command: Option<String>,
}

fn line<'a>(
    between: &Between<'_>,
    advice: &Advice<'_>,
    told: &NamespaceChanges<'_>,
    change: &Change<'_>,
    time: Option<&'a str>,
) -> Line<'a> {
    let namespace = told.namespace();
    let snapshot = if told.new.is_some() { between.new } else { between.old };
    let answer = |snapshot: &Snapshot, holder| {
        let stays = told.new.is_some() && std::ptr::eq(snapshot, between.new);
        let release = stays.then(|| advice.hint(namespace, holder)).flatten();
        holder_answer(snapshot, holder, release)
    };
    let process = |pid: Pid| Some(ProcessAnswer { pid: pid.0, command: between.command(pid) });
    let ino = |id: NamespaceId| Some(id.ino);
    let mut line = Line {
        time,
        change: name(change),
        namespace: facts(namespace),
        holders: None,
        holder: None,
        process: None,
        was: None,
        from: None,
        to: None,
    };
    match *change {
        Change::Appeared
        | Change::Seen
        | Change::Went
        | Change::Vanished
        | Change::Hidden
        | Change::Unseen
        | Change::LastTaskLeft => {
            line.holders = Some(namespace.holders.iter().map(|holder| answer(snapshot, holder)).collect());
        }
        Change::Leader { old, new } => {
            let command = between.old.processes.get(&old).map(crate::view::names::command);
            line.was = Some(ProcessAnswer { pid: old.0, command: command.map(|command| command.to_string()) });
            line.process = process(new);
        }
        Change::ProcessEntered { pid, from } => (line.process, line.from) = (process(pid), ino(from)),
        Change::ProcessLeft { pid, to } => (line.process, line.to) = (process(pid), ino(to)),
        Change::HolderCame(holder) => line.holder = Some(answer(between.new, holder)),
        Change::HolderWent(holder) => line.holder = Some(answer(between.old, holder)),
        // The facts of the namespace have it.
        _ => {}
    }
    // Of these there can be as many as there are leaders.
    if line.holder.is_some() || line.from.is_some() || line.to.is_some() {
        line.namespace.leaders = None;
    }
    line
}

fn name(change: &Change<'_>) -> &'static str {
    match change {
        Change::Went => "went",
        Change::Vanished => "vanished",
        Change::Hidden => "hidden",
        Change::Unseen => "unseen",
        Change::Appeared => "appeared",
        Change::Seen => "seen",
        Change::LastTaskLeft => "last-task-left",
        Change::FirstTaskCame => "first-task-came",
        Change::Leader { .. } => "leader",
        Change::OwnerKnown(_) => "owner-known",
        Change::ParentKnown(_) => "parent-known",
        Change::ProcessLeft { .. } => "process-left",
        Change::ProcessEntered { .. } => "process-entered",
        Change::HolderWent(_) => "holder-went",
        Change::HolderCame(_) => "holder-came",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use lxkns_core::model::{Holder, NamespaceType, Tid};
    use serde_json::{Value, json};

    use super::*;
    use lxkns_answers::testing::{BUSY, HOME, LEFT, NET, snapshot};

    fn lines(old: &Snapshot, new: &Snapshot, time: Option<&str>) -> Vec<Value> {
        let found = changes(old, new).unwrap();
        let mut out = Vec::new();
        let between = Between { old, new, home: Some(HOME) };
        write_json(&mut out, &between, &found.namespaces, time).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn json_has_a_line_for_each_change() {
        let mut old = snapshot();
        old.host.boot_id = Some("boot".into());
        let mut new = old.clone();
        new.namespaces.remove(&LEFT);
        let busy = new.namespaces.get_mut(&BUSY).unwrap();
        busy.leaders.clear();
        busy.holders = vec![Holder::Fd { pid: Pid(1), tid: Tid(1), fd: 8 }];
        new.processes.get_mut(&Pid(200)).unwrap().namespaces.set(NamespaceType::Net, NET);
        let lines = lines(&old, &new, Some("now"));
        let kinds: Vec<_> = lines.iter().map(|line| line["change"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["process-entered", "last-task-left", "process-left", "holder-came", "vanished"]);
        let sleep = json!({"pid": 200, "command": "sleep 1000"});
        assert_eq!((&lines[0]["process"], &lines[0]["from"]), (&sleep, &json!(BUSY.ino)));
        assert_eq!((&lines[2]["process"], &lines[2]["to"]), (&sleep, &json!(NET.ino)));
        let holder = json!({
            "kind": "fd", "pid": 1, "tid": 1, "fd": 8, "command": "init",
            "release": "process 1 closes fd 8, or exits",
        });
        assert_eq!(lines[3]["holder"], holder);
        assert_eq!(lines[1]["holders"], json!([holder]));
        assert_eq!(lines[4]["namespace"]["ns"], LEFT.ino);
        let has_leaders = |line: &Value| line["namespace"].get("leaders").is_some();
        assert_eq!(lines.iter().map(has_leaders).collect::<Vec<_>>(), [false, true, false, false, true]);
        assert_eq!(lines[4]["holders"][0]["release"], Value::Null, "nothing is left to release");
        assert!(lines.iter().all(|line| line["time"] == "now"));
    }

    #[test]
    fn json_of_no_change_is_empty() {
        assert!(lines(&snapshot(), &snapshot(), None).is_empty());
    }
}
