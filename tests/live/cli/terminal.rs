//! On a terminal: its width, and colour.

use std::fs::File;
use std::io::Read as _;
use std::process::Command;

use lxkns_fixture::Actor;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::harness::Need::{self, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::program::run;

const TERMINAL: &[Need] = &[UserNamespaces, Need::File("/dev/ptmx"), Need::File("/dev/pts/ptmx")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::terminal::width", TERMINAL, width),
        test("cli::terminal::mounts", TERMINAL, mounts),
        test("cli::terminal::tree", TERMINAL, tree),
        test("cli::terminal::color", TERMINAL, color),
    ]
}

/// What a command writes to a terminal of this width.
fn on_terminal(command: &mut Command, columns: u16) -> String {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&ours).unwrap();
    rustix::pty::unlockpt(&ours).unwrap();
    let name = rustix::pty::ptsname(&ours, Vec::new()).unwrap();
    let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&theirs, size).unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        // It ends with an error (EIO) when nobody has the other end.
        let _ = File::from(ours).read_to_end(&mut text);
        text
    });
    command.stdout(theirs.try_clone().unwrap()).stderr(std::process::Stdio::null());
    command.env("TERM", "xterm").env_remove("COLORTERM");
    command.env_remove("CLICOLOR").env_remove("CLICOLOR_FORCE");
    let status = command.status().unwrap();
    assert!(status.success());
    // The command keeps copies of what it gave its child.
    command.stdout(std::process::Stdio::null());
    drop(theirs);
    String::from_utf8(reader.join().unwrap()).unwrap().replace("\r\n", "\n")
}

fn ls(actor: &Actor) -> Command {
    let mut command = lxkns();
    // Only what is the fixture's: of the others somebody may come or go.
    let targets = ["uts", "user"].map(|name| actor.ns_inode(name).to_string());
    command.arg("ls").args(targets).env("NO_COLOR", "1");
    command
}

fn width() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    actor.open("/proc/self/ns/uts", lxkns_fixture::Open::ReadOnly);
    let whole = run(&mut ls(&actor)).ok();
    assert!(whole.text().contains("lxkns-actor --lxkns-actor "), "nothing is cut where there is no terminal");
    for columns in [0, 1, 20, 60, 80, 1000] {
        let text = on_terminal(&mut ls(&actor), columns);
        assert_eq!(text.lines().count(), whole.text().lines().count(), "{text}");
        // Numbers and the heading stay whole.
        assert!(text.contains(&actor.ns_inode("uts").to_string()) && text.contains("COMMAND"), "{text}");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        match columns {
            0 | 1000 => assert_eq!(text, whole.text()),
            60 | 80 => assert!(widest <= columns.into(), "{text}"),
            _ => assert!(!text.contains("lxkns-actor"), "as narrow as can be: {text}"),
        }
        let why = on_terminal(lxkns().args(["why", &actor.ns_inode("uts").to_string()]).env("NO_COLOR", "1"), columns);
        assert!(why.contains("until process"), "what matters is not cut: {why}");
    }
    for arguments in [&["--help"][..], &["ls", "--help"]] {
        on_terminal(lxkns().args(arguments), 1);
        on_terminal(lxkns().args(arguments), 20);
    }
}

fn mounts() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let pid = actor.pid().to_string();
    let whole = run(lxkns().args(["mounts", &pid])).ok();
    for columns in [1, 40, 60, 80, 1000] {
        let text = on_terminal(lxkns().args(["mounts", &pid]).env("NO_COLOR", "1"), columns);
        assert_eq!(text.lines().count(), whole.text().lines().count(), "{text}");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        match columns {
            1000 => assert_eq!(text, whole.text()),
            60 | 80 => assert!(widest <= columns.into(), "{text}"),
            _ => assert!(text.contains("OPTIONS"), "{text}"),
        }
    }
}

fn tree() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let user = actor.ns_inode("user").to_string();
    let tree = || {
        let mut command = lxkns();
        command.args(["tree", "--owned", &user]).env("NO_COLOR", "1");
        command
    };
    let whole = run(&mut tree()).ok();
    for columns in [1, 30, 40, 1000] {
        let text = on_terminal(&mut tree(), columns);
        assert_eq!(text.lines().count(), whole.text().lines().count(), "{text}");
        assert!(text.contains(&format!("uts:[{}]", actor.ns_inode("uts"))), "names stay whole: {text}");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        match columns {
            1000 => assert_eq!(text, whole.text()),
            30 | 40 => assert!(widest <= columns.into(), "{text}"),
            _ => assert!(!text.contains("process"), "{text}"),
        }
    }
}

fn color() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let uts = actor.ns_inode("uts").to_string();
    let user = actor.ns_inode("user").to_string();
    for (command, target) in [("ls", &uts), ("why", &uts), ("tree", &user)] {
        let run_with = |color: &[&str], no_color: bool| {
            let mut lxkns = lxkns();
            lxkns.args([command, target]).args(color);
            if no_color {
                lxkns.env("NO_COLOR", "1")
            } else {
                lxkns.env_remove("NO_COLOR")
            };
            lxkns
        };
        assert!(on_terminal(&mut run_with(&[], false), 80).contains("\x1b[1m"), "{command}");
        assert!(!on_terminal(&mut run_with(&[], true), 80).contains('\x1b'), "{command}: NO_COLOR");
        assert!(!on_terminal(&mut run_with(&["--color=never"], false), 80).contains('\x1b'), "{command}");
        assert!(on_terminal(&mut run_with(&["--color", "always"], true), 80).contains("\x1b[1m"), "{command}");
        assert!(!run(&mut run_with(&[], false)).ok().text().contains('\x1b'), "{command}: no terminal");
        assert!(run(&mut run_with(&["--color=always"], false)).ok().text().contains("\x1b[1m"), "{command}");
    }
}
