//! On a terminal: its width, colour, other characters, progress, and Ctrl-C.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::SystemTime;

use lxkns_core::model::{DiscoveryOptions, Host, Namespace, NamespaceId, NamespaceType, Snapshot};
use lxkns_core::wire::{self, WriteOptions};
use lxkns_fixture::Actor;
use rustix::fs::{CWD, FileType, Mode};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions, Winsize};

use crate::harness::Need::{self, Program, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::program::{run, run_lxkns};
use crate::live::{directory, look_until};

const TERMINAL: &[Need] = &[Need::File("/dev/ptmx"), Need::File("/dev/pts/ptmx")];
const ACTOR: &[Need] = &[UserNamespaces, Need::File("/dev/ptmx"), Need::File("/dev/pts/ptmx")];
const UNSHARE: &[Need] = &[UserNamespaces, Program("unshare"), Need::File("/dev/ptmx"), Need::File("/dev/pts/ptmx")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::terminal::width", ACTOR, width),
        test("cli::terminal::holder_in_place_of_a_command", ACTOR, holder_in_place_of_a_command),
        test("cli::terminal::long_command_line", UNSHARE, long_command_line),
        test("cli::terminal::mounts", ACTOR, mounts),
        test("cli::terminal::tree", ACTOR, tree),
        test("cli::terminal::ascii", ACTOR, ascii),
        test("cli::terminal::color", ACTOR, color),
        test("cli::terminal::color_of_names", ACTOR, color_of_names),
        test("cli::terminal::messages", TERMINAL, messages),
        test("cli::terminal::progress", TERMINAL, progress),
        test("cli::terminal::interrupted_while_looking", TERMINAL, interrupted_while_looking),
        test("cli::terminal::interrupted_while_writing", TERMINAL, interrupted_while_writing),
        test("cli::terminal::an_ignored_signal_stays_ignored", TERMINAL, an_ignored_signal_stays_ignored),
        test("cli::terminal::nobody_reads_any_more", &[], nobody_reads_any_more),
    ]
}

/// A terminal with a command on it.
pub(super) struct Terminal {
    /// Where somebody types and reads.
    ours: File,
    child: Child,
    /// What was read.
    text: Vec<u8>,
}

impl Terminal {
    /// Runs a command in a session of its own, with a terminal so many columns wide as its standard input and output, and
    /// as its standard error too if `has_error`.
    pub(super) fn spawn(command: &mut Command, columns: u16, has_error: bool) -> Self {
        lxkns_fixture::lead_session(command);
        Self::around(command, columns, has_error)
    }

    /// Runs a command as above, but in the session that it is in. Where a session's leader exits, the kernel throws away what
    /// was written to its terminal and not yet handed over.
    fn around(command: &mut Command, columns: u16, has_error: bool) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&ours).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let name = rustix::pty::ptsname(&ours, Vec::new()).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let theirs = File::from(rustix::fs::open(name, flags, Mode::empty()).unwrap());
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&theirs, size).unwrap();
        // Only what the command writes is to be read from it.
        let mut modes = rustix::termios::tcgetattr(&theirs).unwrap();
        modes.local_modes.remove(LocalModes::ECHO);
        // Control-C leaves what was written: where the kernel discards it, nobody wakes up a process that waits to write more.
        modes.local_modes.insert(LocalModes::NOFLSH);
        rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes).unwrap();
        let copy = || theirs.try_clone().unwrap();
        command.stdin(copy()).stdout(copy()).stderr(if has_error { copy().into() } else { Stdio::null() });
        let child = command.spawn().unwrap();
        // The command keeps copies of what it gave its child.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { ours: ours.into(), child, text: Vec::new() }
    }

    /// Reads on; whether there was something. It ends with an error (EIO) when nobody has the other end.
    fn read(&mut self) -> bool {
        let mut piece = [0; 4096];
        let count = self.ours.read(&mut piece).unwrap_or(0);
        self.text.extend_from_slice(&piece[..count]);
        count > 0
    }

    /// Reads until this was read once more.
    pub(super) fn read_until(&mut self, text: &str) {
        let from = self.text.len();
        while !String::from_utf8_lossy(&self.text[from..]).contains(text) {
            assert!(self.read(), "no {text:?} in {:?}", self.text.escape_ascii().to_string());
        }
    }

    /// Types.
    pub(super) fn type_in(&mut self, text: &str) {
        self.ours.write_all(text.as_bytes()).unwrap();
    }

    /// What was read so far.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    fn press_control_c(&mut self) {
        self.ours.write_all(b"\x03").unwrap();
    }

    /// Reads all the rest, and waits for the command.
    pub(super) fn end(mut self) -> (String, ExitStatus) {
        while self.read() {}
        let status = self.child.wait().unwrap();
        (String::from_utf8(self.text).unwrap().replace("\r\n", "\n"), status)
    }
}

