//! The command's terminal, and what passes through it. The programs inside are the simplest there are: that `cat` has
//! written what was typed shows that all is set up.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use lxkns_fixture::Actor;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use rustix::termios::{InputModes, LocalModes, OutputModes};

use super::pty::{Killed, Terminal};
use crate::harness::Need::{self, Program, UserNamespaces};
use crate::harness::{Test, alone, lxkns, test};

const TERMINAL: &[Need] =
    &[UserNamespaces, Need::File("/dev/ptmx"), Need::File("/dev/pts/ptmx"), Program("setsid"), Program("perl")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("enter::terminal::size_and_name", TERMINAL, size_and_name),
        test("enter::terminal::size_changes", TERMINAL, size_changes),
        test("enter::terminal::typing", TERMINAL, typing),
        test("enter::terminal::interrupt", TERMINAL, interrupt),
        test("enter::terminal::stop_acts_inside", TERMINAL, stop_acts_inside),
        test("enter::terminal::all_output_in_order", TERMINAL, all_output_in_order),
        test("enter::terminal::output_only", TERMINAL, output_only),
        test("enter::terminal::nothing_is_typed_for_us", TERMINAL, nothing_is_typed_for_us),
        test("enter::terminal::hang_up", TERMINAL, hang_up),
        test("enter::terminal::terminated", TERMINAL, terminated),
        test("enter::terminal::shared_interrupt", TERMINAL, shared_interrupt),
        test("enter::terminal::shared_stop", TERMINAL, shared_stop),
        test("enter::terminal::signals_and_statuses", &[UserNamespaces, Program("perl")], signals_and_statuses),
    ]
}

/// Somebody whom the caller does not trust with its terminal.
fn stranger() -> Actor {
    Actor::spawn_in(&["user", "mnt", "uts"])
}

fn enter(actor: &Actor, command: &[&str]) -> Command {
    let mut enter = lxkns();
    enter.args(["enter", &actor.pid().to_string(), "--"]).args(command);
    enter
}

/// Says that it is there, which can be read only when all is set up, and then is `cat`.
const CAT: &[&str] = &["perl", "-e", "$| = 1; print qq(ready\\n); exec q(cat)"];

/// Starts `cat` in there, and waits until it answers.
fn cat(terminal: &Terminal, actor: &Actor) -> Killed {
    let child = Killed(terminal.start(&enter(actor, CAT)));
    terminal.until("ready\r\n");
    answers(terminal, "first");
    child
}

/// That the terminal shows what is typed, and that `cat` writes it once more.
#[track_caller]
fn answers(terminal: &Terminal, line: &str) {
    terminal.type_in(&format!("{line}\n"));
    terminal.until(&format!("{line}\r\n{line}\r\n"));
}

/// Checks that a terminal has the modes that it had.
#[track_caller]
fn assert_modes(terminal: &Terminal, before: &rustix::termios::Termios) {
    let modes = terminal.modes();
    assert_eq!(modes.local_modes, before.local_modes);
    assert_eq!(modes.input_modes, before.input_modes);
    assert_eq!(modes.output_modes, before.output_modes);
}

fn size_and_name() {
    let actor = stranger();
    let terminal = Terminal::new();
    let mut child = Killed(terminal.start(&enter(&actor, &["stty", "size"])));
    terminal.until("33 77\r\n");
    assert_eq!(child.code(), Some(0));
    let mut child = Killed(terminal.start(&enter(&actor, &["tty"])));
    // The actor's mounts are a copy of ours, so that its devpts is one, and a terminal of it has a name inside.
    let name = terminal.until("\r\n");
    assert!(name.trim().starts_with("/dev/pts/"), "{name}");
    let ours = rustix::termios::ttyname(terminal.theirs(), Vec::new()).unwrap();
    assert_ne!(name.trim().as_bytes(), ours.to_bytes(), "it is another terminal");
    assert_eq!(child.code(), Some(0));
}

fn size_changes() {
    let actor = stranger();
    let terminal = Terminal::new();
    let program = "$| = 1; my $done; $SIG{WINCH} = sub { $done = 1 }; print qq(ready\\n); \
                   select undef, undef, undef, 0.01 until $done; exec qw(stty size)";
    let mut child = Killed(terminal.start(&enter(&actor, &["perl", "-e", program])));
    terminal.until("ready\r\n");
    terminal.resize(11, 22);
    terminal.until("11 22\r\n");
    assert_eq!(child.code(), Some(0));
}

