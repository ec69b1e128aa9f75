//! Whether a process may create or enter namespaces: for people.

use std::io::{self, Write};

use lxkns_answers::explain::Explanation;

use super::screen::Screen;

/// Writes it: the verdict, and all that stands in the way or may, each with the change that would remove it.
pub(crate) fn write(explanation: &Explanation<'_>, out: &mut impl Write, screen: Screen) -> io::Result<()> {
    screen.wrapped(out, "", || explanation.subject())?;
    screen.wrapped(out, "  ", || explanation.sentence())?;
    let mut first = explanation.first();
    if let Some(change) = first.and_then(|first| first.change.as_ref()) {
        screen.wrapped(out, "    change: ", || change.clone())?;
    }
    for obstacle in &explanation.obstacles {
        if first.take_if(|first| std::ptr::eq(*first, obstacle)).is_some() {
            continue;
        }
        let start = if obstacle.is_certain { "  also in the way" } else { "  not known" };
        let errno = obstacle.errno.map(|errno| format!(" ({errno})")).unwrap_or_default();
        screen.wrapped(out, &format!("{start}{errno}: "), || obstacle.because.clone())?;
        if let Some(change) = &obstacle.change {
            screen.wrapped(out, "    change: ", || change.clone())?;
        }
    }
    for note in &explanation.notes {
        screen.wrapped(out, "  note: ", || note.clone())?;
    }
    Ok(())
}
