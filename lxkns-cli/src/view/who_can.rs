//! Who has a capability in a namespace: for people.

use std::io::{self, Write};

use lxkns_answers::names;
use lxkns_answers::who_can::{Able, Group, WhoCan};

use super::screen::Screen;
use super::table::{Heading, write_aligned};

const HEADINGS: [Heading; 7] = [
    Heading { name: "HAS", right: false, gives_way: false },
    Heading { name: "COUNT", right: true, gives_way: false },
    Heading { name: "PID", right: true, gives_way: false },
    Heading { name: "COMMAND", right: false, gives_way: true },
    Heading { name: "UID", right: true, gives_way: false },
    Heading { name: "WHY", right: false, gives_way: false },
    Heading { name: "WHOSE", right: false, gives_way: false },
];

/// Writes it: with a line for each process and task, or for each group of them.
pub(crate) fn write(
    who_can: &WhoCan<'_>,
    out: &mut impl Write,
    screen: Screen,
    all: bool,
    headings: bool,
) -> io::Result<()> {
    screen.wrapped(out, "", || who_can.subject())?;
    screen.wrapped(out, "  ", || who_can.decides())?;
    let row = |able: &Able<'_>, group: &Group<'_>| {
        let pid = able.process.pid;
        vec![
            group.has.words().to_owned(),
            group.members.len().to_string(),
            able.task.map_or_else(|| pid.to_string(), |task| format!("{pid} TID {}", task.tid)),
            names::comm(able.comm()),
            uid(who_can, able),
            group.reason.name().to_owned(),
            group.whose.clone(),
        ]
    };
    let mut rows = Vec::new();
    for group in who_can.groups() {
        let shown = if all { &group.members[..] } else { &group.members[..1] };
        rows.extend(shown.iter().map(|able| row(able, &group)));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let mut columns = HEADINGS.to_vec();
    if all {
        // Each line is one.
        columns.remove(1);
        rows.iter_mut().for_each(|row| drop(row.remove(1)));
    }
    write_aligned(out, &columns, &rows, headings, screen)
}

/// The effective UID; that of the first of several says nothing of the others.
fn uid(who_can: &WhoCan<'_>, able: &Able<'_>) -> String {
    match able.uid() {
        None => "?".to_owned(),
        Some(uid) => match names::mapped(who_can.snapshot, uid) {
            Some(uid) => uid.to_string(),
            None => "-".to_owned(),
        },
    }
}