/// A message is one line in a pipe, and as many on a terminal as it takes to keep its words whole.
fn messages() {
    const COLUMNS: usize = 40;
    let asked =
        ["show", "/nowhere/at all where a long message has words enough for several lines of a narrow terminal"];
    let piped = run_lxkns(asked);
    assert_eq!(piped.stderr.lines().count(), 1, "{piped:?}");
    let shown = all_on_terminal(lxkns().args(asked), COLUMNS as u16);
    // On a busy host, progress was shown before.
    let shown = shown.rsplit(ERASE).next().unwrap();
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= COLUMNS), "{shown}");
    let joined: Vec<_> =
        lines.iter().enumerate().map(|(at, line)| if at == 0 { line } else { line.trim_start() }).collect();
    assert_eq!(joined.join(" "), piped.stderr.trim_end());
}

/// What a command writes to a terminal of this width whose exit code is a verdict.
pub(super) fn verdict_on_terminal(command: &mut Command, columns: u16) -> String {
    Terminal::around(plain(command), columns, false).end().0
}

/// What a command writes to a terminal of this width, to standard error too, which is where progress is shown.
pub(super) fn all_on_terminal(command: &mut Command, columns: u16) -> String {
    Terminal::around(plain(command), columns, true).end().0
}

/// What a command writes to a terminal of this width.
pub(super) fn on_terminal(command: &mut Command, columns: u16) -> String {
    let (text, status) = Terminal::around(plain(command), columns, false).end();
    assert!(status.success(), "{text}");
    text
}

/// A command that knows only of such things of the environment as are set for it before.
fn plain(command: &mut Command) -> &mut Command {
    let known: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    for name in ["COLORTERM", "CLICOLOR", "CLICOLOR_FORCE", "NO_COLOR", "CI"] {
        if !known.iter().any(|known| known == name) {
            command.env_remove(name);
        }
    }
    if !known.iter().any(|known| known == "TERM") {
        command.env("TERM", "xterm");
    }
    command
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
        // Numbers and the heading stay whole.
        assert!(text.contains(&actor.ns_inode("uts").to_string()) && text.contains("COMMAND"), "{text}");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        let lines = (text.lines().count(), whole.text().lines().count());
        match columns {
            0 | 1000 => assert_eq!(text, whole.text()),
            60 | 80 => assert!(widest <= columns.into() && lines.0 == lines.1, "{text}"),
            _ => assert!(
                !text.contains("lxkns-actor") && widest <= 20 && lines.0 > lines.1,
                "as narrow as can be: {text}"
            ),
        }
        let why = on_terminal(lxkns().args(["why", &actor.ns_inode("uts").to_string()]).env("NO_COLOR", "1"), columns);
        assert!(why.contains("until process"), "what matters is not cut: {why}");
    }
    for arguments in [&["--help"][..], &["ls", "--help"]] {
        on_terminal(lxkns().args(arguments), 1);
        on_terminal(lxkns().args(arguments), 20);
    }
}