fn typing() {
    let actor = stranger();
    let terminal = Terminal::new();
    let before = terminal.modes();
    let mut child = cat(&terminal, &actor);
    let modes = terminal.modes();
    assert!(!modes.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG), "it is raw");
    assert!(!modes.input_modes.contains(InputModes::ICRNL) && !modes.output_modes.contains(OutputModes::OPOST));
    answers(&terminal, "\u{fffd} ~. umlaut \u{e4}");
    terminal.type_in("\x04");
    assert_eq!(child.code(), Some(0));
    assert_modes(&terminal, &before);
}

fn interrupt() {
    let actor = stranger();
    let terminal = Terminal::new();
    let before = terminal.modes();
    for (key, code) in [("\x03", 128 + 2), ("\x1c", 128 + 3)] {
        let mut child = cat(&terminal, &actor);
        terminal.type_in(key);
        assert_eq!(child.code(), Some(code));
        assert_modes(&terminal, &before);
    }
}

fn stop_acts_inside() {
    let actor = stranger();
    let terminal = Terminal::new();
    let mut child = cat(&terminal, &actor);
    // What leads a session is not stopped by that, as nobody could continue it; and we are not stopped at all.
    terminal.type_in("\x1a");
    terminal.until("^Z");
    answers(&terminal, "second");
    terminal.type_in("\x04");
    assert_eq!(child.code(), Some(0));
}

fn all_output_in_order() {
    let actor = stranger();
    let terminal = Terminal::new();
    const LAST: u32 = 180_000;
    let mut child = Killed(terminal.start(&enter(&actor, &["seq", &LAST.to_string()])));
    let expected: String = (1..=LAST).map(|number| format!("{number}\r\n")).collect();
    assert!(expected.len() > 1024 * 1024);
    // The last is read a while after the command has ended.
    let output = terminal.until(&format!("\n{LAST}\r\n"));
    assert!(output == expected, "{} of {} bytes", output.len(), expected.len());
    assert_eq!(child.code(), Some(0));
    assert_eq!(terminal.rest(), b"");
}

fn output_only() {
    let actor = stranger();
    let terminal = Terminal::new();
    let before = terminal.modes();
    // Not the terminal that controls the session: that would have to be standard input.
    let mut command = enter(&actor, &["cat"]);
    command.stdin(Stdio::piped());
    let stream = || Stdio::from(terminal.theirs().try_clone().unwrap());
    let mut child = Killed(command.stdout(stream()).stderr(stream()).spawn().unwrap());
    drop(command);
    let mut stdin = child.0.stdin.take().unwrap();
    stdin.write_all(b"piped\n").unwrap();
    terminal.until("piped\r\n");
    assert_modes(&terminal, &before);
    terminal.type_in("for others\n");
    terminal.until("for others\r\n");
    drop(stdin);
    assert_eq!(child.code(), Some(0));
    assert!(terminal.has_input(), "what is typed is left to others");
}

fn nothing_is_typed_for_us() {
    // TIOCSTI, on every descriptor that could be the terminal.
    let program = "my $x = 'I'; for my $fd (0, 1, 2) { open my $f, '+<&=', $fd; ioctl $f, 0x5412, $x } \
                   if (open my $tty, '+<', '/dev/tty') { ioctl $tty, 0x5412, $x } print qq(tried\\n)";
    let actor = stranger();
    let terminal = Terminal::new();
    let mut child = Killed(terminal.start(&enter(&actor, &["perl", "-e", program])));
    terminal.until("tried\r\n");
    assert_eq!(child.code(), Some(0));
    assert!(!terminal.has_input());

    // Also where no standard stream is a terminal: a session can have one all the same.
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$@" </dev/null 2>&1 | cat"#, "sh"]);
    let entering = enter(&actor, &["perl", "-e", program]);
    command.arg(entering.get_program()).args(entering.get_args());
    let mut child = Killed(terminal.start(&command));
    terminal.until("tried\r\n");
    assert_eq!(child.code(), Some(0));
    assert!(!terminal.has_input());

    // The test can fail: without lxkns that works, if the kernel allows it.
    if std::fs::read("/proc/sys/dev/tty/legacy_tiocsti").is_ok_and(|value| value == b"1\n") {
        let mut command = Command::new("perl");
        command.args(["-e", program]);
        let mut child = Killed(terminal.start(&command));
        terminal.until("tried\r\n");
        assert_eq!(child.code(), Some(0));
        terminal.type_in("\n");
        assert!(terminal.has_input());
    }
}

fn hang_up() {
    let actor = stranger();
    let terminal = Terminal::new();
    let mut child = cat(&terminal, &actor);
    drop(terminal);
    assert_eq!(child.code(), Some(128 + 1), "the command's terminal has hung up too");
}

