//! The answer of `lxkns busy` as text.

use std::io::{self, Write};

use lxkns_answers::busy::{Busy, Keeper, words};
use lxkns_answers::text::shown;
use lxkns_core::model::Mount;
use unicode_width::UnicodeWidthStr as _;

use super::escape::shell_word;
use super::screen::Screen;
use super::shorten;

/// Writes it for people, with no more than `limit` of a kind.
pub(crate) fn write(busy: &Busy<'_>, out: &mut impl Write, screen: Screen, limit: usize) -> io::Result<()> {
    if let (Some(mount), Some(_)) = (busy.mount, busy.users) {
        write_mount(busy, out, screen, mount, limit)?;
    }
    write_file_system(busy, out, screen, limit)
}

fn write_mount(busy: &Busy<'_>, out: &mut impl Write, screen: Screen, mount: &Mount, limit: usize) -> io::Result<()> {
    let umount = format!("umount {}", mount.path().map(|path| shell_word(path)).unwrap_or_default());
    let keepers = busy.keepers();
    if keepers.is_empty() {
        let nothing = format!("found nothing that makes {umount} fail here");
        screen.heading(out, &nothing)?;
        let proves = ", but not everything is visible";
        writeln!(out, "{}", shorten::wrap(proves, screen.width, nothing.width(), 2))?;
    } else {
        screen.heading(out, &format!("{umount} fails here because:"))?;
        writeln!(out)?;
    }
    write_keepers(busy, out, screen, &keepers, limit)?;
    write_suspects(busy, out, screen, &busy.suspects_of_mount(), limit)?;
    writeln!(out)
}

fn write_keepers<'a>(
    busy: &Busy<'a>,
    out: &mut impl Write,
    screen: Screen,
    keepers: &[Keeper<'a>],
    limit: usize,
) -> io::Result<()> {
    for keeper in &keepers[..shown(keepers.len(), limit)] {
        screen.wrapped(out, "  ", || busy.describe_keeper(keeper, limit).0)?;
        screen.wrapped(out, "    until ", || busy.describe_keeper(keeper, limit).1.text)?;
    }
    more(out, "  ", keepers.len(), limit)
}

fn write_suspects<'a>(
    busy: &Busy<'a>,
    out: &mut impl Write,
    screen: Screen,
    suspects: &[Keeper<'a>],
    limit: usize,
) -> io::Result<()> {
    if suspects.is_empty() {
        return Ok(());
    }
    writeln!(out, "these may keep it busy (the kernel does not tell):")?;
    write_keepers(busy, out, screen, suspects, limit)
}

fn write_file_system(busy: &Busy<'_>, out: &mut impl Write, screen: Screen, limit: usize) -> io::Result<()> {
    let name = busy.name();
    screen.heading(out, &name)?;
    writeln!(out, "{}", shorten::wrap(&busy.summary(), screen.width, name.width(), 2))?;
    for (&id, mounts) in busy.mounts().iter().take(shown(busy.mounts().len(), limit)) {
        screen.wrapped(out, "  ", || busy.describe_namespace(id))?;
        for mount in &mounts[..shown(mounts.len(), limit)] {
            screen.wrapped(out, "    ", || busy.describe_mount(id, mount))?;
        }
        more(out, "    ", mounts.len(), limit)?;
    }
    more(out, "  ", busy.mounts().len(), limit)?;
    // The users of the mount in question have been listed.
    let users = busy.other_users();
    for user in &users[..shown(users.len(), limit)] {
        let uses = || words::uses(user.pid, &user.uses, limit).join(", ");
        screen.wrapped(out, "  ", || format!("{}: {}", busy.describe_user(user), uses()))?;
    }
    more(out, "  ", users.len(), limit)?;
    let holders: Vec<_> = busy.holders(true).map(Keeper::Holder).collect();
    for holder in &holders[..shown(holders.len(), limit)] {
        screen.wrapped(out, "  ", || busy.describe_keeper(holder, limit).0)?;
    }
    more(out, "  ", holders.len(), limit)?;
    if busy.mount.is_none() || busy.users.is_none() {
        let suspects: Vec<_> = busy.holders(false).map(Keeper::Holder).collect();
        write_suspects(busy, out, screen, &suspects, limit)?;
    }
    for unread in busy.users.map(|users| words::unread_holders(&users.unread)).unwrap_or_default() {
        screen.wrapped(out, "", || unread.clone())?;
    }
    let release = busy.release();
    if release.is_empty() {
        return Ok(());
    }
    let unless = match busy.users {
        None => "released, unless a process uses it, when:",
        Some(_) => "released, as far as visible, when all of this is done:",
    };
    writeln!(out, "{unless}")?;
    for step in &release[..shown(release.len(), limit)] {
        screen.wrapped(out, "  ", || step.text.clone())?;
    }
    more(out, "  ", release.len(), limit)?;
    if busy.may_be_locked() {
        let locked = "unless it is locked: the mounts that a mount namespace began with cannot be unmounted in it, \
            and end with it";
        screen.wrapped(out, "", || locked.to_owned())?;
    }
    Ok(())
}

fn more(out: &mut impl Write, indent: &str, count: usize, limit: usize) -> io::Result<()> {
    match count - shown(count, limit) {
        0 => Ok(()),
        more => writeln!(out, "{indent}and {more} more (--all shows all)"),
    }
}

#[cfg(test)]
#[path = "busy_tests.rs"]
mod tests;