/// Where a namespace has no process, COMMAND has a holder: who that is is not cut, but only texts of others.
fn holder_in_place_of_a_command() {
    let actor = Actor::spawn_in(&["user"]);
    actor.set_comm(b"a-comm-of-fifte");
    let (net, fd) = {
        let child = actor.fork();
        child.unshare(&["net"]);
        let path = format!("/proc/{}/ns/net", child.pid());
        (child.ns_inode("net"), actor.open(path, lxkns_fixture::Open::ReadOnly))
    };
    let holder = format!("[fd {fd} of process {} (", actor.pid());
    for columns in [40, 60, 80, 120] {
        // Another program that looks can be a holder for a moment.
        let is_alone = |text: &String| text.contains(&holder) && !text.contains(", +");
        let ls = || on_terminal(lxkns().args(["ls", "-t", "net", &net.to_string()]).env("NO_COLOR", "1"), columns);
        let text = look_until(is_alone, ls);
        assert!(text.contains(&holder), "{text}");
        // The narrowest has no room for what is not cut.
        let widest = if columns < 60 { 72 } else { columns };
        assert!(text.lines().all(|line| line.chars().count() <= widest.into()), "{columns}: {text}");
    }
}

/// What names something is never cut: a row goes on in a second line.
fn mounts() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt", "net"]);
    let path = base.path().join("a rather long name for one of the network namespaces here");
    actor.touch(&path);
    actor.bind("/proc/self/ns/net", &path);
    let (pid, net) = (actor.pid().to_string(), actor.ns_inode("net"));
    let whole = run(lxkns().args(["mounts", &pid])).ok();
    let names = run(lxkns().args(["mounts", "-rno", "TARGET,SOURCE,PROPAGATION", &pid])).ok();
    let names: Vec<_> = names.text().split_whitespace().map(|name| name.replace("\\x20", " ")).collect();
    for columns in [1, 40, 60, 80, 120, 1000] {
        let text = on_terminal(lxkns().args(["mounts", &pid]).env("NO_COLOR", "1"), columns);
        assert!(text.contains(path.to_str().unwrap()) && text.contains(&format!("nsfs[net:[{net}]]")), "{text}");
        assert!(names.iter().all(|name| text.contains(name)), "{text}");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        // The lines of the tree stand before the longest path.
        let longest = names.iter().map(|name| name.chars().count() + "(hidden) ".len()).max().unwrap() + 2 * 24;
        match columns {
            1000 => assert_eq!(text, whole.text()),
            _ => assert!(widest <= usize::from(columns).max(longest) && text.contains("OPTIONS"), "{text}"),
        }
        // What holds a namespace was asked for.
        let command = ["ls", "-t", "net", "-o", "+HOLDERS", &net.to_string()];
        let text = on_terminal(lxkns().args(command).env("NO_COLOR", "1"), columns);
        assert!(text.contains(", 1 bind mount"), "{text}");
        assert!(text.contains(path.to_str().unwrap()) && text.contains(&net.to_string()), "{text}");
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

/// `why` of a namespace with a long command line, and a path to be typed.
fn long_command_line() {
    let long = format!("{}-{}", "begin".repeat(30), "ending".repeat(30));
    let mut child = Command::new("unshare");
    child.args(["--user", "--uts", "--map-current-user", "cat", "-", &long]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // When it answers it is where it should be.
    child.stdin.as_ref().unwrap().write_all(b"x").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let pid = child.id();
    let target = format!("{pid}/uts");
    assert!(run_lxkns(["why", &target]).ok().text().contains(&long), "whole where there is no terminal");
    for columns in [60, 80, 120] {
        let text = on_terminal(lxkns().args(["why", &target]), columns);
        let line = text.lines().nth(1).unwrap();
        assert_eq!(line.chars().count(), usize::from(columns), "as much as there is room for: {text}");
        assert!(line.starts_with(&format!("  process {pid} (cat - beginbegin")) && line.ends_with("ending)"), "{text}");
        assert!(line.contains('…'), "{text}");
        let text = on_terminal(lxkns().args(["why", &target]).env("LC_ALL", "C"), columns);
        assert!(text.contains("...") && text.is_ascii(), "{text}");
        let text = on_terminal(lxkns().args(["ls", "-t", "uts", &pid.to_string()]), columns);
        assert!(text.lines().all(|line| without_colors(line).chars().count() <= columns.into()), "{text}");
        assert!(text.contains("cat - begin") && text.contains("ending\n"), "{text}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A text without its colours; all sequences have to be whole.
fn without_colors(text: &str) -> String {
    let (first, others) = text.split_once("\x1b[").unwrap_or((text, ""));
    let mut plain = first.to_owned();
    for part in others.split("\x1b[").filter(|part| !part.is_empty()) {
        let (numbers, rest) = part.split_once('m').unwrap_or_else(|| panic!("not whole: {text:?}"));
        assert!(numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'), "{text:?}");
        plain.push_str(rest);
    }
    plain
}

/// Where the locale has no UTF-8.
fn ascii() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let (user, uts) = (actor.ns_inode("user").to_string(), actor.ns_inode("uts").to_string());
    let tree = |locale: &[(&str, &str)]| {
        let mut command = lxkns();
        command.args(["tree", "--owned", &user]).env_remove("LC_ALL").env_remove("LC_CTYPE").env_remove("LANG");
        run(command.envs(locale.iter().copied())).ok().text().to_owned()
    };
    let utf8 = tree(&[("LANG", "C.UTF-8")]);
    assert!(utf8.contains("└─"), "{utf8}");
    let lines = [("├─", "|-"), ("└─", "`-"), ("│ ", "| ")];
    let expected = lines.iter().fold(utf8.clone(), |text, (from, to)| text.replace(from, to));
    for locale in [&[][..], &[("LANG", "C")], &[("LC_ALL", "POSIX"), ("LANG", "C.UTF-8")]] {
        assert_eq!(tree(locale), expected, "{locale:?}");
    }
    assert_eq!(tree(&[("LC_CTYPE", "en_US.utf8"), ("LANG", "C")]), utf8);
    actor.set_comm("größe".as_bytes());
    let holder = |locale: &str| {
        let ran = run(lxkns().args(["caps", "-p", &actor.pid().to_string(), &uts]).env("LC_ALL", locale));
        ran.ok().text().to_owned()
    };
    assert!(holder("C.UTF-8").contains("(größe)"));
    let text = holder("C");
    assert!(text.is_ascii() && text.contains("(gr\\xc3\\xb6\\xc3\\x9fe)"), "{text}");
}

const BOLD: &str = "\x1b[1m";

fn color() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let uts = actor.ns_inode("uts").to_string();
    let user = actor.ns_inode("user").to_string();
    for (command, target) in [("ls", &uts), ("why", &uts), ("tree", &user)] {
        for (options, environment, on_terminal_too, elsewhere) in [
            (&[][..], &[][..], true, false),
            (&[], &[("NO_COLOR", "1")], false, false),
            // Nothing is as good as not there.
            (&[], &[("NO_COLOR", "")], true, false),
            (&[], &[("CLICOLOR", "0")], false, false),
            (&[], &[("CLICOLOR_FORCE", "1")], true, true),
            (&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false, false),
            (&[], &[("TERM", "dumb")], false, false),
            (&[], &[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")], true, true),
            (&["--color=auto"], &[("NO_COLOR", "1")], false, false),
            (&["--color", "always"], &[("NO_COLOR", "1"), ("TERM", "dumb")], true, true),
            (&["--color=never"], &[("CLICOLOR_FORCE", "1")], false, false),
        ] {
            let said = || {
                let mut lxkns = lxkns();
                lxkns.args([command, target]).args(options).envs(environment.iter().copied());
                lxkns
            };
            let text = on_terminal(&mut said(), 80);
            assert_eq!(text.contains(BOLD), on_terminal_too, "{command} {options:?} {environment:?}: {text:?}");
            assert_eq!(text.contains('\x1b'), on_terminal_too, "{command} {options:?} {environment:?}: {text:?}");
            without_colors(&text);
            let text = run(plain(&mut said())).ok().text().to_owned();
            assert_eq!(text.contains(BOLD), elsewhere, "{command} {options:?} {environment:?}: {text:?}");
            assert_eq!(text.contains('\x1b'), elsewhere, "{command} {options:?} {environment:?}: {text:?}");
        }
    }
}

/// Every name of a namespace has the colour of its type, wherever it stands; what programs read has none.
fn color_of_names() {
    let actor = Actor::spawn_in(&["user", "mnt", "uts", "net"]);
    let pid = actor.pid().to_string();
    let uts = actor.ns_inode("uts");
    let commands: [&[&str]; 6] = [
        &["why", "--all", &pid],
        &["tree", "--owned", &pid],
        &["tree", "pid", "--users"],
        &["caps", "-p", &pid, &format!("{pid}/uts")],
        &["orphans"],
        &["busy", "/"],
    ];
    for arguments in commands {
        let text = run(lxkns().args(arguments).args(["--color", "always"])).ok().text().to_owned();
        let names = ["mnt", "uts", "ipc", "user", "pid", "net", "cgroup", "time"].map(|name| format!("{name}:["));
        for name in names {
            // In color, or not at the beginning of a name.
            let bare =
                text.match_indices(&name).find(|(at, _)| !text[..*at].ends_with('m') && text[..*at].ends_with(' '));
            assert_eq!(bare, None, "{arguments:?}: {text:?}");
        }
        without_colors(&text);
    }
    let why = run(lxkns().args(["why", &pid, "--color", "always"])).ok().text().to_owned();
    assert!(why.contains(&format!("{BOLD}\x1b[38;5;30muts:[{uts}]\x1b[0m")), "{why:?}");
    let ls = run(lxkns().args(["ls", &uts.to_string(), "--color", "always"])).ok().text().to_owned();
    assert!(ls.contains(&format!("\x1b[38;5;30m{uts}\x1b[0m \x1b[38;5;30muts\x1b[0m ")), "{ls:?}");
    for arguments in [&["ls", "--json"][..], &["ls", "-r"], &["why", "-J"], &["tree", "-J"], &["mounts", "-r"]] {
        let text = run(lxkns().args(arguments).args([&pid, "--color=always"])).ok().text().to_owned();
        assert!(!text.contains('\x1b'), "{arguments:?}: {text:?}");
    }
}

/// A FIFO, held open, through which a dump comes when the test wants it.
struct SlowDump {
    path: PathBuf,
    file: File,
}

impl SlowDump {
    fn new(directory: &Path, name: &str) -> Self {
        let path = directory.join(name);
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // For both, so that nobody waits for anybody.
        let file = File::options().read(true).write(true).open(&path).unwrap();
        Self { path, file }
    }

    fn ls(&self) -> Command {
        let mut command = lxkns();
        command.args(["ls", "--from"]).arg(&self.path);
        command
    }

    fn come(mut self) {
        self.file.write_all(&dump(3)).unwrap();
    }
}

/// A dump of so many network namespaces.
fn dump(count: u64) -> Vec<u8> {
    let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH);
    for ino in 0..count {
        let id = NamespaceId { dev: 4, ino: 4_026_532_000 + ino };
        snapshot.namespaces.insert(id, Namespace::new(id, NamespaceType::Net));
    }
    let mut dump = Vec::new();
    wire::write(&snapshot, &WriteOptions::default(), &mut dump).unwrap();
    dump
}

const ERASE: &str = "\r\x1b[K";

/// What takes longer than a second is told on a terminal, and erased before anything else is written; elsewhere, a line
/// names what is waited for, once.
fn progress() {
    let directory = directory();
    let (on_terminal, dumb, elsewhere) = (
        SlowDump::new(directory.path(), "terminal"),
        SlowDump::new(directory.path(), "dumb"),
        SlowDump::new(directory.path(), "elsewhere"),
    );
    let path = on_terminal.path.clone();
    let waiting = |dump: &SlowDump| {
        format!("lxkns: waiting for {:?}: nothing is being written to it; Ctrl-C ends this\n", dump.path)
    };
    let [on_dumb, to_pipe] = [&dumb, &elsewhere].map(waiting);
    let piped = elsewhere.ls().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let dumb_terminal = Terminal::spawn(plain(dumb.ls().env("TERM", "dumb")), 400, true);
    let mut terminal = Terminal::spawn(plain(on_terminal.ls().env("NO_COLOR", "1")), 80, true);
    for _ in 0..2 {
        terminal.read_until(" s so far");
    }
    for dump in [on_terminal, dumb, elsewhere] {
        dump.come();
    }
    let (text, status) = terminal.end();
    assert!(status.success(), "{text:?}");
    // A long path lacks its middle.
    let name = path.file_name().unwrap().to_str().unwrap();
    let waited = format!("{name}\", 1 s so far{ERASE}lxkns: ");
    assert!(text.starts_with(&format!("{ERASE}lxkns: waiting for \"/")) && text.contains(&waited), "{text:?}");
    let (progress, output) = text.rsplit_once(ERASE).unwrap();
    assert!(progress.ends_with(" s so far") && !progress.contains('\n'), "{text:?}");
    assert!(output.trim_start().starts_with("NS TYPE") && output.lines().count() == 4, "{text:?}");
    let (text, status) = dumb_terminal.end();
    assert!(status.success() && text == format!("{on_dumb}{output}"), "{text:?}");
    let piped = piped.wait_with_output().unwrap();
    assert!(piped.status.success());
    assert_eq!((piped.stdout, piped.stderr), (output.as_bytes().to_vec(), to_pipe.into_bytes()));
}

const SIGINT: i32 = 2;

fn interrupted_while_looking() {
    let directory = directory();
    let slow = SlowDump::new(directory.path(), "slow");
    let mut terminal = Terminal::spawn(plain(&mut slow.ls()), 80, true);
    terminal.read_until(" s so far");
    terminal.press_control_c();
    let (text, status) = terminal.end();
    assert_eq!(status.signal(), Some(SIGINT), "{text:?}");
    assert_eq!(text.matches('\x1b').count(), text.matches(ERASE).count(), "{text:?}");
}

/// Ctrl-C while the program waits for somebody to read on, with and without colour.
fn interrupted_while_writing() {
    const MANY: u64 = 40_000;
    let directory = directory();
    let path = directory.path().join("dump");
    std::fs::write(&path, dump(MANY)).unwrap();
    for color in ["always", "never"] {
        let mut command = lxkns();
        command.args(["ls", "--color", color, "--from"]).arg(&path);
        let mut terminal = Terminal::spawn(plain(&mut command), 80, true);
        terminal.read_until("net");
        terminal.press_control_c();
        let (text, status) = terminal.end();
        assert_eq!(status.signal(), Some(SIGINT), "{}", text.len());
        assert!(text.lines().count() < MANY as usize / 2, "{}", text.lines().count());
        if color == "always" {
            assert!(text.ends_with("\x1b[0m"), "{:?}", &text[text.len() - 100..]);
        }
    }
}

/// As in a background job of a shell without job control, which ignores SIGINT.
fn an_ignored_signal_stays_ignored() {
    const MANY: u64 = 2_000;
    let directory = directory();
    let path = directory.path().join("dump");
    std::fs::write(&path, dump(MANY)).unwrap();
    let mut command = lxkns();
    command.args(["ls", "--color", "always", "--from"]).arg(&path);
    lxkns_fixture::ignore_signal(&mut command, SIGINT);
    let mut terminal = Terminal::spawn(plain(&mut command), 80, true);
    terminal.read_until("net");
    terminal.press_control_c();
    let (text, status) = terminal.end();
    assert_eq!(status.code(), Some(0), "{}", text.len());
    assert!(text.lines().count() > MANY as usize, "{}", text.lines().count());
}

/// `lxkns ls --color=always | head -c 1`
fn nobody_reads_any_more() {
    let directory = directory();
    let path = directory.path().join("dump");
    std::fs::write(&path, dump(40_000)).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = lxkns();
    command.args(["ls", "--color=always", "--from"]).arg(&path).stdout(writer).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    drop(command);
    reader.read_exact(&mut [0]).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}