fn terminated() {
    let actor = stranger();
    let terminal = Terminal::new();
    let before = terminal.modes();
    for signal in [Signal::TERM, Signal::HUP, Signal::USR1, Signal::ALARM] {
        let mut child = cat(&terminal, &actor);
        rustix::process::kill_process(Pid::from_child(&child.0), signal).unwrap();
        assert_eq!(child.code(), Some(128 + signal.as_raw()));
        assert_modes(&terminal, &before);
    }
}

fn shared_interrupt() {
    // Somebody who is no stranger in any way.
    let actor = Actor::spawn();
    let terminal = Terminal::new();
    let before = terminal.modes();
    let mut child = cat(&terminal, &actor);
    assert_modes(&terminal, &before);
    terminal.type_in("\x03");
    assert_eq!(child.code(), Some(128 + 2));
}

fn shared_stop() {
    alone("enter::terminal::shared_stop", || {
        // As a shell does: this process leads a session, and starts jobs in the foreground.
        rustix::process::setsid().unwrap();
        let actor = Actor::spawn();
        let terminal = Terminal::new();
        rustix::process::ioctl_tiocsctty(terminal.theirs()).unwrap();
        // Giving the terminal away and taking it back must not stop us.
        let background = lxkns_sys::SignalSet::new(&[Signal::TTOU]);
        lxkns_sys::sigprocmask(lxkns_sys::Blocking::Block, &background).unwrap();
        let own = rustix::process::getpgrp();

        let mut command = enter(&actor, CAT);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = Killed(terminal.start_here(&mut command));
        let group = Pid::from_child(&child.0);
        rustix::termios::tcsetpgrp(terminal.theirs(), group).unwrap();
        terminal.until("ready\r\n");
        answers(&terminal, "first");
        for line in ["second", "third"] {
            terminal.type_in("\x1a");
            let status = state(&child.0, WaitIdOptions::STOPPED | WaitIdOptions::EXITED);
            assert_eq!(status.stopping_signal(), Some(Signal::TSTP.as_raw()), "the job is stopped");
            // It has taken the terminal back from the command before.
            assert_eq!(rustix::termios::tcgetpgrp(terminal.theirs()), Ok(group));
            rustix::termios::tcsetpgrp(terminal.theirs(), own).unwrap();
            // `fg`
            rustix::termios::tcsetpgrp(terminal.theirs(), group).unwrap();
            rustix::process::kill_process_group(group, Signal::CONT).unwrap();
            answers(&terminal, line);
        }
        terminal.type_in("\x04");
        assert_eq!(child.code(), Some(0));
        assert_eq!(rustix::termios::tcgetpgrp(terminal.theirs()), Ok(group), "the terminal is the job's again");
        // When it hangs up, so does who leads its session.
        std::mem::forget(terminal);
    });
}

fn state(child: &Child, options: WaitIdOptions) -> rustix::process::WaitIdStatus {
    let pid = WaitId::Pid(Pid::from_child(child));
    rustix::io::retry_on_intr(|| rustix::process::waitid(pid.clone(), options)).unwrap().unwrap()
}

fn signals_and_statuses() {
    let actor = stranger();
    let perl = |program: &str| {
        let mut command = enter(&actor, &["perl", "-e", program]);
        // Where one of these is a terminal, WINCH is for that.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    for (program, code) in
        [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill 9, $$", 128 + 9), ("kill 15, $$; sleep 9", 143)]
    {
        assert_eq!(Killed(perl(program)).code(), Some(code), "{program}");
    }
    // Perl runs a handler once a call has come back, and a signal just before the call does not end it: so none takes long.
    let handler = "$| = 1; for my $name (qw(HUP INT QUIT TERM USR1 USR2 WINCH RTMIN)) { $SIG{$name} = sub { print qq($name\\n) } } \
                   print qq(ready\\n); \
                   for (;;) { my $in = qq(\\1); last if select($in, undef, undef, 0.1) > 0 && !sysread(STDIN, my $byte, 1) }";
    let mut child = Killed(perl(handler));
    let mut stdout = child.0.stdout.take().unwrap();
    let mut expect = |text: &str| {
        let mut bytes = vec![0; text.len()];
        stdout.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    };
    expect("ready\n");
    for (signal, name) in [
        (Signal::HUP, "HUP\n"),
        (Signal::INT, "INT\n"),
        (Signal::QUIT, "QUIT\n"),
        (Signal::TERM, "TERM\n"),
        (Signal::USR1, "USR1\n"),
        (Signal::USR2, "USR2\n"),
        (Signal::WINCH, "WINCH\n"),
    ] {
        rustix::process::kill_process(Pid::from_child(&child.0), signal).unwrap();
        expect(name);
    }
    // Those that have no name of their own too.
    lxkns_sys::kill_child(Pid::from_child(&child.0), 34, false);
    expect("RTMIN\n");
    drop(child.0.stdin.take());
    assert_eq!(child.code(), Some(0));
}
