//! What entering would come to.

use std::io::{self, Write};

use lxkns_answers::enter::{PlanAnswer, PlanCapabilities, PlanFact, PlanRow};
use lxkns_answers::whose::WhoseForm;
use lxkns_core::model::{Capabilities, NamespaceId, NamespaceType};
use lxkns_enter::{Fact, Plan, Row, Subject};

use super::escape::printable;
use super::names;
use super::screen::Screen;
use super::table::{Heading, write_aligned};

const HEADINGS: [Heading; 3] = [heading("WHAT"), heading("TARGET"), heading("COMMAND")];

const fn heading(name: &'static str) -> Heading {
    Heading { name, right: false, gives_way: false }
}

/// A short stable name.
fn name(subject: Subject) -> &'static str {
    match subject {
        Subject::Namespaces => "namespaces",
        Subject::Root => "root",
        Subject::WorkingDirectory => "cwd",
        Subject::Cgroup => "cgroup",
        Subject::Uid => "UID",
        Subject::Gid => "GID",
        Subject::Groups => "groups",
        Subject::Capabilities => "capabilities",
        Subject::CapabilitiesInside => "capabilities inside",
        Subject::Securebits => "securebits",
        Subject::NoNewPrivs => "no_new_privs",
        Subject::Lsm => "LSM",
        Subject::Seccomp => "seccomp",
        Subject::Landlock => "Landlock",
        Subject::Limits => "limits",
        Subject::Umask => "umask",
        Subject::Affinity => "CPUs",
        Subject::Nice => "nice",
        Subject::IoPriority => "I/O priority",
        Subject::Personality => "personality",
        Subject::Environment => "environment",
        _ => "other",
    }
}

/// Writes it for people: whole cells, since half of what somebody would have is a lie.
pub(crate) fn write(plan: &Plan, out: &mut impl Write, show_headings: bool, screen: Screen) -> io::Result<()> {
    let rows: Vec<Vec<String>> = plan
        .rows()
        .iter()
        .map(|row| {
            let target = row.target.as_ref().map_or_else(|| "-".to_owned(), in_words);
            vec![name(row.subject).to_owned(), target, in_words(&row.command)]
        })
        .collect();
    write_aligned(out, &HEADINGS, &rows, show_headings, Screen { width: None, ..screen })
}

/// Writes in what the command would differ from the target, each on a line of its own. `own` are the caller's namespaces: what
/// is not entered is shared with it.
pub(crate) fn write_differences(
    plan: &Plan,
    own: &[(NamespaceType, NamespaceId)],
    out: &mut impl Write,
    screen: Screen,
) -> io::Result<()> {
    let lines: Vec<(&str, String)> =
        plan.rows().iter().filter_map(|row| Some((name(row.subject), difference(row, own)?))).collect();
    let widest = lines.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
    for (what, difference) in &lines {
        screen.wrapped(out, &format!("{what:widest$}  "), || difference.clone())?;
    }
    if lines.is_empty() {
        writeln!(out, "no difference between the target and the command (--all shows what both have)")?;
    }
    Ok(())
}

/// What the command would have that the target has not, or the other way round; `None` where both are the same.
fn difference(row: &Row, own: &[(NamespaceType, NamespaceId)]) -> Option<String> {
    let command = in_words(&row.command);
    // Namespaces alone have nothing that a command could have.
    let Some(target) = row.target.as_ref().map(in_words) else { return Some(command) };
    match row.subject {
        Subject::Namespaces => {
            let entered: Vec<&str> = command.split(' ').collect();
            let is_own = |name: &str| own.iter().any(|(ns_type, id)| format!("{ns_type}:{}", id.ino) == name);
            let others: Vec<&str> = target.split(' ').filter(|name| !entered.contains(name) && !is_own(name)).collect();
            (!others.is_empty()).then(|| format!("the caller's; target: {}", others.join(" ")))
        }
        _ if command == target => None,
        _ => Some(format!("{command}; target: {target}")),
    }
}

fn in_words(fact: &Fact) -> String {
    match fact {
        Fact::Text(text) => printable(text),
        Fact::Flag(true) => "yes".to_owned(),
        Fact::Flag(false) => "no".to_owned(),
        Fact::Capabilities(sets) if sets.bounding == sets.effective => sets.effective.in_words(),
        Fact::Capabilities(sets) => format!("{}; bounding: {}", sets.effective.in_words(), sets.bounding.in_words()),
        _ => String::new(),
    }
}

/// The JSON form.
pub(crate) fn answer(plan: &Plan, whose: WhoseForm) -> PlanAnswer {
    let rows = plan.rows().iter().map(|row| PlanRow {
        what: name(row.subject),
        target: row.target.as_ref().map(fact),
        command: fact(&row.command),
    });
    PlanAnswer { plan: rows.collect(), notes: plan.notes().to_vec(), whose }
}

fn fact(fact: &Fact) -> PlanFact {
    match fact {
        Fact::Text(text) => PlanFact::Text(names::lossy(text.as_bytes())),
        Fact::Flag(flag) => PlanFact::Flag(*flag),
        Fact::Capabilities(Capabilities { permitted, effective, inheritable, bounding, ambient }) => {
            PlanFact::Capabilities(PlanCapabilities {
                permitted: *permitted,
                effective: *effective,
                inheritable: *inheritable,
                bounding: *bounding,
                ambient: *ambient,
            })
        }
        _ => PlanFact::Text(String::new()),
    }
}
